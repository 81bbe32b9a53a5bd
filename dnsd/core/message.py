"""Reading a query: a packet in, a `Query` out, or the RCODE that refuses it.

It judges form alone (RFC 1035 §4, RFC 6891, RFC 8945, RFC 9619); what may be asked is for the engine's stages, and
what is answered for `lookup`.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from dnsd.core.constants import FORMERR, HEADER_SIZE, IXFR, NOTIMP, OPT, QR, TSIG
from dnsd.core.edns import Edns, read_opt
from dnsd.core.tsig import Tsig, read_tsig
from dnsd.core.wire import plain_name_end, read_record
from dnsd.errors import MessageError

OPCODE_MASK = 0x7800
_OPCODE_SHIFT = 11
_UPDATE = 5 << _OPCODE_SHIFT  # RFC 2136

_HEADER = struct.Struct("!HHHHHH")  # ID, flags, and the counts of the four sections
_TYPE_AND_CLASS = struct.Struct("!HH")


class Query(NamedTuple):
    """A well-formed query of opcode QUERY with one question.

    Args:
        id: to be copied into the response.
        flags: the header's third and fourth byte.
        question: the question as sent, its case preserved: name, type and class.
        qname: its name, folded.
        edns: None: the query had no OPT.
        tsig: None: the query was not signed.
    """

    id: int
    flags: int
    question: bytes
    qname: bytes
    qtype: int
    qclass: int
    edns: Edns | None = None
    tsig: Tsig | None = None

    @property
    def opcode(self) -> int:
        """The opcode; QUERY, as others do not parse."""
        return (self.flags & OPCODE_MASK) >> _OPCODE_SHIFT


class Salvage(NamedTuple):
    """What an error response can copy from a packet that is no query of ours.

    Args:
        question: as sent; empty where there is none or it does not parse.
        edns: None: no OPT, or nothing that parses up to it.
        bare: a whole query of opcode QUERY that asks nothing and has an OPT: one for a cookie (RFC 7873 §5.4).
    """

    id: int
    flags: int
    question: bytes
    edns: Edns | None
    bare: bool = False


def parse_query(packet: bytes) -> Query | None:
    """Read a query.

    Args:
        packet: one DNS message, without the length that precedes it on TCP.

    Returns:
        The query; None: stay silent, for it is too short to be answered or is itself a response.

    Raises:
        MessageError: NOTIMP for another opcode; FORMERR otherwise.
    """
    if len(packet) < HEADER_SIZE:
        return None
    query_id, flags, questions, answers, authorities, additionals = _HEADER.unpack_from(packet)
    if flags & QR:
        return None
    if flags & OPCODE_MASK:
        raise MessageError(NOTIMP, "opcode other than QUERY")
    # RFC 9619 §4: QDCOUNT above 1 "MUST be ... FORMERR"; none at all leaves nothing to answer.
    if questions != 1:
        raise MessageError(FORMERR, "QDCOUNT other than 1")
    name_end, qtype, qclass = _read_question(packet)
    offset = name_end + _TYPE_AND_CLASS.size
    # RFC 1995 §3: only an IXFR carries an authority section, with the SOA that the client has.
    if answers or (authorities and qtype != IXFR):
        raise MessageError(FORMERR, "records in the answer or authority section of a query")
    for _ in range(authorities):
        offset = read_record(packet, offset).end
    edns: Edns | None = None
    tsig: Tsig | None = None
    if additionals:
        edns, tsig, offset = _read_additional(packet, offset, additionals)
    if offset != len(packet):
        raise MessageError(FORMERR, "bytes behind the last record")
    question = packet[HEADER_SIZE : name_end + _TYPE_AND_CLASS.size]
    return Query(query_id, flags, question, packet[HEADER_SIZE:name_end].lower(), qtype, qclass, edns, tsig)


def salvage(packet: bytes) -> Salvage:
    """Read what an error response copies.

    RFC 6891 §6.1.1: where the query has an OPT, its response has one, errors included; but one that cannot be read
    is as if there were none (§7).

    Args:
        packet: at least a header long.
    """
    query_id, flags, questions, answers, authorities, additionals = _HEADER.unpack_from(packet)
    question = b""
    edns: Edns | None = None
    bare = False
    try:
        offset = HEADER_SIZE
        for _ in range(questions):
            offset = _read_question(packet, offset)[0] + _TYPE_AND_CLASS.size
        # An UPDATE has a zone where others have a question (RFC 2136 §2.3); it is not ours to send back as one.
        if questions == 1 and flags & OPCODE_MASK != _UPDATE:
            question = packet[HEADER_SIZE:offset]
        for _ in range(answers + authorities):
            offset = read_record(packet, offset).end
        edns, tsig, offset = _read_additional(packet, offset, additionals)
        asks = questions or answers or authorities or flags & OPCODE_MASK or tsig is not None
        bare = edns is not None and not asks and offset == len(packet)
    except MessageError:
        # The packet is being refused already: what was read so far is all there is to copy.
        pass
    return Salvage(query_id, flags, question, edns, bare)


def _read_question(packet: bytes, offset: int = HEADER_SIZE) -> tuple[int, int, int]:
    """Return the offset behind the question's name, its type and its class."""
    # A pointer has nothing before it to lead to but the header: it is refused as malformed.
    end = plain_name_end(packet, offset)
    if end + _TYPE_AND_CLASS.size > len(packet):
        raise MessageError(FORMERR, "truncated question")
    qtype, qclass = _TYPE_AND_CLASS.unpack_from(packet, end)
    return end, qtype, qclass


def _read_additional(packet: bytes, offset: int, count: int) -> tuple[Edns | None, Tsig | None, int]:
    """Walk the additional section; records other than OPT and TSIG are skipped."""
    edns: Edns | None = None
    tsig: Tsig | None = None
    for _ in range(count):
        # RFC 8945 §5.1: the TSIG is the last record; §5.2: a message where it is not gets FORMERR.
        if tsig is not None:
            raise MessageError(FORMERR, "TSIG that is not the last record")
        record = read_record(packet, offset)
        if record.rdtype == OPT:
            # RFC 6891 §6.1.1: "If a query message with more than one OPT RR is received, a FORMERR (RCODE=1) MUST be
            # returned."
            if edns is not None:
                raise MessageError(FORMERR, "more than one OPT")
            edns = read_opt(packet, record)
        elif record.rdtype == TSIG:
            tsig = read_tsig(packet, record)
        offset = record.end
    return edns, tsig, offset
