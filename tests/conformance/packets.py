"""What a case sends: a query, byte by byte, as an encoder would write it that refuses nothing."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import dns.name
import dns.rdataclass
import dns.rdatatype

from tests.conformance.cases import Case

# Header bits by name, in the order in which they stand (RFC 1035 §4.1.1, RFC 4035 §3).
BITS = {"qr": 0x8000, "aa": 0x0400, "tc": 0x0200, "rd": 0x0100, "ra": 0x0080, "z": 0x0040, "ad": 0x0020, "cd": 0x0010}

NSID, COOKIE, KEEPALIVE, PADDING, EXTENDED_ERROR = 3, 10, 11, 12, 15
OPT = 41
DO = 0x8000

_ID = "abcd"
_SIZE = "1232"
_VALUES_OF_OPT = ("size", "version", "flags", "opt", "cookie", "padding")
_WORDS_OF_OPT = ("edns", "do", "nsid", "keepalive")


def packet_of(case: Case, *, cookie: bytes | None = None) -> bytes:
    """Return what a case sends.

    Args:
        cookie: instead of the case's own; None: that one.
    """
    if case.sent is not None:
        return case.sent
    flags = sum(bit for name, bit in BITS.items() if case.has(name)) | int(case.value("opcode", "0")) << 11
    question = question_of(case)
    edns = any(map(case.has, _WORDS_OF_OPT)) or any(map(case.values, _VALUES_OF_OPT))
    opt = _opt_of(case, cookie) if edns else b""
    counts = (bool(question), 0, 0, edns)
    return bytes.fromhex(case.value("id", _ID)) + struct.pack("!5H", flags, *counts) + question + opt


def question_of(case: Case) -> bytes:
    """Return the question of a case as it is sent; empty: nothing is asked."""
    if not case.question:
        return b""
    name, rdtype = case.question
    wire = dns.name.from_text(name, case.origin).to_wire() or b""
    rdclass = dns.rdataclass.from_text(case.value("class", "IN"))
    return wire + struct.pack("!HH", dns.rdatatype.from_text(rdtype), rdclass)


def _opt_of(case: Case, cookie: bytes | None) -> bytes:
    options = b"".join(struct.pack("!HH", code, len(data)) + data for code, data in _options_of(case, cookie))
    flags = int(case.value("flags", "0"), 16) | (DO if case.has("do") else 0)
    size, version = int(case.value("size", _SIZE)), int(case.value("version", "0"))
    return struct.pack("!BHHBBHH", 0, OPT, size, 0, version, flags, len(options)) + options


def _options_of(case: Case, cookie: bytes | None) -> Iterator[tuple[int, bytes]]:
    """Yield code and data of each option, in the order of the words."""
    for word in case.words:
        name, _, value = word.partition("=")
        if name == "opt":
            code, _, data = value.partition(":")
            yield int(code), bytes.fromhex(data)
        elif name == "cookie":
            yield COOKIE, bytes.fromhex(value) if cookie is None else cookie
        elif name == "padding":
            yield PADDING, bytes(int(value))
        elif name == "+nsid":
            yield NSID, b""
        elif name == "+keepalive":
            yield KEEPALIVE, b""
