"""Routers that speak over HTTP are consumers like all others, and take nobody's place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dnsd.api.schemas import ConsumerRequest, DrainOutcome
from dnsd.control import consumers, routerwords
from dnsd.errors import ConsumerConflict, InvalidRequest, StoreUnavailable, TooManyConsumers
from dnsd.model.state import Consumer
from dnsd.stores.base import DrainStore
from dnsd.stores.sqlite import SqliteStore
from tests.control.rig import PATIENCE_SECONDS, BreakableStore, Site, acknowledged, site_of
from tests.stores.kinds import KINDS

AN_HOUR_SECONDS = 3600.0


async def say(site: Site, applied: int = 0, mark: str = "", *, name: str = "router-1") -> int:
    """Have a router say how far it is; return what that counts for."""
    request = ConsumerRequest(kind="router", applied_revision=applied, mark=mark)
    return (await site.plane.announce_consumer(name, request)).applied_revision


def at(site: Site) -> tuple[int, str]:
    """Return where the server is."""
    return site.plane.publisher.fleet.revision, site.plane.publisher.fleet.mark


async def settled(site: Site, outcome: DrainOutcome, *, wait_seconds: float = PATIENCE_SECONDS) -> list[str]:
    """Wait until an outcome is applied, or the time is over; return who has not."""
    return [each.consumer for each in (await site.plane.with_applied(outcome, wait_seconds=wait_seconds)).pending]


@pytest.fixture(params=KINDS, ids=[kind.name for kind in KINDS])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[DrainStore]:
    """A store that is not looked at again by itself while somebody waits, but for who has left a Redis."""
    own: DrainStore = request.param.fresh(tmp_path)
    if isinstance(own, SqliteStore):
        own._poll_seconds = AN_HOUR_SECONDS
    await own.open()
    yield own
    await own.close()


async def test_a_router_is_waited_for_and_its_word_ends_the_wait(
    store: DrainStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, and not when somebody looks again; so does its goodbye."""
    monkeypatch.setattr(consumers, "LOOK_SECONDS", AN_HOUR_SECONDS)
    site = await site_of(store=store)
    await say(site)
    await say(site, name="router-2")
    outcome = await site.drain("a")
    await acknowledged()
    assert await settled(site, outcome, wait_seconds=0.05) == ["router-1", "router-2"]
    waiting = asyncio.create_task(settled(site, outcome))
    await asyncio.sleep(0.01)
    await say(site, *at(site))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    await site.plane.forget_consumer("router-2")
    assert await waiting == []
    assert [(each.id, each.kind, each.behind) for each in await site.plane.consumers()] == [
        ("ns1", "dns", False),
        ("router-1", "router", False),
    ]


async def test_the_servers_clock_counts() -> None:
    """When it was heard last; and since when it has applied what it says."""
    site = await site_of()
    await site.drain("a")
    began = site.clock.wall
    for seconds in (0, 2, 2):
        site.clock.advance(seconds)
        await say(site, *at(site))
        await site.plane._router_words.write_signs()
        await site.beat()
    (word,) = [each for each in await site.store.consumers() if each.id == "router-1"]
    assert word == Consumer(id="router-1", kind="router", applied=1, applied_at=began, seen_at=began + 4)


async def test_a_silent_router_lapses_and_stands_against_stopping_the_node() -> None:
    """Like any other; once it says goodbye, nothing is against it."""
    site = await site_of()
    await say(site)
    outcome = await site.drain("a")
    await acknowledged()
    site.clock.advance(10)
    assert await settled(site, outcome) == []
    assert "router-1 (router) is silent since 10s and had not applied revision 1" in str(site.status("a").blockers)
    await site.plane.forget_consumer("router-1")
    await site.beat()
    assert "router-1" not in str(site.status("a").blockers)


