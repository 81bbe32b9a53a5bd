"""Decisions and the revision they land on: two control planes over one store, preconditions, outages, lost callers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dnsd.control import writer
from dnsd.errors import CapacityFloor, InvalidRequest, NotReplicated, RevisionMoved, StoreDiverged, StoreUnavailable
from dnsd.model.pool import Floor
from dnsd.model.state import FleetState
from dnsd.stores.base import DrainStore
from dnsd.stores.memory import MemoryStore
from dnsd.stores.sqlite import SqliteStore
from tests.control.rig import ABC, BreakableStore, acknowledged, site_of
from tests.support.fleets import pool
from tests.support.waiting import until

TIMES = 200
TWO_OF_THREE = (pool(floor=Floor(count=2)),)


async def stores_of(kind: str, folder: Path) -> list[DrainStore]:
    """Return the stores of two control planes that share what is in them."""
    stores: list[DrainStore]
    if kind == "memory":
        stores = [MemoryStore()] * 2
    else:
        stores = [SqliteStore(folder / "state.db"), SqliteStore(folder / "state.db")]
    for store in stores:
        await store.open()
    return stores


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_of_two_drains_that_together_break_a_floor_exactly_one_passes(kind: str, tmp_path: Path) -> None:
    """Placed at once on two servers over one store, many times: the floor holds and the other is told why."""
    stores = await stores_of(kind, tmp_path)
    sites = [await site_of(ABC, TWO_OF_THREE, store=store, server_id=f"ns{n}") for n, store in enumerate(stores)]
    for turn in range(TIMES):
        order = zip(sites, ("a", "b") if turn % 2 else ("b", "a"), strict=True)
        ends = await asyncio.gather(*(site.drain(name) for site, name in order), return_exceptions=True)
        refused = [end for end in ends if isinstance(end, CapacityFloor)]
        placed = [end for end in ends if not isinstance(end, BaseException)]
        assert (len(refused), len(placed)) == (1, 1)
        (each,) = (await stores[0].load()).drains.values()
        await sites[turn % 2].release(each.node)
        assert (await stores[0].load()).drains == {}
    assert len((await stores[1].history(limit=1000))[0]) == 2 * TIMES
    for store in set(stores):
        await store.close()


async def two_sites(**options: Any) -> tuple[Any, Any]:
    store = BreakableStore()
    await store.open()
    return await site_of(store=store, **options), await site_of(store=store, server_id="ns2", **options)


async def test_a_conflict_is_decided_anew_and_lands_on_the_next_revision() -> None:
    """A server that lags places a drain: it catches up first, and both changes stand in their order."""
    first, second = await two_sites()
    await first.drain("a")
    outcome = await second.drain("b")
    assert (outcome.revision, second.plane.revision) == (2, 2)
    assert {each.node for each in second.plane.drains()} == {"a", "b"}


async def test_a_repetition_is_held_against_the_stores_revision() -> None:
    """Released over another server a moment ago: the same drain again is placed, not taken for there already."""
    first, second = await two_sites()
    await first.drain("a")
    await second.hear()
    await first.release("a")
    assert (await second.drain("a")).changed is True
    assert len((await second.store.load()).drains) == 1


async def test_a_refusal_is_held_against_the_stores_revision() -> None:
    """What another server gave back counts, though it has not been heard of yet."""
    first, second = await two_sites(pools=TWO_OF_THREE)
    await first.drain("a")
    await second.hear()
    await first.release("a")
    assert (await second.drain("b")).changed is True
    with pytest.raises(CapacityFloor):
        await first.drain("c")


async def test_if_match_names_the_stores_revision_and_not_what_a_server_has_heard() -> None:
    """The current revision is taken by a server that lags; an older one is refused and writes nothing."""
    first, second = await two_sites()
    await first.drain("a")
    assert (await second.drain("b", if_revision=1)).revision == 2
    with pytest.raises(RevisionMoved):
        await first.drain("c", if_revision=1)
    assert {each.node for each in first.plane.drains()} == {"a", "b"}


async def test_a_dry_run_writes_nothing() -> None:
    """The impact is told; revision, drains and history are as before."""
    site = await site_of()
    outcome = await site.drain("a", dry_run=True)
    assert (outcome.changed, outcome.dry_run, [each.serving_after for each in outcome.impact]) == (True, True, [2])
    assert (site.plane.revision, site.plane.drains(), (await site.store.history())[0]) == (0, [], ())


async def test_a_store_that_takes_no_writes_is_told_and_recovers(caplog: pytest.LogCaptureFixture) -> None:
    """Every write gets the error, the outage is logged and counted once, answers stay; then writes go on."""
    site = await site_of()
    site.store.writes_fail = True
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            await site.drain("a")
        await site.hear()
        await site.beat()
    health = site.plane.store_health
    assert (health.up, health.outages) == (False, 1)
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert site.plane.readiness().problems[0].startswith("the store is unavailable")
    assert site.plane.drains() == []
    site.store.writes_fail = False
    assert (await site.drain("a")).revision == 1
    assert (health.up, health.outages) == (True, 1)


async def test_bad_input_is_told_as_such_also_while_the_store_is_down() -> None:
    """What is wrong with a request does not depend on the store; a repetition cannot be vouched for."""
    site = await site_of()
    await site.drain("a")
    site.store.reads_fail = True
    with pytest.raises(InvalidRequest):
        await site.drain("b", mode="asleep")
    with pytest.raises(StoreUnavailable):
        await site.drain("a")


async def test_a_caller_that_goes_away_leaves_a_whole_commit_or_none(tmp_path: Path) -> None:
    """Cancelled while SQLite writes: the writer goes on, and the fleet ends where the store is."""
    store = SqliteStore(tmp_path / "state.db")
    await store.open()
    site = await site_of(store=store)
    for name in "abc" * 5:
        task = asyncio.create_task(site.drain(name, force=True, reason=f"{site.plane.revision}"))
        for _ in range(3):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await site.drain("a", reason="the last one", force=True)
    state = await store.load()
    assert state.revision == site.plane.revision
    assert set(state.drains.values()) == set(site.plane.publisher.fleet.all_drains())
    assert len((await store.history())[0]) == state.revision
    await store.close()


async def test_a_forced_drain_stays_marked_and_is_judged_again_where_it_is_to_last_longer() -> None:
    """Another reason leaves it forced, in the history too; a later end needs force anew, as the node would be back."""
    site = await site_of(ABC[:1])
    first = await site.drain("a", force=True, expires_in=60)
    again = await site.drain("a", reason="another")
    await acknowledged()
    with pytest.raises(CapacityFloor):
        await site.drain("a", expires_in=3600)
    assert [entry.forced for entry in (await site.store.history())[0]] == [True, True]
    assert first.drain is not None
    assert again.drain is not None
    assert (again.changed, first.drain.forced, again.drain.forced) == (True, True, True)


class UnreplicatedStore(MemoryStore):
    """A memory store whose commits nothing confirms until it is told; what it was asked to confirm is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[int, str]] = []
        self.waiting = self.most_waiting = 0
        self.has_replicas = False
        self.time_is_over = asyncio.Event()

    async def confirm(self, *, revision: int, mark: str = "") -> None:
        """Wait for replicas until the test says that the time is over."""
        self.asked.append((revision, mark))
        self.waiting += 1
        self.most_waiting = max(self.most_waiting, self.waiting)
        try:
            await self.time_is_over.wait()
        finally:
            self.waiting -= 1
        if not self.has_replicas:
            raise NotReplicated("it is written, but 0 of 1 replicas have it")


