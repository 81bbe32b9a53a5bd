"""The comparison of cases with responses: what is not as expected is seen, whichever part it is in."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.cases import Case, octets, read
from tests.conformance.packets import packet_of
from tests.conformance.responses import differences

TEXT = """\
zone example.org.
    @     SOA ns hostmaster 1 7200 900 1209600 60

case 1-one www A +rd +nsid ; two records and an option
    NOERROR qr aa rd
    answer
        www 300 A 192.0.2.1
        www 300 A 192.0.2.2
    opt nsid=ns1
    bytes hold "ns1"
    bytes most 100
"""

GOOD = octets(
    "abcd 8500 0001 0002 0000 0001 name:www.example.org. 0001 0001"
    " c00c 0001 0001 0000012c 0004 c0000201 c00c 0001 0001 0000012c 0004 c0000202"
    ' 00 0029 04d0 00000000 0007 0003 0003 "ns1"'
)

# What is put in the place of which bytes, and the part in which it is seen.
CHANGES = {
    "id": ("abcd 8500", "abce 8500", "ID"),
    "no qr": ("abcd 8500", "abcd 0500", "header"),
    "opcode": ("abcd 8500", "abcd 8d00", "header"),
    "no aa": ("abcd 8500", "abcd 8100", "header"),
    "tc": ("abcd 8500", "abcd 8700", "header"),
    "no rd": ("abcd 8500", "abcd 8400", "header"),
    "ra": ("8500 0001", "8580 0001", "header"),
    "z": ("8500 0001", "8540 0001", "header"),
    "ad": ("8500 0001", "8520 0001", "header"),
    "cd": ("8500 0001", "8510 0001", "header"),
    "rcode": ("8500 0001", "8503 0001", "header"),
    "an upper bit of the rcode": ("0029 04d0 00", "0029 04d0 01", "header"),
    "the case of the question": ('"www"', '"wWw"', "question"),
    "an address": ("c0000201", "c0000203", "answer"),
    "a TTL": ("0000012c 0004 c0000201", "0000012d 0004 c0000201", "answer"),
    "an owner": ("c00c 0001 0001 0000012c 0004 c0000202", "c010 0001 0001 0000012c 0004 c0000202", "answer"),
    "a class": ("c00c 0001 0001", "c00c 0001 0004", "answer"),
    "another section": ("0001 0002 0000 0001", "0001 0001 0001 0001", "answer"),
    "the size in the OPT": ("04d0", "04d1", "OPT's"),
    "the version of the OPT": ("04d0 0000", "04d0 0001", "OPT's"),
    "a flag of the OPT": ("0000 0007", "8000 0007", "OPT's"),
    "an option": ('0003 0003 "ns1"', '0003 0003 "ns2"', "options"),
    "another option": ('0003 0003 "ns1"', '0004 0003 "ns1"', "options"),
}


@pytest.fixture
def case(tmp_path: Path) -> Case:
    """The case of `TEXT`."""
    path = tmp_path / "rfc9999.txt"
    path.write_text(TEXT)
    (found,) = read(path).cases
    assert found.id == "rfc9999-1-one"
    return found


def seen(case: Case, wire: bytes | None) -> list[str]:
    return differences(case, packet_of(case), wire, now=0.0)


def test_the_response_itself_is_as_expected(case: Case) -> None:
    """There is nothing to be said of it; nor where the records of an RRset come in another order."""
    assert seen(case, GOOD) == []
    turned = GOOD.replace(octets("c0000201"), b"....").replace(octets("c0000202"), octets("c0000201"))
    assert seen(case, turned.replace(b"....", octets("c0000202"))) == []


@pytest.mark.parametrize(("before", "after", "part"), CHANGES.values(), ids=CHANGES)
def test_a_change_is_seen(case: Case, before: str, after: str, part: str) -> None:
    """Each bit and field that is another is a difference, in the part that it is in."""
    assert GOOD.count(octets(before)) >= 1
    found = seen(case, GOOD.replace(octets(before), octets(after), 1))
    assert any(line.startswith(part) for line in found), found


def test_silence_is_seen(case: Case) -> None:
    """No response is none, and a response to what should have none is one."""
    assert seen(case, None)
    case.head = ["silence"]
    assert seen(case, GOOD)
    assert seen(case, None) == []


def test_claims_of_the_whole_message_are_seen(case: Case) -> None:
    """Bytes that are missing, and a size that is too large."""
    case.claims = [("hold", b"ns2"), ("lack", b"ns1"), ("end", b"n"), ("most", b"20"), ("count", b"20")]
    assert len(seen(case, GOOD)) == len(case.claims)


@pytest.mark.parametrize("wire", [GOOD + b"\0", GOOD[:-1], GOOD[:40]], ids=["a byte more", "a byte less", "half"])
def test_what_is_no_message_is_an_error(case: Case, wire: bytes) -> None:
    """A response that cannot be read to its last byte, and no further, fails its test."""
    with pytest.raises(Exception, match=r"."):
        seen(case, wire)


@pytest.mark.parametrize(
    "text",
    [
        "case 1 www A ; before any zone\n    NOERROR qr",
        "zone a.test.\n    @ SOA a b 1 1 1 1 1\ncase 1 www A\n    NOERROR qr",
        "zone a.test.\n    @ SOA a b 1 1 1 1 1\ncase 1 www ; no type\n    NOERROR qr",
        "zone a.test.\n    @ SOA a b 1 1 1 1 1\ncase 1 www A ; nothing expected\n",
        "zone a.test.\n    @ SOA a b 1 1 1 1 1\ncase 1 www A ; twice\n    NOERROR qr\n    NXDOMAIN qr\n",
        "zone a.test.\n    @ SOA a b 1 1 1 1 1\nwhat 1\n",
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path: Path, text: str) -> None:
    """A case that would test less than it seems to is no case."""
    path = tmp_path / "rfc9999.txt"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"."):
        read(path)
