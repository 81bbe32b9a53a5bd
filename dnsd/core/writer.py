"""From an answer to bytes: header, sections with compressed names, OPT, and truncation.

It decides nothing about content. An RRset is in a section whole or not at all.
"""

from __future__ import annotations

import struct

from dnsd.core.answer import Answer, OwnedRRset
from dnsd.core.constants import AA, CNAME, HEADER_SIZE, MAX_MESSAGE_SIZE, MX, NS, OPTION_PADDING, PTR, QR, RD, SOA, TC
from dnsd.core.edns import OPT_SIZE, OPTION_HEADER, lengthened, opt_for, write_option
from dnsd.core.exchange import Exchange
from dnsd.core.limits import MAX_POINTER_HOPS, PADDING_BLOCK, POINTER, POINTER_REACH
from dnsd.core.message import OPCODE_MASK, Query, Salvage
from dnsd.core.names import name_end
from dnsd.core.records import RRset

_HEADER = struct.Struct("!HHHHHH")
_KEPT_FLAGS = OPCODE_MASK | RD
_RCODE_MASK = 0x0F

# How many bytes stand before the names in RDATA, and how many names there are. RFC 3597 §4: names in the RDATA of
# these types, and of no later one, may be compressed.
_NAMES_IN_RDATA = {NS: (0, 1), CNAME: (0, 1), PTR: (0, 1), MX: (2, 1), SOA: (0, 2)}


def write_response(query: Query, answer: Answer, *, limit: int, options: bytes = b"") -> bytes:
    """Return the response to a query.

    Args:
        limit: bytes that the message may have; at least 512.
        options: of its OPT, where the query has one.
    """
    opt = opt_for(query.edns, answer.rcode, options)
    flags = QR | (query.flags & _KEPT_FLAGS) | (answer.rcode & _RCODE_MASK)
    if answer.authoritative:
        flags |= AA
    records = answer.answer
    if len(records) == 1 and not (answer.authority or answer.glue or answer.additional):
        owner, rrset = records[0]
        if owner == query.qname and rrset.rdtype not in _NAMES_IN_RDATA:
            return _write_single(query, rrset, flags, opt, limit=limit)
    tail = opt + answer.signature
    tail_count = bool(opt) + bool(answer.signature)
    if answer.signature and HEADER_SIZE + len(query.question) + len(tail) > limit:
        tail, tail_count = opt, bool(opt)  # names in it can be long, and the RCODE says what is wrong
    message = _Message(query, limit=limit - len(tail))
    try:
        answers = message.put_all(records)
        authorities = message.put_all(answer.authority)
        # RFC 9471 §3.1: where in-domain glue does not fit, "the server MUST set the TC ... flag".
        additionals = message.put_all(answer.glue)
    except _Full:
        return _write_truncated(query, flags, tail, tail_count)
    for owner, rrset in answer.additional:
        additionals += message.put_if_it_fits(owner, rrset)
    return message.finish(query.id, flags, (1, answers, authorities, additionals + tail_count)) + tail


def write_with_options(query: Query, answer: Answer, *, limit: int, exchange: Exchange | None) -> bytes:
    """Return the response to a query, with all that there is to say in its OPT; none where the query has no OPT.

    Args:
        limit: bytes that the message may have, at least 512; 0: no record goes into it.
        exchange: None: the query had no options.
    """
    options = b"" if exchange is None else exchange.options
    message = write_response(query, answer, limit=limit, options=options)
    if query.edns is None:
        return message
    # Only now: what is told of errors makes no record leave the message, and padding needs its size.
    more = answer.extended_errors if len(message) + len(answer.extended_errors) <= limit else b""
    if exchange is not None and exchange.pads:
        more += _padding(len(message) + len(more), limit=limit)
    signed = message.endswith(answer.signature)  # it is left out where it does not fit
    opt_end = len(message) - len(answer.signature) if signed else len(message)
    return _with_more(message, more, opt_size=OPT_SIZE + len(options), opt_end=opt_end)


def _with_more(message: bytes, options: bytes, *, opt_size: int, opt_end: int) -> bytes:
    """Return a message with more options in its OPT."""
    opt_start = opt_end - opt_size
    return message[:opt_start] + lengthened(message[opt_start:opt_end], options) + message[opt_end:]


