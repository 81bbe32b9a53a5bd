"""A digest of a zone's records that follows a change at the cost of the change.

It is the sum of a hash of each record, so that the order does not matter, and records that come and go are added and
taken off. It tells the same content from another, and is no defence against somebody who makes records up in order to
meet another zone's digest: nobody gains by that, since whoever can write a zone's records can write any.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from hashlib import sha256

from dnsd.core.zoneversion import ZoneRecord

_MODULUS = 1 << 256
_TYPE_AND_TTL = struct.Struct("!HI")


def digest_of(records: Iterable[ZoneRecord]) -> int:
    """Return the digest of records, 0 to 2**256 - 1."""
    pack = _TYPE_AND_TTL.pack
    total = 0
    for owner, rdtype, ttl, rdata in records:
        # A name ends by itself, and two numbers have their sizes: no two records are the same bytes.
        total += int.from_bytes(sha256(owner + pack(rdtype, ttl) + rdata).digest(), "big")
    return total % _MODULUS


def followed(digest: int, *, removed: Iterable[ZoneRecord], added: Iterable[ZoneRecord]) -> int:
    """Return the digest of what there is after a change."""
    return (digest - digest_of(removed) + digest_of(added)) % _MODULUS


def digest_text(digest: int) -> str:
    """Return a digest as it is written: 64 hexadecimal digits."""
    return f"{digest:064x}"