async def test_a_server_that_could_not_hear_gives_routers_their_time() -> None:
    """After its start, and after it was held up: what they said meanwhile is nowhere. A DNS server writes it itself."""
    site = await site_of()
    await say(site)
    await site.store.heartbeat(Consumer(id="ns2", kind="dns", applied=0, applied_at=1.0, seen_at=site.clock.wall))
    site.clock.advance(60)
    again = await site_of(store=site.store, clock=site.clock, heard=False)
    others = again.plane._consumers._others

    async def held_up(*, is_over: bool) -> None:
        outcome = await again.drain("a", reason=f"at {site.clock.wall}")
        await acknowledged()
        assert await settled(again, outcome, wait_seconds=0.01) == ([] if is_over else ["router-1"])
        blockers = str(again.status("a").blockers)
        assert ("router-1 (router) is silent" in blockers, "ns2 (dns) is silent" in blockers) == (is_over, True)
        assert "router-1" in blockers

    async def beats(seconds: float) -> None:
        for _ in range(int(seconds / 2)):
            others.hears()
            site.clock.advance(2)
        others.hears()

    await beats(8)
    await held_up(is_over=False)
    await beats(2)
    await held_up(is_over=True)
    site.clock.advance(60)
    await held_up(is_over=False)  # before its next heartbeat
    await beats(8)
    await held_up(is_over=False)
    await beats(2)
    await held_up(is_over=True)
    site.clock.advance(86_400)
    others.hears()
    outcome = await again.drain("b")
    await acknowledged()
    assert await settled(again, outcome, wait_seconds=0.01) == []  # gone is gone


async def test_an_id_that_is_taken_is_refused() -> None:
    """This server's, a secondary's, and that of another kind of consumer, though it came up since the last look."""
    site = await site_of()
    await site.store.heartbeat(Consumer(id="ns2", kind="dns", applied=7, applied_at=1.0, seen_at=site.clock.wall))
    await site.store.heartbeat(Consumer(id="x", kind="agent", applied=7, applied_at=1.0, seen_at=site.clock.wall))
    transfer: Any = SimpleNamespace(secondaries=[SimpleNamespace(name="knot-1")])
    site.plane.settings = replace(site.plane.settings, transfer=transfer)
    for name, kind in {"ns1": "dns", "ns2": "dns", "knot-1": "secondary", "x": "agent"}.items():
        with pytest.raises(ConsumerConflict, match=f"{name} is the id of a consumer of the kind {kind}"):
            await say(site, name=name)
        with pytest.raises(ConsumerConflict):
            await site.plane.forget_consumer(name)
    assert {each.id: each.kind for each in await site.store.consumers()} == {"ns1": "dns", "ns2": "dns", "x": "agent"}


@pytest.mark.parametrize(
    "name", ["", "a/b", "-a", "a b", "a" * 129, "router\n", "r\N{LATIN SMALL LETTER U WITH DIAERESIS}"]
)
async def test_an_id_that_can_be_none_is_refused(name: str) -> None:
    """As in a router's configuration."""
    site = await site_of()
    for call in (say(site, name=name), site.plane.forget_consumer(name)):
        with pytest.raises(InvalidRequest, match="cannot be a consumer's id"):
            await call


async def test_a_router_that_is_ahead_of_this_server_is_believed_by_its_mark_alone() -> None:
    """It may follow another server of the fleet. Without a mark it counts for nothing until this server is there."""
    store = BreakableStore()
    await store.open()
    behind, ahead = await site_of(store=store), await site_of(store=store, server_id="ns2")
    await ahead.drain("a")
    await acknowledged()
    assert at(behind)[0] == 0
    assert await say(behind, *at(ahead)) == 1
    assert await say(behind, 1, name="router-2") == 0
    assert {each.id: each.applied for each in await store.consumers()} == {
        "ns1": 0, "ns2": 0, "router-1": 1, "router-2": 0,
    }  # fmt: skip
    await behind.hear()
    assert await say(behind, 1, name="router-2") == 1


async def test_a_word_of_a_history_that_the_store_has_lost_counts_for_nothing() -> None:
    """Not ahead of the store, nor when the store has come to that number another way, until the router obeys that."""
    before = await site_of()
    for name in "ab":
        await before.drain(name)
    old = at(before)
    site = await site_of()  # the same server on an emptied store
    await say(site, *old)
    first = await site.drain("a")
    await acknowledged()
    assert await settled(site, first, wait_seconds=0.01) == ["router-1"]
    second = await site.drain("b")
    await acknowledged()
    assert (at(site)[0], at(site)[1] != old[1]) == (old[0], True)
    await say(site, *old)
    assert await settled(site, second, wait_seconds=0.01) == ["router-1"]
    await say(site, *at(site))
    assert await settled(site, second) == []


async def test_a_store_that_takes_no_writes_takes_no_words() -> None:
    """The router is told, and the server notices that the store is away."""
    site = await site_of()
    site.store.writes_fail = True
    with pytest.raises(StoreUnavailable):
        await say(site)
    assert not site.plane.store_health.up
    site.store.writes_fail = False
    await say(site)
    assert site.plane.store_health.up


