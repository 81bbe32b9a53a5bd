"""A control plane without processes, sockets or a real clock: the workers are a fake that acknowledges when told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dnsd.api.schemas import DrainOutcome, DrainRequest, NodeRequest, NodeStatus, ReleaseRequest, ReportRequest
from dnsd.config.settings import Scope, Settings
from dnsd.control.actor import Actor
from dnsd.control.answerlog import AnswerLog
from dnsd.control.plane import ControlPlane
from dnsd.core.policy import AnswerPolicy
from dnsd.core.records import Delta, Snapshot
from dnsd.errors import StoreUnavailable
from dnsd.model.endpoint import Endpoint
from dnsd.model.node import Node
from dnsd.model.pool import PoolSpec
from dnsd.model.state import FleetState
from dnsd.stores.base import DrainStore
from dnsd.stores.laststate import HandedSerial
from dnsd.stores.memory import MemoryStore
from dnsd.workers.messages import Counters
from tests.support.fleets import NOW, PER_NODE, ZONES, node, pool

ALICE = Actor("alice", Scope.OPERATOR)
EDGE = "edge.example.org."
PATIENCE_SECONDS = 20.0


class Clock:
    """A wall clock and a steady one; they move when told."""

    def __init__(self) -> None:
        self.wall = NOW
        self.steady = 1000.0

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.wall += seconds
        self.steady += seconds

    def set_by(self, seconds: float) -> None:
        """Set the wall clock forward or back, as an operator or NTP does."""
        self.wall += seconds


class FakeWorkers:
    """What the publisher needs of workers.

    Args:
        count: workers.
        holding: they acknowledge only when told.
    """

    def __init__(self, count: int = 1, *, holding: bool = False) -> None:
        self.holding = holding
        self.generations = [1] * count
        self.published: list[Delta] = []
        self.policies: list[AnswerPolicy] = []
        self.on_progress: Callable[[], None] = lambda: None
        self.snapshot = Snapshot(1, 0, {}, {})
        self.answers = AnswerLog()
        self.restarts = 0
        self.workers: tuple[Any, ...] = ()

    @property
    def applied_generation(self) -> int:
        return min(self.generations)

    def configure(self, policy: AnswerPolicy) -> None:
        self.policies.append(policy)

    def publish(self, delta: Delta) -> None:
        self.published.append(delta)
        self.snapshot = self.snapshot.advanced(delta)
        self._handed_over()

    def _handed_over(self) -> None:
        if not self.holding:
            asyncio.get_running_loop().call_soon(self.acknowledge)

    def acknowledge(self, worker: int | None = None) -> None:
        """Have one worker, or all, apply everything that was handed over."""
        for number in range(len(self.generations)) if worker is None else (worker,):
            self.generations[number] = self.snapshot.generation
        self.on_progress()

    def counters(self) -> Counters:
        return Counters(
            queries={("udp", 0): 7, ("tcp", 3): 2},
            events={("rate_limited", "dropped"): 4},
            dropped=1,
            failures=2,
            send_errors=3,
            receive_errors=4,
            tcp_open=5,
            tcp_accepted=9,
            tcp_refused=8,
            tcp_evicted=7,
            tcp_timed_out=6,
        )


class BreakableStore(MemoryStore):
    """A memory store that fails when told, for reading or writing."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.reads_fail = False
        self.writes_fail = False

    async def load(self) -> FleetState:
        self._may_read()
        return await super().load()

    async def changes(self, **options: Any) -> Any:
        self._may_read()
        return await super().changes(**options)

    async def consumers(self, **options: Any) -> Any:
        self._may_read()
        return await super().consumers(**options)

    async def reports(self, **options: Any) -> Any:
        self._may_read()
        return await super().reports(**options)

    async def commit(self, **options: Any) -> int:
        self._may_write()
        return await super().commit(**options)

    async def heartbeat(self, consumer: Any) -> bool:
        self._may_write()
        return await super().heartbeat(consumer)

    async def put_reports(self, reports: Any) -> None:
        self._may_write()
        await super().put_reports(reports)

    async def drop_report(self, node: str) -> None:
        self._may_write()
        await super().drop_report(node)

    async def claim_serials(self, claims: Any) -> tuple[int, ...]:
        self._may_write()
        return await super().claim_serials(claims)

    def _may_read(self) -> None:
        if self.reads_fail:
            raise StoreUnavailable("the disk is gone")

    def _may_write(self) -> None:
        if self.writes_fail or self.reads_fail:
            raise StoreUnavailable("the disk is full")


