"""TSIG as a server without keys meets it: read the record, and say that its key is unknown (RFC 8945).

Every key is unknown here. Whoever has keys judges what is read; the transfer adapter does.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from dnsd.core.constants import CLASS_ANY, FORMERR, TSIG
from dnsd.core.wire import RECORD_FIXED, WireRecord, expand_name, plain_name_end
from dnsd.errors import MessageError

BADKEY = 17  # RFC 8945 §3; stands in the record, not in the header
_FUDGE_SECONDS = 300  # RFC 8945 §10 recommends it

_SIGNED = struct.Struct("!HIHH")  # time (48 bits in two parts), fudge, MAC size
_AFTER_MAC = struct.Struct("!HHH")  # original ID, error, length of other data
_UNSIGNED = struct.Struct("!HIHHHHH")  # both, with an empty MAC between


class Tsig(NamedTuple):
    """A query's TSIG.

    Args:
        key: the key's name as sent, uncompressed.
        algorithm: the algorithm's name as sent, uncompressed.
        original_id: the query's ID before any forwarder.
        start: where the record begins in the packet.
        signed_at: seconds since the epoch, by the client's clock.
        fudge_seconds: how far from that the server's clock may be.
        mac: as sent, maybe truncated.
    """

    key: bytes
    algorithm: bytes
    original_id: int
    start: int
    signed_at: int
    fudge_seconds: int
    mac: bytes
    error: int
    other: bytes


def read_tsig(packet: bytes, record: WireRecord) -> Tsig:
    """Read the TSIG record of a query.

    Raises:
        MessageError: FORMERR (RFC 8945 §5.2); its fields do not fill its RDATA, or its class or TTL is wrong.
    """
    # RFC 8945 §4.2: "CLASS: This MUST be ANY. TTL: This MUST be 0."
    if record.rdclass != CLASS_ANY or record.ttl != 0:
        raise MessageError(FORMERR, "TSIG with a class other than ANY or a TTL")
    rdata = packet[record.rdata : record.end]
    offset = plain_name_end(rdata, 0)
    algorithm = rdata[:offset]
    try:
        high, low, fudge, mac_size = _SIGNED.unpack_from(rdata, offset)
        offset += _SIGNED.size
        mac = rdata[offset : offset + mac_size]
        offset += mac_size
        original_id, error, other_size = _AFTER_MAC.unpack_from(rdata, offset)
    except struct.error:
        raise MessageError(FORMERR, "truncated TSIG") from None
    other = rdata[offset + _AFTER_MAC.size :]
    if len(other) != other_size:
        raise MessageError(FORMERR, "TSIG whose fields do not fill its RDATA")
    key = expand_name(packet, record.start)
    return Tsig(key, algorithm, original_id, record.start, high << 32 | low, fudge, mac, error, other)


def refusal_of(tsig: Tsig, *, now: float, error: int = BADKEY) -> bytes:
    """Return the TSIG record, without a signature, that says why a query's own was not accepted.

    RFC 8945 §5.2.1: where the key is not recognised, "the server MUST generate an error response with RCODE 9
    (NOTAUTH) and TSIG ERROR 17 (BADKEY)", unsigned, with an empty MAC (§5.3.2).

    Args:
        tsig: the query's.
        now: seconds since the epoch, for the record's time.
        error: what stands in the record.
    """
    seconds = int(now)
    rdata = tsig.algorithm + _UNSIGNED.pack(
        seconds >> 32 & 0xFFFF, seconds & 0xFFFFFFFF, _FUDGE_SECONDS, 0, tsig.original_id, error, 0
    )
    return tsig.key + RECORD_FIXED.pack(TSIG, CLASS_ANY, 0, len(rdata)) + rdata
