"""Walking names and records in a received packet, where nothing can be trusted.

It knows of lengths and pointers; what a record means is for `message`, `edns` and `tsig`.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from dnsd.core.constants import FORMERR, MAX_LABEL_SIZE, MAX_NAME_SIZE
from dnsd.errors import MessageError

RECORD_FIXED = struct.Struct("!HHIH")  # type, class, TTL, RDLENGTH
_POINTER = 0xC0


class WireRecord(NamedTuple):
    """Where a record of a packet lies.

    Args:
        start: offset of its owner.
        ttl: as a number without sign.
        rdata, end: offsets of the first byte of RDATA and of the one behind it.
    """

    start: int
    rdtype: int
    rdclass: int
    ttl: int
    rdata: int
    end: int


def plain_name_end(packet: bytes, offset: int) -> int:
    """Return the offset behind an uncompressed name.

    Raises:
        MessageError: FORMERR; it is truncated, overlong, or has a pointer or an unknown kind of label.
    """
    last = offset + MAX_NAME_SIZE - 1
    try:
        size = packet[offset]
        while size:
            if size > MAX_LABEL_SIZE:
                raise MessageError(FORMERR, "pointer or unknown label where a plain name must stand")
            offset += size + 1
            if offset > last:
                raise MessageError(FORMERR, "overlong name")
            size = packet[offset]
    except IndexError:
        raise MessageError(FORMERR, "truncated name") from None
    return offset + 1


def read_record(packet: bytes, offset: int) -> WireRecord:
    """Find the bounds of the record that starts at an offset; its owner may be compressed.

    Raises:
        MessageError: FORMERR; it does not lie within the packet.
    """
    start = offset
    try:
        while size := packet[offset]:
            if size > MAX_LABEL_SIZE:
                if size < _POINTER:
                    raise MessageError(FORMERR, "unknown label in a record's owner")
                offset += 1
                break
            offset += size + 1
        rdtype, rdclass, ttl, length = RECORD_FIXED.unpack_from(packet, offset + 1)
    except (IndexError, struct.error):
        raise MessageError(FORMERR, "truncated record") from None
    rdata = offset + 1 + RECORD_FIXED.size
    if rdata + length > len(packet):
        raise MessageError(FORMERR, "truncated RDATA")
    return WireRecord(start, rdtype, rdclass, ttl, rdata, rdata + length)


def expand_name(packet: bytes, offset: int) -> bytes:
    """Return the name at an offset without compression, in the case that it was sent in.

    Raises:
        MessageError: FORMERR; truncated, overlong, or a pointer that does not lead backwards.
    """
    name = bytearray()
    bound = offset
    try:
        while size := packet[offset]:
            if size >= _POINTER:
                offset = (size & ~_POINTER) << 8 | packet[offset + 1]
                # RFC 1035 §4.1.4: a pointer is to a "prior occurrence". Each one must lead further back than the
                # one before, and so a loop is impossible.
                if offset >= bound:
                    raise MessageError(FORMERR, "pointer that does not lead backwards")
                bound = offset
                continue
            if size > MAX_LABEL_SIZE or offset + size + 1 > len(packet):
                raise MessageError(FORMERR, "unknown or truncated label")
            name += packet[offset : offset + size + 1]
            offset += size + 1
            if len(name) >= MAX_NAME_SIZE:
                raise MessageError(FORMERR, "overlong name")
    except IndexError:
        raise MessageError(FORMERR, "truncated name") from None
    return bytes(name) + b"\x00"
