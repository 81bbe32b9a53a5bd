"""May a node be stopped? Each reason against it, alone; and that nothing less than all of them gone makes a yes."""

from __future__ import annotations

from typing import Any

import pytest

from dnsd.control.progress import RESOLVER_SLACK_SECONDS
from dnsd.core.names import from_text
from dnsd.core.trace import Answered
from dnsd.model.node import Monitor, Node
from dnsd.model.pool import WhenEmpty
from dnsd.model.state import Consumer
from dnsd.model.times import format_duration
from tests.control.rig import ABC, EDGE, BreakableStore, FakeWorkers, Site, acknowledged, settings_of, site_of
from tests.support.fleets import node, pool

WATCHED = (node("a", "192.0.2.10", monitor=Monitor.AGENT), *ABC[1:])


async def left(nodes: tuple[Node, ...] = ABC, pools: tuple[Any, ...] = (pool(),), **options: Any) -> Site:
    """Return a site on which node a was drained and caches have run out."""
    site = await site_of(nodes, pools, **options)
    site.clock.advance(10_000)
    await site.drain("a", indefinite=True)
    await acknowledged()
    site.tick(max((each.ttl for each in pools), default=0) + RESOLVER_SLACK_SECONDS)
    await site.beat()
    return site


def held(ttl: float, *, role: str = "edge") -> str:
    """Return the blocker that says how long caches may answer, with so much of a TTL left."""
    return f"{role}: caches may still answer with it for {format_duration(ttl + RESOLVER_SLACK_SECONDS)}"


async def blockers(site: Site, *, hear: bool = True) -> list[str]:
    """Return what stands against stopping node a, after the store was heard unless told otherwise."""
    if hear:
        await site.hear()
    status = site.status("a")
    assert status.safe_to_stop is (not status.blockers)
    for state in status.roles.values():
        assert state.safe_to_stop is (not state.blockers)
    return status.blockers


async def test_a_node_that_has_left_may_be_stopped() -> None:
    """Drained, applied, caches run out, sessions not known by declaration: yes, and the caveat says on what."""
    site = await left()
    assert await blockers(site) == []
    assert "not known" in site.status("a").caveats[0]


async def test_a_node_that_is_not_drained_may_not() -> None:
    """In service: the mode and the pool that names it stand against it."""
    site = await site_of()
    assert await blockers(site) == ["edge: not drained", "edge: edge.example.org. still answers with it"]


async def test_not_before_every_worker_has_let_go_nor_before_caches_have() -> None:
    """One of two workers that lags holds everything up; the TTL counts from its acknowledgement."""
    site = await site_of(workers=FakeWorkers(2, holding=True))
    await site.drain("a")
    site.workers.acknowledge(0)
    site.clock.advance(1000)
    assert await blockers(site) == [
        "edge: ns1 (dns) has not applied revision 1",
        "edge: not every worker has let go of it",
    ]
    site.workers.acknowledge(1)
    assert await blockers(site) == [held(30)]
    dns = site.status("a").roles["edge"].dns
    clear_at = site.clock.wall + 30 + RESOLVER_SLACK_SECONDS
    assert (dns.withdrawn_at, dns.max_ttl, dns.caches_clear_at) == (site.clock.wall, 30, clear_at)
    site.clock.advance(29.9 + RESOLVER_SLACK_SECONDS)
    assert await blockers(site) == ["edge: caches may still answer with it for 1s"]
    site.clock.advance(0.1)
    assert await blockers(site) == []


async def test_what_workers_measured_counts_instead_of_the_whole_ttl() -> None:
    """Last answered 20 s before the drain: 10 s to go, and one for resolvers' rounding; nobody told of the release."""
    site = await site_of(workers=FakeWorkers(2, holding=True))
    site.clock.advance(1000)
    await site.drain("a", indefinite=True)
    told = {from_text(EDGE): Answered(20.0, 10.0, 30)}
    site.workers.answers.tell(site.plane.publisher.generation, told, steady=site.clock.steady)
    site.workers.acknowledge()
    assert await blockers(site) == [held(10)]
    dns = site.status("a").roles["edge"].dns
    clear_at = site.clock.wall + 10 + RESOLVER_SLACK_SECONDS
    assert (dns.last_named_at, dns.max_ttl, dns.caches_clear_at) == (site.clock.wall - 20, 30, clear_at)
    site.clock.advance(10 + RESOLVER_SLACK_SECONDS)
    assert await blockers(site) == []
    await site.release("a")
    await site.drain("a", indefinite=True)
    site.workers.acknowledge()
    assert await blockers(site) == [held(30)]


