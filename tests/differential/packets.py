"""Queries that are odd or broken in one way, what we answer each with, and why where most others do not."""

from __future__ import annotations

import contextlib
import struct
from dataclasses import dataclass

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode

QR, AA, TC, RD, RA = (int(dns.flags.Flag[name]) for name in ("QR", "AA", "TC", "RD", "RA"))
RESERVED = 0x0040  # the one bit of the header that has no meaning yet (RFC 1035 §4.1.1)
IN, CH, HS, NONE, ANY_CLASS = 1, 3, 4, 254, 255
OPT, SIG, TSIG = 41, 24, 250

HOST = "ns.types.test."
ZONE = "types.test."


def header(flags: int = 0, *counts: int, opcode: int = 0) -> bytes:
    """Return a header; of the counts, those that are not given are one question and nothing else."""
    return struct.pack("!6H", 0, flags | opcode << 11, *(*counts, *(1, 0, 0, 0)[len(counts) :]))


def question(rdtype: int = 1, name: str = HOST, rdclass: int = IN) -> bytes:
    """Return a question."""
    return _wire(name) + struct.pack("!HH", rdtype, rdclass)


def opt(options: bytes = b"", *, version: int = 0, flags: int = 0, size: int = 1232, owner: str = ".") -> bytes:
    """Return an OPT record."""
    return _wire(owner) + struct.pack("!HHBBHH", OPT, size, 0, version, flags, len(options)) + options


def record(rdtype: int = 1, data: bytes = b"\xc0\0\x02\x01", name: str = HOST, rdclass: int = IN) -> bytes:
    """Return a record."""
    return _wire(name) + struct.pack("!HHIH", rdtype, rdclass, 0, len(data)) + data


def _wire(name: str) -> bytes:
    return dns.name.from_text(name).to_wire() or b""


MAC = _wire("hmac-sha256.") + struct.pack("!HIHH", 0, 1_700_000_000, 300, 32) + bytes(32) + bytes(6)
SIGNED = record(TSIG, MAC, "unknown-key.", ANY_CLASS)
SOA = record(6, _wire("ns.") * 2 + bytes(20), ZONE)

ONE_RECORD = {"answer": (1, 1), "authority": (1, 0, 1), "additional": (1, 0, 0, 1)}
EDNS = ONE_RECORD["additional"]


@dataclass(frozen=True, slots=True)
class Odd:
    """A packet.

    Args:
        outcome: of ours, as `outcome_of` words it.
        why: where most others have another outcome; empty: they have ours.
    """

    packet: bytes
    outcome: str
    why: str = ""


META = "RFC 8906 §3.1.2: unknown types are data that is not there, but for meta-types, which may get NOTIMP"
FORM = "RFC 1035 §4.1.1, FORMERR: it cannot be understood. Some stay silent, some overlook it"
CLASSES = "RFC 1035 §6.2: a response to another class cannot be authoritative, and nobody needs it"