class CountingStore(BreakableStore):
    """A store that counts how often consumers are read and written, and holds those that are written together up."""

    reads = 0
    writes = 0

    def __init__(self) -> None:
        super().__init__()
        self.together: list[int] = []
        self.may_write = asyncio.Event()
        self.may_write.set()

    async def heartbeat(self, consumer: Consumer) -> bool:
        self.writes += 1
        return await super().heartbeat(consumer)

    async def heartbeats(self, consumers: Sequence[Consumer]) -> None:
        await self.may_write.wait()
        self.together.append(len(consumers))
        for each in consumers:
            await super().heartbeat(each)

    async def consumers(self, **options: Any) -> tuple[Consumer, ...]:
        self.reads += 1
        await asyncio.sleep(0.001)
        return await super().consumers(**options)  # type: ignore[no-any-return]


async def test_many_routers_that_come_up_at_once_are_looked_up_together() -> None:
    """A thousand ids that nobody knows cost a few reads, and a thousand that are known none."""
    store = CountingStore()
    await store.open()
    site = await site_of(store=store)
    store.reads = 0
    await asyncio.gather(*(say(site, name=f"router-{number}") for number in range(1000)))
    assert 1 <= store.reads <= 3
    await site.beat()
    store.reads = 0
    await asyncio.gather(*(say(site, name=f"router-{number}") for number in range(1000)))
    assert store.reads == 0
    assert len(await site.plane.consumers()) == 1001


async def a_sign_under_way() -> tuple[Site, CountingStore, asyncio.Task[None]]:
    """Return a site with a router whose sign of life is on its way to the store."""
    store = CountingStore()
    await store.open()
    site = await site_of(store=store)
    await site.drain("a")
    for _ in range(2):
        await say(site, *at(site))
        await site.beat()
    site.clock.advance(1)
    store.may_write.clear()
    writing = asyncio.create_task(site.plane._router_words.write_signs())
    await asyncio.sleep(0)
    return site, store, writing


async def test_signs_of_life_are_written_together() -> None:
    """And answered before; a word that says something else is written by itself, and before it is answered."""
    store = CountingStore()
    await store.open()
    site = await site_of(store=store)
    await site.drain("a")
    await acknowledged()
    first, names = at(site), [f"router-{number}" for number in range(100)]
    await asyncio.gather(*(say(site, *first, name=name) for name in names))
    await site.beat()
    store.writes = 0
    site.clock.advance(2)
    await asyncio.gather(*(say(site, *first, name=name) for name in names))
    assert (store.writes, store.together) == (0, [])
    await site.drain("b")
    await say(site, *at(site), name="router-1")
    await say(site, name="router-2")
    assert (store.writes, store.together) == (2, [])
    await site.plane._router_words.write_signs()
    assert (store.writes, store.together) == (2, [98])
    words = {each.id: (each.applied, each.seen_at) for each in await store.consumers() if each.kind == "router"}
    now = site.clock.wall
    assert words == dict.fromkeys(names, (1, now)) | {"router-1": (2, now), "router-2": (0, now)}
    await site.plane._router_words.write_signs()
    assert store.together == [98]


async def test_a_router_that_comes_up_again_is_announced_before_it_is_answered() -> None:
    """It says 0, as it may have said a moment ago in another life."""
    store = CountingStore()
    await store.open()
    site = await site_of(store=store)
    for _ in range(2):
        store.writes = 0
        await say(site)
        await site.beat()
    assert store.writes >= 1
    await store.forget_consumer("router-1")  # by another server, of whom this one has not heard
    await say(site)
    assert "router-1" in {each.id for each in await store.consumers()}


async def test_a_sign_of_life_overtakes_nothing() -> None:
    """Neither a goodbye nor another word that comes while it is on its way, or before it is."""
    site, store, writing = await a_sign_under_way()
    leaving = asyncio.create_task(site.plane.forget_consumer("router-1"))
    await asyncio.sleep(0)
    assert not leaving.done()
    store.may_write.set()
    await asyncio.gather(writing, leaving)
    assert "router-1" not in {each.id for each in await store.consumers()}

    site, store, writing = await a_sign_under_way()
    saying = asyncio.create_task(say(site, 0))
    await asyncio.sleep(0)
    store.may_write.set()
    await asyncio.gather(writing, saying)
    await site.plane._router_words.write_signs()
    assert {each.applied for each in await store.consumers() if each.id == "router-1"} == {0}

    await say(site, *at(site))
    await site.beat()
    await say(site, *at(site))  # a sign that is not on its way yet
    await site.plane.forget_consumer("router-1")
    await site.plane._router_words.write_signs()
    assert "router-1" not in {each.id for each in await store.consumers()}


