"""A response read without the server's code, and what of it is not as a case expects."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import groupby

import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.tokenizer

from tests.conformance.cases import SECTIONS, Case
from tests.conformance.packets import BITS, COOKIE, DO, EXTENDED_ERROR, KEEPALIVE, NSID, OPT, PADDING, question_of

_HEADER_SIZE = 12
_TSIG = 250
_CLASSES = ("CH", "ANY")  # those that records of responses have, beside IN
_SERVER_SIZE = 1232  # what the server says that it takes

# How far the time in a fresh cookie may be from the clock's. Unit: seconds.
_SLACK_SECONDS = 30


@dataclass(slots=True)
class Response:
    """A message, read.

    Args:
        head: RCODE, opcode unless it is 0, and the bits that are set.
        questions: the bytes of the question section.
        sections: records as text, by section; an OPT is not among them.
        opt: version, size and flags of the OPT; None: there is none.
        options: of the OPT, in their order.
    """

    id: bytes
    head: list[str] = field(default_factory=list)
    questions: list[bytes] = field(default_factory=list)
    sections: dict[str, list[str]] = field(default_factory=dict)
    opt: tuple[int, int, int] | None = None
    options: list[tuple[int, bytes]] = field(default_factory=list)

    @property
    def cookie(self) -> bytes:
        """The data of its COOKIE option; empty: there is none."""
        return next((data for code, data in self.options if code == COOKIE), b"")


def read_response(wire: bytes) -> Response:
    """Read a message, to its last byte.

    Raises:
        ValueError: there are bytes behind the last record, more OPTs than one, or something behind a TSIG.
    """
    flags, *counts = struct.unpack_from("!5H", wire, 2)
    response = Response(wire[:2])
    rcode = flags & 0x0F
    offset = _HEADER_SIZE
    for _ in range(counts[0]):
        end = offset + dns.name.from_wire(wire, offset)[1] + 4
        response.questions.append(wire[offset:end])
        offset = end
    signed = False
    for section, count in zip(SECTIONS, counts[1:], strict=True):
        response.sections[section] = []
        for _ in range(count):
            if signed:
                raise ValueError("a record behind the TSIG")
            rdtype, end, text = _read_record(wire, offset)
            if rdtype == OPT:
                rcode |= _read_opt(response, wire[offset:end]) << 4
            else:
                response.sections[section].append(text)
            signed = rdtype == _TSIG
            offset = end
    if offset != len(wire):
        raise ValueError("bytes behind the last record")
    opcode = flags >> 11 & 0x0F
    bits = [name for name, bit in BITS.items() if flags & bit]
    response.head = [_rcode_text(rcode), *([f"opcode={opcode}"] if opcode else []), *bits]
    return response


def _rcode_text(rcode: int) -> str:
    text = dns.rcode.to_text(dns.rcode.Rcode(rcode))
    return "BADVERS" if rcode == 16 else text


def _read_record(wire: bytes, offset: int) -> tuple[int, int, str]:
    """Return a record's type, the offset behind it, and the record as text."""
    owner, size = dns.name.from_wire(wire, offset)
    offset += size
    rdtype, rdclass, ttl, length = struct.unpack_from("!HHIH", wire, offset)
    offset += 10
    end = offset + length
    if rdtype == OPT:
        return rdtype, end, ""
    kind, its_class = dns.rdatatype.RdataType.make(rdtype), dns.rdataclass.RdataClass.make(rdclass)
    rdata = dns.rdata.from_wire(its_class, kind, wire, offset, length)
    return rdtype, end, _record_text(owner, ttl, its_class, kind, rdata.to_text())


def _record_text(
    owner: dns.name.Name,
    ttl: int,
    rdclass: dns.rdataclass.RdataClass,
    rdtype: dns.rdatatype.RdataType,
    text: str,
) -> str:
    words = [owner.to_text(), str(ttl), dns.rdatatype.to_text(rdtype), text]
    if rdclass != dns.rdataclass.IN:
        words.insert(2, dns.rdataclass.to_text(rdclass))
    return " ".join(words)


def _read_opt(response: Response, record: bytes) -> int:
    """Take an OPT; return the upper bits of the RCODE."""
    if response.opt is not None:
        raise ValueError("more than one OPT")
    root, rdtype, size, upper, version, flags, length = struct.unpack_from("!BHHBBHH", record)
    if root or rdtype != OPT or length != len(record) - 11:
        raise ValueError("an OPT that is not the root's")
    response.opt = version, size, flags
    offset = 11
    while offset < len(record):
        code, length = struct.unpack_from("!HH", record, offset)
        response.options.append((code, record[offset + 4 : offset + 4 + length]))
        offset += 4 + length
    if offset != len(record):
        raise ValueError("an option that is cut short")
    return int(upper)


# --- comparing ------------------------------------------------------------------------------------------------------