async def test_who_waits_for_replicas_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each waits for its own revision; what lacks replicas stands in the readiness until they are there again."""
    monkeypatch.setattr(writer, "LOOK_SECONDS", 0.01)
    store = UnreplicatedStore()
    await store.open()
    site = await site_of(store=store)
    drains = [asyncio.create_task(site.drain(node, force=True)) for node in "abc"]
    await until(lambda: store.waiting == 3, "all wait at the same time")
    store.time_is_over.set()
    ends = await asyncio.gather(*drains, return_exceptions=True)
    assert [type(end) for end in ends] == [NotReplicated] * 3
    assert store.most_waiting == 3
    state = await store.load()
    assert {drain.node for drain in state.drains.values()} == set("abc")  # written, and acted by
    assert [revision for revision, _ in store.asked] == [1, 2, 3]
    assert store.asked[-1] == (3, state.mark)
    with pytest.raises(NotReplicated):
        await site.drain("c")  # it stands already, yet nothing makes it last
    assert store.asked[3:] == [(3, state.mark)]
    assert site.plane.readiness().problems[0] == "drains cannot be changed: it is written, but 0 of 1 replicas have it"
    store.has_replicas = True
    looking = asyncio.create_task(site.plane._writer.run())
    await until(lambda: "replicas" not in str(site.plane.readiness().problems), "it is no problem any more")
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)
    assert (await site.drain("c")).changed is False


class LosingStore(MemoryStore):
    """A memory store that, while it answers a commit, has its writer's fleet go on by another history."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: Callable[[], None] = lambda: None

    async def commit(self, **options: Any) -> int:
        """Take it, and have something happen before the answer."""
        revision = await super().commit(**options)
        self.meanwhile()
        return revision

    async def changes(self, *, after: int, **options: Any) -> Any:
        """Have lost what was written last."""
        if after == 1:
            raise StoreDiverged("it has another revision 1")
        return await super().changes(after=after, **options)


async def test_what_was_lost_before_it_was_answered_is_not_acknowledged() -> None:
    """The store lost a commit, and the fleet was restored without it, all while the answer was on its way."""
    store = LosingStore()
    await store.open()
    site = await site_of(store=store)
    publisher = site.plane.publisher
    store.meanwhile = lambda: publisher.replace(site.plane._rebuild(FleetState(revision=5, mark="other")))
    with pytest.raises(StoreUnavailable, match="it has lost revision 1: try again"):
        await site.drain("a")
    assert site.plane.drains() == []