@dataclass
class Site:
    """A control plane and the fakes around it."""

    plane: ControlPlane
    store: Any
    clock: Clock
    workers: FakeWorkers
    lags: list[float] = field(default_factory=list)
    sequence: int = 0

    async def drain(self, name: str, **fields: Any) -> DrainOutcome:
        """Place a drain as alice."""
        if_revision = fields.pop("if_revision", None)
        actor = fields.pop("actor", ALICE)
        request = DrainRequest(**{"reason": "kernel", **fields})
        return await self.plane.place_drain(name, request, actor=actor, if_revision=if_revision)

    async def release(self, name: str, **fields: Any) -> DrainOutcome:
        """Release alice's drains."""
        return await self.plane.release_drain(name, ReleaseRequest(**fields), actor=ALICE, if_revision=None)

    async def register(self, name: str, *addresses: str, **fields: Any) -> bool:
        """Register a node; return whether that changed anything."""
        given = {"roles": ["edge"], "region": "eu", **fields}
        request = NodeRequest(addresses=list(addresses) or ["192.0.2.99"], **given)
        return (await self.plane.register_node(name, request, actor=ALICE, if_revision=None)).changed

    async def report(self, name: str, *, sequence: int | None = None, up: bool = True, **fields: Any) -> bool:
        """Report a node's health and sessions; return whether it was accepted."""
        self.sequence += 1
        given: dict[str, Any] = {"sessions": {"edge": {"viewers": 0, "inputs": 0, "jobs": 0}}, **fields}
        request = ReportRequest(
            sequence=self.sequence if sequence is None else sequence,
            observed_at=self.clock.wall,
            health={"edge": "up" if up else "down"},
            **given,
        )
        return self.plane.report(name, request).accepted

    def status(self, name: str) -> NodeStatus:
        """Return a node's status."""
        return self.plane.status(name)

    def tick(self, seconds: float = 0.0) -> None:
        """Let time pass, and have its effects published."""
        self.clock.advance(seconds)
        self.plane.publisher.tick()

    async def hear(self) -> None:
        """Read what the store has."""
        await self.plane._follower.catch_up()

    async def beat(self) -> None:
        """Exchange heartbeats with the others."""
        await self.plane._consumers.beat()


def settings_of(nodes: Iterable[Node], pools: Sequence[PoolSpec], **fields: Any) -> Settings:
    """Return settings of a small fleet."""
    given: dict[str, Any] = {
        "path": Path("config.toml"),
        "roles": ("ingest", "edge", "storage"),
        "server_id": "ns1",
        "listen": (Endpoint("127.0.0.1", 5353),),
        "workers": 1,
        "admin_listen": Endpoint("127.0.0.1", 8053),
        "tokens": (),
        "store_url": "memory://",
        "store_prefix": "dnsd",
        "state_file": None,
        "default_expiry_seconds": 4 * 3600.0,
        "stale_after_seconds": 30.0,
        "zones": ZONES,
        "nodes": {each.id: each for each in nodes},
        "node_records": (PER_NODE,),
        "pools": tuple(pools),
        **fields,
    }
    return Settings(**given)


ABC = tuple(node(name, f"192.0.2.{10 + index}") for index, name in enumerate("abc"))


async def site_of(
    nodes: Iterable[Node] = ABC,
    pools: Sequence[PoolSpec] = (pool(),),
    *,
    store: DrainStore | None = None,
    clock: Clock | None = None,
    workers: FakeWorkers | None = None,
    heard: bool = True,
    heard_at: float | None = None,
    serials: Mapping[str, HandedSerial] | None = None,
    **fields: Any,
) -> Site:
    """Return a plane over an open store.

    Args:
        heard_at: instant at which the store was last read, by a server that starts without it.
        serials: what the last state knows of those that zones were handed out with.
        store: open; None: a new one.
        heard: heartbeats have been exchanged once.
        fields: of the settings.
    """
    if store is None:
        store = BreakableStore()
        await store.open()
    clock = clock or Clock()
    workers = workers or FakeWorkers()
    lags: list[float] = []
    plane = ControlPlane(
        settings_of(nodes, pools, **fields),
        store,
        await store.load(),
        observe_propagation=lags.append,
        heard_at=heard_at,
        serials=serials,
        clock=lambda: clock.wall,
        steady=lambda: clock.steady,
    )
    plane.workers = workers  # type: ignore[assignment]
    plane.publisher._workers = workers
    workers.on_progress = plane.publisher.workers_progressed
    workers.snapshot = plane.publisher.snapshot()
    plane.publisher.workers_progressed()
    site = Site(plane, store, clock, workers, lags)
    if heard:
        await site.beat()
    return site


async def acknowledged() -> None:
    """Let workers that acknowledge by themselves do so."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)