async def test_a_wall_clock_that_is_set_forward_clears_no_cache() -> None:
    """An hour's jump of the clock right after the drain changes nothing for resolvers."""
    site = await site_of()
    site.clock.advance(100)
    await site.drain("a", indefinite=True)
    await acknowledged()
    site.clock.set_by(3600)
    assert await blockers(site) == [held(30)]
    site.clock.advance(30 + RESOLVER_SLACK_SECONDS)
    assert await blockers(site) == []


@pytest.mark.parametrize(
    ("sessions", "expected"),
    [
        ({"viewers": 3, "inputs": 0, "jobs": 0}, ["edge: 3 viewers still connected"]),
        ({"viewers": 0, "inputs": 1, "jobs": 2}, ["edge: 1 inputs still connected", "edge: 2 jobs still running"]),
        ({"viewers": 0, "inputs": 0}, ["edge: the number of jobs is not known"]),
        ({"viewers": 0, "inputs": 0, "jobs": 0}, []),
    ],
)
async def test_sessions_of_every_kind_must_be_known_and_zero(sessions: dict[str, int], expected: list[str]) -> None:
    """A count that is missing is not zero."""
    site = await left(WATCHED)
    await site.report("a", sessions={"edge": sessions})
    assert await blockers(site) == expected


async def test_a_report_that_is_missing_stale_or_silent_about_the_role_is_no_ground() -> None:
    """No report; one of another role only; one that has aged."""
    site = await left((node("a", monitor=Monitor.AGENT), *ABC[1:]))
    assert await blockers(site) == ["edge: its agent has not reported: sessions are not known"]
    await site.report("a", sessions={})
    assert len(await blockers(site)) == 3
    await site.report("a")
    assert await blockers(site) == []
    site.clock.advance(30)
    await site.beat()
    assert await blockers(site) == ["edge: its last report is 30s old: sessions are not known"]


async def test_a_report_from_before_the_node_had_left_does_not_count() -> None:
    """Zero sessions while caches still sent clients says nothing; the next report does."""
    site = await site_of(WATCHED, [pool(ttl=5)])
    await site.report("a")
    site.clock.advance(5)
    await site.drain("a", indefinite=True)
    await acknowledged()
    site.clock.advance(2)
    await site.report("a")
    site.clock.advance(3 + RESOLVER_SLACK_SECONDS)
    (reason,) = await blockers(site)
    assert "sessions may have begun since" in reason
    await site.report("a")
    assert await blockers(site) == []


async def test_an_agent_that_lags_behind_the_drain_is_pending() -> None:
    """A report that names an older revision than the drain's: the agent still lets work in."""
    site = await left(WATCHED)
    await site.report("a", applied_revision=0)
    assert await blockers(site) == ["edge: a (agent) has not applied revision 1"]
    await site.report("a", applied_revision=1)
    assert await blockers(site) == []
    assert [(each.consumer, each.kind) for each in site.status("a").roles["edge"].applied] == [
        ("ns1", "dns"),
        ("a", "agent"),
    ]


@pytest.mark.parametrize(
    ("silent_seconds", "words"),
    [
        (0.0, "edge: ns2 (dns) has not applied revision 1"),
        (60.0, "edge: ns2 (dns) is silent since 1m and had not applied revision 1: it may still answer with it"),
        (2 * 86400.0, None),
    ],
)
async def test_another_server_that_is_behind_blocks_also_when_it_has_gone_silent(
    silent_seconds: float, words: str | None
) -> None:
    """It may have lost the store alone, and go on answering; after a day it is taken as gone."""
    site = await left()
    seen_at = site.clock.wall - silent_seconds
    await site.store.heartbeat(Consumer(id="ns2", kind="dns", applied=0, applied_at=seen_at, seen_at=seen_at))
    await site.beat()
    caches = held(30)
    assert await blockers(site) == ([] if words is None else [words, caches])
    await site.store.heartbeat(Consumer(id="ns2", kind="dns", applied=1, applied_at=seen_at, seen_at=seen_at))
    await site.beat()
    site.clock.advance(30 + RESOLVER_SLACK_SECONDS)
    assert await blockers(site) == []


