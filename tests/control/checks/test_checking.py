"""Checks in a control plane: who is tried, what becomes of results, and what a reload leaves as it is."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

import pytest

from dnsd.api.schemas import Event
from dnsd.control.checks import checking
from dnsd.errors import StoreUnavailable
from dnsd.model.node import Monitor
from dnsd.model.report import Health
from tests.control.checks.rig import (
    CHECK,
    CHECKED,
    OURS,
    REFUSED,
    FakeProber,
    all_are,
    answers,
    checked_site,
    healths,
    reload,
    tier,
)
from tests.control.rig import ABC, ALICE, EDGE
from tests.support.fleets import node, pool
from tests.support.waiting import until


async def test_a_node_that_fails_its_check_leaves_the_answers_and_comes_back(network: FakeProber) -> None:
    """Each change is published once, with the reason in every view of it."""
    async with checked_site(network=network) as site:
        await all_are(site, a="up", b="up", c="up")
        assert (answers(site), tier(site)) == (["192.0.2.10", "192.0.2.11", "192.0.2.12"], "serving")
        network.outcomes["192.0.2.11"] = REFUSED
        await all_are(site, a="up", b="down", c="up")
        assert answers(site) == ["192.0.2.10", "192.0.2.12"]
        said = "check tcp 192.0.2.11:80: refused, "
        assert (site.plane.node("b").roles["edge"].reason or "").startswith(said)
        assert any(each.startswith(said) for each in site.plane.pool(EDGE).members[1].reasons)
        (explained,) = site.plane.explain(EDGE, "A", client=None).pools
        assert any(each.startswith(f"down by the server's own checks: {said}") for each in explained.nodes[1].reasons)
        del network.outcomes["192.0.2.11"]
        await all_are(site, a="up", b="up", c="up")
        assert len(answers(site)) == 3


async def test_results_that_change_nothing_compile_nothing(network: FakeProber) -> None:
    """However often it is tried: no generation, and not a look at a pool."""
    async with checked_site(network=network) as site:
        await all_are(site, a="up", b="up", c="up")
        generation, compiled = site.plane.publisher.generation, site.plane.publisher.fleet._pools.compiled
        await network.more_of("192.0.2.10", 10)
        network.outcomes["192.0.2.10"] = REFUSED
        await all_are(site, a="down", b="up", c="up")
        await network.more_of("192.0.2.10", 10)  # failures that go on are told, and change no answer
        assert site.plane.publisher.generation == generation + 1
        assert site.plane.publisher.fleet._pools.compiled == compiled + 1


async def test_where_all_are_down_the_pool_fails_open_but_never_to_a_drained_node(network: FakeProber) -> None:
    """An answer that may work beats none; a drain is an order."""
    async with checked_site(network=network) as site:
        await all_are(site, a="up", b="up", c="up")
        await site.drain("c", force=True)
        for each in "012":
            network.outcomes[f"192.0.2.1{each}"] = REFUSED
        await all_are(site, a="down", b="down", c="down")
        assert (answers(site), tier(site)) == (["192.0.2.10", "192.0.2.11"], "unhealthy")


async def test_of_an_agent_and_a_check_the_worse_counts(network: FakeProber) -> None:
    """Neither brings in a node that the other keeps out; before the first result reports count alone."""
    nodes = (replace(ABC[0], monitor=Monitor.AGENT), *CHECKED[1:])
    network.hung.add("192.0.2.10")
    async with checked_site(nodes, network=network) as site:
        assert await site.report("a")
        assert healths(site)["a"] == "up"
        network.outcomes["192.0.2.10"] = REFUSED
        network.answer_again()
        await all_are(site, a="down", b="up", c="up")
        (explained,) = site.plane.explain(EDGE, "A", client=None).pools
        assert any(each.startswith("up by its report") for each in explained.nodes[0].reasons)
        network.outcomes.clear()
        await all_are(site, a="up", b="up", c="up")
        assert await site.report("a", up=False)
        assert healths(site)["a"] == "down"


async def test_a_node_that_nothing_monitors_is_not_tried(network: FakeProber) -> None:
    """`monitor = "none"` stays as it is, whatever checks there are."""
    async with checked_site((ABC[0], *CHECKED[1:]), network=network) as site:
        await network.more_of("192.0.2.11")
        assert network.tries_of("192.0.2.10") == 0
        assert healths(site)["a"] == "up"


async def test_a_checked_node_without_a_check_is_unknown_and_says_so(network: FakeProber) -> None:
    """It serves only where its pool fails open."""
    async with checked_site(checks=(replace(CHECK, match={"region": "us"}),), network=network) as site:
        said = "no [[check]] is for it in the role edge"
        await until(lambda: site.plane.node("a").roles["edge"].reason == said, "the reason is told")
        assert (healths(site)["a"], tier(site)) == ("unknown", "unhealthy")


async def test_an_address_is_tried_once_for_all_who_share_it(network: FakeProber) -> None:
    """A thousand nodes on four addresses, in two roles and three checks: four targets, of as many tries as of four."""
    nodes = [
        node(f"n{number}", f"192.0.2.{number % 4}", roles=("edge", "ingest"), monitor=Monitor.CHECK)
        for number in range(1000)
    ]
    checks = (CHECK, replace(CHECK, roles=("ingest",)), replace(CHECK, roles=("ingest", "edge")))
    pools = (pool(), pool("b.example.org."), pool("c.example.org.", role="ingest"))
    async with checked_site(nodes, checks, network=network, pools=pools, heard=False) as site:
        await until(lambda: healths(site)["n999"] == "up", "all are up")
        await network.more_of("192.0.2.0")
        assert len(network.tries) == 4
        network.outcomes["192.0.2.3"] = REFUSED
        await until(lambda: Counter(healths(site, "ingest").values()) == {"up": 750, "down": 250}, "a quarter is down")
        assert answers(site, "c.example.org.") == ["192.0.2.0", "192.0.2.1", "192.0.2.2"]
        assert site.plane.checks.states() == {"up": 3, "down": 1, "unknown": 0}


async def test_a_node_is_up_where_all_of_its_addresses_are(network: FakeProber) -> None:
    """One of two that fails takes it out, unless the check is for the other family alone."""
    dual = replace(CHECKED[0], addresses=("192.0.2.10", "2001:db8::10"))
    network.outcomes["2001:db8::10"] = REFUSED
    async with checked_site((dual, *CHECKED[1:]), network=network) as site:
        await all_are(site, a="down", b="up", c="up")
        reload(site, (dual, *CHECKED[1:]), (replace(CHECK, versions=(4,)),))
        await all_are(site, a="up", b="up", c="up")


async def test_a_node_may_have_a_port_of_its_own(network: FakeProber) -> None:
    """A check without a port takes that of the node for the role."""
    nodes = (replace(CHECKED[0], ports={"edge": 8080}), *CHECKED[1:])
    async with checked_site(nodes, (replace(CHECK, port=None),), network=network) as site:
        await network.more_of("192.0.2.10")
        assert {target.text for target in network.tries} == {"tcp 192.0.2.10:8080"}
        said = "no [[check]] is for it in the role edge"
        await until(lambda: site.plane.node("b").roles["edge"].reason == said, "the other one has none")


async def test_a_fault_of_this_machine_changes_nothing(network: FakeProber) -> None:
    """A server without descriptors does not take its fleet out."""
    async with checked_site(network=network) as site:
        await all_are(site, a="up", b="up", c="up")
        network.outcomes["192.0.2.10"] = OURS
        await network.more_of("192.0.2.10", 10)
        assert healths(site)["a"] == "up"
        assert site.plane.checks.counts["tcp", "not_made"] >= 10


async def test_first_results_are_told_together(network: FakeProber) -> None:
    """No pool is answered from the one node whose result came first: it fails open until all have come."""
    network.hung.add("192.0.2.12")
    async with checked_site(network=network) as site:
        await network.more_of("192.0.2.10")
        await network.more_of("192.0.2.11")
        assert (len(answers(site)), tier(site)) == (3, "unhealthy")
        network.answer_again()
        await all_are(site, a="up", b="up", c="up")
        assert {each.tier for each in site.plane.pools()} == {"serving"}


async def test_first_results_do_not_wait_for_ever(network: FakeProber, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that swallows everything holds up nobody for longer than a few seconds."""
    monkeypatch.setattr(checking, "FIRST_ROUND_SECONDS", 0.0)
    network.hung.add("192.0.2.12")
    async with checked_site(network=network) as site:
        await all_are(site, a="up", b="up", c="unknown")
        assert answers(site) == ["192.0.2.10", "192.0.2.11"]


