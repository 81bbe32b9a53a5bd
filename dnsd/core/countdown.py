"""TTLs that count down to the instant at which an answer is due to become another one.

When the instant comes, no cache that keeps to TTLs holds the old answer any more. It knows instants and RRsets; which
answer changes when is for `foresight`.
"""

from __future__ import annotations

from collections.abc import Mapping

from dnsd.core.constants import ANY
from dnsd.core.records import RRset, ZoneNode

# The least that a TTL is clipped to. 0 would have every client of every resolver come to us in the last second, and
# until the next generation is there. Unit: seconds.
LEAST_TTL_SECONDS = 1


def clipped_ttl(ttl: int, changes_at: float | None, now: float) -> int:
    """Return a TTL that does not reach beyond an instant.

    Args:
        ttl: seconds; one below the least stays as it is.
        changes_at: the instant; None: there is none.
    """
    if changes_at is None or now + ttl <= changes_at:
        return ttl
    return min(ttl, max(LEAST_TTL_SECONDS, int(changes_at - now)))


def served(node: ZoneNode, rrset: RRset, now: float) -> RRset:
    """Return an RRset of a pool as it is answered now, and take note of the answer where it names nodes."""
    if node.changes_at is not None:
        rrset = clipped(rrset, node.changes_at, now)
    if node.trace is not None and rrset.rdtype in node.pooled:
        node.trace.note(rrset.ttl, now)
    return rrset


def clipped(rrset: RRset, changes_at: Mapping[int, float], now: float) -> RRset:
    """Return an RRset whose TTL does not reach beyond the instant at which its type's answer changes.

    Args:
        changes_at: instants by type number.
    """
    ttl = clipped_ttl(rrset.ttl, changes_at.get(rrset.rdtype), now)
    return rrset if ttl == rrset.ttl else RRset(rrset.rdtype, ttl, rrset.rdatas)


def next_change(changes_at: Mapping[int, float], qtype: int) -> float | None:
    """Return the instant at which there may be an answer to a question that has none now."""
    return min(changes_at.values()) if qtype == ANY else changes_at.get(qtype)
