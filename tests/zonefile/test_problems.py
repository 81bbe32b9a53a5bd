"""Every fault of a master file is reported, with its file, line, owner and id, and reading goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dnsd.core import names
from dnsd.zonefile.reader import MAX_INCLUDE_DEPTH
from dnsd.zonefile.zone import Request, read_requested
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
    found = read_requested(Request(path=tmp_path / "zone", apex=names.from_text("example.org.")))
    assert brief(found.problems, tmp_path) == [("zone", 0, "example.org.", "unreadable")]


LONG = " ".join(['"' + "x" * 255 + '"'] * 257)

# Faults of which one used to hide another, or to have others blamed.
SEVERAL: list[tuple[str, Expected]] = [
    (f"a TXT {LONG}\nb A x\n", [(5, "a.example.org.", "bad-rdata"), (6, "b.example.org.", "bad-rdata")]),
    ("other. soon A x\n", [(5, "other.", "out-of-zone"), (5, "other.", "unknown-type")]),
    ("other. 1x A x\n", [(5, "other.", "bad-rdata"), (5, "other.", "bad-ttl"), (5, "other.", "out-of-zone")]),
    ("a 1x A 192.0.2.1\na CNAME b\n", [(5, "a.example.org.", "bad-ttl"), (6, "a.example.org.", "cname-and-other")]),
    (
        "$INCLUDE gone\na A 192.0.2.1\na CNAME b\nd DNAME x.\ny.d A 192.0.2.1\n",
        [
            (5, "example.org.", "unreadable"),
            (7, "a.example.org.", "cname-and-other"),
            (9, "y.d.example.org.", "below-dname"),
        ],
    ),
    (
        "$ORIGIN a..b\nx A 192.0.2.1\n TXT x\nx CNAME y\ny A x\n$ORIGIN z\nx A x\n$ORIGIN w.example.org.\nx A x\n",
        [
            (5, "example.org.", "zone-syntax"),
            (9, "example.org.", "bad-rdata"),
            (11, "example.org.", "bad-rdata"),
            (13, "x.w.example.org.", "bad-rdata"),
        ],
    ),
]


@pytest.mark.parametrize(("added", "expected"), SEVERAL)
def test_no_fault_hides_another(tmp_path: Path, added: str, expected: Expected) -> None:
    """What is certain is said at once, and nothing is said of what could not be read."""
    assert brief(read(tmp_path, GOOD_START + added).problems, tmp_path) == [("zone", *problem) for problem in expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("@ SOA ns1 host x 2 3 4 5\n@ NS ns1\na A 192.0.2.1\n", [(1, "example.org.", "bad-rdata")]),
        ("$TTL soon\n@ SOA ns1 host 1 2 3 4 5\n@ NS ns1\n", [(1, "example.org.", "bad-ttl")]),
        ("$TTL 5\n$INCLUDE gone\n", [(2, "example.org.", "unreadable")]),
        ("@ 5 SOA ns1 host 1 2 3 4 5\n@ NSS ns1\n", [(2, "example.org.", "unknown-type")]),
        ("@ 5 NS ns1\na..b A 192.0.2.1\n", [(2, "example.org.", "zone-syntax")]),
        ("@ 5 NS ns1\na NSS x\n", [(0, "example.org.", "no-soa"), (2, "a.example.org.", "unknown-type")]),
    ],
)
def test_what_could_not_be_read_is_not_missed(tmp_path: Path, text: str, expected: Expected) -> None:
    """A record that is written with a fault is not called missing as well, nor is the TTL that it would have set."""
    assert brief(read(tmp_path, text).problems, tmp_path) == [("zone", *problem) for problem in expected]


def test_a_deep_chain_of_includes_is_a_problem(tmp_path: Path) -> None:
    """Files within files have a limit, which the file that goes beyond it is told."""
    includes = {f"f{number}": f"$INCLUDE f{number + 1}\n" for number in range(450)}
    found = read(tmp_path, GOOD_START + "$INCLUDE f0\n", includes=includes)
    assert brief(found.problems, tmp_path) == [(f"f{MAX_INCLUDE_DEPTH - 1}", 1, "example.org.", "include-depth")]
    includes[f"f{MAX_INCLUDE_DEPTH - 1}"] = "a A 192.0.2.1\n"
    assert read(tmp_path, GOOD_START + "$INCLUDE f0\n", includes=includes).problems == ()


def test_includes_that_double_with_each_level_come_to_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of files that one zone includes has a limit, and going beyond it is one problem."""
    monkeypatch.setattr("dnsd.zonefile.reader.MAX_INCLUDES", 100)
    includes = {f"f{number}": f"$INCLUDE f{number + 1}\n" * 2 for number in range(MAX_INCLUDE_DEPTH)}
    found = read(tmp_path, GOOD_START + "$INCLUDE f0\n", includes=includes)
    assert [problem.id for problem in found.problems if problem.id != "include-depth"] == ["too-many-includes"]


