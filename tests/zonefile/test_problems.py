"""Every fault of a master file is reported, with its file, line, owner and id, and reading goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dnsd.zonefile.zone import read_zone
from tests.zonefile.files import ADDED, GOOD_START, brief, read

Expected = list[tuple[int, str, str]]

# What is added to the good start, from line 5 on, and (line, owner, id) of what is reported.
FAULTS: list[tuple[str, Expected]] = [
    ("a A 1.2.3\n", [(5, "a.example.org.", "bad-rdata")]),
    ("a A 192.0.2.1 more\n", [(5, "a.example.org.", "bad-rdata")]),
    ("a MX\nb A x\n", [(5, "a.example.org.", "bad-rdata"), (6, "b.example.org.", "bad-rdata")]),
    ('a TXT "open\nb A x\n', [(5, "a.example.org.", "bad-rdata"), (6, "b.example.org.", "bad-rdata")]),
    ("a A (\n1.2.3 ) ; x (\nb A x\n", [(5, "a.example.org.", "bad-rdata"), (7, "b.example.org.", "bad-rdata")]),
    ("a A ) 192.0.2.1\nb A x\n", [(5, "a.example.org.", "bad-rdata"), (6, "b.example.org.", "bad-rdata")]),
    ("a TXT ( x\nb A x\n", [(5, "a.example.org.", "bad-rdata"), (6, "b.example.org.", "bad-rdata")]),
    ("a NOPE x\n", [(5, "a.example.org.", "unknown-type")]),
    ("a ANY x\n", [(5, "a.example.org.", "not-data")]),
    ("a OPT \\# 0\n", [(5, "a.example.org.", "not-data")]),
    ("a CH TXT x\n", [(5, "a.example.org.", "class-not-in")]),
    ("a CLASS9 TXT x\n", [(5, "a.example.org.", "class-not-in")]),
    ("a 4294967295 A 192.0.2.1\n", [(5, "a.example.org.", "bad-ttl")]),
    ("a 1x A 192.0.2.1\n", [(5, "a.example.org.", "bad-ttl")]),
    ("$TTL soon\n", [(5, "example.org.", "bad-ttl")]),
    ("a\n", [(5, "a.example.org.", "zone-syntax")]),
    ("a..b A 192.0.2.1\n A 192.0.2.2\n", [(5, "example.org.", "zone-syntax"), (6, "example.org.", "no-owner")]),
    (f"{'a' * 64} A 192.0.2.1\n", [(5, "example.org.", "zone-syntax")]),
    ("$NOPE x\n", [(5, "example.org.", "unknown-directive")]),
    ("$ORIGIN\n", [(5, "example.org.", "zone-syntax")]),
    ("$INCLUDE\n", [(5, "example.org.", "zone-syntax")]),
    ("$INCLUDE missing.inc\n", [(5, "example.org.", "unreadable")]),
    ("$INCLUDE zone\nb A x\n", [(5, "example.org.", "include-loop"), (6, "b.example.org.", "bad-rdata")]),
    ("$GENERATE 1-3 a$\n", [(5, "example.org.", "bad-generate")]),
    ("$GENERATE 3-1 a$ A 192.0.2.$\n", [(5, "example.org.", "bad-generate")]),
    ("$GENERATE 1-9999999 a$ A 192.0.2.1\n", [(5, "example.org.", "bad-generate")]),
    ("$GENERATE 1-2 a${x} A 192.0.2.1\n", [(5, "example.org.", "bad-generate")]),
    ("$GENERATE 1-2 a$ A 192.0.2.\nb A x\n", [(5, "a1.example.org.", "bad-rdata"), (6, "b.example.org.", "bad-rdata")]),
    ("other.example. A 192.0.2.1\n", [(5, "other.example.", "out-of-zone")]),
    ("badexample.org. A 192.0.2.1\n", [(5, "badexample.org.", "out-of-zone")]),
    ("$GENERATE 1-2 a$.example.net. A 192.0.2.1\n", [(5, "a1.example.net.", "out-of-zone")]),
    ("@ SOA ns1 host 2 7200 1800 1209600 60\n", [(5, "example.org.", "several-soa")]),
    ("sub SOA ns1 host 2 7200 1800 1209600 60\n", [(5, "sub.example.org.", "soa-not-at-apex")]),
    ("a CNAME b\na CNAME c\n", [(6, "a.example.org.", "several-cname")]),
    ("a DNAME b\na DNAME c\n", [(6, "a.example.org.", "several-dname")]),
    ("a A 192.0.2.1\na CNAME b\n", [(6, "a.example.org.", "cname-and-other")]),
    ("a CNAME b\na TXT x\n", [(5, "a.example.org.", "cname-and-other")]),
    ("a CNAME b\na DNAME c\n", [(5, "a.example.org.", "cname-and-other")]),
    ("@ CNAME b\n", [(5, "example.org.", "cname-and-other")]),
    ("a DNAME b.example.\nx.y.a A 192.0.2.1\n", [(6, "x.y.a.example.org.", "below-dname")]),
    ("a DNAME b.example.\na NS ns1\n", [(5, "a.example.org.", "dname-and-ns")]),
]


@pytest.mark.parametrize(("added", "expected"), FAULTS)
def test_a_fault_is_reported_where_it_stands(tmp_path: Path, added: str, expected: Expected) -> None:
    """A faulty statement becomes a problem with its line, and the zone is not made."""
    found = read(tmp_path, GOOD_START + added)
    assert brief(found.problems, tmp_path) == [("zone", *problem) for problem in expected]
    assert found.zone is None


def test_all_faults_of_a_file_are_reported_at_once(tmp_path: Path) -> None:
    """Faults of different kinds in one file, and in what it includes, all come out of one reading."""
    text = "$TTL 60\na A x\n@ CNAME b\n$INCLUDE inc\nother. A 192.0.2.1\n"
    found = read(tmp_path, text, includes={"inc": "\nc AAAA 192.0.2.1\n"})
    assert brief(found.problems, tmp_path) == [
        ("inc", 2, "c.example.org.", "bad-rdata"),
        ("zone", 0, "example.org.", "no-ns"),
        ("zone", 0, "example.org.", "no-soa"),
        ("zone", 2, "a.example.org.", "bad-rdata"),
        ("zone", 5, "other.", "out-of-zone"),
    ]


def test_a_loop_over_two_files_is_reported_in_the_file_that_closes_it(tmp_path: Path) -> None:
    """An include loop is a problem, not a crash."""
    found = read(tmp_path, GOOD_START + "$INCLUDE one\n", includes={"one": "$INCLUDE two\n", "two": "$INCLUDE one\n"})
    assert brief(found.problems, tmp_path) == [("two", 1, "example.org.", "include-loop")]


def test_a_file_may_be_included_twice(tmp_path: Path) -> None:
    """Including a file again, when it is not being read, is no loop."""
    found = read(tmp_path, GOOD_START + "$INCLUDE one a\n$INCLUDE one b\n", includes={"one": "x A 192.0.2.1\n"})
    assert found.problems == ()


def test_a_missing_file_is_one_problem(tmp_path: Path) -> None:
    """Of a file that is not there, nobody is told that it has no SOA."""
    found = read_zone(tmp_path / "zone", origin="example.org.")
    assert brief(found.problems, tmp_path) == [("zone", 0, "example.org.", "unreadable")]


def test_text_that_is_not_utf8_is_one_problem(tmp_path: Path) -> None:
    """A file in another encoding is refused as a whole."""
    (tmp_path / "zone").write_bytes(GOOD_START.encode() + b"a TXT \xff\n")
    found = read_zone(tmp_path / "zone", origin="example.org.")
    assert brief(found.problems, tmp_path) == [("zone", 0, "example.org.", "not-utf8")]


WARNINGS: list[tuple[str, Expected]] = [
    ("a 60 A 192.0.2.1\na 30 A 192.0.2.2\na 20 A 192.0.2.3\n", [(6, "a.example.org.", "ttl-differs")]),
    ("@ NS ns2\n", [(3, "example.org.", "target-without-address")]),
    ("@ NS ns2\nns2 CNAME ns1\n", [(3, "example.org.", "target-is-cname")]),
    ("a MX 10 mx\n", [(5, "a.example.org.", "target-without-address")]),
    ("a MX 0 .\n", []),
    ("a MX 10 mx.wild\n*.wild A 192.0.2.1\n", []),
    ("a MX 10 mx.example.com.\n", []),
    ("a SRV 0 0 1 pool\n", []),
    ("sub NS ns.sub\n", [(5, "sub.example.org.", "missing-glue")]),
    ("sub NS ns.sub\nns.sub A 192.0.2.1\n", []),
    ("sub NS ns.sub\nns.sub A 192.0.2.1\nx.sub TXT x\n", [(7, "x.sub.example.org.", "occluded")]),
    ("*.w NS ns1\n", [(5, "*.w.example.org.", "wildcard-ns")]),
    ("*.w DNAME x.example.\n", [(5, "*.w.example.org.", "wildcard-dname")]),
]


@pytest.mark.parametrize(("added", "expected"), WARNINGS)
def test_what_is_odd_is_a_warning(tmp_path: Path, added: str, expected: Expected) -> None:
    """Oddities are named with their line, and the zone is served all the same."""
    found = read(tmp_path, GOOD_START + added, others=["pool.example.org."])
    assert brief(found.warnings, tmp_path) == [("zone", *warning) for warning in expected]
    assert found.zone is not None


def test_the_least_ttl_of_an_rrset_is_used(tmp_path: Path) -> None:
    """RFC 2181 §5.2: where TTLs of one RRset differ, the least holds."""
    found = read(tmp_path, GOOD_START + "a 60 A 192.0.2.1\na 30 A 192.0.2.2\na 90 A 192.0.2.3\n")
    assert found.zone is not None
    assert found.zone.nodes[b"\x01a\x07example\x03org\x00"].rrsets[1].pick().ttl == 30


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.sampled_from('a@$ABCDEGINORTU0123.\\"();# \t\n{}-é'), max_size=80))
def test_reading_never_fails_but_by_problems(tmp_path: Path, text: str) -> None:
    """Whatever stands behind a good start, reading ends, and what it reports stands in lines of the file."""
    found = read(tmp_path, GOOD_START + text)
    assert (found.zone is None) == bool(found.problems)
    last = ADDED + text.count("\n")
    assert all(0 <= problem.line <= last for problem in found.problems)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(faults=st.lists(st.sampled_from([fault for fault, _ in FAULTS[:3]]), min_size=1, max_size=5))
def test_a_record_behind_faults_is_still_read(tmp_path: Path, faults: list[str]) -> None:
    """Reading goes on at the very next record: a marker behind any number of faults is met."""
    added = "".join(faults)
    found = read(tmp_path, GOOD_START + added + "marker A x\n")
    line = ADDED + added.count("\n")
    assert ("zone", line, "marker.example.org.", "bad-rdata") in brief(found.problems, tmp_path)
