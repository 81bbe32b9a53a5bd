"""Placing, changing, releasing and expiring drains."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from dnsd.api.schemas import DrainOutcome, DrainRequest, Impact, ReleaseRequest
from dnsd.config.settings import Settings
from dnsd.control.actor import Actor
from dnsd.control.guard import impact_of
from dnsd.control.orders import Order, order_of, released_by
from dnsd.control.publisher import Publisher
from dnsd.control.views import drain_infos, node_of
from dnsd.control.writer import Decision, Moment, Writer
from dnsd.errors import CapacityFloor, InvalidRequest, UnknownNode
from dnsd.model.drain import ALL_ROLES, Drain, DrainKey
from dnsd.model.state import Action, Change, Entity, HistoryEntry

# The actor of what the server does by itself.
SERVER_ACTOR = "dnsd"


class DrainService:
    """Decides what becomes of drain requests.

    Args:
        settings: gives the present settings, which a reload replaces.
    """

    def __init__(self, writer: Writer, publisher: Publisher, *, settings: Callable[[], Settings]) -> None:
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
        there = {drain.key: drain for drain in self._publisher.fleet.drains_of(order.node)}
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
            return Decision(result=outcome)
        before = [there[drain.key] for drain in placed if drain.key in there]
        entry = HistoryEntry(
            revision=moment.revision + len(placed),
            at=moment.now,
            actor=order.actor,
            action=Action.DRAIN_CHANGED if before else Action.DRAIN_PLACED,
            node=order.node,
            roles=tuple(drain.role for drain in placed),
            holder=order.holder,
            reason=order.reason,
            forced=bool(broken),
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

        def decide(moment: Moment) -> Decision[DrainOutcome]:
            return self._decide_releasing(key, request, moment, actor=actor)

        outcome, revision, _ = await self._writer.write(decide, if_revision=if_revision)
        return outcome.model_copy(update={"revision": revision})

    def _decide_releasing(
        self, key: str, request: ReleaseRequest, moment: Moment, *, actor: Actor
    ) -> Decision[DrainOutcome]:
        fleet = self._publisher.fleet
        there = fleet.drains_of(key)
        if key not in fleet.nodes and not there:
            raise UnknownNode(f"there is no node {key!r}", field="node")
        self._check_roles(request.roles)
        ended = released_by(there, key, request, actor=actor)
        left = [drain for drain in there if drain not in ended]
        infos = drain_infos(ended, now=moment.now, released=True)
        outcome = DrainOutcome(
            revision=moment.revision,
            changed=bool(ended),
            dry_run=request.dry_run,
            drain=infos[0] if infos else None,
            released=infos,
            impact=impact_of(fleet, key, left, now=moment.now) if ended else [],
        )
        if request.dry_run or not ended:
            return Decision(result=outcome)
        revision = moment.revision + len(ended)
        history = [
            _ended(Action.DRAIN_RELEASED, drains, revision, moment, actor=actor.name, all_holders=request.all_holders)
            for drains in _by_holder(ended)
        ]
        changes = [Change(Entity.DRAIN, drain.key.text, None) for drain in ended]
        return Decision(result=outcome, changes=changes, history=history)

    def _check_roles(self, roles: Sequence[str] | None) -> None:
        known = self._settings().roles
        for role in roles or ():
            if role not in known and role != ALL_ROLES:
                raise InvalidRequest(f"unknown role {role!r}; the roles are {', '.join(known)}", field="role")

    async def expire(self) -> int:
        """Remove the drains whose time is over, with an entry of history each; return how many.

        Raises:
            StoreUnavailable: they stay listed; their effect has ended all the same.
        """

        def decide(moment: Moment) -> Decision[int]:
            over = self._publisher.fleet.expired_drains(moment.now)
            revision = moment.revision + len(over)
            return Decision(
                result=len(over),
                changes=[Change(Entity.DRAIN, drain.key.text, None) for drain in over],
                history=[
                    _ended(Action.DRAIN_EXPIRED, drains, revision, moment, actor=SERVER_ACTOR)
                    for drains in _by_holder(over)
                ],
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
    words = "; ".join(f"{each.pool} would serve {each.serving_after}, its floor is {each.floor}" for each in broken)
    return CapacityFloor(f"draining {node} breaks a floor: {words}", impact=[each.model_dump() for each in impact])


def _by_holder(drains: Sequence[Drain]) -> list[list[Drain]]:
    groups: dict[tuple[str, str], list[Drain]] = {}
    for drain in drains:
        groups.setdefault((drain.node, drain.holder), []).append(drain)
    return list(groups.values())


def _ended(
    action: Action, drains: Sequence[Drain], revision: int, moment: Moment, *, actor: str, all_holders: bool = False
) -> HistoryEntry:
    """Return the entry for drains of one node and holder that ended together."""
    return HistoryEntry(
        revision=revision,
        at=moment.now,
        actor=actor,
        action=action,
        node=drains[0].node,
        roles=tuple(drain.role for drain in drains),
        holder=drains[0].holder,
        reason=drains[0].reason,
        all_holders=all_holders,
        before=tuple(drain.to_json() for drain in drains),
    )
