"""A view that follows a store: what it obeys, and what it tells the store, with the store in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from dnsd.errors import StoreDiverged, StoreUnavailable
from dnsd.model.drain import DrainKey, Mode
from dnsd.model.node import Monitor, Node
from dnsd.model.report import Health
from dnsd.model.state import Consumer, FleetState
from dnsd.router import FleetView, store_following
from dnsd.router.store_following import StoreFollower
from dnsd.router.union import servers_agree, servers_of, union
from dnsd.stores import laststate
from dnsd.stores.memory import MemoryStore
from tests.router.fleets import NOW, a_drain, a_node, a_report, a_state, member_of
from tests.router.written import Written, a_store
from tests.support.waiting import under_way, until


@asynccontextmanager
async def following(written: Written, *, both_seconds: float = 0.0) -> AsyncIterator[tuple[FleetView, StoreFollower]]:
    """Follow a store for the length of a block."""
    view = FleetView()
    follower = StoreFollower(written.store, view, id="r1", both_seconds=both_seconds, clock=lambda: NOW)
    try:
        async with under_way(follower.run()) as (task,):
            await until(lambda: view.loaded or task.done())
            yield view, follower
    finally:
        await follower.leave()
        await written.store.close()


async def test_changes_are_obeyed_and_then_acknowledged() -> None:
    """By revision and mark, as a router."""
    written = await a_store(a_node("n0"), a_node("n1"))
    async with following(written) as (view, follower):
        await written.write(a_drain("n0"), mark="other")
        await until(lambda: follower.acknowledged == 3)
        assert member_of(view, "n0").mode is Mode.DRAINING
        said = await written.said()
        assert said is not None
        assert (said.kind, said.applied, said.mark) == ("router", 3, "other")
        await follower.leave()
        assert await written.said() is None


async def test_reports_are_followed() -> None:
    """Those that were there, and those that come."""
    written = await a_store(a_node("n0"))
    await written.store.put_reports([a_report("n0", sequence=1)])
    async with following(written) as (view, _):
        await until(lambda: view.sequence_of("n0") == 1)
        await written.store.put_reports([a_report("n0", sequence=2, sessions=5)])
        await until(lambda: view.sequence_of("n0") == 2)
        assert member_of(view, "n0").sessions == 5


async def test_configured_nodes_that_a_store_has_lost_stay_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until a server says again which they are; one that says that there are none is believed."""
    monkeypatch.setattr(store_following, "CONFIGURED_SECONDS", 0.002)
    written = await a_store()
    told: tuple[Node, ...] | None = (a_node("n0"),)
    looks = 0

    async def configured() -> tuple[Node, ...] | None:
        nonlocal looks
        looks += 1
        return told

    written.store.configured = configured  # type: ignore[method-assign]
    async with following(written) as (view, _):
        await until(lambda: view.size == 1)
        told, seen = None, looks
        await until(lambda: looks > seen + 3)
        assert view.size == 1
        told = (a_node("n0"), a_node("n1"))
        await until(lambda: view.size == 2)
        told = ()
        await until(lambda: view.size == 0)


async def to_be_lost(monkeypatch: pytest.MonkeyPatch) -> Written:
    """Return a store of two nodes and a drain that is looked at often."""
    monkeypatch.setattr(store_following, "WAIT_SECONDS", 0.01)
    monkeypatch.setattr(store_following, "AGAIN_SECONDS", 0.01)
    return await a_store(a_node("n0"), a_node("n1"), a_drain("n0"))


async def test_a_store_that_lost_writes_is_not_believed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both histories count until a server has spoken in the new one, and all that have say its revision."""
    written = await to_be_lost(monkeypatch)
    async with following(written) as (view, follower):
        await until(lambda: follower.acknowledged == 3)
        other = FakeHistory(written.store)
        other.become(a_state([a_node("n0"), a_node("n1")], [a_drain("n1")], revision=4))
        await until(lambda: view.revision == 4)
        modes = {name: member_of(view, name).mode for name in ("n0", "n1")}
        assert modes == {"n0": Mode.DRAINING, "n1": Mode.DRAINING}
        await written.store.heartbeat(
            Consumer(id="ns1", kind="dns", applied=4, applied_at=NOW, seen_at=NOW + 1, mark="new")
        )
        await until(lambda: member_of(view, "n0").mode is Mode.NORMAL)
        assert member_of(view, "n1").mode is Mode.DRAINING


async def test_an_outage_does_not_end_that_both_histories_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """After it, both hold until a server has spoken, and then the store's own counts."""
    monkeypatch.setattr(store_following, "RETRY_SECONDS", 0.01)
    written = await to_be_lost(monkeypatch)
    async with following(written) as (view, follower):
        await until(lambda: follower.acknowledged == 3)
        other = FakeHistory(written.store)
        other.become(a_state([a_node("n0"), a_node("n1")], [a_drain("n1")], revision=4))
        await until(lambda: view.revision == 4)
        other.is_out = True
        await until(lambda: not follower.up)
        # What comes meanwhile, as the release of a drain that was lost, is found again by a look at the whole.
        other.become(a_state([a_node("n0"), a_node("n1")], revision=5))
        other.is_out = False
        await until(lambda: follower.up and view.revision == 5)
        modes = {name: member_of(view, name).mode for name in ("n0", "n1")}
        assert modes == {"n0": Mode.DRAINING, "n1": Mode.NORMAL}
        await written.store.heartbeat(
            Consumer(id="ns1", kind="dns", applied=5, applied_at=NOW, seen_at=NOW + 1, mark="new")
        )
        await until(lambda: member_of(view, "n0").mode is Mode.NORMAL)


