"""The word of a server that comes up: said before it loads anything, and again until its heartbeats begin."""

from __future__ import annotations

import asyncio

import pytest

from dnsd.control import announcing
from dnsd.control.announcing import Announcement
from dnsd.model.state import Consumer
from tests.control.rig import BreakableStore, Clock
from tests.support.fleets import NOW
from tests.support.waiting import until

NS1 = Consumer(id="ns1", kind="dns", applied=7, applied_at=NOW, seen_at=NOW)


async def opened() -> BreakableStore:
    store = BreakableStore()
    await store.open()
    return store


def announcement_in(store: BreakableStore, clock: Clock) -> Announcement:
    return Announcement("ns1", store, clock=lambda: clock.wall)


def seen_at(store: BreakableStore) -> list[float]:
    """Return when consumers were last heard."""
    return [each.seen_at for each in store._consumers.values()]


async def test_it_is_repeated_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A start that takes long is waited for to its end, and not one heartbeat comes after that."""
    monkeypatch.setattr(announcing, "HEARTBEAT_SECONDS", 0.005)
    store, clock = await opened(), Clock()
    announcement = announcement_in(store, clock)
    await announcement.begin()
    assert seen_at(store) == [NOW]
    for seconds in range(1, 4):
        clock.advance(1)
        then = NOW + seconds
        await until(lambda: seen_at(store) == [then], "it is repeated")  # noqa: B023 - called at once
    await announcement.end()
    clock.advance(1)
    await asyncio.sleep(0.02)
    assert seen_at(store) == [NOW + 3]


async def test_it_is_said_once_the_store_is_back(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A store that takes nothing at first is told of once."""
    monkeypatch.setattr(announcing, "HEARTBEAT_SECONDS", 0.002)
    store = await opened()
    store.writes_fail = True
    announcement = announcement_in(store, Clock())
    await announcement.begin()
    await asyncio.sleep(0.02)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    store.writes_fail = False
    await until(lambda: bool(store._consumers), "it is said")
    await announcement.withdraw()
    assert await store.consumers() == ()


async def test_a_start_that_fails_takes_it_back() -> None:
    """Nobody waits for a server that does not come."""
    store = await opened()
    announcement = announcement_in(store, Clock())
    await announcement.begin()
    await announcement.withdraw()
    assert await store.consumers() == ()


async def test_the_word_of_another_of_the_same_id_is_not_taken_back() -> None:
    """It runs, or its workers may still answer although it died."""
    store = await opened()
    await store.heartbeat(NS1)
    announcement = announcement_in(store, Clock())
    await announcement.begin()
    await announcement.withdraw()
    assert [each.id for each in await store.consumers()] == ["ns1"]


async def test_a_server_that_came_up_keeps_its_word() -> None:
    """Its end is for its heartbeats to tell."""
    store = await opened()
    announcement = announcement_in(store, Clock())
    await announcement.begin()
    await announcement.end()
    announcement.came_up()
    await store.heartbeat(NS1)
    await announcement.withdraw()
    assert await store.consumers() == (NS1,)


async def test_a_start_that_fails_before_it_was_announced_has_nothing_to_take_back() -> None:
    """The store was never opened."""
    await announcement_in(BreakableStore(), Clock()).withdraw()
