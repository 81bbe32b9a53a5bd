"""The capacity guard: what a drain does to the pools of its node, and whether each keeps its floor.

It looks at every instant at which the new drain is in force together with others that are placed already, so that
a drain for tonight counts the ones that begin tonight. Pure: it reads a fleet and decides nothing by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from dnsd.api.schemas import Impact
from dnsd.core.fleet import Fleet
from dnsd.core.selection import Member, holds_floor
from dnsd.model.drain import Drain, effective_mode
from dnsd.model.pool import PoolSpec

DrainsOf = Callable[[str], Iterable[Drain]]


def impact_of(fleet: Fleet, node: str, drains: Sequence[Drain], *, now: float) -> list[Impact]:
    """Return what each pool serves before and after a node's drains become these.

    Args:
        drains: all drains that the node would then have, scheduled ones included.
        now: instant; nothing before it counts.

    Returns:
        One entry for each pool whose serving nodes change at some instant, at the instant that is worst for it.
    """

    def before(other: str) -> Iterable[Drain]:
        return fleet.drains_of(other)

    def after(other: str) -> Iterable[Drain]:
        return drains if other == node else fleet.drains_of(other)

    found = []
    for pool in fleet.pools_of(node):
        members = fleet.members_of(pool.owner)
        instants = _instants((*fleet.drains_of(node), *drains), (d for m in members for d in after(m.node.id)), now)
        impacts = (_compare(pool, members, before, after, instant) for instant in instants)
        changed = [impact for impact in impacts if impact.serving_before != impact.serving_after]
        if changed:
            found.append(min(changed, key=lambda impact: (impact.ok, impact.serving_after)))
    return found


def _instants(changed: Iterable[Drain], others: Iterable[Drain], now: float) -> list[float]:
    """Return every instant, from now on, at which the set of active drains can be worse than just before."""
    starts = {max(drain.starts_at, now) for drain in (*changed, *others) if not drain.expired(now)}
    return sorted(starts | {now})


def _compare(pool: PoolSpec, members: Sequence[Member], before: DrainsOf, after: DrainsOf, instant: float) -> Impact:
    was = _at(pool, members, before, instant)
    becomes = _at(pool, members, after, instant)
    serving_before = sum(member.serving for member in was)
    serving_after = sum(member.serving for member in becomes)
    return Impact(
        pool=pool.owner,
        serving_before=serving_before,
        serving_after=serving_after,
        floor=pool.floor.text,
        # Whoever gives capacity back is never held up by a floor that was broken before.
        ok=serving_after >= serving_before or holds_floor(pool, becomes),
    )


def _at(pool: PoolSpec, members: Iterable[Member], drains_of: DrainsOf, instant: float) -> list[Member]:
    """Return the members with the modes of that instant, and the health of now."""
    return [
        replace(member, mode=effective_mode(drains_of(member.node.id), role=pool.role, now=instant))
        for member in members
    ]
