"""What good master files become."""

from __future__ import annotations

from pathlib import Path

import pytest

from dnsd.core import constants, names
from tests.zonefile.files import GOOD_START, brief, read, read_good, rrset


def test_owners_are_folded_and_rdata_keeps_its_case(tmp_path: Path) -> None:
    """Owners compare folded; names inside RDATA stay as written and uncompressed."""
    zone = read_good(tmp_path, "WWW.Sub CNAME Target.Example.COM.\n")
    assert rrset(zone, "www.sub.example.org.", constants.CNAME).rdatas == (b"\x06Target\x07Example\x03COM\x00",)


def test_relative_names_in_rdata_end_in_the_origin(tmp_path: Path) -> None:
    """A relative name inside RDATA is made absolute with the current origin."""
    zone = read_good(tmp_path, "$ORIGIN sub\na MX 10 mx\nmx A 192.0.2.1\n")
    expected = b"\x00\x0a" + names.from_text("mx.sub.example.org.")
    assert rrset(zone, "a.sub.example.org.", constants.MX).rdatas == (expected,)


@pytest.mark.parametrize(
    ("line", "ttl"),
    [
        ("a A 192.0.2.1", 300),
        ("a 60 A 192.0.2.1", 60),
        ("a 60 IN A 192.0.2.1", 60),
        ("a IN 60 A 192.0.2.1", 60),
        ("a in 1h30m a 192.0.2.1", 5400),
        ("a CLASS1 A 192.0.2.1", 300),
        ("$TTL 2h\na A 192.0.2.1", 7200),
        ("a A ( 192.0.2.1 ) ; with a comment", 300),
        ("a TYPE1 \\# 4 C0000201", 300),
    ],
)
def test_ttl_and_class_stand_in_any_order(tmp_path: Path, line: str, ttl: int) -> None:
    """TTL and class are optional and change places (RFC 1035 §5.1); TTLs may have units."""
    found = rrset(read_good(tmp_path, line + "\n"), "a.example.org.", constants.A)
    assert (found.ttl, found.rdatas) == (ttl, (bytes([192, 0, 2, 1]),))


def test_without_a_ttl_directive_the_last_stated_one_holds(tmp_path: Path) -> None:
    """The SOA takes its MINIMUM as its TTL, and a record that states one sets it for those after it."""
    found = read(tmp_path, "@ SOA ns1 h 1 2 3 4 77\n@ NS ns1\nns1 A 192.0.2.1\n")
    assert found.zone is not None
    assert rrset(found.zone, "ns1.example.org.", constants.A).ttl == 77
    found = read(tmp_path, "@ 90 SOA ns1 h 1 2 3 4 77\n@ NS ns1\nns1 A 192.0.2.1\n")
    assert found.zone is not None
    assert rrset(found.zone, "ns1.example.org.", constants.A).ttl == 90


def test_unknown_types_are_carried_as_they_are(tmp_path: Path) -> None:
    """A type that nobody knows is read in the generic form (RFC 3597 §5)."""
    zone = read_good(tmp_path, "a TYPE65280 \\# 4 CAFE 0001\na TYPE65281 \\# 0\n")
    assert rrset(zone, "a.example.org.", 65280).rdatas == (b"\xca\xfe\x00\x01",)
    assert rrset(zone, "a.example.org.", 65281).rdatas == (b"",)


def test_duplicates_are_read_once(tmp_path: Path) -> None:
    """An exact duplicate changes nothing (RFC 2181 §5), and case in a name makes no difference to it."""
    zone = read_good(tmp_path, "a A 192.0.2.1\nA A 192.0.2.1\n@ NS NS1\nb TXT x\nb TXT X\n")
    assert len(rrset(zone, "a.example.org.", constants.A).rdatas) == 1
    assert len(rrset(zone, "example.org.", constants.NS).rdatas) == 1
    assert len(rrset(zone, "b.example.org.", constants.TXT).rdatas) == 2


def test_numbers_in_rdata_are_not_folded_for_duplicates(tmp_path: Path) -> None:
    """Preferences 65 and 97 differ although their bytes are the two cases of a letter."""
    zone = read_good(tmp_path, "a MX 65 ns1\na MX 97 ns1\n")
    assert len(rrset(zone, "a.example.org.", constants.MX).rdatas) == 2


def test_escapes_in_owners(tmp_path: Path) -> None:
    """An escaped dot is part of its label (RFC 1035 §5.1)."""
    zone = read_good(tmp_path, "first\\.last A 192.0.2.1\n\\065b A 192.0.2.2\n")
    assert b"\x0afirst.last\x07example\x03org\x00" in zone.nodes
    assert names.from_text("ab.example.org.") in zone.nodes


def test_includes_are_relative_to_the_including_file_and_change_nothing_behind_them(tmp_path: Path) -> None:
    """RFC 1035 §5.1: an include may have its own origin, and leaves the parent's origin, owner and TTL alone."""
    includes = {
        "parts/one.inc": "$TTL 9\n$ORIGIN deep\nx A 192.0.2.1\n$INCLUDE two.inc\n",
        "parts/two.inc": "y A 192.0.2.2\n",
    }
    zone = read_good(tmp_path, "a A 192.0.2.3\n$INCLUDE parts/one.inc inc\n  TXT after\n", includes=includes)
    assert rrset(zone, "x.deep.inc.example.org.", constants.A).ttl == 9
    assert rrset(zone, "y.deep.inc.example.org.", constants.A).ttl == 9
    assert rrset(zone, "a.example.org.", constants.TXT).ttl == 300


