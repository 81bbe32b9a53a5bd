"""Records to messages: the sections of a response, as many messages as it takes, each signed where the query was.

It owns the form of messages (RFC 5936 §2.2), and decides nothing about their content.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

from dnsd.adapters.transfer.limits import MESSAGE_BYTES
from dnsd.adapters.transfer.signing import Signer
from dnsd.core.constants import AA, CLASS_IN, HEADER_SIZE, MAX_MESSAGE_SIZE, QR, RD, TC
from dnsd.core.edns import opt_for
from dnsd.core.limits import MAX_POINTER_HOPS, POINTER, POINTER_REACH
from dnsd.core.message import Query
from dnsd.core.wire import RECORD_FIXED
from dnsd.core.zoneversion import ZoneRecord
from dnsd.errors import DnsdError

_HEADER = struct.Struct("!HHHHHH")
_RCODE_MASK = 0x0F  # in the header's flags (RFC 1035 §4.1.1)


class RecordTooLargeError(DnsdError):
    """A record that fits into no message."""


class Envelope:
    """Writes the messages of the response to one query.

    Args:
        query: what is answered.
        signer: signs each message; None: the query was not signed.
    """

    def __init__(self, query: Query, signer: Signer | None) -> None:
        self._query = query
        self._signer = signer

    def messages(self, records: Iterable[ZoneRecord | None]) -> Iterator[bytes]:
        """Yield authoritative messages with records in their answer sections.

        An empty one stands where there is nothing to send yet.

        Args:
            records: in their order; None: see `sequences`.

        Raises:
            RecordTooLargeError: no message can hold one of them.
        """
        # RFC 5936 §2.2.5: where the query has an OPT, each message of the response may have one.
        opt = opt_for(self._query.edns, 0)
        reserved = len(opt) + (self._signer.size if self._signer else 0)
        page = _Page(self._query.question)
        for record in records:
            if record is None:
                yield b""
                continue
            page.put(record)
            if page.size + reserved > MESSAGE_BYTES and page.count > 1:
                page.take_back()
                yield self._finish(page, opt)
                page = _Page(self._query.question)
                page.put(record)
            if page.size + reserved > MAX_MESSAGE_SIZE:
                raise RecordTooLargeError(f"a record with {len(record.rdata)} bytes of data fits into no message")
        yield self._finish(page, opt)

    def error(self, rcode: int, extended_error: bytes, *, signature: bytes = b"", tsig_error: int = 0) -> bytes:
        """Return the one message that refuses a query.

        Args:
            rcode: whole, also where it needs EDNS.
            extended_error: an option of the OPT, if there is one.
            signature: a TSIG record without a MAC, where the query's own is not accepted.
            tsig_error: what is wrong with the query's TSIG, where the response is signed all the same.
        """
        query = self._query
        opt = opt_for(query.edns, rcode, extended_error)
        flags = QR | (query.flags & RD) | (rcode & _RCODE_MASK)
        head = _HEADER.pack(query.id, flags, 1, 0, 0, bool(opt) + bool(signature))
        message = head + query.question + opt + signature
        if self._signer is None:
            return message
        return self._signer.sign_error(message, tsig_error) if tsig_error else self._signer.sign(message)

    def truncated(self) -> bytes:
        """Return the message that says: ask over TCP."""
        query = self._query
        opt = opt_for(query.edns, 0)
        head = _HEADER.pack(query.id, QR | AA | TC | (query.flags & RD), 1, 0, 0, bool(opt))
        return self._signed(head + query.question + opt)

    def _finish(self, page: _Page, opt: bytes) -> bytes:
        query = self._query
        header = _HEADER.pack(query.id, QR | AA | (query.flags & RD), 1, page.count, 0, bool(opt))
        return self._signed(page.written(header) + opt)

    def _signed(self, message: bytes) -> bytes:
        return message if self._signer is None else self._signer.sign(message)


class _Page:
    """A message under construction.

    Owners are compressed against names in the same case: RFC 5936 §3.4 wants the case of a zone's names kept. Names in
    RDATA are not compressed.
    """

    __slots__ = ("_buffer", "_hops", "_known", "_mark", "count")

    def __init__(self, question: bytes) -> None:
        self.count = 0
        self._buffer = bytearray(HEADER_SIZE)
        self._mark = HEADER_SIZE
        self._known: dict[bytes, bytes] = {}  # name → a pointer to where it stands
        self._hops: dict[bytes, int] = {}  # name → pointers on the way from there to its end
        self._put_name(question[:-4])  # without type and class
        self._buffer += question[-4:]

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return len(self._buffer)

    def put(self, record: ZoneRecord) -> None:
        """Append a record."""
        owner, rdtype, ttl, rdata = record
        buffer = self._buffer
        self._mark = len(buffer)
        pointer = self._known.get(owner)
        if pointer is not None:
            buffer += pointer
        else:
            self._put_name(owner)
        buffer += RECORD_FIXED.pack(rdtype, CLASS_IN, ttl, len(rdata))
        buffer += rdata
        self.count += 1

    def take_back(self) -> None:
        """Remove the record that was appended last; nothing is appended after that."""
        del self._buffer[self._mark :]
        self.count -= 1

    def written(self, header: bytes) -> bytes:
        """Return the message with its header."""
        self._buffer[:HEADER_SIZE] = header
        return bytes(self._buffer)

    def _put_name(self, name: bytes) -> None:
        buffer, known = self._buffer, self._known
        position, hops = 0, 0
        new: list[tuple[bytes, int]] = []
        while size := name[position]:
            suffix = name[position:]
            pointer = known.get(suffix)
            if pointer is not None:
                buffer += pointer
                hops = self._hops[suffix] + 1
                break
            new.append((suffix, len(buffer)))
            buffer += name[position : position + size + 1]
            position += size + 1
        else:
            buffer.append(0)
        for suffix, offset in new:
            if offset < POINTER_REACH and hops < MAX_POINTER_HOPS:
                known[suffix] = (POINTER | offset).to_bytes(2, "big")
                self._hops[suffix] = hops