async def test_not_before_the_other_consumers_are_known() -> None:
    """Right after a start nobody knows yet who else answers."""
    site = await site_of(heard=False)
    await site.drain("a")
    await acknowledged()
    site.clock.advance(1000)
    assert await blockers(site) == ["how far other servers and routers are is not known yet"]
    await site.beat()
    assert await blockers(site) == []


async def test_not_while_the_store_is_not_heard() -> None:
    """Others may have released the drain: an outage, and a store that hangs without an error."""
    site = await left()
    assert isinstance(site.store, BreakableStore)
    site.store.reads_fail = True
    await site.beat()
    words = ["the store is not heard: others may have released its drains"]
    assert await blockers(site, hear=False) == words
    site.store.reads_fail = False
    assert await blockers(site) == []
    site.clock.advance(15)
    assert await blockers(site, hear=False) == words


async def test_after_a_start_an_earlier_server_counts_until_the_take_over() -> None:
    """The drain is old, but a server before this one may have named the node until this one took over."""
    first = await left()
    again = await site_of(store=first.store, clock=first.clock)
    again.clock.advance(100)
    again.plane.taken_over()
    await again.hear()
    assert await blockers(again) == [held(30)]
    again.clock.advance(30 + RESOLVER_SLACK_SECONDS)
    await again.hear()
    assert await blockers(again) == []


async def test_a_fallback_that_names_it_and_a_pool_that_shares_its_address_block() -> None:
    """`when_empty = draining` names a drained node; a twin on its address keeps the address in answers."""
    site = await site_of(ABC[:1], [pool(when_empty=WhenEmpty.DRAINING)])
    await site.drain("a", force=True)
    await acknowledged()
    site.clock.advance(1000)
    assert await blockers(site) == ["edge: edge.example.org. still answers with it"]
    twins = await left((ABC[0], node("twin", "192.0.2.10")))
    assert await blockers(twins) == ["edge: edge.example.org. still answers with it"]


async def test_draining_again_counts_anew_and_keeps_the_longer_ttl_while_it_runs() -> None:
    """Back in service for a moment under a pool of TTL 300, then out again: 300 s from the second time."""
    pools = (pool(ttl=5), pool("long.example.org.", ttl=300, match={"region": "eu"}))
    site = await left(ABC, pools)
    assert await blockers(site) == []
    await site.release("a")
    await acknowledged()
    await site.drain("a")
    await acknowledged()
    assert await blockers(site) == [held(300)]
    assert site.status("a").roles["edge"].dns.max_ttl == 300


@pytest.mark.parametrize("becomes", [(pool(ttl=5),), (pool("other.example.org.", ttl=5),)], ids=["lowered", "removed"])
async def test_a_reload_that_lowers_a_ttl_or_removes_a_pool_leaves_what_caches_have(becomes: tuple[Any, ...]) -> None:
    """Answers of before the reload live on in caches with the TTL that they had."""
    site = await site_of(ABC, [pool(ttl=3600)])
    site.clock.advance(100_000)
    site.plane.reload(settings_of(ABC, becomes))
    await acknowledged()
    site.clock.advance(10)
    await site.drain("a", indefinite=True)
    await acknowledged()
    assert await blockers(site) == [held(3590)]
    site.clock.advance(3590 + RESOLVER_SLACK_SECONDS)
    await site.beat()
    assert await blockers(site) == []
    await site.release("a")
    await acknowledged()
    await site.drain("a")
    await acknowledged()
    assert site.status("a").roles["edge"].dns.max_ttl == 5