@pytest.mark.parametrize(
    ("line", "owner", "address"),
    [
        ("$GENERATE 1-3 h-$ A 192.0.2.$", "h-3.example.org.", "192.0.2.3"),
        ("$GENERATE 0-4/2 h-$ 60 IN A 192.0.2.${10}", "h-4.example.org.", "192.0.2.14"),
        ("$GENERATE 7-7 h-${0,3} A 192.0.2.$", "h-007.example.org.", "192.0.2.7"),
        ("$GENERATE 10-10 h-${0,2,x} A 192.0.2.${-5}", "h-0a.example.org.", "192.0.2.5"),
    ],
)
def test_generate_makes_records(tmp_path: Path, line: str, owner: str, address: str) -> None:
    """`$GENERATE` counts, shifts, pads and changes base."""
    packed = bytes(int(part) for part in address.split("."))
    assert rrset(read_good(tmp_path, line + "\n"), owner, constants.A).rdatas == (packed,)


def test_generate_takes_rdata_of_several_words(tmp_path: Path) -> None:
    """What follows the type is a whole record's data, and a doubled dollar sign is one."""
    zone = read_good(tmp_path, '$GENERATE 5-5 m$ MX 10 ns1\n$GENERATE 5-5 t$ TXT "cost $$ of $" b\n')
    assert rrset(zone, "m5.example.org.", constants.MX).rdatas[0][:2] == b"\x00\x0a"
    assert rrset(zone, "t5.example.org.", constants.TXT).rdatas == (b"\x0bcost $ of 5\x01b",)


@pytest.mark.parametrize(
    ("line", "owner", "rdtype", "rdata"),
    [
        ('$GENERATE 1-1 h$ MX "0 ."', "h1.example.org.", constants.MX, b"\0\0\0"),
        ('$GENERATE 1-1 h$ 60 IN MX "$ ."', "h1.example.org.", constants.MX, b"\0\1\0"),
        ('$GENERATE 1-1 h$ TXT "a b"', "h1.example.org.", constants.TXT, b"\1a\1b"),
        (r'$GENERATE 1-1 h$ TXT "\"a $\""', "h1.example.org.", constants.TXT, b"\3a 1"),
        ('$GENERATE 1-1 h$ TXT x "a b"', "h1.example.org.", constants.TXT, b"\1x\3a b"),
    ],
)
def test_generate_takes_the_quotes_off_data_of_one_word(
    tmp_path: Path, line: str, owner: str, rdtype: int, rdata: bytes
) -> None:
    """As in BIND, one quoted word holds the data together; among several words, quotes are the data's own."""
    assert rrset(read_good(tmp_path, line + "\n"), owner, rdtype).rdatas == (rdata,)


@pytest.mark.parametrize(
    ("place", "label"),
    [
        ("${0,0,n}", "b.1"),
        ("${0,3,n}", "b.1"),
        ("${0,5,N}", "B.1.0"),
        ("${0,8,n}x", "b.1.0.0.x"),
        ("${-16,1,n}", "b"),
    ],
)
def test_generate_writes_nibbles(tmp_path: Path, place: str, label: str) -> None:
    """Bases n and N give a name's hexadecimal digits, the lowest first; the width counts digits and dots."""
    zone = read_good(tmp_path, f'$GENERATE 27-27 {place} PTR ns1\n$GENERATE 27-27 $ TXT "{place}"\n')
    assert names.from_text(label.lower() + ".example.org.") in zone.nodes
    assert rrset(zone, "27.example.org.", constants.TXT).rdatas == (bytes([len(label)]) + label.encode(),)


@pytest.mark.parametrize(
    ("line", "rdata"),
    [
        (b'a TXT "caf\xe9" ; \xff', b"\4caf\xe9"),
        (b"a TXT \xe9\xc3\xa9", b"\3\xe9\xc3\xa9"),
        (b'a TXT "\\\xe9\\\\\xe9"', b"\3\xe9\\\xe9"),
        (b'a TXT "\xc3\xa9"', b"\2\xc3\xa9"),
    ],
)
def test_data_is_octets(tmp_path: Path, line: bytes, rdata: bytes) -> None:
    """A byte that is no UTF-8 stands for itself, escaped or not, beside text in UTF-8 and in comments."""
    assert rrset(read_good(tmp_path, line + b"\n"), "a.example.org.", constants.TXT).rdatas == (rdata,)


def test_an_octet_in_an_owner_is_part_of_its_label(tmp_path: Path) -> None:
    """RFC 2181 §11: a label is any octets."""
    assert b"\x02b\xe9\x07example\x03org\x00" in read_good(tmp_path, b"b\xe9 A 192.0.2.1\n").nodes


def test_parameters_in_alias_mode_are_kept_as_they_are(tmp_path: Path) -> None:
    """RFC 9460 §2.4.2: recipients ignore them, so that a record with them is no fault; it is served as written."""
    zone = read_good(tmp_path, "a HTTPS 0 b.example. port=53\na SVCB 0 .\n")
    assert rrset(zone, "a.example.org.", 65).rdatas == (b"\0\0\1b\7example\0\0\3\0\2\0\x35",)
    assert rrset(zone, "a.example.org.", 64).rdatas == (b"\0\0\0",)


def test_windows_line_ends_are_line_ends(tmp_path: Path) -> None:
    """A file from elsewhere reads the same, and problems keep their lines."""
    text = (GOOD_START + "a A 192.0.2.1\nb A nonsense\n").replace("\n", "\r\n")
    assert brief(read(tmp_path, text).problems, tmp_path) == [("zone", 6, "b.example.org.", "bad-rdata")]
