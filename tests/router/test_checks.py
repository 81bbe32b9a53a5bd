"""What servers find by checks, in a router: who counts, what the most of them say, and what becomes of nodes by it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import pytest

from dnsd.errors import StoreRefused, StoreUnavailable
from dnsd.model.check import CheckedBy, Results
from dnsd.model.node import Monitor
from dnsd.model.report import Health
from dnsd.model.state import Consumer
from dnsd.router import AllDown, FleetView, RolePolicy, Router, checks, store_following
from dnsd.router.checks import LIVE_SECONDS, LOOK_SECONDS, MOST_SECONDS, OLD_SECONDS, ChecksReader, Quorum
from dnsd.stores.memory import MemoryStore
from tests.router.fleets import NOW, ROLE, Clock, a_node, a_report, a_view, member_of
from tests.router.test_following import following
from tests.router.written import a_store
from tests.support.waiting import until

UP: Results = {"n0": {ROLE: True}}
DOWN: Results = {"n0": {ROLE: False}}
NOTHING: Results = {"n1": {ROLE: True}}


class Servers(MemoryStore):
    """A store where servers tell of their checks, and a steady clock.

    Attributes:
        words: what each tells; one that is silent keeps its instant.
        told_at: when, where that is not the instant of its last sign of life.
        hears: the store takes words.
        error: what a look raises.
    """

    def __init__(self, **words: Results) -> None:
        super().__init__()
        self.words: dict[str, Results] = words
        self.seen_at = dict.fromkeys(words, NOW)
        self.told_at: dict[str, float] = {}
        self.silent: set[str] = set()
        self.hears = True
        self.error: StoreUnavailable | None = None
        self.now = 0.0

    async def checked(self) -> Mapping[str, CheckedBy]:
        if self.error is not None:
            raise self.error
        return {
            name: CheckedBy(words, seen_at, self.told_at.get(name, seen_at or NOW))
            for name, words in self.words.items()
            for seen_at in (self.seen_at.get(name),)
        }

    async def looked_at(self, reader: ChecksReader, *, seconds: float = LOOK_SECONDS) -> None:
        """Let time pass, have whoever lives say so, and look."""
        self.now += seconds
        self.seen_at.update({name: at + seconds for name, at in self.seen_at.items() if name not in self.silent})
        await reader.look()

    def reader(self, view: FleetView) -> ChecksReader:
        """Return what puts their words into a view."""
        return ChecksReader(self, view, clock=lambda: NOW, hears=lambda: self.hears, steady=lambda: self.now)


def checked_view(**more: Any) -> FleetView:
    """Return a view of a node that nothing but checks tell of."""
    return a_view([a_node("n0", monitor=Monitor.CHECK, **more)])


def health(view: FleetView, name: str = "n0") -> Health:
    """Return what a node is taken for."""
    return member_of(view, name).health


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ((), Health.UP),
        ((NOTHING, NOTHING), Health.UP),
        ((DOWN,), Health.DOWN),
        ((DOWN, NOTHING, NOTHING), Health.DOWN),
        ((DOWN, UP), Health.UP),
        ((DOWN, UP, DOWN), Health.DOWN),
        ((DOWN, UP, UP), Health.UP),
        ((DOWN, DOWN, UP, UP, NOTHING), Health.UP),
    ],
)
async def test_more_than_half_of_those_who_know_a_node_decide(words: tuple[Results, ...], found: Health) -> None:
    """A tie is up; where nobody says anything, it is taken as healthy."""
    view = checked_view()
    servers = Servers(**{f"ns{number}": each for number, each in enumerate(words)})
    await servers.looked_at(servers.reader(view))
    assert health(view) is found


async def test_what_becomes_of_a_node_is_followed() -> None:
    """Down, up, and unknown again; each role by itself, and a node that is not there yet."""
    view = checked_view(roles=(ROLE, "origin"))
    servers = Servers(ns1={"n0": {ROLE: False}, "late": {ROLE: False}})
    reader = servers.reader(view)
    await servers.looked_at(reader)
    assert health(view) is Health.DOWN
    origin = view.member("n0", "origin")
    assert origin is not None
    assert origin.health.serves
    view.take_configured([a_node("late", monitor=Monitor.CHECK)], now=NOW)
    assert health(view, "late") is Health.DOWN
    for results, found in ((UP, Health.UP), (DOWN, Health.DOWN), ({"n0": {"origin": False}}, Health.UP)):
        servers.words["ns1"] = results
        await servers.looked_at(reader)
        assert health(view) is found
    assert health(view, "late") is Health.UP
    assert origin.health is Health.DOWN


@pytest.mark.parametrize(
    ("monitor", "up", "found"),
    [
        (Monitor.AGENT, True, Health.DOWN),
        (Monitor.AGENT, False, Health.DOWN),
        (Monitor.AGENT, None, Health.DOWN),
        (Monitor.CHECK, True, Health.DOWN),
        (Monitor.NONE, False, Health.UP),
    ],
)
async def test_the_worse_counts_where_an_agent_reports_as_well(
    monitor: Monitor, up: bool | None, found: Health
) -> None:
    """As in a server: a check that fails makes nobody up, and of a node that nothing monitors it says nothing."""
    reports = [] if up is None else [a_report("n0", up=up)]
    view = a_view([a_node("n0", monitor=monitor)], reports=reports)
    servers = Servers(ns1=DOWN)
    await servers.looked_at(servers.reader(view))
    assert health(view) is found


async def test_a_check_makes_nobody_up_whose_agent_says_otherwise() -> None:
    """Or is silent."""
    view = a_view([a_node(each, monitor=Monitor.AGENT) for each in ("n0", "n1")], reports=[a_report("n0", up=False)])
    servers = Servers(ns1={**UP, **NOTHING})
    await servers.looked_at(servers.reader(view))
    assert (health(view), health(view, "n1")) == (Health.DOWN, Health.UNKNOWN)


async def test_a_node_that_is_down_is_named_only_where_all_are() -> None:
    """The tiers are those of reports, with `fail_open` and without."""
    view = a_view([a_node(each, monitor=Monitor.CHECK) for each in ("n0", "n1")])
    servers = Servers(ns1={**DOWN, **NOTHING})
    reader = servers.reader(view)
    await servers.looked_at(reader)
    router = Router(view, clock=Clock())
    assert {router.select(ROLE, key=str(key)).node.id for key in range(30)} == {"n1"}
    servers.words["ns1"] = {each: {ROLE: False} for each in ("n0", "n1")}
    await servers.looked_at(reader)
    choices = [router.select(ROLE, key=str(key)) for key in range(30)]
    assert {each.node.id for each in choices} == {"n0", "n1"}
    assert {each.reason for each in choices} == {"placed-unhealthy"}
    strict = Router(view, policies={ROLE: RolePolicy(fails_open=False)}, clock=Clock())
    with pytest.raises(AllDown):
        strict.select(ROLE, key="1")


async def test_a_dead_servers_word_counts_no_more_after_ten_seconds() -> None:
    """Whatever it said: the others decide, and without any the node is taken as healthy."""
    view = checked_view()
    servers = Servers(ns1=DOWN, ns2=DOWN, ns3=UP)
    reader = servers.reader(view)
    await servers.looked_at(reader)
    assert health(view) is Health.DOWN
    servers.silent = {"ns1"}
    for _ in range(int(LIVE_SECONDS / LOOK_SECONDS) - 1):
        await servers.looked_at(reader)
        assert health(view) is Health.DOWN
    await servers.looked_at(reader)
    assert health(view) is Health.UP
    servers.silent = {"ns2", "ns3"}
    servers.words["ns1"] = dict(DOWN)
    await servers.looked_at(reader)
    assert health(view) is Health.DOWN
    servers.silent = set(servers.words)
    for _ in range(int(LIVE_SECONDS / LOOK_SECONDS)):
        await servers.looked_at(reader)
    assert health(view) is Health.UP


async def test_a_server_that_was_dead_counts_again_when_it_has_told_anew() -> None:
    """A new process of its id gives a sign of life before it knows anything; the old word may be from long ago."""
    view = checked_view()
    servers = Servers(ns1=UP, ns2=DOWN)
    reader = servers.reader(view)
    servers.silent = {"ns1"}
    for _ in range(int(LIVE_SECONDS / LOOK_SECONDS) + 1):
        await servers.looked_at(reader)
    assert health(view) is Health.DOWN
    servers.silent = set()
    for _ in range(3):
        await servers.looked_at(reader)
        assert health(view) is Health.DOWN
    servers.words["ns1"] = dict(UP)
    await servers.looked_at(reader)
    assert health(view) is Health.UP


async def test_a_word_may_come_before_the_sign_of_life_that_it_needs() -> None:
    """Also where the look that finds the one finds its server silent for too long."""
    view = checked_view()
    servers = Servers(ns1=DOWN)
    reader = servers.reader(view)
    await servers.looked_at(reader)
    servers.silent = {"ns1"}
    for _ in range(int(LIVE_SECONDS / LOOK_SECONDS) - 1):
        await servers.looked_at(reader)
    servers.words["ns1"] = dict(DOWN)
    await servers.looked_at(reader)
    assert health(view) is Health.UP
    servers.silent = set()
    await servers.looked_at(reader)
    assert health(view) is Health.DOWN


async def test_a_word_that_its_server_does_not_renew_counts_no_more() -> None:
    """One that lives, as an older dnsd in the place of one that was killed; at first sight, and of those known."""
    view, late = checked_view(), checked_view()
    servers = Servers(ns1=DOWN)
    reader = servers.reader(view)
    await servers.looked_at(reader)
    servers.told_at["ns1"] = NOW
    looks = int((OLD_SECONDS + LIVE_SECONDS) / LOOK_SECONDS)
    for _ in range(int(OLD_SECONDS / LOOK_SECONDS) - 1):
        await servers.looked_at(reader)
    assert health(view) is Health.DOWN
    for _ in range(looks):
        await servers.looked_at(reader)
    assert health(view) is Health.UP
    reader_of_late = servers.reader(late)
    for _ in range(3):
        await servers.looked_at(reader_of_late)
        assert health(late) is Health.UP
    servers.words["ns1"], servers.told_at = dict(DOWN), {}
    for each in (reader, reader_of_late):
        await servers.looked_at(each)
    assert (health(view), health(late)) == (Health.DOWN, Health.DOWN)


async def test_a_clock_that_was_set_back_makes_no_word_old() -> None:
    """Until the server has told it anew, which it does at once, the word is from what it takes for later."""
    view = checked_view()
    servers = Servers(ns1=DOWN)
    servers.told_at["ns1"] = NOW + 86_400
    reader = servers.reader(view)
    for _ in range(10):
        await servers.looked_at(reader)
    assert health(view) is Health.DOWN


async def test_a_store_that_takes_no_words_has_found_nobody_silent() -> None:
    """It is full, or a replica: it can be read, and no server can say that it lives."""
    view = checked_view()
    servers = Servers(ns1=DOWN)
    reader = servers.reader(view)
    await servers.looked_at(reader)
    servers.silent, servers.hears = {"ns1"}, False
    for _ in range(20):
        await servers.looked_at(reader)
    assert health(view) is Health.DOWN
    servers.hears = True
    for _ in range(int(LIVE_SECONDS / LOOK_SECONDS)):
        await servers.looked_at(reader)
        assert health(view) is Health.DOWN
    await servers.looked_at(reader)
    assert health(view) is Health.UP


async def test_a_word_that_is_gone_counts_as_long_as_that_of_a_silent_server() -> None:
    """A store that has lost it undoes nothing, since servers tell it again; whoever has ended is forgotten."""
    view = checked_view()
    servers = Servers(ns1=DOWN)
    reader = servers.reader(view)
    await servers.looked_at(reader)
    servers.words = {}
    for _ in range(int(LIVE_SECONDS / LOOK_SECONDS) - 1):
        await servers.looked_at(reader)
        assert health(view) is Health.DOWN
    servers.words = {"ns1": dict(DOWN)}
    await servers.looked_at(reader)
    servers.words = {}
    for _ in range(int(LIVE_SECONDS / LOOK_SECONDS)):
        await servers.looked_at(reader)
    assert health(view) is Health.UP
    assert reader._quorum._servers == {}


async def test_in_an_outage_what_was_read_last_stands() -> None:
    """However long it takes; afterwards the time of those who are silent goes on from where it stood."""
    view = checked_view()
    servers = Servers(ns1=DOWN)
    reader = servers.reader(view)
    await servers.looked_at(reader)
    servers.silent, servers.error = {"ns1"}, StoreUnavailable("away")
    for _ in range(5):
        await servers.looked_at(reader, seconds=3600)
    assert health(view) is Health.DOWN
    servers.error = None
    for _ in range(int(LIVE_SECONDS / LOOK_SECONDS)):
        assert health(view) is Health.DOWN
        await servers.looked_at(reader)
    await servers.looked_at(reader)
    assert health(view) is Health.UP


async def test_a_router_that_was_held_up_has_not_found_everybody_silent() -> None:
    """Two looks far apart count for no more than a few seconds."""
    view = checked_view()
    servers = Servers(ns1=DOWN)
    reader = servers.reader(view)
    await servers.looked_at(reader)
    servers.silent = {"ns1"}
    assert MOST_SECONDS < LIVE_SECONDS
    await servers.looked_at(reader, seconds=3600)
    assert health(view) is Health.DOWN


@pytest.mark.parametrize("off", [-86_400.0, 86_400.0])
async def test_how_clocks_are_set_does_not_matter(off: float) -> None:
    """Servers a day off the router count; one of several that is behind counts from its next sign of life on."""
    view = checked_view()
    servers = Servers(ns1=DOWN)
    servers.seen_at["ns1"] = NOW + off
    await servers.looked_at(servers.reader(view))
    assert health(view) is Health.DOWN
    view = checked_view()
    servers = Servers(ns1=DOWN, ns2=DOWN, ns3=UP)
    servers.seen_at |= {"ns1": NOW + off, "ns2": NOW + off}
    reader = servers.reader(view)
    await servers.looked_at(reader)
    await servers.looked_at(reader)
    assert health(view) is Health.DOWN


async def test_at_first_sight_a_server_that_has_long_been_silent_does_not_count() -> None:
    """By the instants of the others, or where it has none at all; the last one that was there counts for a while."""
    view = checked_view()
    servers = Servers(ns1=UP, ns2=DOWN, ns3=DOWN)
    servers.seen_at["ns2"] = NOW - 60
    del servers.seen_at["ns3"]
    servers.silent = {"ns2"}
    await servers.looked_at(servers.reader(view))
    assert health(view) is Health.UP


async def test_only_nodes_of_which_the_most_say_something_else_are_looked_at() -> None:
    """A server that joins in what others say, or dies, has a view of thousands of nodes not worked out anew."""
    quorum = Quorum()
    results = {f"n{number}": {ROLE: number != 3} for number in range(100)}
    told = {"ns1": CheckedBy(results, NOW, NOW)}
    assert len(quorum.take(told, seconds=0)) == 100
    assert quorum.take({**told, "ns2": CheckedBy(dict(results), NOW, NOW)}, seconds=2) == {}
    flapping = {**results, "n5": {ROLE: False}}
    told = {name: CheckedBy(flapping, NOW + 1, NOW) for name in ("ns1", "ns2")}
    assert quorum.take(told, seconds=2) == {"n5": {ROLE: Health.DOWN}}


async def test_a_store_whose_key_is_anothers_is_told_once_and_followed_on(caplog: pytest.LogCaptureFixture) -> None:
    """What was read last stands; an outage is not told here."""
    view = checked_view()
    servers = Servers(ns1=DOWN)
    reader = servers.reader(view)
    await servers.looked_at(reader)
    for servers.error in (StoreUnavailable("away"), StoreRefused("a key has another type")):
        for _ in range(3):
            await servers.looked_at(reader)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "a key has another type" in caplog.text
    assert health(view) is Health.DOWN


async def test_no_node_is_named_at_first_that_is_known_to_be_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks are read before the drains count as loaded, and again and again from then on."""
    monkeypatch.setattr(checks, "LOOK_SECONDS", 0.002)
    written = await a_store(a_node("n0", monitor=Monitor.CHECK), a_node("n1", monitor=Monitor.CHECK))
    servers = Servers(ns1=DOWN)
    written.store.checked = servers.checked  # type: ignore[method-assign]
    async with following(written) as (view, _):
        assert (health(view), health(view, "n1")) == (Health.DOWN, Health.UP)
        servers.words["ns1"] = UP
        await until(lambda: health(view) is Health.UP)
        servers.error = StoreRefused("a key has another type")
        await written.write(a_node("n2"))
        await until(lambda: view.size == 3)


