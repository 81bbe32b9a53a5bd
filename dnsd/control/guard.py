"""The capacity guard: what a drain does to the pools of its node, and whether each keeps its floor.

It looks at every instant at which the new drain is in force together with others that are placed already, so that
a drain for tonight counts the ones that begin tonight; and at the ends of the node's own drains, where a renewal, or
another holder's drain, keeps out a node that would have come back. Pure: it reads a fleet and decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from dnsd.api.schemas import Impact
from dnsd.core.fleet import Fleet
from dnsd.core.selection import Member, Selection, holds_floor, select
from dnsd.model.drain import Drain, effective_mode
from dnsd.model.pool import PoolSpec

DrainsOf = Callable[[str], Iterable[Drain]]


@dataclass(frozen=True, slots=True)
class _View:
    """A fleet as certain drains make it at an instant, with the health of now."""

    fleet: Fleet
    drains_of: DrainsOf
    instant: float
    known: dict[str, list[Member]] = field(default_factory=dict)

    def members(self, pool: PoolSpec) -> list[Member]:
        if pool.owner not in self.known:
            self.known[pool.owner] = [self._member(each, pool.role) for each in self.fleet.members_of(pool.owner)]
        return self.known[pool.owner]

    def _member(self, member: Member, role: str) -> Member:
        mode = effective_mode(self.drains_of(member.node.id), role=role, now=self.instant)
        return member if mode is member.mode else replace(member, mode=mode)

    def selection(self, owner: str) -> Selection:
        pool = self.fleet.pools[owner]
        return select(pool, self.members(pool), fallback=self.selection)


def impact_of(fleet: Fleet, node: str, drains: Sequence[Drain], *, now: float) -> list[Impact]:
    """Return what each pool serves before and after a node's drains become these.

    Args:
        drains: all drains that the node would then have, scheduled ones included. Ramps may be among them: a node that
            comes back by a ramp serves in full.
        now: instant; nothing before it counts.

    Returns:
        One entry for each pool whose serving nodes change at some instant, or whose answers become empty, at the
        instant that is worst for it.
    """
    impacts = (impact_on(fleet, pool, node, drains, now=now) for pool in fleet.pools_of(node))
    return [impact for impact in impacts if impact is not None]


def impact_on(fleet: Fleet, pool: PoolSpec, node: str, drains: Sequence[Drain], *, now: float) -> Impact | None:
    """Return what one pool serves before and after, as `impact_of` does for all; None where nothing changes for it."""

    def before(other: str) -> Iterable[Drain]:
        return fleet.drains_of(other)

    def after(other: str) -> Iterable[Drain]:
        return drains if other == node else fleet.drains_of(other)

    others = (drain for member in fleet.members_of(pool.owner) for drain in after(member.node.id))
    own = fleet.drains_of(node)
    roles = {each.role for each in fleet.pools_of(node)}
    impacts = [
        _compare(pool, _View(fleet, before, instant), _View(fleet, after, instant), now=now)
        for instant in _instants((*own, *drains), others, now)
        # A pool is looked at whole only where the order makes a difference.
        if any(
            effective_mode(own, role=role, now=instant) is not effective_mode(drains, role=role, now=instant)
            for role in roles
        )
    ]
    changed = [impact for impact in impacts if impact.serving_before != impact.serving_after or impact.empties]
    # Of those that are equally bad the earliest.
    return min(changed, key=lambda impact: (impact.ok, impact.serving_after, impact.answering_after), default=None)


def _instants(changed: Iterable[Drain], others: Iterable[Drain], now: float) -> list[float]:
    """Return every instant, from now on, at which an order can begin to make things worse than they would have been.

    Args:
        changed: the node's drains, before and after.
        others: those that are in force beside them.
    """
    own = [drain for drain in changed if not drain.expired(now)]
    starts = {max(drain.starts_at, now) for drain in (*own, *others) if not drain.expired(now)}
    ends = {drain.expires_at for drain in own if drain.expires_at is not None}
    return sorted(starts | ends | {now})


def _compare(pool: PoolSpec, was: _View, becomes: _View, *, now: float) -> Impact:
    members = becomes.members(pool)
    serving_before = sum(member.serving for member in was.members(pool))
    serving_after = sum(member.serving for member in members)
    answering_before = len(was.selection(pool.owner).members)
    answering_after = len(becomes.selection(pool.owner).members)
    empties = answering_before > 0 and answering_after == 0
    if empties:
        # Also where nothing served before: the last nodes that drain, or that may be alive, are an answer.
        ok = pool.floor.holds(serving=0, serving_weight=0, total_weight=1)
    else:
        # Whoever gives capacity back is never held up by a floor that was broken before.
        ok = serving_after >= serving_before or holds_floor(pool, members)
    return Impact(
        pool=pool.owner,
        at=None if was.instant <= now else was.instant,
        serving_before=serving_before,
        serving_after=serving_after,
        answering_before=answering_before,
        answering_after=answering_after,
        empties=empties,
        floor=pool.floor.text,
        ok=ok,
    )