def _padding(size: int, *, limit: int) -> bytes:
    """Return the option that brings a message of a size to a whole number of blocks, or to the limit."""
    least = size + OPTION_HEADER.size
    if least > limit:
        return b""
    padded = min(-(-least // PADDING_BLOCK) * PADDING_BLOCK, limit)
    return write_option(OPTION_PADDING, bytes(padded - least))


def write_error(packet: Salvage, rcode: int, *, exchange: Exchange | None = None) -> bytes:
    """Return an error response without records.

    Args:
        packet: what could be read of the query.
        exchange: what is said in the OPT; None: nothing.
    """
    opt = opt_for(packet.edns, rcode, b"" if exchange is None else exchange.options)
    # What RD asks for is something of opcode QUERY alone.
    kept = OPCODE_MASK if packet.flags & OPCODE_MASK else RD
    flags = QR | (packet.flags & kept) | (rcode & _RCODE_MASK)
    head = _HEADER.pack(packet.id, flags, bool(packet.question), 0, 0, bool(opt)) + packet.question
    if exchange is not None and exchange.pads:
        opt = lengthened(opt, _padding(len(head) + len(opt), limit=MAX_MESSAGE_SIZE))
    return head + opt


def _write_single(query: Query, rrset: RRset, flags: int, opt: bytes, *, limit: int) -> bytes:
    """The common case: one RRset, owned by the question's name, with nothing in it to compress."""
    records = rrset.at_question
    if HEADER_SIZE + len(query.question) + len(records) + len(opt) > limit:
        return _write_truncated(query, flags, opt, bool(opt))
    header = _HEADER.pack(query.id, flags, 1, len(rrset.rdatas), 0, bool(opt))
    return header + query.question + records + opt


def _write_truncated(query: Query, flags: int, tail: bytes, tail_count: int) -> bytes:
    """RFC 2181 §9: what does not fit is asked again over TCP; partial sections would only be thrown away."""
    return _HEADER.pack(query.id, flags | TC, 1, 0, 0, tail_count) + query.question + tail


class _Full(Exception):
    """The message has no room for an RRset."""


class _Message:
    """A message under construction, and where the names in it stand.

    Names are compared without regard to case (RFC 4343 §3), so that a question in mixed case compresses as any other.
    """

    __slots__ = ("_buffer", "_known", "_limit")

    def __init__(self, query: Query, *, limit: int) -> None:
        self._buffer = bytearray(HEADER_SIZE)
        self._buffer += query.question
        self._limit = limit
        # Suffix, folded → where it stands, and how many pointers lead from there to its end.
        self._known: dict[bytes, tuple[int, int]] = {}
        qname = query.qname
        position = 0
        while size := qname[position]:
            self._known[qname[position:]] = HEADER_SIZE + position, 0
            position += size + 1

    def put_all(self, rrsets: list[OwnedRRset]) -> int:
        """Append RRsets; return the number of records.

        Raises:
            _Full: they do not fit.
        """
        count = 0
        for owner, rrset in rrsets:
            added = self.put_if_it_fits(owner, rrset)
            if not added:
                raise _Full
            count += added
        return count

    def put_if_it_fits(self, owner: bytes, rrset: RRset) -> int:
        """Append an RRset whole; return the number of records, 0 where it does not fit."""
        mark = len(self._buffer)
        for rdata in rrset.rdatas:
            self._put_record(owner, rrset, rdata)
            if len(self._buffer) > self._limit:
                del self._buffer[mark:]
                self._known = {suffix: place for suffix, place in self._known.items() if place[0] < mark}
                return 0
        return len(rrset.rdatas)

    def finish(self, query_id: int, flags: int, counts: tuple[int, int, int, int]) -> bytes:
        """Fill in the header and return the message."""
        _HEADER.pack_into(self._buffer, 0, query_id, flags, *counts)
        return bytes(self._buffer)

    def _put_record(self, owner: bytes, rrset: RRset, rdata: bytes) -> None:
        self._put_name(owner)
        names = _NAMES_IN_RDATA.get(rrset.rdtype)
        if names is None:
            self._buffer += rrset.record_tail(rdata)
            return
        self._buffer += rrset.record_tail(b"")
        start = len(self._buffer)
        position, count = names
        self._buffer += rdata[:position]
        for _ in range(count):
            position = self._put_name(rdata, position)
        self._buffer += rdata[position:]
        struct.pack_into("!H", self._buffer, start - 2, len(self._buffer) - start)

    def _put_name(self, wire: bytes, position: int = 0) -> int:
        """Append the name at a position of uncompressed wire data; return the position behind it."""
        buffer, known = self._buffer, self._known
        end = name_end(wire, position)
        folded = wire[position:end].lower()
        start = position
        written: list[tuple[bytes, int]] = []
        hops = 0
        while size := wire[position]:
            suffix = folded[position - start :]
            place = known.get(suffix)
            if place is not None and place[1] < MAX_POINTER_HOPS:
                buffer += (POINTER | place[0]).to_bytes(2, "big")
                hops = place[1] + 1
                break
            written.append((suffix, len(buffer)))
            buffer += wire[position : position + size + 1]
            position += size + 1
        else:
            buffer.append(0)
        for suffix, offset in written:
            if offset < POINTER_REACH:
                known[suffix] = offset, hops
        return end
