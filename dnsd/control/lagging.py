"""How far the consumers are, as metrics show it: how many are in which state, and since when the few lag that do.

Both are of bounded size, whatever writes itself into the store as a consumer. It is pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from dnsd.api.schemas import ConsumerInfo

# Kinds that are told apart; another one, which some program may write, counts as `other`.
KINDS = ("dns", "router", "agent")
USUAL_KINDS = ("dns", "router")  # counted also where there are none
OTHER = "other"
STATES = ("applied", "behind", "silent")

# Of those that are behind, the longest are listed. Unit: consumers.
MAX_LISTED = 50


@dataclass(frozen=True, slots=True)
class Lagging:
    """How far all consumers are.

    Args:
        counts: (kind, state) → consumers; one that has gone silent is in no other state.
        behind_seconds: (kind, id) → for how long the store has had what it has not applied; silent ones included.
    """

    counts: Mapping[tuple[str, str], int] = field(default_factory=dict)
    behind_seconds: Mapping[tuple[str, str], float] = field(default_factory=dict)


def lagging_of(
    consumers: Sequence[ConsumerInfo], *, missed_since: Callable[[int], float | None], now: float
) -> Lagging:
    """Return how far these consumers are.

    Args:
        missed_since: gives the instant from which whoever has applied no more than a revision is behind; None: is not.
    """
    counts = Counter({(kind, state): 0 for kind in USUAL_KINDS for state in STATES})
    behind: list[tuple[float, str, str]] = []
    for each in consumers:
        kind = each.kind if each.kind in KINDS else OTHER
        since = missed_since(each.applied_revision)
        counts[kind, "silent" if not each.live else "applied" if since is None else "behind"] += 1
        if since is not None:
            behind.append((max(0.0, now - since), kind, each.id))
    listed = sorted(behind, reverse=True)[:MAX_LISTED]
    return Lagging(counts, {(kind, key): seconds for seconds, kind, key in listed})
