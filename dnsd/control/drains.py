"""Placing, changing, releasing and expiring drains, and the ramps that follow them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from dnsd.api.schemas import DrainOutcome, DrainRequest, Impact, ReleaseRequest
from dnsd.config.settings import Settings
from dnsd.control.actor import Actor
from dnsd.control.guard import impact_of
from dnsd.control.orders import Order, order_of, released_by
from dnsd.control.publisher import Publisher
from dnsd.control.ramps import check_ramp, ramps_after
from dnsd.control.recovery import SERVER_ACTOR
from dnsd.control.roles import require_known
from dnsd.control.views import drain_infos, node_of, ramp_info
from dnsd.control.writer import Decision, Moment, Writer
from dnsd.errors import CapacityFloor, UnknownNode
from dnsd.model.drain import ALL_ROLES, Drain, DrainKey
from dnsd.model.state import Action, Change, Entity, HistoryEntry
from dnsd.model.times import format_instant


class DrainService:
    """Decides what becomes of drain requests.

    Args:
        settings: gives the present settings, which a reload replaces.
        known_holder: says whether a holder has drained a node before, by node and holder.
    """

    def __init__(
        self,
        writer: Writer,
        publisher: Publisher,
        *,
        settings: Callable[[], Settings],
        known_holder: Callable[[str, str], Awaitable[bool]],
    ) -> None:
        self._known_holder = known_holder
        self._writer = writer
        self._publisher = publisher
        self._settings = settings

    async def place(
        self, key: str, request: DrainRequest, *, actor: Actor, if_revision: int | None = None
    ) -> DrainOutcome:
        """Place a drain, or change the one that its holder has there.

        Raises:
            UnknownNode, InvalidRequest, CapacityFloor, RevisionMoved, StoreUnavailable: nothing was written.
        """

        def decide(moment: Moment) -> Decision[DrainOutcome]:
            settings = self._settings()
            order = order_of(
                node_of(self._publisher.fleet, key),
                request,
                actor=actor,
                roles=settings.roles,
                default_expiry=settings.default_expiry_seconds,
                now=moment.now,
            )
            return self._decide_placing(order, moment, dry_run=request.dry_run)

        outcome, revision, _ = await self._writer.write(decide, if_revision=if_revision)
        return outcome.model_copy(update={"revision": revision})

    def _decide_placing(self, order: Order, moment: Moment, *, dry_run: bool) -> Decision[DrainOutcome]:
        there = {drain.key: drain for drain in self._publisher.fleet.orders_of(order.node)}
        placed, kept = _drains_for(order, there, moment)
        becomes = {**there, **{drain.key: drain for drain in placed}}
        impact: list[Impact] = []
        if placed:
            impact = impact_of(self._publisher.fleet, order.node, list(becomes.values()), now=moment.now)
        broken = [each for each in impact if not each.ok]
        if broken and not order.force:
            raise _below_floor(order.node, broken, impact)
        # A drain that is renewed stands against the guard as much as before.
        forced = {key for key, drain in there.items() if drain.forced and not drain.expired(moment.now)}
        placed = [replace(drain, forced=bool(broken) or drain.key in forced) for drain in placed]
        shown = drain_infos([*placed, *kept], now=moment.now)[0]
        outcome = DrainOutcome(
            revision=moment.revision,
            changed=bool(placed),
            dry_run=dry_run,
            drain=shown.model_copy(update={"roles": list(order.roles)}),
            impact=impact,
        )
        if dry_run or not placed:
            return Decision(result=outcome, stands=not dry_run)
        before = [there[drain.key] for drain in placed if drain.key in there]
        entry = HistoryEntry(
            revision=moment.revision + len(placed),
            at=moment.now,
            actor=order.actor,
            # What takes the place of a ramp is a drain that was not there.
            action=Action.DRAIN_PLACED if all(drain.is_ramp for drain in before) else Action.DRAIN_CHANGED,
            node=order.node,
            roles=tuple(drain.role for drain in placed),
            holder=order.holder,
            reason=order.reason,
            forced=any(drain.forced for drain in placed),
            before=tuple(drain.to_json() for drain in before),
            after=tuple(drain.to_json() for drain in placed),
        )
        changes = [Change(Entity.DRAIN, drain.key.text, drain) for drain in placed]
        return Decision(result=outcome, changes=changes, history=[entry])

    async def release(
        self, key: str, request: ReleaseRequest, *, actor: Actor, if_revision: int | None = None
    ) -> DrainOutcome:
        """Release the caller's drains on a node, a named holder's, or all of them.

        Raises:
            UnknownNode, InvalidRequest, RevisionMoved, StoreUnavailable: nothing was written.
        """
        known = await self._knows_holder(key, request.holder)

        def decide(moment: Moment) -> Decision[DrainOutcome]:
            return self._decide_releasing(key, request, moment, actor=actor, known_holder=known)

        outcome, revision, _ = await self._writer.write(decide, if_revision=if_revision)
        return outcome.model_copy(update={"revision": revision})

    async def _knows_holder(self, key: str, holder: str | None) -> bool:
        """Say whether a named holder has, or had, a drain on a node; history is read only where it has none now."""
        if holder is None or any(drain.holder == holder for drain in self._publisher.fleet.orders_of(key)):
            return True
        return await self._known_holder(key, holder)

    def _decide_releasing(
        self, key: str, request: ReleaseRequest, moment: Moment, *, actor: Actor, known_holder: bool
    ) -> Decision[DrainOutcome]:
        fleet = self._publisher.fleet
        there = fleet.orders_of(key)
        if key not in fleet.nodes and not there:
            raise UnknownNode(f"there is no node {key!r}", field="node")
        self._check_roles(request.roles)
        if request.ramp is not None:
            check_ramp(request.ramp)
        chosen = released_by(there, key, request, actor=actor, known_holder=known_holder)
        ramps: dict[DrainKey, Drain] = {}
        if request.ramp is not None:
            found = ramps_after(chosen, key, seconds=request.ramp, actor=actor, now=moment.now)
            ramps = {each.key: each for each in found}
        ended = [each for each in chosen if ramps.get(each.key) != each]
        changes = _changes_to(ended, ramps, moment)
        left = {**{each.key: each for each in there if each not in ended}, **ramps}
        infos = drain_infos(ended, now=moment.now, released=True)
        outcome = DrainOutcome(
            revision=moment.revision,
            changed=bool(ended),
            dry_run=request.dry_run,
            drain=infos[0] if infos else None,
            released=infos,
            ramp=ramp_info(ramps.values(), now=moment.now),
            impact=impact_of(fleet, key, list(left.values()), now=moment.now) if ended else [],
        )
        if request.dry_run or not ended:
            return Decision(result=outcome, stands=not request.dry_run)
        became = {change.value.key: change.value for change in changes if isinstance(change.value, Drain)}
        history = [
            _ended(drains, became, moment.revision + len(ended), moment, actor=actor.name, request=request)
            for drains in _told_together(ended)
        ]
        return Decision(result=outcome, changes=changes, history=history)

    def _check_roles(self, roles: Sequence[str] | None) -> None:
        for role in roles or ():
            if role != ALL_ROLES:
                require_known(role, self._settings().roles, field="roles")

    async def expire(self) -> int:
        """Remove the drains and ramps whose time is over, with an entry of history each; return how many.

        Raises:
            StoreUnavailable: they stay listed; their effect has ended all the same.
        """

        def decide(moment: Moment) -> Decision[int]:
            over = self._publisher.fleet.expired_drains(moment.now)
            revision = moment.revision + len(over)
            return Decision(
                result=len(over),
                changes=_changes_to(over, {}, moment),
                history=[_ended(drains, {}, revision, moment, actor=SERVER_ACTOR) for drains in _told_together(over)],
            )

        return (await self._writer.write(decide))[0]


def _drains_for(order: Order, there: Mapping[DrainKey, Drain], moment: Moment) -> tuple[list[Drain], list[Drain]]:
    """Return the drains that an order places or changes, and those that say the same already."""
    placed: list[Drain] = []
    kept: list[Drain] = []
    for role in order.roles:
        earlier = there.get(DrainKey(order.node, role, order.holder))
        drain = order.drain_for(role, earlier, now=moment.now, revision=moment.revision + len(placed) + 1)
        if drain is not None:
            placed.append(drain)
        elif earlier is not None:
            kept.append(earlier)
    return placed, kept


def _below_floor(node: str, broken: Sequence[Impact], impact: Sequence[Impact]) -> CapacityFloor:
    words = "; ".join(_shortfall(each) for each in broken)
    return CapacityFloor(f"draining {node} breaks a floor: {words}", impact=[each.model_dump() for each in impact])


def _shortfall(impact: Impact) -> str:
    instant = "" if impact.at is None else f" from {format_instant(impact.at)} on"
    empty = " and answer nothing" if impact.empties and impact.serving_before == 0 else ""
    return f"{impact.pool} would serve {impact.serving_after}{empty}{instant}, its floor is {impact.floor}"


def _changes_to(ended: Sequence[Drain], ramps: Mapping[DrainKey, Drain], moment: Moment) -> list[Change]:
    """Return the changes that remove drains, or put the ramps that follow them in their place."""
    changes = []
    for revision, drain in enumerate(ended, moment.revision + 1):
        ramp = ramps.get(drain.key)
        value = None if ramp is None else replace(ramp, revision=revision)
        changes.append(Change(Entity.DRAIN, drain.key.text, value))
    return changes


def _told_together(drains: Sequence[Drain]) -> list[list[Drain]]:
    """Group what ends at once by node and holder, drains and ramps apart: each group is an entry of history."""
    groups: dict[tuple[str, str, bool], list[Drain]] = {}
    for drain in drains:
        groups.setdefault((drain.node, drain.holder, drain.is_ramp), []).append(drain)
    return list(groups.values())


def _ended(
    drains: Sequence[Drain],
    became: Mapping[DrainKey, Drain],
    revision: int,
    moment: Moment,
    *,
    actor: str,
    request: ReleaseRequest | None = None,
) -> HistoryEntry:
    """Return the entry for drains, or ramps, of one node and holder that ended together.

    Args:
        became: the ramps that follow, by key.
        request: what released them; None: their time was over.
    """
    action = Action.DRAIN_EXPIRED if request is None else Action.DRAIN_RELEASED
    return HistoryEntry(
        revision=revision,
        at=moment.now,
        actor=actor,
        action=Action.RAMP_ENDED if drains[0].is_ramp else action,
        node=drains[0].node,
        roles=tuple(drain.role for drain in drains),
        holder=drains[0].holder,
        reason=drains[0].reason,
        all_holders=request is not None and request.all_holders,
        before=tuple(drain.to_json() for drain in drains),
        after=tuple(became[drain.key].to_json() for drain in drains if drain.key in became),
    )
