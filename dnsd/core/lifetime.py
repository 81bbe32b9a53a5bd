"""How long a response may be kept as a whole, for transports whose caches do not look into it."""

from __future__ import annotations

import struct

from dnsd.core.constants import HEADER_SIZE, NOERROR, NXDOMAIN, OPT, SOA
from dnsd.core.wire import plain_name_end, read_record

_COUNTS = struct.Struct("!4H")
_MINIMUM_BYTES = 4  # at the end of an SOA's data (RFC 1035 §3.3.13)
_RCODE_MASK = 0xF


def lifetime_seconds(response: bytes) -> int:
    """Return for how many seconds a response may be kept; 0: not at all.

    RFC 8484 §5.1: at most "the smallest TTL in the Answer section"; where that is empty and the authority section has
    an SOA, no more than its MINIMUM (RFC 2308 §5). Nor longer than any other record of it, since a cache keeps it
    whole: the addresses of a pool may be in the additional section.

    Args:
        response: as the engine made it, at least a header long.
    """
    if response[3] & _RCODE_MASK not in (NOERROR, NXDOMAIN):
        return 0
    questions, answers, authorities, additionals = _COUNTS.unpack_from(response, 4)
    offset = HEADER_SIZE
    for _ in range(questions):
        offset = plain_name_end(response, offset) + 4
    ttls: list[int] = []
    keepable = answers > 0
    for number in range(answers + authorities + additionals):
        record = read_record(response, offset)
        offset = record.end
        if record.rdtype != OPT:  # its TTL is none (RFC 6891 §6.1.3)
            ttls.append(record.ttl)
        if record.rdtype == SOA and answers <= number < answers + authorities:
            keepable = True
            ttls.append(int.from_bytes(response[record.end - _MINIMUM_BYTES : record.end], "big"))
    return min(ttls) if keepable else 0
