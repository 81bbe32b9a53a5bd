"""From changes of the fleet to generations in the workers, and back: what has been applied, since when.

It owns the one `Fleet` that all of the control process reads. It knows no store and no HTTP: whoever has accepted
changes, a report or the passing of time to tell calls it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from dnsd.api.schemas import Event
from dnsd.control.answerlog import AnswerLog
from dnsd.control.events import EventHub
from dnsd.control.fleetnews import FleetNews
from dnsd.control.healthnews import HealthNews
from dnsd.control.progress import DepartureLog
from dnsd.core.fleet import Fleet
from dnsd.core.fleet_change import OverlayChange, Withdrawal
from dnsd.core.records import Delta, Snapshot, Zone
from dnsd.model.check import Checked
from dnsd.model.drain import Drain
from dnsd.model.report import Report
from dnsd.model.state import ChangeRecord, Entity

# Revisions whose propagation time is remembered, for the answers to those who placed them. Unit: revisions.
LAGS_KEPT = 10_000

NO_SERIALS: Mapping[bytes, int] = {}


class Workers(Protocol):
    """What the publisher needs of the answer workers."""

    @property
    def answers(self) -> AnswerLog:
        """What they have told of the pools that generations changed."""

    @property
    def applied_generation(self) -> int:
        """The generation that every serving worker has applied."""

    def publish(self, delta: Delta) -> None:
        """Hand a generation to every worker; never waits."""


class Publisher:
    """Publishes a fleet to the workers.

    Args:
        clock: gives the present instant.
        steady: gives seconds on a clock that nobody sets.
        observe_propagation: told of each change's seconds from accepted to applied by all workers.

    Attributes:
        on_nodes: told of the nodes that have come, changed or gone; of None where any may have.
        on_generation: told of each generation, as it was handed to the workers; must not raise.
        serials: by folded apex, those that answers show instead of the zone files'.
        news: what may have changed, for those who show the fleet and wait for its next change.
    """

    def __init__(
        self,
        fleet: Fleet,
        workers: Workers,
        *,
        events: EventHub,
        clock: Callable[[], float],
        steady: Callable[[], float],
        observe_propagation: Callable[[float], None],
    ) -> None:
        self.fleet = fleet
        self.generation = 1
        self.departures = DepartureLog(clock=clock, steady=steady)
        self.applied_at = clock()
        self.on_nodes: Callable[[Collection[str] | None], None] = lambda nodes: None
        self.on_generation: Callable[[Delta], None] = lambda delta: None
        self.serials: dict[bytes, int] = {}
        self.news = FleetNews()
        self.health_news = HealthNews(events, fleet=lambda: self.fleet, clock=clock)
        self._workers = workers
        self._events = events
        self._clock = clock
        self._observe_propagation = observe_propagation
        self._waiting: deque[tuple[int, ChangeRecord]] = deque()
        self._lags: dict[int, tuple[float, float]] = {}  # revision → instant of acceptance, seconds
        self._last_change_of: dict[str, int] = {}
        self._changes_known_after = fleet.revision
        self._known_since = clock()  # what the store had up to then, it has had at least for so long
        self._applied_generation = 0
        self._applied_revision = 0
        self.applied_mark = ""
        self._revision_of: deque[tuple[int, int, str]] = deque([(1, fleet.revision, fleet.mark)])
        self._progressed = asyncio.Event()
        self.transitions_changed = asyncio.Event()
        self._tell(fleet.opening)

    def snapshot(self) -> Snapshot:
        """Return all that the workers answer from, as it stands; whoever gets it may change its overlay."""
        return Snapshot(
            self.generation, self.fleet.revision, self.fleet.spec.zones, dict(self.fleet.overlay), dict(self.serials)
        )

    # --- towards the workers ------------------------------------------------------------------------------------

    def apply(self, records: Sequence[ChangeRecord]) -> None:
        """Publish accepted changes; those that are in already are passed over."""
        fresh = [record for record in records if record.revision > self.fleet.revision]
        if not fresh:
            return
        ramps = {each.key.text for record in fresh for each in self.fleet.orders_of(record.change.node) if each.is_ramp}
        change = self.fleet.apply(fresh, now=self._clock())
        self._publish(change)
        for record in fresh:
            self._waiting.append((self.generation, record))
            self._last_change_of[record.change.node] = record.revision
            self._events.publish(_event_of(record, ramps=ramps))
        self._tell(change)
        nodes = {record.change.key for record in fresh if record.change.entity is Entity.NODE}
        if nodes:
            self.on_nodes(nodes)

    def checked(self, results: Mapping[str, Mapping[str, Checked]]) -> None:
        """Take what checks have found, by node and role; nothing is published where it changes no answer."""
        self._publish_if_needed(self.fleet.checked(results, now=self._clock()))

    def report(self, report: Report) -> None:
        """Take a node's report; nothing is published where it changes no answer."""
        due = self.fleet.next_transition
        self._publish_if_needed(self.fleet.report(report, now=self._clock()))
        becomes = self.fleet.next_transition
        if becomes is not None and (due is None or becomes < due):
            self.transitions_changed.set()

    def tick(self) -> None:
        """Publish what time alone has changed."""
        self._publish_if_needed(self.fleet.tick(now=self._clock()))

    def store_reached(self, *, readable: bool) -> None:
        """Take note that the store was lost or is back: while it is out of reach, no report gets stale."""
        self._publish_if_needed(self.fleet.hold_freshness(now=self._clock(), held=not readable))
        self.transitions_changed.set()

    def replace(self, fleet: Fleet) -> None:
        """Publish another fleet in place of the present one: after a reload, or when changes were missed."""
        before, self.fleet = self.fleet, fleet
        if fleet.revision != before.revision:
            # Which nodes the missed changes were about, nobody knows.
            self._changes_known_after = fleet.revision
            self._known_since = self._clock()
            self._events.skip_to(fleet.revision)
        removed = before.overlay.keys() - fleet.overlay.keys()
        put = {name: node for name, node in fleet.overlay.items() if before.overlay.get(name) != node}
        change = OverlayChange(put=put, removed=set(removed), withdrawn=_no_longer_named(before, fleet))
        self._publish(change, zones_before=before.spec.zones)
        self.news.note(None)
        self.on_nodes(None)

    def give_serials(self, serials: Mapping[bytes, int]) -> int:
        """Have answers show other serials of zones, by folded apex; return the generation from which they do."""
        self.serials.update(serials)
        self._publish(OverlayChange(), serials=serials)
        return self.generation

    def _publish_if_needed(self, change: OverlayChange) -> None:
        if not change.empty:
            self._publish(change)
        self._tell(change)

    def _tell(self, change: OverlayChange) -> None:
        """Tell of what may look different, and of what comes about without a revision."""
        if change.touched:
            self.news.note(change.touched)
        self.health_news.note(change.health)
        for drain in change.started:
            self._events.publish(
                Event(revision=None, at=self._clock(), type="drain-started", node=drain.node, detail=drain.to_json())
            )
        for (node, role), health in sorted(change.kept_out.items()):
            detail = {"role": role, "health": health.value}
            self._events.publish(
                Event(revision=None, at=self._clock(), type="node-stays-out", node=node, detail=detail)
            )

    def _publish(
        self,
        change: OverlayChange,
        *,
        zones_before: Mapping[bytes, Zone] | None = None,
        serials: Mapping[bytes, int] = NO_SERIALS,
    ) -> None:
        """Hand the next generation to the workers.

        Args:
            zones_before: those that the workers have; None: the fleet's, as they are now.
            serials: those that zones have from now on.
        """
        self.generation += 1
        self._revision_of.append((self.generation, self.fleet.revision, self.fleet.mark))
        self.departures.withdraw(change.withdrawn, generation=self.generation)
        self.transitions_changed.set()
        zones = self.fleet.spec.zones
        known = zones if zones_before is None else zones_before
        delta = Delta(
            self.generation,
            self.fleet.revision,
            put=change.put,
            removed=tuple(sorted(change.removed)),
            zones={apex: zone for apex, zone in zones.items() if known.get(apex) is not zone} or None,
            removed_zones=tuple(sorted(known.keys() - zones.keys())),
            serials=serials,
        )
        self._workers.publish(delta)
        self.on_generation(delta)

    # --- back from the workers ----------------------------------------------------------------------------------

    def workers_progressed(self) -> None:
        """Take note of what every worker has applied by now; called at each acknowledgement."""
        applied = self._workers.applied_generation
        if applied <= self._applied_generation:
            return
        now = self._clock()
        self._applied_generation = applied
        while self._revision_of and self._revision_of[0][0] <= applied:
            _, self._applied_revision, self.applied_mark = self._revision_of.popleft()
        self.applied_at = now
        self.departures.applied(applied, self._workers.answers)
        self._workers.answers.forget(applied)
        while self._waiting and self._waiting[0][0] <= applied:
            _, record = self._waiting.popleft()
            lag = max(0.0, now - record.at)
            self._observe_propagation(lag)
            self._lags[record.revision] = record.at, lag
            if len(self._lags) > LAGS_KEPT:
                del self._lags[next(iter(self._lags))]
        self._progressed.set()
        self._progressed = asyncio.Event()

    @property
    def applied_revision(self) -> int:
        """The revision that every serving worker has applied."""
        return self._applied_revision

    def lag_of(self, revision: int) -> float | None:
        """Return a revision's seconds from accepted to applied; None: not applied yet, or too long ago."""
        return self._lags[revision][1] if revision in self._lags else None

    def accepted_at(self, revision: int) -> float | None:
        """Return the instant at which a revision was accepted; None: not applied here yet, or too long ago."""
        return self._lags[revision][0] if revision in self._lags else None

    def missed_since(self, applied: int) -> float | None:
        """Return the instant from which whoever has applied no more than a revision has been behind this server.

        Where that is not known, a later one for which it is certain; None: it is not behind.
        """
        if applied >= self._applied_revision:
            return None
        if applied < self._changes_known_after:
            return self._known_since
        accepted_at = self.accepted_at(applied + 1)
        if accepted_at is None:
            return next((at for at, _ in self._lags.values()), self._known_since)
        return accepted_at

    def last_change_of(self, node: str) -> int:
        """Return the revision of the last change about a node; where that was not seen, one that is not older."""
        return max(self._last_change_of.get(node, 0), self._changes_known_after)

    async def progressed(self) -> None:
        """Wait until every serving worker has applied another generation."""
        await self._progressed.wait()

    async def wait_generation(self, generation: int, *, timeout_seconds: float) -> bool:
        """Wait until every serving worker has applied a generation; say whether they have in time."""
        return await self._wait(lambda: self._applied_generation >= generation, timeout_seconds)

    async def wait_applied(self, revision: int, *, timeout_seconds: float) -> bool:
        """Wait until every serving worker has applied a revision; say whether they have in time."""
        return await self._wait(lambda: self._applied_revision >= revision, timeout_seconds)

    async def _wait(self, done: Callable[[], bool], timeout_seconds: float) -> bool:
        try:
            async with asyncio.timeout(timeout_seconds):
                while not done():
                    await self._progressed.wait()
        except TimeoutError:
            return False
        return True


