"""The control plane put together: one object behind the admin interface and every adapter.

It owns the order in which its parts start and stop, and delegates everything else. It knows no HTTP and no signals.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from typing import Any

from dnsd.api.schemas import (
    ConsumerInfo,
    ConsumerOutcome,
    ConsumerRemoval,
    ConsumerRequest,
    DesiredState,
    DrainInfo,
    DrainOutcome,
    DrainRequest,
    Event,
    Explanation,
    HistoryInfo,
    NodeInfo,
    NodeOutcome,
    NodeRequest,
    NodeStatus,
    PoolInfo,
    Readiness,
    ReleaseRequest,
    ReportRequest,
)
from dnsd.config.settings import Settings
from dnsd.control.actor import Actor
from dnsd.control.checks.checking import Checks
from dnsd.control.checks.telling import ChecksTeller
from dnsd.control.consumers import Consumers
from dnsd.control.drains import DrainService
from dnsd.control.events import EventHub
from dnsd.control.explain import Explainer, question_of
from dnsd.control.fleetbuilding import build_fleet, succeed
from dnsd.control.fleetnews import FleetNews
from dnsd.control.follower import Follower
from dnsd.control.fronts import fronts_of
from dnsd.control.inventory import Inventory
from dnsd.control.lagging import Lagging
from dnsd.control.overdue import OverdueWatch
from dnsd.control.policymaking import Policymaker
from dnsd.control.publisher import Publisher
from dnsd.control.recovery import Restoration
from dnsd.control.routerwords import RouterWords
from dnsd.control.statekeeper import keeper_of
from dnsd.control.status import StatusReader
from dnsd.control.storehealth import StoreHealth
from dnsd.control.supervisor import WorkerPool
from dnsd.control.timekeeper import Timekeeper
from dnsd.control.transfers import transfers_of
from dnsd.control.views import drain_infos, history_info, node_info, node_of, pool_info, pool_of
from dnsd.control.writer import Writer
from dnsd.core.fleet import Fleet
from dnsd.model.freshness import NO_HOLD, Hold
from dnsd.model.state import FleetState
from dnsd.stores.base import MAX_HISTORY_PAGE, DrainStore
from dnsd.stores.laststate import HandedSerial

log = logging.getLogger(__name__)


class ControlPlane:
    """Everything of a server but its HTTP interface.

    Args:
        store: open, and closed by whoever opened it.
        state: a consistent cut of it, or its last known state.
        heard_at: instant at which the store was last read, where it is out of reach now; None: just now.
        store_name: what the file with the last state calls the store.
        serials: with which zones were handed out before the start, as far as that file knows.
        observe_propagation: told of each change's seconds from accepted to applied by all workers.
        clock: gives the present instant.
        steady: gives seconds on a clock that nobody sets.

    Attributes:
        versions: of the zones, for secondaries; None: nobody may have any.
        secondaries: how far these are; None with `versions`.
    """

    def __init__(
        self,
        settings: Settings,
        store: DrainStore,
        state: FleetState,
        *,
        observe_propagation: Callable[[float], None],
        heard_at: float | None = None,
        store_name: str = "",
        serials: Mapping[str, HandedSerial] | None = None,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.store = store
        self.clock = clock
        self.store_health = health = StoreHealth(
            clock=clock, steady=steady, on_reach=self._store_reached, heard_at=heard_at
        )
        self._policymaker = Policymaker()
        self.hub = EventHub(revision=state.revision)
        self.workers = WorkerPool(
            listen=settings.listen,
            count=settings.workers,
            fronts=fronts_of(settings),
            tcp_limits=settings.tcp,
            on_progress=self._workers_progressed,
        )
        self.publisher = publisher = Publisher(
            build_fleet(settings, state, now=clock(), hold=NO_HOLD if heard_at is None else Hold(heard_at)),
            self.workers,
            events=self.hub,
            clock=clock,
            steady=steady,
            observe_propagation=observe_propagation,
        )
        present = self._present_settings
        transfers = transfers_of(store, publisher, settings=present, kept=serials, clock=clock, steady=steady)
        self.versions, self.secondaries = transfers.versions, transfers.secondaries
        self._follower = Follower(
            store, publisher, rebuild=self._rebuild, health=health, on_restored=self.restored, clock=clock
        )
        self._writer = Writer(store, publisher, self._follower, health=health, clock=clock)
        self._drains = DrainService(self._writer, publisher, settings=present, known_holder=self._has_drained)
        self.checks = Checks(publisher, settings=present)
        publisher.on_nodes = self.checks.follow
        self._teller = ChecksTeller(store, self.checks, publisher, settings=present, health=health, clock=clock)
        self._inventory = Inventory(self._writer, publisher, store, settings=present, health=health, clock=clock)
        self._consumers = Consumers(settings.server_id, store, publisher, health=health, clock=clock, steady=steady)
        self._router_words = RouterWords(
            store, self._consumers, publisher, health=health, settings=present, clock=clock
        )
        self._status = StatusReader(publisher, self._consumers, health, self.secondaries)
        self._explainer = Explainer(publisher, self._consumers, settings=present, workers=lambda: self.workers.workers)
        overdue = OverdueWatch(publisher, self.hub, warn_after=lambda: self.settings.warn_after_seconds)
        self._timekeeper = Timekeeper(publisher, self._drains, overdue, clock=clock)
        self._keeper = keeper_of(
            settings, store, store_name, publisher=publisher, health=health, claims=transfers.claims
        )

    def _present_settings(self) -> Settings:
        return self.settings

    # --- life ---------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start the workers; returns when all of them answer.

        Raises:
            StartError: one line that says why; nothing is left running.
        """
        self._configure_workers()
        if self.versions is not None:
            await self.versions.begin()
        await self.workers.start(self.publisher.snapshot())
        self.publisher.workers_progressed()

    def taken_over(self) -> None:
        """Note that no worker of an earlier server answers any more: what is said of caches counts from here."""
        self.publisher.departures.begin()

    async def run(self) -> None:
        """Do what goes on by itself until cancelled.

        Raises:
            ExceptionGroup: a part failed in a way that it does not know; the server should end rather than limp on.
        """
        parts: tuple[Coroutine[Any, Any, None], ...] = (
            self._follower.run(),
            self._writer.run(),
            self._timekeeper.run(),
            self._consumers.run(),
            self._router_words.run(),
            self._inventory.run(),
            self._inventory.follow_reports(),
            self.checks.run(),
            self._teller.run(),
            self.publisher.health_news.run(),
            *(() if self._keeper is None else (self._keeper.run(),)),
            *(() if self.versions is None else (self.versions.run(),)),
        )
        async with asyncio.TaskGroup() as group:
            for part in parts:
                group.create_task(part)

    async def stop(self) -> None:
        """End event streams and workers, and keep what has not been kept yet."""
        self.hub.close()
        await self.workers.stop()
        await self._inventory.flush()
        await self._teller.leave()
        await self._consumers.leave()
        if self._keeper is not None:
            await self._keeper.keep()

    def reload(self, settings: Settings) -> None:
        """Serve other settings from now on; the caller has checked that a reload can change what differs.

        The state is the one that is published, so that it works while the store is down.
        """
        present = self.publisher.fleet
        fleet = succeed(present, settings, present.state, now=self.clock())
        self.settings = settings
        self._configure_workers()
        self.publisher.replace(fleet)
        self._inventory.configured_changed()

    def _rebuild(self, state: FleetState) -> Fleet:
        return succeed(self.publisher.fleet, self.settings, state, now=self.clock())

    def _store_reached(self, readable: bool) -> None:
        self.publisher.store_reached(readable=readable)
        self._configure_workers()

    def _configure_workers(self) -> None:
        policy = self._policymaker.complete(self.settings.policy, stale=not self.store_health.readable)
        self.workers.configure(policy)
        if (certificate := self.settings.certificate) is not None:
            self.workers.certify(certificate.certificate, certificate.key)

    def _workers_progressed(self) -> None:
        self.publisher.workers_progressed()

    def restored(self, restoration: Restoration) -> None:
        """Tell of a store that had lost writes, and of what was written back."""
        self.store_health.diverged()
        self._inventory.configured_changed()
        self._consumers.store_diverged()
        if self.versions is not None:
            self.versions.doubt()
        log.error("the store had lost writes: %s", restoration.text)
        self.announce("store-diverged", restoration.detail)

    def announce(self, kind: str, detail: Mapping[str, Any]) -> None:
        """Tell those who listen to events of something that makes no revision."""
        self.hub.publish(Event(revision=None, at=self.clock(), type=kind, detail=dict(detail)))

    # --- writes (admin.backend.Backend) -------------------------------------------------------------------------

    async def place_drain(
        self, node: str, request: DrainRequest, *, actor: Actor, if_revision: int | None
    ) -> DrainOutcome:
        """Place a drain, or change its holder's."""
        return await self._drains.place(node, request, actor=actor, if_revision=if_revision)

    async def release_drain(
        self, node: str, request: ReleaseRequest, *, actor: Actor, if_revision: int | None
    ) -> DrainOutcome:
        """Release drains."""
        return await self._drains.release(node, request, actor=actor, if_revision=if_revision)

    async def with_applied(self, outcome: DrainOutcome, *, wait_seconds: float) -> DrainOutcome:
        """Return an outcome with who has applied it and who has not, after waiting for all live consumers."""
        applied, pending = await self._consumers.acknowledged(outcome.revision, wait_seconds=wait_seconds)
        return outcome.model_copy(update={"applied": applied, "pending": pending})

    async def register_node(
        self, node: str, request: NodeRequest, *, actor: Actor, if_revision: int | None
    ) -> NodeOutcome:
        """Register or replace a node."""
        return await self._inventory.register(node, request, actor=actor, if_revision=if_revision)

    async def remove_node(self, node: str, *, actor: Actor, if_revision: int | None) -> NodeOutcome:
        """Remove a registered node."""
        return await self._inventory.remove(node, actor=actor, if_revision=if_revision)

    def report(self, node: str, request: ReportRequest) -> DesiredState:
        """Take an agent's report."""
        return self._inventory.report(node, request)

    async def announce_consumer(self, consumer: str, request: ConsumerRequest) -> ConsumerOutcome:
        """Take a router's word of how far it has come."""
        return await self._router_words.take(consumer, request)

    async def forget_consumer(self, consumer: str) -> ConsumerRemoval:
        """Take a router's goodbye."""
        return await self._router_words.forget(consumer)

    # --- reads --------------------------------------------------------------------------------------------------

    @property
    def revision(self) -> int:
        """The revision that is published."""
        return self.publisher.fleet.revision

    @property
    def now(self) -> float:
        """The present instant, and not before the fleet's last step: a clock that is set back a little undoes none."""
        return max(self.clock(), self.publisher.fleet.stepped_at)

    @property
    def changed(self) -> FleetNews:
        """What may have changed of the fleet, whatever the cause, for whoever waits for it."""
        return self.publisher.news

    def nodes(self) -> list[NodeInfo]:
        """Return every node, by id."""
        fleet, now = self.publisher.fleet, self.clock()
        return [node_info(fleet, fleet.nodes[key], now=now) for key in sorted(fleet.nodes)]

    def node(self, node: str) -> NodeInfo:
        """Return one node."""
        fleet = self.publisher.fleet
        return node_info(fleet, node_of(fleet, node), now=self.clock())

    def drains(self) -> list[DrainInfo]:
        """Return the drains that are scheduled or active."""
        now = self.clock()
        return drain_infos((each for each in self.publisher.fleet.all_drains() if not each.expired(now)), now=now)

    def pools(self) -> list[PoolInfo]:
        """Return every pool, in the order of the configuration."""
        fleet, now = self.publisher.fleet, self.clock()
        return [pool_info(fleet, pool, now=now) for pool in fleet.pools.values()]

    def pool(self, owner: str) -> PoolInfo:
        """Return one pool."""
        fleet = self.publisher.fleet
        return pool_info(fleet, pool_of(fleet, owner), now=self.clock())

    def status(self, node: str) -> NodeStatus:
        """Return how far a node's drain has come."""
        return self._status.status(node, now=self.clock())

    def explain(self, name: str, rdtype: str, *, client: str | None) -> Explanation:
        """Return what a query would be answered now, and why."""
        return self._explainer.explain(question_of(name, rdtype, client), now=self.clock())

    async def consumers(self) -> list[ConsumerInfo]:
        """Return every consumer, as the store has them now; while it is away, as they were last read.

        Secondaries are among them, as they were last asked.
        """
        await self._consumers.look()
        return [*self._consumers.infos(), *(() if self.secondaries is None else self.secondaries.infos())]

    def lagging(self) -> Lagging:
        """Return how far the consumers are, as they were last read."""
        return self._consumers.lagging()

    async def history(
        self, *, node: str | None, before: int | None, limit: int
    ) -> tuple[list[HistoryInfo], int | None]:
        """Return a page of history, newest first."""
        entries, cursor = await self.store.history(node=node, before=before, limit=limit)
        return [history_info(entry) for entry in entries], cursor

    async def _has_drained(self, node: str, holder: str) -> bool:
        """Say whether the node's latest history knows a holder."""
        entries, _ = await self.store.history(node=node, limit=MAX_HISTORY_PAGE)
        return any(entry.holder == holder for entry in entries)

    def events(self, *, after: int | None) -> AsyncIterator[Event]:
        """Follow what happens."""
        return self.hub.listen(after=after)

    def readiness(self) -> Readiness:
        """Say whether the server answers as it should; an outage of the store is told but is no reason to leave."""
        serving = [worker for worker in self.workers.workers if worker.ready]
        problems = []
        if self.store_health.problem is not None:
            problems.append(self.store_health.problem)
        if self._keeper is not None and self._keeper.problem is not None:
            problems.append(self._keeper.problem)
        if len(serving) < self.settings.workers:
            problems.append(f"{len(serving)} of {self.settings.workers} workers answer")
        return Readiness(
            ready=bool(serving),
            generation=self.workers.applied_generation,
            revision=self.revision,
            workers=len(serving),
            problems=problems,
        )
