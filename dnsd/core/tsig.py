"""TSIG as a server without keys meets it: read enough of the record to say that its key is unknown (RFC 8945).

Every key is unknown here. A signing transfer adapter replaces `refusal_of`, not the reading.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from dnsd.core.constants import CLASS_ANY, FORMERR, TSIG
from dnsd.core.wire import RECORD_FIXED, WireRecord, expand_name, plain_name_end
from dnsd.errors import MessageError

_BADKEY = 17  # RFC 8945 §3; stands in the record, not in the header
_FUDGE_SECONDS = 300  # RFC 8945 §10 recommends it

_SIGNED = struct.Struct("!HIHH")  # time (48 bits in two parts), fudge, MAC size
_AFTER_MAC = struct.Struct("!HHH")  # original ID, error, length of other data
_UNSIGNED = struct.Struct("!HIHHHHH")  # both, with an empty MAC between


class Tsig(NamedTuple):
    """What is needed of a query's TSIG to refuse it.

    Args:
        key: the key's name as sent, uncompressed.
        algorithm: the algorithm's name as sent, uncompressed.
        original_id: the query's ID before any forwarder.
    """

    key: bytes
    algorithm: bytes
    original_id: int


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
        mac_size = _SIGNED.unpack_from(rdata, offset)[3]
        offset += _SIGNED.size + mac_size
        original_id, _, other_size = _AFTER_MAC.unpack_from(rdata, offset)
    except struct.error:
        raise MessageError(FORMERR, "truncated TSIG") from None
    if offset + _AFTER_MAC.size + other_size != len(rdata):
        raise MessageError(FORMERR, "TSIG whose fields do not fill its RDATA")
    return Tsig(expand_name(packet, record.start), algorithm, original_id)


def refusal_of(tsig: Tsig, *, now: float) -> bytes:
    """Return the TSIG record that says BADKEY.

    RFC 8945 §5.2.1: where the key is not recognised, "the server MUST generate an error response with RCODE 9
    (NOTAUTH) and TSIG ERROR 17 (BADKEY)", unsigned, with an empty MAC (§5.3.2).

    Args:
        tsig: the query's.
        now: seconds since the epoch, for the record's time.
    """
    seconds = int(now)
    rdata = tsig.algorithm + _UNSIGNED.pack(
        seconds >> 32 & 0xFFFF, seconds & 0xFFFFFFFF, _FUDGE_SECONDS, 0, tsig.original_id, _BADKEY, 0
    )
    return tsig.key + RECORD_FIXED.pack(TSIG, CLASS_ANY, 0, len(rdata)) + rdata