def _no_longer_named(before: Fleet, after: Fleet) -> list[Withdrawal]:
    """Return whom a pool names no more, or with a shorter TTL than caches have from the answers before."""
    gone: list[Withdrawal] = []
    for owner, pool in before.pools.items():
        becomes = after.pools.get(owner)
        still = after.named(owner) if becomes is not None and becomes.ttl >= pool.ttl else frozenset()
        gone.extend(Withdrawal(node, role, pool.ttl, owner) for node, role in sorted(before.named(owner) - still))
    return gone


def _event_of(record: ChangeRecord, *, ramps: set[str]) -> Event:
    """Return what is told of an accepted change.

    Args:
        ramps: the keys under which there is a ramp before it; brought up to date.
    """
    change = record.change
    if change.entity is Entity.DRAIN:
        node, role, holder = change.key.split("/")
        detail = {"role": role, "holder": holder}
        kind = "ramp-ended" if change.key in ramps else "drain-removed"
        ramps.discard(change.key)
        if isinstance(change.value, Drain):
            detail = change.value.to_json()
            kind = "ramp" if change.value.is_ramp else "drain"
            ramps.update([change.key] if change.value.is_ramp else ())
    else:
        kind = "node" if change.value is not None else "node-removed"
        node = change.key
        detail = {} if change.value is None else change.value.to_json()
    return Event(revision=record.revision, at=record.at, type=kind, node=node, detail=detail)