async def test_a_store_that_takes_no_signs_of_life_is_noticed() -> None:
    """What comes next is told to the router, until the store takes words again."""
    site = await site_of()
    await site.drain("a")
    for _ in range(2):
        await say(site, *at(site))
        await site.beat()
    site.store.writes_fail = True
    await site.plane._router_words.write_signs()
    assert not site.plane.store_health.up
    with pytest.raises(StoreUnavailable):
        await say(site, *at(site))
    site.store.writes_fail = False
    assert await say(site, *at(site)) == 1
    assert site.plane.store_health.up


async def test_nothing_is_kept_of_routers_that_are_not_there() -> None:
    """Those that come and go under ever new names do not fill this server's memory."""
    site = await site_of()
    await site.drain("a")
    for number in range(20):
        await say(site, *at(site), name=f"router-{number}")
        await site.store.forget_consumer(f"router-{number}")
        await site.beat()
        await site.plane._router_words.write_signs()
    words = site.plane._router_words
    assert (words._written, words._signs, words._under_way) == ({}, {}, {})


async def test_an_id_of_which_the_store_does_not_tell_is_nobodys_to_take() -> None:
    """While a store can be written and not read, another kind of consumer may have come up under it."""
    site = await site_of()
    await site.store.heartbeat(Consumer(id="ns2", kind="dns", applied=0, applied_at=1.0, seen_at=site.clock.wall))
    site.store._may_write = lambda: None
    site.store.reads_fail = True
    for call in (say(site, name="ns2"), site.plane.forget_consumer("ns2")):
        with pytest.raises(StoreUnavailable):
            await call
    site.store.reads_fail = False
    assert {each.id: each.kind for each in await site.store.consumers()}["ns2"] == "dns"


async def test_routers_beyond_a_number_are_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever makes up ever new ids fills no store; those that are there go on, and a goodbye makes room."""
    monkeypatch.setattr(routerwords, "MAX_ROUTERS", 3)
    site = await site_of()
    await site.store.heartbeat(Consumer(id="ns2", kind="dns", applied=0, applied_at=1.0, seen_at=site.clock.wall))
    for number in (1, 2, 3):
        await say(site, name=f"router-{number}")
    with pytest.raises(TooManyConsumers, match="3 routers are known"):
        await say(site, name="router-4")
    assert "router-4" not in {each.id for each in await site.store.consumers()}
    await say(site, name="router-1")
    await site.plane.forget_consumer("router-2")
    await say(site, name="router-4")


async def test_a_router_that_was_lost_with_writes_can_be_said_goodbye_for() -> None:
    """Whether the store lost them before the goodbye or after it: nobody waits for who has ended in order."""
    site = await site_of()
    for name in ("router-1", "router-2"):
        await say(site, name=name)
    await site.beat()
    await site.plane.forget_consumer("router-1")
    await site.store.forget_consumer("router-2")  # as when all is lost
    site.plane._consumers.store_diverged()
    await site.beat()
    outcome = await site.drain("a")
    await acknowledged()
    assert await settled(site, outcome, wait_seconds=0.01) == ["router-2"]
    await site.plane.forget_consumer("router-2")
    await site.beat()
    assert await settled(site, outcome) == []
    assert "router" not in str(site.status("a").blockers)


async def test_signs_of_life_from_before_a_halt_are_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """The router may have told another server since that it has begun anew."""
    site = await site_of()
    words = site.plane._router_words
    await site.drain("a")
    for _ in range(2):
        await say(site, *at(site))
        await site.beat()
    assert set(words._signs) == {"router-1"}
    loop = asyncio.get_running_loop()
    written = asyncio.Event()

    async def note() -> None:
        written.set()

    monkeypatch.setattr(words, "write_signs", note)
    running = asyncio.create_task(words.run())
    await asyncio.sleep(0)
    real = loop.time
    monkeypatch.setattr(loop, "time", lambda: real() + 60)
    await written.wait()
    running.cancel()
    assert words._signs == {}
