"""Drains against a small model: any order of placing, changing, releasing, reports, time and restarts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from dnsd.api.schemas import DesiredState, ReportRequest, SessionCounts
from dnsd.errors import CapacityFloor, InvalidRequest
from dnsd.model.node import Monitor
from dnsd.model.pool import Floor
from dnsd.stores.base import DrainStore
from dnsd.stores.memory import MemoryStore
from dnsd.stores.sqlite import SqliteStore
from tests.control.drain_reference import (
    AGENTS,
    FLOOR,
    NODES,
    ROLES,
    STALE_AFTER_SECONDS,
    Entry,
    Key,
    Reference,
    Told,
)
from tests.control.rig import Clock, Site, site_of
from tests.support.fleets import node, pool

HOLDERS = ("ops", "os-update")
ADDRESS = {name: f"192.0.2.{10 + index}" for index, name in enumerate(NODES)}
POOLS = tuple(pool(f"{role}.example.org.", role=role, ttl=5, floor=Floor.of(FLOOR)) for role in ROLES)
MONITOR = {name: Monitor.AGENT if name in AGENTS else Monitor.NONE for name in NODES}
FLEET = tuple(node(name, ADDRESS[name], roles=ROLES, monitor=MONITOR[name]) for name in NODES)

ResultT = TypeVar("ResultT")


class Drains(RuleBasedStateMachine):
    """What the service does, beside what it should have done."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = Clock()
        self.begun = self.clock.wall
        self.site: Site
        self.model = Reference()
        self.sequence = 0

    def run(self, work: Awaitable[ResultT]) -> ResultT:
        async def whole() -> ResultT:
            result = await work
            await asyncio.sleep(0)
            return result

        return self.loop.run_until_complete(whole())

    def teardown(self) -> None:
        if hasattr(self, "site"):
            self.run(self.site.store.close())
        self.loop.close()

    async def opened(self) -> DrainStore:
        """Return a store for the first start."""
        store = MemoryStore()
        await store.open()
        return store

    async def reopened(self) -> DrainStore:
        """Return the store for another start: what is in memory stays there."""
        store: DrainStore = self.site.store
        return store

    async def started(self, store: DrainStore) -> Site:
        return await site_of(FLEET, POOLS, clock=self.clock, store=store, stale_after_seconds=STALE_AFTER_SECONDS)

    @initialize()
    def start(self) -> None:
        self.site = self.run(self.started(self.run(self.opened())))

    @rule(
        name=st.sampled_from(NODES),
        role=st.sampled_from((*ROLES, "*")),
        holder=st.sampled_from(HOLDERS),
        mode=st.sampled_from(("draining", "maintenance")),
        reason=st.sampled_from(("kernel", "disk")),
        delay=st.sampled_from((0, 20)),
        lasts=st.sampled_from((30, 300, None)),
        force=st.booleans(),
    )
    def place(self, name: str, role: str, holder: str, *, delay: int, lasts: int | None, **fields: Any) -> None:
        starts = self.model.now + delay
        asked = Entry(fields["mode"], fields["reason"], starts, None if lasts is None else starts + lasts)
        key = Key(name, role, holder)
        wanted = self.model.wanted(key, asked)
        fields |= {"indefinite": True} if lasts is None else {"expires_in": float(lasts)}
        if delay:
            fields["starts_at"] = self.clock.wall + delay
        order = self.site.drain(name, roles=None if role == "*" else [role], holder=holder, **fields)
        if wanted is not None and self.model.breaks(key, wanted) and not fields["force"]:
            revision = self.site.plane.revision
            with pytest.raises(CapacityFloor):
                self.run(order)
            assert self.site.plane.revision == revision
            return
        assert self.run(order).changed is (wanted is not None)
        if wanted is not None:
            self.model.place(key, wanted)

    @rule(
        name=st.sampled_from(NODES), holder=st.sampled_from((*HOLDERS, None)), ramp=st.sampled_from((None, 45.0, 450.0))
    )
    def release(self, name: str, holder: str | None, ramp: float | None) -> None:
        entries = self.model.entries
        keys = [key for key in entries if key.node == name and holder in (None, key.holder)]
        known = any(each.node == name and each.holder == holder for group in self.model.told for each in group)
        release = self.site.release(name, holder=holder, all_holders=holder is None, ramp=ramp)
        nobodys = holder is not None and not keys and not known
        nothing_returns = ramp is not None and not any(map(self.model.active, keys))
        if nobodys or nothing_returns:
            with pytest.raises(InvalidRequest):
                self.run(release)
            return
        assert self.run(release).changed is self.model.release(keys, ramp)

    @rule(
        name=st.sampled_from(AGENTS),
        up=st.fixed_dictionaries({role: st.booleans() for role in ROLES}),
        viewers=st.sampled_from((0, 0, 7)),
        late=st.sampled_from((False, False, False, True)),
    )
    def report(self, name: str, up: dict[str, bool], viewers: int, *, late: bool) -> None:
        """A late one was overtaken by another: it changes nothing."""
        late = late and name in self.model.heard
        self.sequence += not late
        counts = SessionCounts(viewers=viewers, inputs=0, jobs=0)
        request = ReportRequest(
            sequence=0 if late else self.sequence,
            observed_at=self.clock.wall,
            health={role: "up" if each else "down" for role, each in up.items()},
            sessions=dict.fromkeys(ROLES, counts),
        )

        async def told() -> DesiredState:
            return self.site.plane.report(name, request)

        answer = self.run(told())
        assert answer.accepted is not late
        assert answer.roles == {role: self.model.mode(name, role) for role in ROLES}
        if not late:
            self.model.hear(name, up, viewers)

    @rule(seconds=st.sampled_from((1, 10, 29, 60, 400, -2, -5)))
    def wait(self, seconds: int) -> None:
        """Below 0 the clock was set back: what had started since then has not, until it is that time again."""

        async def keep_time() -> None:
            if seconds < 0:
                self.clock.set_by(seconds)
            self.site.tick(max(seconds, 0))
            await self.site.plane._drains.expire()
            await self.site.hear()
            await self.site.beat()

        self.run(keep_time())
        self.model.pass_time(seconds)

    @rule()
    def restart(self) -> None:
        self.run(self.site.plane._inventory.flush())
        self.site = self.run(self.started(self.run(self.reopened())))
        self.model.restart()

    @invariant()
    def everything_agrees(self) -> None:
        if not hasattr(self, "site"):
            return
        plane, model = self.site.plane, self.model
        listed = {(each.node, role, each.holder) for each in plane.drains() for role in each.roles}
        assert listed == {key for key, each in model.entries.items() if not each.ramp}
        assert {
            Key(*each.key): (each.mode.text, each.starts_at - self.begun, each.forced)
            for name in NODES
            for each in plane.publisher.fleet.orders_of(name)
        } == {key: (each.mode, each.starts, each.forced) for key, each in model.entries.items()}
        for role, spec in zip(ROLES, POOLS, strict=True):
            modes = {name: model.mode(name, role) for name in NODES}
            states = {name: plane.node(name).roles[role] for name in NODES}
            assert {name: state.mode for name, state in states.items()} == modes
            healthy = {name: model.healthy(name, role) for name in NODES}
            assert {name: state.health == "up" for name, state in states.items()} == healthy
            ramps = {each.node.id: each.share_cap for each in plane.publisher.fleet.members_of(spec.owner)}
            assert ramps == {name: model.share(name, role) for name in NODES}
            assert plane.pool(spec.owner).answers == [ADDRESS[name] for name in model.answers(role)]
        assert self.site.workers.snapshot.overlay == plane.publisher.fleet.overlay

    @invariant()
    def nobody_is_safe_too_early(self) -> None:
        if not hasattr(self, "site"):
            return
        for name in NODES:
            for role, state in self.site.plane.status(name).roles.items():
                if not state.safe_to_stop:
                    continue
                assert self.model.mode(name, role) != "normal"
                assert name not in self.model.answers(role)
                assert name not in AGENTS or (self.model.fresh(name) and not self.model.heard[name].viewers)

    @invariant()
    def history_agrees(self) -> None:
        if not hasattr(self, "site"):
            return
        entries, following = self.run(self.site.store.history(limit=1000))
        assert following is None
        found = [
            Told(each.action.value, each.node, tuple(sorted(each.roles)), each.holder or "", each.actor, each.forced)
            for each in reversed(entries)
        ]
        for step in self.model.told:
            assert sorted(found[: len(step)]) == sorted(step)
            del found[: len(step)]
        assert found == []


class DrainsInAFile(Drains):
    """The same over SQLite: every restart opens the file anew."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()

    async def opened(self) -> DrainStore:
        store = SqliteStore(Path(self.folder.name) / "state.db")
        await store.open()
        return store

    async def reopened(self) -> DrainStore:
        await self.site.store.close()
        return await self.opened()

    def teardown(self) -> None:
        super().teardown()
        self.folder.cleanup()


TestDrains = Drains.TestCase
TestDrains.settings = settings(max_examples=80, stateful_step_count=30, deadline=None)
TestDrainsInAFile = DrainsInAFile.TestCase
TestDrainsInAFile.settings = settings(max_examples=8, stateful_step_count=30, deadline=None)
