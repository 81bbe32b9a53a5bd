"""What to act by after a store has lost writes, until dnsd servers have written back what they know.

The rules are those of `docs/redis.md`, "Follow". It knows no store.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from dnsd.model.drain import Drain
from dnsd.model.state import Consumer, FleetState

DNS_KIND = "dns"


@dataclass(frozen=True, slots=True)
class Loss:
    """Writes that a store has lost, from when that was noticed until its own history counts again.

    Args:
        known: what was obeyed then.
        servers: the dnsd servers as they were then.
        noticed_at: by the monotonic clock.
    """

    known: FleetState
    servers: Mapping[str, Consumer]
    noticed_at: float


def union(known: FleetState, found: FleetState) -> FleetState:
    """Return what is found with the drains that are known put to it: of two under one key, what drains more.

    Nodes that are known and not found stay as well: one too many is seen when it is asked, one too few is not.
    """
    drains = dict(found.drains)
    for key, drain in known.drains.items():
        drains[key] = _both(drain, drains[key]) if key in drains else drain
    return replace(found, drains=drains, nodes={**known.nodes, **found.nodes})


def _both(one: Drain, other: Drain) -> Drain:
    ends = (one.expires_at, other.expires_at)
    return replace(
        max(one, other, key=lambda drain: drain.mode),
        starts_at=min(one.starts_at, other.starts_at),
        expires_at=None if None in ends else max(at or -math.inf for at in ends),
    )


def servers_of(consumers: Iterable[Consumer]) -> Mapping[str, Consumer]:
    """Return the dnsd servers among consumers, by id."""
    return {each.id: each for each in consumers if each.kind == DNS_KIND}


def servers_agree(then: Mapping[str, Consumer], now: Mapping[str, Consumer], found: FleetState) -> bool:
    """Say whether dnsd servers have spoken since, and all that have say just the revision that was found.

    Args:
        then: the servers as they were when the loss was noticed.
    """
    spoken = [each for each in now.values() if each.id not in then or then[each.id].seen_at != each.seen_at]
    return bool(spoken) and all((each.applied, each.mark) == (found.revision, found.mark) for each in spoken)