async def test_a_store_that_has_gone_back_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """At a lower revision it has lost writes, and its servers write them back: until then what is known holds."""
    written = await to_be_lost(monkeypatch)
    async with following(written) as (view, _):
        await until(lambda: view.revision == 3)
        other = FakeHistory(written.store)
        other.become(a_state([], revision=1))
        await until(lambda: other.loads >= 3)
        assert (view.revision, view.size) == (3, 2)
        assert member_of(view, "n0").mode is Mode.DRAINING


class FakeHistory:
    """Has a store of memory be one that has lost writes."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.loads = 0
        self.is_out = False

    def become(self, state: FleetState) -> None:
        """Have it hold another state from now on, for whoever comes from another history."""
        found = FleetState(revision=state.revision, nodes=state.nodes, drains=state.drains, mark="new")

        async def load() -> FleetState:
            self.loads += 1
            if self.is_out:
                raise StoreUnavailable("a test's outage")
            return found

        async def changes(*, after: int, mark: str = "", **_: object) -> tuple[()]:
            await asyncio.sleep(0.01)
            if mark != "new":
                raise StoreDiverged("it has another history")
            return ()

        async def consumers(**_: object) -> tuple[Consumer, ...]:
            return tuple(self._store._consumers.values())

        for method in (load, changes, consumers):
            setattr(self._store, method.__name__, method)
        self._store._bell.ring()


async def test_a_start_from_the_disk_takes_nobody_as_stale(tmp_path: Path) -> None:
    """However long ago the file was written: freshness has stood still since."""
    path = tmp_path / "last-state"
    state = a_state([a_node("n0", monitor=Monitor.AGENT)], reports=[a_report("n0", at=NOW - 1005)])
    laststate.write(path, laststate.LastState(store="s", heard_at=NOW - 1000, state=state))
    store, view = MemoryStore(), FleetView()

    async def open_store() -> None:
        raise StoreUnavailable("a test's outage")

    store.open = open_store  # type: ignore[method-assign]
    follower = StoreFollower(store, view, id="r1", state_file=path, clock=lambda: NOW)
    await follower._open()
    assert view.loaded
    assert member_of(view, "n0").health is Health.UP


def test_of_two_drains_under_one_key_what_drains_more_counts() -> None:
    """The stronger mode, the earlier start, the later end; none of either is lost."""
    key = DrainKey("n0", "*", "ops")
    weak = a_drain("n0", starts_at=NOW - 5, expires_at=NOW + 9)
    strong = a_drain("n0", mode=Mode.MAINTENANCE, expires_at=NOW + 5)
    found = union(a_state([], [weak, a_drain("n1")]), a_state([], [strong, a_drain("n2")], revision=9))
    assert (found.revision, {each.node for each in found.drains}) == (9, {"n0", "n1", "n2"})
    both = found.drains[key]
    assert (both.mode, both.starts_at, both.expires_at) == (Mode.MAINTENANCE, NOW - 5, NOW + 9)
    assert union(a_state([], [a_drain("n0")]), a_state([], [weak])).drains[key].expires_at is None


def test_servers_agree_when_all_that_have_spoken_say_the_revision() -> None:
    """One that is silent is not waited for; one that is behind is; routers do not count."""

    def says(name: str, applied: int, seen_at: float, kind: str = "dns") -> Consumer:
        return Consumer(id=name, kind=kind, applied=applied, applied_at=NOW, seen_at=seen_at, mark="m")

    state = FleetState(revision=5, mark="m")
    then = servers_of([says("ns1", 4, NOW), says("ns2", 4, NOW), says("r9", 1, NOW, "router")])
    for words, agree in (
        ([says("ns1", 4, NOW), says("ns2", 4, NOW)], False),
        ([says("ns1", 5, NOW + 1), says("ns2", 4, NOW)], True),
        ([says("ns1", 5, NOW + 1), says("ns2", 4, NOW + 1)], False),
        ([says("ns1", 5, NOW + 1), says("ns3", 5, NOW)], True),
        ([says("ns1", 4, NOW), says("r9", 5, NOW + 1, "router")], False),
    ):
        assert servers_agree(then, servers_of(words), state) == agree
    other = FleetState(revision=5, mark="x")
    assert not servers_agree(then, servers_of([says("ns1", 5, NOW + 1)]), other)