async def test_a_follower_takes_nobody_as_silent_while_its_own_word_is_not_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where Redis takes no writes, the servers cannot say that they live either."""
    monkeypatch.setattr(store_following, "HEARTBEAT_SECONDS", 0.002)
    monkeypatch.setattr(store_following, "RETRY_SECONDS", 0.002)
    monkeypatch.setattr(checks, "LOOK_SECONDS", 3600.0)  # the test looks
    written = await a_store(a_node("n0", monitor=Monitor.CHECK))
    servers = Servers(ns1=DOWN)
    servers.silent = {"ns1"}
    written.store.checked = servers.checked  # type: ignore[method-assign]
    async with following(written) as (view, follower):
        reader = follower._checks
        reader._steady = lambda: servers.now
        reader._looked_at = None
        assert health(view) is Health.DOWN
        heartbeat, failed, taken = written.store.heartbeat, 0, 0

        async def refuse(consumer: Consumer) -> bool:
            nonlocal failed
            failed += 1
            raise StoreUnavailable("the disk is full")

        async def take(consumer: Consumer) -> bool:
            nonlocal taken
            taken += 1
            return await heartbeat(consumer)

        written.store.heartbeat = refuse  # type: ignore[method-assign]
        await until(lambda: failed > 1)
        for _ in range(20):
            await servers.looked_at(reader)
        assert health(view) is Health.DOWN
        written.store.heartbeat = take  # type: ignore[method-assign]
        await until(lambda: taken > 1)
        for _ in range(20):
            await servers.looked_at(reader)
        assert health(view) is Health.UP
