"""What a server tells of its checks in the store: when it is written, and when nothing is."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from dnsd.control.checks import checking, telling
from dnsd.control.checks.telling import ChecksTeller
from dnsd.errors import StoreRefused, StoreUnavailable
from dnsd.model.check import Results
from dnsd.model.node import Monitor
from tests.control.checks.rig import (
    CHECK,
    CHECKED,
    REFUSED,
    FakeProber,
    all_are,
    checked_site,
    reload,
)
from tests.control.rig import ABC, ALICE, BreakableStore, Site
from tests.support.fleets import node
from tests.support.waiting import under_way, until


class TellingStore(BreakableStore):
    """A memory store that has readers.

    Attributes:
        there: what stands, by server; it may be lost.
        told: what was written, each time.
        asked, last: how often it was told anything, and the last of it.
        error: what that raises.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.there: dict[str, Results] = {}
        self.told: list[Results] = []
        self.asked = 0
        self.last: Results = {}
        self.error: StoreUnavailable | None = None

    async def tell_checked(self, results: Results, *, server: str, at: float) -> None:
        self.asked += 1
        self.last = results
        if self.error is not None:
            raise self.error
        self._may_write()
        if results != self.there.get(server, {}):
            self.told.append(results)
            self.there[server] = results

    async def asked_again(self) -> None:
        """Wait until it was told twice more what it may have, of which one has begun by now."""
        wanted = self.asked + 2
        await until(lambda: self.asked >= wanted)


def words(**up: bool) -> Results:
    """Return results in the role `edge`."""
    return {name: {"edge": each} for name, each in up.items()}


ALL_UP = words(a=True, b=True, c=True)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gather for no longer than a test needs."""
    monkeypatch.setattr(telling, "GATHER_SECONDS", 0.01)


@contextlib.asynccontextmanager
async def telling_site(
    network: FakeProber, *, there: Results | None = None, **options: Any
) -> AsyncIterator[tuple[Site, TellingStore, ChecksTeller]]:
    """Run a site's checks, and tell of them.

    Args:
        there: what a server of the same id has told before.
    """
    store = TellingStore()
    await store.open()
    if there is not None:
        store.there["ns1"] = there
    async with checked_site(network=network, store=store, **options) as site:
        plane = site.plane
        settings = plane._present_settings
        health = plane.store_health
        teller = ChecksTeller(store, plane.checks, plane.publisher, settings=settings, health=health, clock=plane.clock)
        async with under_way(teller.run()):
            yield site, store, teller


async def test_what_is_found_is_told_after_the_first_round_and_when_it_changes(network: FakeProber) -> None:
    """All at once, and from then on only what makes another health: not each failure."""
    async with telling_site(network) as (site, store, _):
        await until(lambda: store.there.get("ns1") == ALL_UP)
        assert store.told == [ALL_UP]
        network.outcomes["192.0.2.11"] = REFUSED
        await all_are(site, a="up", b="down", c="up")
        await until(lambda: store.there["ns1"] == words(a=True, b=False, c=True))
        await network.more_of("192.0.2.11", 10)
        await store.asked_again()
        assert len(store.told) == 2


async def test_what_is_not_known_is_left_out(network: FakeProber) -> None:
    """A node that gives no verdict, one without a check, and one whose health an agent alone tells."""
    a, b, c = (replace(each, region="us") for each in CHECKED)
    d = node("d", "192.0.2.13", monitor=Monitor.AGENT)
    nodes = (a, replace(b, region="eu"), replace(c, roles=("storage",)), d)
    check = replace(CHECK, match={"region": "us"})
    async with telling_site(network, nodes=nodes, checks=(check,)) as (_, store, _teller):
        await until(lambda: store.there.get("ns1") == words(a=True))
        await store.asked_again()
        assert store.told == [words(a=True)]


async def test_a_node_that_swallows_everything_holds_up_no_word_on_others(
    network: FakeProber, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first round has an end."""
    monkeypatch.setattr(checking, "FIRST_ROUND_SECONDS", 0.05)
    network.hung = {"192.0.2.12"}
    async with telling_site(network) as (_, store, _teller):
        await until(lambda: store.there.get("ns1") == words(a=True, b=True))