def differences(case: Case, sent: bytes, wire: bytes | None, *, now: float) -> list[str]:
    """Return what of a response is not as a case expects, a line for each part; nothing: all of it is.

    Args:
        sent: the packet that it answers.
        wire: the response; None: none came.
        now: instant of the answer, in seconds.
    """
    if wire is None or case.head == ["silence"]:
        return [] if wire is None and case.head == ["silence"] else ["whether there is a response"]
    response = read_response(wire)
    found = list(_unequal("header", case.head, response.head))
    found += _unequal("ID", sent[:2], response.id)
    found += _unequal("question", _expected_questions(case), response.questions)
    for section in SECTIONS:
        expected = [_normal(line, case.origin) for line in case.sections.get(section, [])]
        arranged = _by_rrset if section == "answer" else sorted
        found += _unequal(section, arranged(expected), arranged(response.sections[section]))
    found += _opt_differences(case, response, now=now)
    found += [
        f"{claim} {argument!r}: {wire.hex()}" for claim, argument in case.claims if not _holds(claim, argument, wire)
    ]
    return found


def _unequal(what: str, expected: object, got: object) -> Iterator[str]:
    if expected != got:
        yield f"{what}: expected {expected}, got {got}"


def _expected_questions(case: Case) -> list[bytes]:
    if case.sent is None:
        question = question_of(case)
        return [question] if question else []
    if not case.asked:
        return []
    name, rdclass, rdtype = case.asked.split()
    wire = dns.name.from_text(name, case.origin).to_wire() or b""
    return [wire + struct.pack("!HH", dns.rdatatype.from_text(rdtype), dns.rdataclass.from_text(rdclass))]


def _normal(line: str, origin: dns.name.Name) -> str:
    """Return a record as it is written in a case in the words in which one is read."""
    name, ttl, rest = line.split(None, 2)
    first, after = rest.split(None, 1)
    rdclass, rest = (first, after) if first in _CLASSES else ("IN", rest)
    kind, text = rest.split(None, 1)
    rdtype = dns.rdatatype.from_text(kind)
    if rdtype != _TSIG:
        text = dns.rdata.from_text(dns.rdataclass.IN, rdtype, text, origin, relativize=False).to_text()
    return _record_text(dns.name.from_text(name, origin), int(ttl), dns.rdataclass.from_text(rdclass), rdtype, text)


def _by_rrset(lines: list[str]) -> list[list[str]]:
    """Group records that follow one another by owner and type, each group in a fixed order."""

    def key(line: str) -> tuple[str, str]:
        words = line.split()
        return words[0].lower(), words[2]

    return [sorted(group) for _, group in groupby(lines, key)]


def _opt_differences(case: Case, response: Response, *, now: float) -> Iterator[str]:
    if case.opt is None or response.opt is None:
        yield from _unequal("OPT", case.opt is not None, response.opt is not None)
        return
    words = list(case.opt)
    flags = DO if "do" in words else 0
    yield from _unequal("OPT's version, size and flags", (0, _SERVER_SIZE, flags), response.opt)
    expected = [word for word in words if word != "do"]
    got = [_option_text(code, data) for code, data in response.options]
    if "cookie=fresh" in expected:
        got = ["cookie=fresh" if _is_fresh(case, option, now) else option for option in got]
    yield from _unequal("options", expected, got)


def _option_text(code: int, data: bytes) -> str:
    """Write an option as cases do; of an extended error, the code alone."""
    match code:
        case _ if code == NSID:
            return f"nsid={data.decode()}"
        case _ if code == COOKIE:
            return f"cookie={data.hex()}"
        case _ if code == KEEPALIVE and len(data) == 2:
            return f"keepalive={int.from_bytes(data)}"
        case _ if code == PADDING and not any(data):
            return "padding"
        case _ if code == EXTENDED_ERROR and len(data) >= 2:
            return f"ede={int.from_bytes(data[:2])}"
    return f"opt={code}:{data.hex()}"


def _is_fresh(case: Case, option: str, now: float) -> bool:
    """Say whether an option is a cookie of RFC 9018 §4 that was made just now for the client's half of the case."""
    data = bytes.fromhex(option.removeprefix("cookie=")) if option.startswith("cookie=") else b""
    client = bytes.fromhex(case.value("cookie"))[:8]
    if len(data) != 24 or data[:8] != client or data[8:12] != b"\x01\0\0\0":
        return False
    return abs(int.from_bytes(data[12:16]) - now) <= _SLACK_SECONDS


def _holds(claim: str, argument: bytes, wire: bytes) -> bool:
    claims: dict[str, Callable[[], bool]] = {
        "hold": lambda: argument in wire,
        "lack": lambda: argument not in wire,
        "end": lambda: wire.endswith(argument),
        "most": lambda: len(wire) <= int(argument),
        "count": lambda: len(wire) == int(argument),
    }
    return claims[claim]()