async def test_first_results_do_not_wait_for_a_target_that_is_gone(
    network: FakeProber, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reload that takes out what is waited for ends the wait."""
    monkeypatch.setattr(checking, "FIRST_ROUND_SECONDS", 1000.0)
    network.hung.add("192.0.2.12")
    async with checked_site(network=network) as site:
        await network.more_of("192.0.2.10")
        await network.more_of("192.0.2.11")
        reload(site, CHECKED[:2], (CHECK,))
        await all_are(site, a="up", b="up")


async def test_a_bounded_number_is_tried_at_once(network: FakeProber, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of thirty that swallow everything, eight are under way; the others wait."""
    monkeypatch.setattr(checking, "MAX_AT_ONCE", 8)
    nodes = [node(f"n{number}", f"192.0.2.{number}", monitor=Monitor.CHECK) for number in range(30)]
    network.hung = {f"192.0.2.{number}" for number in range(30)}
    async with checked_site(nodes, network=network):
        await until(lambda: network.most_at_once >= 8, "eight are tried")
        await asyncio.sleep(0)
        assert network.under_way.total() == 8
        network.answer_again()
        await until(lambda: len(network.tries) == 30, "all were tried")
        assert network.most_at_once == 8


async def test_a_reload_keeps_what_is_known(network: FakeProber) -> None:
    """A target that stays keeps its verdict; one that is new moves nobody until it has one."""
    async with checked_site(network=network) as site:
        network.outcomes["192.0.2.11"] = REFUSED
        await all_are(site, a="up", b="down", c="up")
        network.hung = {f"192.0.2.1{each}" for each in "012"}
        other = replace(CHECK, port=81)
        reload(site, CHECKED, (CHECK, other))
        assert healths(site) == {"a": "up", "b": "down", "c": "up"}
        reload(site, CHECKED, (other,))
        await asyncio.sleep(0)
        assert healths(site) == {"a": "up", "b": "down", "c": "up"}
        network.answer_again()
        network.outcomes.clear()
        await all_are(site, a="up", b="up", c="up")
        assert site.plane.checks.states() == {"up": 3, "down": 0, "unknown": 0}


async def test_a_reload_without_checks_ends_them(network: FakeProber) -> None:
    """Nothing is tried any more, and nothing of their results is left with nodes that nothing monitors now."""
    async with checked_site(network=network) as site:
        network.outcomes["192.0.2.11"] = REFUSED
        await all_are(site, a="up", b="down", c="up")
        reload(site, ABC, ())
        assert healths(site) == {"a": "up", "b": "up", "c": "up"}
        await until(lambda: site.plane.node("b").roles["edge"].reason is None, "the reason is gone")
        await until(lambda: not network.under_way.total(), "nothing is under way")
        tries = network.tries.total()
        await asyncio.sleep(0)
        assert (network.tries.total(), site.plane.checks.states()["down"]) == (tries, 0)


async def test_a_registered_node_is_checked_at_once_and_no_more_when_it_is_gone(network: FakeProber) -> None:
    """Also where it comes with another address later; none of it needs a reload."""
    async with checked_site(network=network) as site:
        await all_are(site, a="up", b="up", c="up")
        await site.register("d", "192.0.2.50", monitor="check")
        await all_are(site, a="up", b="up", c="up", d="up")
        network.outcomes["192.0.2.51"] = REFUSED
        await site.register("d", "192.0.2.51", monitor="check")
        await all_are(site, a="up", b="up", c="up", d="down")
        await site.plane.remove_node("d", actor=ALICE, if_revision=None)
        assert site.plane.checks.states() == {"up": 3, "down": 0, "unknown": 0}
        await site.register("d", "192.0.2.50", monitor="check")
        assert healths(site)["d"] == "unknown"
        await all_are(site, a="up", b="up", c="up", d="up")


async def test_checks_go_on_while_the_store_is_away(network: FakeProber) -> None:
    """What they find is each server's own and needs no store."""
    async with checked_site(network=network) as site:
        await all_are(site, a="up", b="up", c="up")
        site.store.reads_fail = True
        with pytest.raises(StoreUnavailable):
            await site.hear()
        assert not site.plane.store_health.readable
        network.outcomes["192.0.2.11"] = REFUSED
        await all_are(site, a="up", b="down", c="up")
        assert answers(site) == ["192.0.2.10", "192.0.2.12"]


async def test_a_checked_node_is_safe_to_stop_with_the_caveat_of_its_sessions(network: FakeProber) -> None:
    """Nobody tells of them, as of a node that nothing monitors."""
    async with checked_site(network=network) as site:
        await all_are(site, a="up", b="up", c="up")
        await site.drain("a")
        status = site.status("a")
        assert status.caveats[0].startswith('sessions on a are not known (monitor = "check")')
        assert not any("report" in each for each in status.blockers)


async def test_a_change_of_health_is_an_event(network: FakeProber) -> None:
    """With what it was, what it is, and why."""
    async with checked_site(network=network) as site:
        await all_are(site, a="up", b="up", c="up")
        site.plane.publisher.health_news.tell()
        events = site.plane.events(after=None)
        heard: asyncio.Task[Event] = asyncio.create_task(anext(events))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        network.outcomes["192.0.2.11"] = REFUSED
        await all_are(site, a="up", b="down", c="up")
        site.plane.publisher.health_news.tell()
        event = await heard
        reason = event.detail.pop("reason")
        assert (event.type, event.node, event.revision) == ("health", "b", None)
        assert event.detail == {"role": "edge", "health": "down", "before": "up"}
        assert reason.startswith("check tcp 192.0.2.11:80: refused, ")
        await events.aclose()  # type: ignore[attr-defined]


async def test_a_rebuilt_fleet_has_what_was_found(network: FakeProber) -> None:
    """Where changes of the store were missed, the fleet is made anew, and health stays."""
    async with checked_site(network=network) as site:
        network.outcomes["192.0.2.11"] = REFUSED
        await all_are(site, a="up", b="down", c="up")
        network.hung = {f"192.0.2.1{each}" for each in "012"}
        rebuilt = site.plane._rebuild(await site.store.load())
        assert rebuilt.checks_of("b")["edge"].health is Health.DOWN
        site.plane.publisher.replace(rebuilt)
        assert healths(site) == {"a": "up", "b": "down", "c": "up"}
