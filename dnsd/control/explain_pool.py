"""Why each node is in a pool's answers or out of them, in plain words: one rendering of the fleet at an instant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dnsd.api.schemas import ExplainedNode, ExplainedPool
from dnsd.control.guard import impact_on
from dnsd.control.views import MODE_NAMES, drain_infos, fallback_text, ramp_info
from dnsd.core.fleet import Fleet
from dnsd.core.selection import Member, Selection, Tier, holds_floor
from dnsd.model.drain import Drain, Mode
from dnsd.model.node import Monitor, Node
from dnsd.model.pool import PoolSpec, PoolType, WhenEmpty
from dnsd.model.report import Health
from dnsd.model.times import format_duration, format_instant

# Nodes that do not match a pool are listed up to this many: in a large fleet they are nearly all. Unit: nodes.
MAX_OTHERS = 100

# In pools of up to this many it is tried out what a drain of each node would do: the work grows with the square.
# Unit: nodes.
MAX_TRIED = 100


@dataclass(frozen=True, slots=True)
class _Answered:
    """What a pool's answers are made of.

    Args:
        fallback: they are those of another pool.
        nodes: the ids of those whose addresses they are.
        owners: address → those of these nodes that have it.
        weight: of all of them.
    """

    tier: Tier
    fallback: bool
    nodes: frozenset[str]
    owners: Mapping[str, list[str]]
    weight: int

    @classmethod
    def of(cls, pool: PoolSpec, selection: Selection) -> _Answered:
        owners: dict[str, list[str]] = {}
        for member in selection.members:
            for address in member.node.addresses:
                owners.setdefault(address, []).append(member.node.id)
        return cls(
            tier=selection.tier,
            fallback=selection.source.owner != pool.owner,
            nodes=frozenset(member.node.id for member in selection.members),
            owners=owners,
            weight=sum(member.node.weight for member in selection.members),
        )

    def twins(self, node: Node) -> list[str]:
        """Return the nodes by which an address of a node is answered that is not answered itself."""
        if node.id in self.nodes:
            return []
        return list(dict.fromkeys(owner for address in node.addresses for owner in self.owners.get(address, ())))

    def nonetheless(self, node: Node) -> Iterator[str]:
        """Yield why a node is in, where nothing about the node itself would bring it in."""
        twins = self.twins(node)
        if twins:
            yield f"in all the same: {', '.join(twins)} has an address of it as well, and is answered"
        elif node.id not in self.nodes:
            return
        elif self.fallback:
            yield "in all the same: the pool that this one falls back to answers with it"
        elif self.tier is Tier.UNHEALTHY:
            yield "in all the same: no node that is not drained is known to be up"
        elif self.tier is Tier.DRAINING:
            yield "in all the same: every node is drained, and the pool then answers with those that drain"


@dataclass(frozen=True, slots=True)
class PoolReader:
    """Explains pools of a fleet.

    Args:
        now: instant.
        drain_seconds: how long a drain that states no end would last; a drain that is tried out lasts as long.
    """

    fleet: Fleet
    now: float
    drain_seconds: float

    def chain(self, owner: str) -> Iterator[ExplainedPool]:
        """Yield a pool, and each pool that it falls back to as things stand."""
        pool: PoolSpec | None = self.fleet.pools[owner]
        while pool is not None:
            yield self.pool(pool)
            pool = self._fallback(pool)

    def _fallback(self, pool: PoolSpec) -> PoolSpec | None:
        if pool.when_empty is not WhenEmpty.POOL or pool.fallback is None:
            return None
        return None if _has_candidates(self.fleet, pool) else self.fleet.pools[pool.fallback]

    def pool(self, pool: PoolSpec) -> ExplainedPool:
        """Explain one pool."""
        members = {member.node.id: member for member in self.fleet.members_of(pool.owner)}
        selection = self.fleet.selection_of(pool.owner)
        others = [key for key in sorted(self.fleet.nodes) if key not in members]
        answered = _Answered.of(pool, selection)
        tried = len(members) <= MAX_TRIED
        nodes = [self._member(pool, member, answered, tried=tried) for member in members.values()]
        nodes += [self._other(pool, self.fleet.nodes[key], answered) for key in others[:MAX_OTHERS]]
        return ExplainedPool(
            owner=pool.owner,
            type=pool.type.value,
            role=pool.role,
            match=dict(pool.match),
            ttl=pool.ttl,
            max_answers=pool.max_answers,
            when_empty=fallback_text(pool),
            tier=selection.tier.value,
            text=_tier_text(selection, self._fallback(pool)),
            floor=pool.floor.text,
            floor_ok=holds_floor(pool, members.values()),
            serving=sum(member.serving for member in members.values()),
            total=len(members),
            nodes=nodes,
            nodes_left_out=max(0, len(others) - MAX_OTHERS),
        )

    # --- nodes --------------------------------------------------------------------------------------------------

    def _member(self, pool: PoolSpec, member: Member, answered: _Answered, *, tried: bool) -> ExplainedNode:
        node = member.node
        chosen = node.id in answered.nodes
        drains = self._drains(node, pool.role)
        reasons = [*self._drain_reasons(drains), *self._health_reasons(member, pool.role), *_weight_reasons(member)]
        reasons += answered.nonetheless(node)
        if chosen:
            reasons += _part_reasons(pool, member, count=len(answered.nodes))
        report = self.fleet.reports.get(node.id)
        return ExplainedNode(
            node=node.id,
            addresses=list(node.addresses),
            answered=chosen or bool(answered.twins(node)),
            reasons=reasons,
            matches=True,
            mode=MODE_NAMES[member.mode],
            health=member.health.value,
            reported_at=report.received_at if report else None,
            drains=drain_infos(drains, now=self.now),
            weight=member.node.weight,
            ramp=ramp_info(self.fleet.orders_of(node.id), role=pool.role, now=self.now),
            share=round(node.weight / answered.weight, 4) if chosen and answered.weight else None,
            drain_breaks_floor=self._breaks(pool, member) if tried else None,
        )

    def _other(self, pool: PoolSpec, node: Node, answered: _Answered) -> ExplainedNode:
        """Explain a node that the pool does not match; a fallback or a shared address may bring it in."""
        mode = self.fleet.mode_of(node.id, pool.role, now=self.now)
        drains = self._drains(node, pool.role)
        report = self.fleet.reports.get(node.id)
        reasons = [*self._mismatches(pool, node), *answered.nonetheless(node)]
        return ExplainedNode(
            node=node.id,
            addresses=list(node.addresses),
            answered=node.id in answered.nodes or bool(answered.twins(node)),
            reasons=reasons,
            matches=False,
            mode=MODE_NAMES[mode],
            health=self.fleet.health_of(node, pool.role, now=self.now).value,
            reported_at=report.received_at if report else None,
            drains=drain_infos(drains, now=self.now),
            weight=node.weight,
            ramp=None,
            share=None,
            drain_breaks_floor=None,
        )

    def _mismatches(self, pool: PoolSpec, node: Node) -> Iterator[str]:
        if pool.role not in node.roles:
            yield f"not of the role {pool.role}: it has {', '.join(node.roles)}"
        for key, wanted, has in pool.mismatches(node):
            there = f"is {has}" if has is not None else "is not set"
            yield f"not selected: its {key} {there}, and the pool wants {wanted}"
        unnamed = self.fleet.why_unnamed(pool, node)
        if unnamed is not None and pool.role in node.roles:
            yield f"cannot be pointed to: {unnamed}"

    def _drains(self, node: Node, role: str) -> list[Drain]:
        drains = self.fleet.drains_of(node.id)
        return [each for each in drains if each.covers(role) and not each.expired(self.now)]

    def _drain_reasons(self, drains: Sequence[Drain]) -> Iterator[str]:
        for drain in drains:
            end = "without an end" if drain.expires_at is None else f"until {_clock(drain.expires_at)}"
            if drain.active(self.now):
                begun = _clock(drain.starts_at)
                yield f"drained by {drain.holder} ({drain.mode.text}) since {begun}, {end}: {drain.reason}"
            else:
                start = format_duration(drain.starts_at - self.now)
                yield f"to be drained by {drain.holder} ({drain.mode.text}) in {start}, {end}: {drain.reason}"

    def _health_reasons(self, member: Member, role: str) -> Iterator[str]:
        if member.node.monitor is Monitor.NONE:
            yield 'taken as up: nothing watches it (monitor = "none")'
            return
        yield from self._check_reasons(member.node, role)
        if member.node.monitor.reports:
            yield from self._report_reasons(member, role)

    def _check_reasons(self, node: Node, role: str) -> Iterator[str]:
        checked = self.fleet.checks_of(node.id).get(role)
        if checked is None and node.monitor is Monitor.CHECK:
            yield "not known to be up: its checks have not begun"
        elif checked is not None and checked.health is Health.UNKNOWN:
            known = "its reports count alone so far" if node.monitor.reports else "not known to be up"
            yield f"{known}: {checked.text}"
        elif checked is not None:
            yield f"{checked.health.value} by the server's own checks: {checked.text}"

    def _report_reasons(self, member: Member, role: str) -> Iterator[str]:
        report = self.fleet.reports.get(member.node.id)
        if report is None:
            yield "not known to be up: it has never reported"
            return
        health = self.fleet.reported_health_of(member.node, role, now=self.now)
        age = format_duration(max(0.0, self.now - report.received_at))
        if health is Health.STALE:
            limit = format_duration(self.fleet.spec.stale_after_seconds)
            left = ", with which its agent left as it said" if report.leaving else ""
            yield f"not known to be up: its last report is {age} old{left}, and one says nothing after {limit}"
        elif health is Health.UNKNOWN:
            yield f"not known to be up: its report of {age} ago says nothing of the role {role}"
        elif not report.fresh(self.now, stale_after=self.fleet.spec.stale_after_seconds):
            yield f"{health.value} by its report of {age} ago, which holds while the store is out of reach"
        else:
            yield f"{health.value} by its report of {age} ago"

    # --- the floor ----------------------------------------------------------------------------------------------

    def _breaks(self, pool: PoolSpec, member: Member) -> bool | None:
        """Say whether the capacity guard would refuse to drain a node now, for this pool."""
        if member.mode is not Mode.NORMAL or member.node.weight == 0:
            return None
        tried = Drain(
            node=member.node.id,
            role=pool.role,
            holder="explain",
            mode=Mode.DRAINING,
            reason="",
            actor="explain",
            created_at=self.now,
            starts_at=self.now,
            expires_at=self.now + self.drain_seconds,
        )
        drains = (*self.fleet.drains_of(member.node.id), tried)
        impact = impact_on(self.fleet, pool, member.node.id, drains, now=self.now)
        return impact is not None and not impact.ok


def _has_candidates(fleet: Fleet, pool: PoolSpec) -> bool:
    """Say whether a pool answers from its own nodes that are not drained."""
    return any(member.mode is Mode.NORMAL and member.node.weight > 0 for member in fleet.members_of(pool.owner))


def _clock(instant: float) -> str:
    return format_instant(instant).partition(".")[0] + "Z"


def _weight_reasons(member: Member) -> Iterator[str]:
    if member.node.weight == 0:
        yield "its weight is 0: it is never answered"


def _part_reasons(pool: PoolSpec, member: Member, *, count: int) -> Iterator[str]:
    """Tell what keeps a node that is answered from being in all answers, or from its full part in them.

    Args:
        count: of all nodes that are answered.
    """
    if member.share_cap < 1 and pool.type is PoolType.SRV:
        yield f"comes back by a ramp: its record has {member.share_cap:.0%} of its weight now"
    elif member.share_cap < 1:
        yield f"comes back by a ramp: in at most {member.share_cap:.0%} of the answers now"
    if count > pool.max_answers:
        records = "addresses of a family" if pool.type is PoolType.ADDRESS else "records"
        yield f"in turn with others: an answer has at most {pool.max_answers} {records}"


def _tier_text(selection: Selection, fallback: PoolSpec | None) -> str:
    count = len(selection.members)
    nodes = "1 node" if count == 1 else f"{count} nodes"
    if selection.tier is Tier.SERVING:
        return f"answered from {nodes}, not drained and known to be up"
    if selection.tier is Tier.UNHEALTHY:
        return f"fails open: no node that is not drained is known to be up, so that all {nodes} of these are answered"
    none = "no node is left: each is drained or has weight 0"
    if selection.tier is Tier.DRAINING:
        return f"{none}; answered from {nodes} in draining (when_empty = draining)"
    if fallback is not None:
        return f"{none}; answered as the pool {fallback.owner} is (when_empty = pool:{fallback.owner})"
    return f"{none}; the answer is {selection.tier.value.upper()}"