PACKETS = {
    "a plain query": Odd(header() + question(), "NOERROR AA data"),
    # --- header -----------------------------------------------------------------------------------------------------
    "no question": Odd(header(0, 0), "FORMERR"),
    "no question, but an OPT": Odd(header(0, 0, 0, 0, 1) + opt(), "FORMERR opt"),
    "no question, but a cookie": Odd(
        header(0, 0, 0, 0, 1) + opt(b"\0\x0a\0\x08abcdefgh"),
        "NOERROR opt",
        "RFC 7873 §5.4: asks for a server cookie alone; the others have theirs off",
    ),
    "two questions": Odd(header(0, 2) + question() * 2, "FORMERR"),
    "two questions, two types": Odd(header(0, 2) + question() + question(28), "FORMERR"),
    "a question that is not there": Odd(header(), "FORMERR"),
    "opcode IQUERY": Odd(header(opcode=1) + question(), "NOTIMP"),
    "opcode STATUS": Odd(header(opcode=2) + question(), "NOTIMP"),
    "opcode 3": Odd(header(opcode=3) + question(), "NOTIMP"),
    "opcode NOTIFY": Odd(
        header(AA, opcode=4) + question(6, ZONE), "NOTIMP", "RFC 1996 §3.12: NOTIMP of who has no NOTIFY"
    ),
    "opcode UPDATE": Odd(header(opcode=5) + question(6, ZONE), "NOTIMP", "RFC 2136 §2.2: NOTIMP of who has no UPDATE"),
    "opcode DSO": Odd(header(0, 0, opcode=6), "NOTIMP"),
    "opcode 15": Odd(header(opcode=15) + question(), "NOTIMP"),
    "opcode 15 with an OPT": Odd(header(0, *EDNS, opcode=15) + question() + opt(), "NOTIMP opt"),
    "opcode 15 with a later EDNS": Odd(
        header(0, *EDNS, opcode=15) + question() + opt(version=1),
        "NOTIMP opt",
        "RFC 6891 §6.1.3 asks for BADVERS, RFC 1035 §4.1.1 for NOTIMP; which comes first is not said",
    ),
    "AA in a query": Odd(header(AA) + question(), "NOERROR AA data"),
    "TC in a query": Odd(header(TC) + question(), "NOERROR AA data"),
    "RA in a query": Odd(header(RA) + question(), "NOERROR AA data"),
    "the reserved bit": Odd(header(RESERVED) + question(), "NOERROR AA data"),
    "an RCODE in a query": Odd(header(3) + question(), "NOERROR AA data"),
    "a response": Odd(header(QR) + question(), "silent"),
    "a response with an OPT": Odd(header(QR, *EDNS) + question() + opt(), "silent"),
    "less than a header": Odd(header()[:11], "silent"),
    # --- question ---------------------------------------------------------------------------------------------------
    "a question without its class": Odd(header() + question()[:-2], "FORMERR"),
    "a pointer to itself": Odd(header() + b"\xc0\x0c\0\x01\0\x01", "FORMERR"),
    "a pointer into the header": Odd(header() + b"\x01a\xc0\x00\0\x01\0\x01", "FORMERR", FORM),
    "a label of type 01": Odd(header() + b"\x40a\0\0\x01\0\x01", "FORMERR"),
    "a label of type 10": Odd(header() + b"\x80a\0\0\x01\0\x01", "FORMERR"),
    "a label that ends too soon": Odd(header() + b"\x3fabc", "FORMERR"),
    "a name of 257 bytes": Odd(header() + (b"\x3f" + b"a" * 63) * 4 + b"\0\0\x01\0\x01", "FORMERR"),
    "class CH": Odd(header() + question(rdclass=CH), "REFUSED"),
    "class HS": Odd(header() + question(rdclass=HS), "REFUSED"),
    "class NONE": Odd(header() + question(rdclass=NONE), "REFUSED"),
    "class 0": Odd(header() + question(rdclass=0), "REFUSED"),
    "class 65280": Odd(header() + question(rdclass=65280), "REFUSED"),
    "class ANY": Odd(header() + question(rdclass=ANY_CLASS), "REFUSED", CLASSES),
    "class ANY outside": Odd(header() + question(name="outside.test.", rdclass=ANY_CLASS), "REFUSED"),
    "version.bind": Odd(
        header() + question(16, "version.bind.", CH), "REFUSED", "RFC 4892: an operator may keep it quiet"
    ),
    "the root": Odd(header() + question(2, "."), "REFUSED"),
    "type 0": Odd(header() + question(0), "NOERROR AA"),
    "type NULL": Odd(header() + question(10), "NOERROR AA"),
    "type 65535": Odd(header() + question(65535), "NOERROR AA"),
    "type OPT": Odd(header() + question(OPT), "FORMERR", "RFC 6891 §6.1.1: OPT is no data, and no question"),
    "type NXNAME": Odd(header() + question(128), "FORMERR", "RFC 9824 §3.5: FORMERR for a question of it"),
    "type 200": Odd(header() + question(200), "NOTIMP", META),
    "type TKEY": Odd(header() + question(249), "NOTIMP", META),
    "type TSIG": Odd(header() + question(TSIG), "NOTIMP", META),
    "type MAILB": Odd(header() + question(253), "NOTIMP", META),
    "type MAILA": Odd(header() + question(254), "NOTIMP", META),
    "type AXFR over UDP": Odd(header() + question(252, ZONE), "REFUSED", "RFC 5936 §4.2: not defined over UDP"),
    "type AXFR of no zone": Odd(
        header() + question(252, "outside.test."), "NOTAUTH", "RFC 5936 §2.2.1: NOTAUTH of who is not the authority"
    ),
    "type IXFR": Odd(
        header(0, 1, 0, 1) + question(251, ZONE) + SOA,
        "REFUSED",
        "RFC 5936 §2.2.1: REFUSED; each other is of its own mind",
    ),
    # --- records ----------------------------------------------------------------------------------------------------
    "a record in the answer section": Odd(header(0, *ONE_RECORD["answer"]) + question() + record(), "FORMERR", FORM),
    "a record in the authority section": Odd(
        header(0, *ONE_RECORD["authority"]) + question() + record(), "FORMERR", FORM
    ),
    "a record in the additional section": Odd(
        header(0, *ONE_RECORD["additional"]) + question() + record(), "NOERROR AA data"
    ),
    "a record before the OPT": Odd(header(0, 1, 0, 0, 2) + question() + record() + opt(), "NOERROR AA data opt"),
    "a record behind the OPT": Odd(header(0, 1, 0, 0, 2) + question() + opt() + record(), "NOERROR AA data opt"),
    "a record that is not there": Odd(header(0, *EDNS) + question(), "FORMERR"),
    "a byte behind the end": Odd(header() + question() + b"x", "FORMERR", FORM),
    "bytes behind the OPT": Odd(header(0, *EDNS) + question() + opt() + b"abc", "FORMERR opt", FORM),
    "a SIG(0)": Odd(
        header(0, *EDNS) + question() + record(SIG, struct.pack("!HBBIIIHB", 0, 8, 0, 0, 0, 0, 1, 0) + bytes(64), "."),
        "NOERROR AA data",
    ),
    "an unknown key": Odd(header(0, *EDNS) + question() + SIGNED, "NOTAUTH"),
    "a broken TSIG": Odd(header(0, *EDNS) + question() + record(TSIG, b"abc", "key.", ANY_CLASS), "FORMERR"),
    "a TSIG that is not the last": Odd(header(0, 1, 0, 0, 2) + question() + SIGNED + opt(), "FORMERR"),
    # --- EDNS -------------------------------------------------------------------------------------------------------
    "EDNS version 1": Odd(header(0, *EDNS) + question() + opt(version=1), "BADVERS opt"),
    "EDNS version 255": Odd(header(0, *EDNS) + question() + opt(version=255), "BADVERS opt"),
    "EDNS version 1 outside": Odd(header(0, *EDNS) + question(name="outside.test.") + opt(version=1), "BADVERS opt"),
    "EDNS version 1, broken option": Odd(
        header(0, *EDNS) + question() + opt(b"\0\x01\0\xff", version=1),
        "BADVERS opt",
        "RFC 6891 §6.1.3: a later version may lay its options out in another way",
    ),
    "all flags of EDNS": Odd(header(0, *EDNS) + question() + opt(flags=0xFFFF), "NOERROR AA data opt"),
    "a payload size of 0": Odd(header(0, *EDNS) + question() + opt(size=0), "NOERROR AA data opt"),
    "an unknown option": Odd(header(0, *EDNS) + question() + opt(b"\xff\xf0\0\x02ab"), "NOERROR AA data opt"),
    "padding": Odd(header(0, *EDNS) + question() + opt(b"\0\x0c\0\x08" + bytes(8)), "NOERROR AA data opt"),
    "client subnet": Odd(
        header(0, *EDNS) + question() + opt(b"\0\x08\0\x07\0\x01\x18\0\xc0\0\x02"), "NOERROR AA data opt"
    ),
    "keepalive over UDP": Odd(header(0, *EDNS) + question() + opt(b"\0\x0b\0\0"), "NOERROR AA data opt"),
    "a cookie that is too short": Odd(
        header(0, *EDNS) + question() + opt(b"\0\x0a\0\x04abcd"),
        "FORMERR opt",
        "RFC 7873 §5.2.2: FORMERR; who has cookies off ignores the option",
    ),
    "two OPT": Odd(header(0, 1, 0, 0, 2) + question() + opt() * 2, "FORMERR"),
    "an OPT not of the root": Odd(header(0, *EDNS) + question() + opt(owner="a."), "FORMERR"),
    "an OPT in the answer section": Odd(header(0, *ONE_RECORD["answer"]) + question() + opt(), "FORMERR"),
    "an OPT in the authority section": Odd(header(0, *ONE_RECORD["authority"]) + question() + opt(), "FORMERR"),
    "an option without its length": Odd(header(0, *EDNS) + question() + opt(b"\0\x01\0"), "FORMERR"),
    "an option that overruns": Odd(header(0, *EDNS) + question() + opt(b"\0\x64\0\xff"), "FORMERR"),
}


def outcome_of(answer: bytes | None) -> str:
    """Return the RCODE and what else there is: AA, TC, RA and the reserved bit, records in the answer, an OPT."""
    if answer is None:
        return "silent"
    _, flags, _, answers, _, _ = struct.unpack_from("!6H", answer)
    rcode, has_opt = flags & 15, False
    with contextlib.suppress(dns.exception.DNSException):  # one that is signed has no OPT here
        message = dns.message.from_wire(answer)
        rcode, has_opt = int(message.rcode()), message.edns >= 0
    words = [dns.rcode.to_text(dns.rcode.Rcode(rcode))]
    words += [name for name, bit in (("AA", AA), ("TC", TC), ("RA", RA), ("Z", RESERVED)) if flags & bit]
    words += ["data"] if answers else []
    return " ".join([*words, *(["opt"] if has_opt else [])])