@pytest.mark.parametrize(
    ("added", "message"),
    [
        ("a A 192.0.2\n", "'192.0.2' is not an IPv4 address"),
        ("a A ::1\n", "'::1' is not an IPv4 address"),
        ("a AAAA 192.0.2.1\n", "'192.0.2.1' is not an IPv6 address"),
        ("a A\n", "the IPv4 address is missing"),
        ("a A \\# 3 010203\n", "the data of the A record cannot be read"),
    ],
)
def test_what_is_wrong_with_an_address_is_said_plainly(tmp_path: Path, added: str, message: str) -> None:
    """The message names what stands where an address should."""
    assert [problem.message for problem in read(tmp_path, GOOD_START + added).problems] == [message]


def test_a_lone_carriage_return_does_not_end_a_comment(tmp_path: Path) -> None:
    """Only a line feed ends a line, so that nothing that looks like a comment becomes a record."""
    found = read(tmp_path, GOOD_START.encode() + b"; old\rb A 192.0.2.1\nbad A x\n")
    assert b"\x01b\x07example\x03org\x00" not in found.names.nodes
    assert brief(found.problems, tmp_path) == [("zone", 6, "bad.example.org.", "bad-rdata")]


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
    (
        "sub NS ns1\nsub DS 1 8 2 "
        + "00" * 32
        + "\nsub NSEC a NS DS\nsub RRSIG DS 8 3 300 20300101000000 20200101000000 1 @ AAAA\nsub TXT x\n",
        [(9, "sub.example.org.", "occluded")],
    ),
    ("\n".join(f'a TXT "{number} {"x" * 240}"' for number in range(255)) + "\n", []),
    (
        "\n".join(f'a TXT "{number} {"x" * 240}"' for number in range(260)) + "\n",
        [(5, "a.example.org.", "rrset-too-large")],
    ),
    ("$GENERATE 1-4600 a PTR $.a-long-name-that-compresses.example.org.\n", []),
    ("$GENERATE 1-4700 a PTR $.a-long-name-that-compresses.example.org.\n", [(5, "a.example.org.", "rrset-too-large")]),
    ("a HTTPS 0 b alpn=h2\n", [(5, "a.example.org.", "alias-with-parameters")]),
    ("a HTTPS 1 b alpn=h2\n", []),
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
@given(
    text=st.lists(st.sampled_from([*'a@$ABCDEGINORTU0123.\\"();# \t\n\r{}-é\0', "A ", "TXT ", "\udcff"]), max_size=80)
)
def test_reading_never_fails_but_by_problems(tmp_path: Path, text: list[str]) -> None:
    """Whatever stands behind a good start, reading ends, and what it reports stands in lines of the file."""
    octets = "".join(text).encode("utf-8", "surrogateescape")
    found = read(tmp_path, GOOD_START.encode() + octets)
    assert (found.zone is None) == bool(found.problems)
    last = ADDED + octets.count(b"\n")
    assert all(0 <= problem.line <= last for problem in found.problems)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(faults=st.lists(st.sampled_from([fault for fault, _ in FAULTS[:3]]), min_size=1, max_size=5))
def test_a_record_behind_faults_is_still_read(tmp_path: Path, faults: list[str]) -> None:
    """Reading goes on at the very next record: a marker behind any number of faults is met."""
    added = "".join(faults)
    found = read(tmp_path, GOOD_START + added + "marker A x\n")
    line = ADDED + added.count("\n")
    assert ("zone", line, "marker.example.org.", "bad-rdata") in brief(found.problems, tmp_path)