async def test_a_role_that_was_taken_from_the_node_still_stands_in_caches() -> None:
    """Replaced without its second role, then drained: the old role's answers count for the node."""
    site = await site_of([], [pool(ttl=5), pool("in.example.org.", role="ingest", ttl=600)])
    both = {"roles": ["edge", "ingest"], "monitor": "none"}
    assert await site.register("a", "192.0.2.10", **both)
    await acknowledged()
    site.clock.advance(100_000)
    assert await site.register("a", "192.0.2.10", monitor="none")
    await site.drain("a", force=True)
    await acknowledged()
    edge_clear = 5 + RESOLVER_SLACK_SECONDS
    site.clock.advance(edge_clear)
    assert await blockers(site) == [held(600 - edge_clear, role="ingest")]


async def test_a_node_replaced_while_drained_has_still_left() -> None:
    """Another address does not bring a drained node back into answers, nor make it safe while others lag."""
    site = await site_of([ABC[1]], [pool()])
    await site.register("a", "192.0.2.10", monitor="none")
    await site.drain("a", indefinite=True)
    await acknowledged()
    site.workers.holding = True
    await site.register("a", "192.0.2.77", monitor="none")
    site.clock.advance(1000)
    assert await blockers(site) == ["edge: ns1 (dns) has not applied revision 3"]
    site.workers.acknowledge()
    assert await blockers(site) == []


async def test_each_role_for_itself_and_the_node_for_all() -> None:
    """One role drained and gone is safe for the role, and not for the node."""
    site = await site_of(
        [node("a", "192.0.2.10", roles=("edge", "ingest")), *ABC[1:]], [pool(), pool("in.example.org.", role="ingest")]
    )
    await site.drain("a", roles=["edge"])
    await acknowledged()
    site.clock.advance(1000)
    await site.hear()
    status = site.status("a")
    assert (status.roles["edge"].safe_to_stop, status.roles["ingest"].safe_to_stop) == (True, False)
    assert status.blockers == ["ingest: not drained", "ingest: in.example.org. still answers with it"]


async def test_a_scheduled_drain_is_no_drain_yet() -> None:
    """Until its start the node is in service; from the start on the answers follow, and only then caches run out."""
    site = await site_of()
    await site.drain("a", starts_at=site.clock.wall + 100)
    await acknowledged()
    assert "edge: not drained" in await blockers(site)
    site.clock.advance(100)
    assert await blockers(site) == ["edge: edge.example.org. still answers with it"]
    site.tick()
    await acknowledged()
    assert await blockers(site) == [held(30)]


async def test_what_another_server_answered_until_it_had_applied_the_drain_stands_in_caches_too() -> None:
    """It applies the drain a minute later than this one: the TTL counts from there, and not from here alone."""
    site = await site_of()
    now = site.clock.wall
    await site.store.heartbeat(Consumer(id="ns2", kind="dns", applied=0, applied_at=now, seen_at=now))
    await site.beat()
    await site.drain("a", indefinite=True)
    await acknowledged()
    site.clock.advance(60)
    for expected in ([held(30)], []):
        now = site.clock.wall
        await site.store.heartbeat(Consumer(id="ns2", kind="dns", applied=1, applied_at=now, seen_at=now))
        await site.beat()
        assert await blockers(site) == expected
        site.clock.advance(30 + RESOLVER_SLACK_SECONDS)


async def test_where_no_pool_ever_was_another_server_leaves_nothing_in_caches() -> None:
    """Without a TTL there is nothing to wait for, not even a resolver's last second."""
    site = await site_of(pools=())
    now = site.clock.wall
    await site.store.heartbeat(Consumer(id="ns2", kind="dns", applied=1, applied_at=now, seen_at=now))
    await site.beat()
    await site.drain("a", indefinite=True)
    await acknowledged()
    assert await blockers(site) == []
    assert site.status("a").roles["edge"].dns.caches_clear_at is None


async def test_a_drain_that_ends_soon_is_a_caveat() -> None:
    """Whoever is about to stop the node is told that it may be answered again; not where another drain stays."""
    site = await site_of()
    await site.drain("a", expires_in=300.0)
    assert site.status("a").caveats[-1] == "edge: its drain ends in 5m, and it may be answered again"
    await site.drain("a", holder="os-update", indefinite=True)
    assert not any("ends in" in caveat for caveat in site.status("a").caveats)
