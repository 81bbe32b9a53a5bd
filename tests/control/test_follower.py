"""Following the store: others' changes, a change log that was trimmed, outages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from dnsd.control import follower
from dnsd.core.names import from_text
from dnsd.errors import ChangesTrimmed, StoreUnavailable
from dnsd.stores.memory import MemoryStore
from tests.control.rig import BreakableStore, Site, acknowledged, site_of
from tests.support.waiting import under_way, until


class OvertakenStore(MemoryStore):
    """A memory store in which something happens between what is read of it and the answer, when told, once."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: Callable[[], Awaitable[object]] | None = None

    async def changes(self, **options: Any) -> Any:
        found = await super().changes(**options)
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            await meanwhile()
        return found


@asynccontextmanager
async def following(site: Site) -> AsyncIterator[None]:
    """Have a site follow its store for a while."""
    async with under_way(site.plane._follower.run()):
        yield


async def test_changes_of_another_server_arrive_once_and_in_order() -> None:
    """Own commits come back over the store as well, and are not applied a second time."""
    store = MemoryStore()
    await store.open()
    first, second = await site_of(store=store), await site_of(store=store, server_id="ns2")
    async with following(first), following(second):
        for turn in range(20):
            site = (first, second)[turn % 2]
            await site.drain("abc"[turn % 3], reason=f"turn {turn}", force=True)
        await until(lambda: first.plane.revision == second.plane.revision == 20, "both are at the store's revision")
    for site in (first, second):
        assert [delta.revision for delta in site.workers.published] == sorted(
            {delta.revision for delta in site.workers.published}
        )
        assert [each.revision for each in site.plane.hub._kept] == list(range(1, 21))
        assert len(site.lags) == 20
    assert first.plane.publisher.fleet.overlay == second.plane.publisher.fleet.overlay


async def test_a_trimmed_log_is_a_reload_that_sends_workers_only_what_differs() -> None:
    """Far behind, the server loads everything; the delta has the changed names, listeners are told to begin anew."""
    store = MemoryStore(changes_kept=3)
    await store.open()
    first, second = await site_of(store=store), await site_of(store=store, server_id="ns2")
    listening = asyncio.create_task(anext(second.plane.events(after=0), None))
    await asyncio.sleep(0)
    for turn in range(5):
        await first.drain("a", reason=f"turn {turn}")
    await second.hear()
    await acknowledged()
    (delta,) = second.workers.published
    assert (delta.revision, set(delta.put), delta.removed) == (5, {from_text("edge.example.org.")}, ())
    assert delta.zones is None
    assert second.plane.publisher.applied_revision == 5
    assert second.plane.publisher.last_change_of("b") == 5  # which node a missed change was about is not known
    assert await listening is None
    with pytest.raises(ChangesTrimmed):
        await anext(second.plane.events(after=0))


async def test_reports_of_this_server_outlive_a_reload() -> None:
    """A report that came in after the last one in the store is not forgotten with the missed changes."""
    store = MemoryStore(changes_kept=3)
    await store.open()
    first, second = await site_of(store=store), await site_of(store=store, server_id="ns2")
    await first.register("n")
    await second.hear()
    await second.report("n")
    for turn in range(5):
        await first.drain("a", reason=f"turn {turn}")
    await second.hear()
    assert second.plane.node("n").roles["edge"].serving is True


async def test_an_outage_is_logged_and_counted_once_and_followed_by_catching_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Several attempts fail; the state stays; then the missed changes are there."""
    monkeypatch.setattr(follower, "FIRST_RETRY_SECONDS", 0.002)
    monkeypatch.setattr(follower, "LAST_RETRY_SECONDS", 0.004)
    monkeypatch.setattr(follower, "WAIT_SECONDS", 0.01)
    store = BreakableStore()
    await store.open()
    first, second = await site_of(store=store), await site_of(store=store, server_id="ns2")
    caplog.set_level("INFO")
    async with following(second):
        await until(lambda: second.plane.store_health.fresh, "it follows")
        store.reads_fail = True
        await until(lambda: not second.plane.store_health.up, "the outage is noted")
        await asyncio.sleep(0.03)
        assert (second.plane.store_health.outages, second.plane.store_health.fresh) == (1, False)
        assert second.plane.pool("edge.example.org.").serving == 3
        store.reads_fail = False
        await first.drain("a")
        await until(lambda: second.plane.revision == 1, "it has caught up")
        await until(lambda: second.plane.store_health.up, "the end of the outage is noted")
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]


async def test_a_store_that_went_back_gets_back_what_it_lost() -> None:
    """An older copy in the store's place undoes no acknowledged drain: it is written back, under a new revision."""
    site = await site_of()
    await site.drain("a")
    older = MemoryStore()
    await older.open()
    site.plane._follower._store = older
    await site.hear()
    assert [(each.node, each.revision) for each in site.plane.drains()] == [("a", 2)]
    assert [key.node for key in (await older.load()).drains] == ["a"]
    assert site.plane.revision == (await older.load()).revision == 2
    assert (site.plane.store_health.up, site.plane.store_health.divergences) == (True, 1)


async def test_a_store_that_went_back_and_takes_no_writes_undoes_nothing() -> None:
    """What was published stays published, and the store counts as out of reach."""
    site = await site_of()
    await site.drain("a")
    older = BreakableStore()
    await older.open()
    older.writes_fail = True
    site.plane._follower._store = older
    with pytest.raises(StoreUnavailable):
        await site.hear()
    assert [each.node for each in site.plane.drains()] == ["a"]
    assert (site.plane.store_health.up, site.plane.store_health.divergences) == (False, 0)


async def test_changes_that_were_read_for_another_history_are_not_applied_to_this_one() -> None:
    """The numbers follow on, and the fleet was replaced while they were on their way: what it is now stays."""
    store, other = OvertakenStore(), MemoryStore()
    for each in (store, other):
        await each.open()
    first, second = await site_of(store=store), await site_of(store=store, server_id="ns2")
    third = await site_of(store=other, server_id="ns3")
    await first.drain("a")
    await second.hear()
    await second.drain("b")
    await third.drain("c")

    async def go_over() -> None:
        first.plane._follower._store = other
        first.plane.publisher.replace(first.plane._rebuild(await other.load()))

    store.meanwhile = go_over
    await first.hear()
    assert {each.node for each in first.plane.drains()} == {"c"}
    assert (first.plane.revision, first.plane.publisher.fleet.mark) == (1, (await other.load()).mark)


async def test_own_writes_that_land_during_every_read_keep_no_change_of_others_away() -> None:
    """Each time that this server looks, it writes as well: it is at the store's revision afterwards."""
    store = OvertakenStore()
    await store.open()
    first, second = await site_of(store=store), await site_of(store=store, server_id="ns2")
    for turn in range(20):
        await second.drain("b", reason=f"turn {turn}", force=True)
        store.meanwhile = lambda reason=f"turn {turn}": first.drain("a", reason=reason, force=True)
        await first.hear()
        assert first.plane.revision == (await store.load()).revision == 2 * (turn + 1)
    assert {each.reason for each in first.plane.drains()} == {"turn 19"}