async def test_what_a_server_of_the_same_id_has_left_is_taken_out_at_the_start(
    network: FakeProber, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be from long ago; nothing else is told before the first round is over."""
    monkeypatch.setattr(checking, "FIRST_ROUND_SECONDS", 1000.0)
    network.hung = {"192.0.2.12"}
    async with telling_site(network, there=words(a=False)) as (_, store, _teller):
        await network.more_of("192.0.2.11")
        await store.asked_again()
        assert store.told == [{}]
        network.answer_again()
        await until(lambda: store.there["ns1"] == ALL_UP)
        assert store.told == [{}, ALL_UP]


async def test_a_server_that_may_be_taken_as_dead_tells_all_anew(
    network: FakeProber, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After it could not write, was held up, or its clock was set, and once in a while; and not without a reason."""
    async with telling_site(network) as (site, store, _):
        await until(lambda: store.there.get("ns1") == ALL_UP)

        async def is_told_anew() -> bool:
            await store.asked_again()
            before = store.last
            await store.asked_again()
            return store.last is not before

        assert not await is_told_anew()
        site.plane.store_health.failed_to_write(StoreUnavailable("the disk is full"))
        assert await is_told_anew()
        site.plane.store_health.was_written()
        assert not await is_told_anew()
        for name in ("SILENT_SECONDS", "REFRESH_SECONDS"):
            with monkeypatch.context() as patch:
                patch.setattr(telling, name, -1.0)
                assert await is_told_anew()
            assert not await is_told_anew()
        for seconds in (3600.0, -3600.0):
            before = store.last
            site.clock.set_by(seconds)
            await store.asked_again()
            assert store.last is not before
            assert not await is_told_anew()
        assert store.told == [ALL_UP]


async def test_nothing_is_written_where_nothing_is_checked(network: FakeProber) -> None:
    """And what a server of that id has left is taken out."""
    async with telling_site(network, nodes=ABC, checks=(), there=ALL_UP) as (_, store, _teller):
        await until(lambda: store.there["ns1"] == {})
        await store.asked_again()
        assert store.told == [{}]


async def test_an_outage_and_what_the_store_has_lost(network: FakeProber, caplog: pytest.LogCaptureFixture) -> None:
    """What changes meanwhile is told afterwards; what was lost is told again, though nothing changes."""
    async with telling_site(network) as (site, store, _):
        await until(lambda: store.there.get("ns1") == ALL_UP)
        store.writes_fail = True
        network.outcomes["192.0.2.11"] = REFUSED
        await all_are(site, a="up", b="down", c="up")
        await store.asked_again()
        assert store.there["ns1"] == ALL_UP
        store.writes_fail = False
        await until(lambda: store.there["ns1"] == words(a=True, b=False, c=True))
        for lost in ({}, {"ns1": ALL_UP}):
            store.there = dict(lost)
            await until(lambda: store.there.get("ns1") == words(a=True, b=False, c=True))
        with caplog.at_level(logging.ERROR, logger=telling.__name__):
            store.error = StoreRefused("a key has another type")
            for _ in range(3):
                await store.asked_again()
            store.error = None
            store.there = {}
            await until(lambda: store.there.get("ns1") == words(a=True, b=False, c=True))
        assert [each.getMessage() for each in caplog.records if each.name == telling.__name__] == [
            "routers are not told what checks find: a key has another type"
        ]
        assert site.plane.store_health.up


async def test_a_reload_and_nodes_that_come_and_go(network: FakeProber) -> None:
    """Whoever is checked no more is taken out; without checks, everybody is."""
    async with telling_site(network) as (site, store, _):
        await until(lambda: store.there.get("ns1") == ALL_UP)
        await site.register("n", "192.0.2.50", monitor="check")
        await until(lambda: store.there["ns1"] == {**ALL_UP, **words(n=True)})
        await site.plane.remove_node("n", actor=ALICE, if_revision=None)
        await until(lambda: store.there["ns1"] == ALL_UP)
        reload(site, CHECKED[:2], (CHECK,))
        await until(lambda: store.there["ns1"] == words(a=True, b=True))
        reload(site, CHECKED, ())
        await until(lambda: store.there["ns1"] == {})
        reload(site, CHECKED, (CHECK,))
        await until(lambda: store.there["ns1"] == ALL_UP)


async def test_a_server_that_ends_takes_its_word_out(network: FakeProber) -> None:
    """One that has not begun to tell takes nothing out, and a store that is away holds nobody up."""
    async with telling_site(network) as (_, store, teller):
        await until(lambda: store.there.get("ns1") == ALL_UP)
    await teller.leave()
    assert store.told == [ALL_UP, {}]
    async with telling_site(network) as (_, store, teller):
        await until(lambda: store.there.get("ns1") == ALL_UP)
    store.writes_fail = True
    await teller.leave()
    assert store.there["ns1"] == ALL_UP
