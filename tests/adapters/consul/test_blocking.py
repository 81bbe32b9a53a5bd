"""Blocking queries: who waits, for what, and what wakes them."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import aiohttp
import pytest

from dnsd.adapters.consul import adapter as adapter_module
from dnsd.adapters.consul import answers as answers_module
from dnsd.adapters.consul.answers import Answer, Answers
from dnsd.adapters.consul.calls import Call, make_answer
from dnsd.adapters.consul.catalog import Catalog
from dnsd.model.node import Monitor
from dnsd.model.pool import Floor
from tests.adapters.consul.rig import Client, consul
from tests.adapters.running import counted_passes
from tests.control.rig import ALICE, PATIENCE_SECONDS, Site, settings_of, site_of
from tests.support.fleets import node, pool
from tests.support.waiting import until

FLEET = (
    node("a", "192.0.2.1", monitor=Monitor.AGENT),
    node("b", "192.0.2.2"),
    node("i", "192.0.2.3", roles=("ingest",)),
)
POOLS = (pool(floor=Floor.of(0)),)
PASSING = "health/service/edge?passing&wait=10m&index="
ALL = "health/service/edge?wait=10m&index="


async def a_site() -> Site:
    site = await site_of(FLEET, POOLS)
    await site.report("a")
    return site


async def nobody_waits(client: Client) -> None:
    await until(lambda: client.adapter._answers.blocked == 0, "nobody waits")


async def test_whatever_changes_an_answer_wakes_who_waits_for_it() -> None:
    """Drains, releases, health, silence, registrations, removals and reloads, and drains that time starts and ends."""
    site = await a_site()

    async def silence() -> None:
        site.tick(60)

    async def reload() -> None:
        site.plane.reload(settings_of((*FLEET, node("d", "192.0.2.4")), POOLS))

    async def unregister() -> None:
        await site.plane.remove_node("new", actor=ALICE, if_revision=None)

    async with consul(site) as client:
        index = (await client.ask("health/service/edge?passing")).index
        for what, change, expected in (
            ("a drain", site.drain("b", reason="kernel", expires_in=1000.0), ["a"]),
            ("a health", site.report("a", up=False), []),
            ("a release", site.release("b"), ["b"]),
            ("a health again", site.report("a"), ["a", "b"]),
            ("silence", silence(), ["b"]),
            ("a registration", site.register("new", "192.0.2.9"), ["b"]),
            ("its report", site.report("new"), ["b", "new"]),
            ("a removal", unregister(), ["b"]),
            ("a reload", reload(), ["b", "d"]),
            ("a scheduled drain", scheduled(site), ["d"]),
            ("its end", ended(site), ["b", "d"]),
        ):
            changes = what != "a registration"
            if changes:
                waiting = await client.blocked(f"{PASSING}{index}")
            await change
            told = await waiting if changes else await client.ask("health/service/edge?passing")
            assert (told.nodes, what) == (expected, what)
            assert told.index > index if changes else told.index == index, what
            index = told.index


async def scheduled(site: Site) -> None:
    """Place a drain for later, and let its time come."""
    await site.drain("b", starts_at=site.clock.wall + 60, expires_in=60.0)
    site.tick(61)


async def ended(site: Site) -> None:
    """Let the time of that drain be over."""
    site.tick(60)


async def test_a_clock_that_is_set_back_a_little_hides_nothing() -> None:
    """A drain that has begun is shown, though by the time of the look it is to come: nobody tells of it again."""
    site = await a_site()
    async with consul(site) as client:
        await site.drain("b", starts_at=site.clock.wall + 60, expires_in=60.0)
        waiting = await client.blocked(f"{PASSING}{(await client.ask('health/service/edge?passing')).index}")
        site.tick(60.1)
        site.clock.set_by(-0.5)
        await site.report("a")
        site.tick()
        told = await asyncio.wait_for(waiting, PATIENCE_SECONDS)
        assert told.nodes == ["a"]
        waiting = await client.blocked(f"{PASSING}{told.index}")
        site.clock.advance(0.5)
        await site.drain("a", reason="kernel")
        site.clock.set_by(-0.9)
        site.tick()
        assert (await asyncio.wait_for(waiting, PATIENCE_SECONDS)).nodes == []


async def test_what_changes_nothing_of_an_answer_wakes_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other roles, reports that say the same, and what a filter leaves out: the index stays, and nothing is made."""
    made: list[Call] = []

    def counted(catalog: object, call: Call, *, datacenter: str) -> object:
        made.append(call)
        return make_answer(catalog, call, datacenter=datacenter)  # type: ignore[arg-type]

    monkeypatch.setattr(answers_module, "make_answer", counted)
    site = await a_site()
    async with consul(site) as client:
        index = (await client.ask("health/service/edge")).index
        passing = (await client.ask("health/service/edge?passing")).index
        waiting = [await client.blocked(f"{ALL}{index}"), await client.blocked(f"{PASSING}{passing}")]
        ingest = await client.blocked(
            "health/service/ingest?index=" + str((await client.ask("health/service/ingest")).index)
        )
        made.clear()
        await site.report("a")
        site.plane.reload(settings_of(FLEET, POOLS))
        await site.drain("i", reason="kernel")
        assert (await ingest).body[0]["Checks"][1]["CheckID"] == "_node_maintenance"
        assert {call.name for call in made} == {"ingest"}
        await site.drain("b", reason="kernel")
        assert (await asyncio.gather(*waiting))[0].index > index
        assert (await client.ask("health/service/edge?passing")).nodes == ["a"]
        # Of what does not pass, the reason may change: an answer with all of them differs, one without it does not.
        index = (await client.ask("health/service/edge")).index
        passing = (await client.ask("health/service/edge?passing")).index
        waits = await client.blocked(f"{PASSING}{passing}")
        hears = await client.blocked(f"{ALL}{index}")
        await site.drain("b", reason="disk")
        assert (await hears).index > index
        assert (await client.ask("health/service/edge?passing")).index == passing
        assert not waits.done()
        waits.cancel()


async def test_many_who_wait_share_one_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two hundred clients wait for two answers; a change makes each of these once."""
    made: list[Call] = []

    def counted(catalog: object, call: Call, *, datacenter: str) -> object:
        made.append(call)
        return make_answer(catalog, call, datacenter=datacenter)  # type: ignore[arg-type]

    site = await a_site()
    async with consul(site) as client:
        answers = client.adapter._answers
        calls = (Call(kind="health/service", name="edge"), Call(kind="health/service", name="edge", passing=True))
        have = [await answers.answer(call, index=0, wait_seconds=1, is_there=lambda: True) for call in calls]
        waiting = [
            asyncio.create_task(answers.answer(call, index=had.index, wait_seconds=600, is_there=lambda: True))
            for call, had in zip(calls, have, strict=True)
            for _ in range(100)
        ]
        await until(lambda: answers.blocked == 200, "all wait")
        monkeypatch.setattr(answers_module, "make_answer", counted)
        await site.drain("b", reason="kernel")
        told = await asyncio.gather(*waiting)
        assert sorted(made, key=lambda call: call.passing) == list(calls)
        assert len({id(answer.body) for answer in told}) == 2


@dataclass
class Gate:
    """Holds up the making of a call's answer, in its thread, until it is opened."""

    monkeypatch: pytest.MonkeyPatch
    reached: threading.Event = field(default_factory=threading.Event)
    opened: threading.Event = field(default_factory=threading.Event)

    def hold_up(self, held: Call) -> None:
        """Hold up each making of this call from now on."""

        def make(catalog: Catalog, call: Call, *, datacenter: str) -> Callable[[], object]:
            made = make_answer(catalog, call, datacenter=datacenter)
            return made if call != held else lambda: self._wait() and made()

        self.monkeypatch.setattr(answers_module, "make_answer", make)
        self.monkeypatch.setattr(answers_module, "NODES_AT_ONCE", 1)

    def _wait(self) -> bool:
        self.reached.set()
        return self.opened.wait(PATIENCE_SECONDS)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    gate = Gate(monkeypatch)
    yield gate
    gate.opened.set()


async def taken_in(site: Site, client: Client) -> None:
    """Wait until what is published is in the catalog."""
    await until(lambda: client.adapter._answers._seen == site.plane.changed.number, "the catalog is up to date")


async def test_who_waits_is_woken_though_another_question_took_the_change_in(gate: Gate) -> None:
    """While one answer is made for those who wait, a change of another one comes, and somebody else asks."""
    site = await a_site()
    async with consul(site) as client:
        edge = await client.blocked(f"{ALL}{(await client.ask('health/service/edge')).index}")
        index = (await client.ask("health/service/ingest")).index
        ingest = await client.blocked(f"health/service/ingest?index={index}")
        gate.hold_up(Call(kind="health/service", name="ingest"))
        await site.drain("i", reason="kernel")
        await until(gate.reached.is_set, "the answer about ingest is being made")
        await site.drain("b", reason="kernel")
        other = asyncio.create_task(client.ask("catalog/nodes"))
        await taken_in(site, client)
        gate.opened.set()
        told = await asyncio.wait_for(edge, PATIENCE_SECONDS)
        assert [each["Service"]["Meta"]["dnsd-mode"] for each in told.body] == ["normal", "draining"]
        await ingest
        await other


async def test_a_change_while_the_answer_is_made_that_somebody_will_wait_for(gate: Gate) -> None:
    """What is made says nothing new, and is old already: whoever would wait with it is told of the change."""
    site = await a_site()
    async with consul(site) as client:
        await site.drain("b", reason="kernel")
        index = (await client.ask("health/service/edge?passing")).index
        gate.hold_up(Call(kind="health/service", name="edge", passing=True))
        await site.drain("b", reason="disk")
        asked = asyncio.create_task(client.ask(f"{PASSING}{index}"))
        await until(gate.reached.is_set, "its answer is being made")
        await site.release("b")
        await taken_in(site, client)
        gate.opened.set()
        assert (await asyncio.wait_for(asked, PATIENCE_SECONDS)).nodes == ["a", "b"]


async def test_an_answer_that_could_not_be_made_is_made_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The fault is told to who asked, and nobody gets the answer of before the change instead."""
    site = await a_site()
    async with consul(site) as client:
        assert (await client.ask("health/service/edge?passing")).nodes == ["a", "b"]

        def broken(*_: object, **__: object) -> object:
            raise RuntimeError("unthought of")

        with monkeypatch.context() as patch:
            patch.setattr(answers_module, "make_answer", broken)
            await site.drain("b", reason="kernel")
            assert (await client.ask("health/service/edge?passing")).status == 500
        assert (await client.ask("health/service/edge?passing")).nodes == ["a"]
    assert "RuntimeError: unthought of" in caplog.text


async def test_an_index_of_another_time_is_answered_at_once() -> None:
    """From the future, from the past, and 0: as after a restart, or of another server."""
    async with consul(await a_site()) as client:
        told = await client.ask("health/service/edge")
        assert told.index > 1
        for index in (told.index + 1000, told.index - 1, 1, 0, 2**64 - 1):
            assert (await client.ask(f"{ALL}{index}")).index == told.index


async def test_an_index_from_before_a_restart_is_answered_at_once() -> None:
    """Whatever it was, and though nothing has changed: the answer comes with an index of the new time."""
    site = await a_site()
    async with consul(site) as client:
        before = await client.ask("health/service/edge")
    site.clock.advance(1)
    async with consul(site) as client:
        told = await client.ask(f"{ALL}{before.index}")
        assert told.nodes == before.nodes
        assert told.index > before.index


async def test_a_wait_ends_with_the_same_index() -> None:
    """When its time is over, the present answer comes, changed or not."""
    async with consul(await a_site()) as client:
        before = await client.ask("health/service/edge")
        told = await client.ask(f"health/service/edge?index={before.index}&wait=20ms")
        assert (told.status, told.index, told.body) == (200, before.index, before.body)


async def test_a_client_that_has_gone_is_waited_for_no_more() -> None:
    """A connection that ends takes its place among the waiting with it, long before its time is over."""
    async with consul(await a_site()) as client:
        index = (await client.ask("health/service/edge")).index
        waiting = await client.blocked(f"{ALL}{index}")
        other = aiohttp.ClientSession()
        second = asyncio.create_task(other.get(f"{client.url}/{ALL}{index}"))
        await until(lambda: client.adapter._answers.blocked == 2, "both wait")
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        await other.close()
        await until(lambda: client.adapter._answers.blocked == 1, "one has gone")
        assert not waiting.done()
        waiting.cancel()


async def test_the_end_of_the_adapter_lets_everybody_go() -> None:
    """Who waits gets the present answer, and is not cut off."""
    site = await a_site()
    async with consul(site) as client:
        before = await client.ask("health/service/edge")
        waiting = await client.blocked(f"{ALL}{before.index}")
        ended = next(task for task in asyncio.all_tasks() if "ConsulAdapter.run" in repr(task.get_coro()))
        ended.cancel()
        assert (await waiting).body == before.body
        await asyncio.gather(ended, return_exceptions=True)
        await nobody_waits(client)


async def test_answers_are_kept_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls that nobody asks any more, and texts, go from the oldest on; what is made again is the same."""
    monkeypatch.setattr(answers_module, "ANSWERS_KEPT", 8)
    monkeypatch.setattr(answers_module, "BYTES_KEPT", 4000)
    site = await a_site()
    answers = Answers(site.plane, datacenter="dc1")

    async def ask(**fields: object) -> tuple[list[object], int]:
        call = Call(kind="health/service", name="edge", **fields)  # type: ignore[arg-type]
        answer = await answers.answer(call, index=0, wait_seconds=1, is_there=lambda: True)
        return json.loads(answer.body), answer.index

    first = await ask()
    for number in range(20):
        await ask(tags=(f"tag-{number}",))
        await ask(passing=True)
        assert len(answers._idle) <= 8
        assert answers._held <= 4000
    assert answers._held == sum(len(each.answer.body) for each in answers._idle.values() if each.answer is not None)
    assert await ask() == first


async def test_nothing_is_made_while_too_much_is_still_being_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits holds no text; whoever does not read holds one, and others wait until it is let go."""
    monkeypatch.setattr(answers_module, "BYTES_KEPT", 0)
    site = await a_site()
    answers = Answers(site.plane, datacenter="dc1")

    def asked(role: str) -> asyncio.Task[Answer]:
        call = Call(kind="health/service", name=role)
        return asyncio.create_task(answers.answer(call, index=0, wait_seconds=1, is_there=lambda: True))

    index = (await asked("edge")).index
    blocked = asyncio.create_task(
        answers.answer(Call(kind="health/service", name="edge"), index=index, wait_seconds=600, is_there=lambda: True)
    )
    await until(lambda: answers.blocked == 1, "somebody waits")
    assert answers._alive == 0
    blocked.cancel()
    unread = await asked("edge")
    assert answers._alive == len(unread.body)
    monkeypatch.setattr(answers_module, "BYTES_IN_ALL", len(unread.body) - 1)
    waiting = asked("ingest")
    await until(answers._turn.locked, "it is to be made")
    for _ in range(20):
        await asyncio.sleep(0)
    assert not waiting.done()
    del unread
    told = await waiting
    assert [each["Node"]["Node"] for each in json.loads(told.body)] == ["i"]
    assert answers._alive == len(told.body)


async def test_a_large_fleet_is_taken_in_parts_and_written_beside_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a thousand nodes are looked at, others get their turns; the answer has all of them."""
    monkeypatch.setattr(answers_module, "NODES_AT_ONCE", 50)
    site = await site_of([node(f"n{place}", f"198.51.100.{place % 250}") for place in range(1000)], POOLS)
    answers = Answers(site.plane, datacenter="dc1")
    call = Call(kind="health/service", name="edge")
    async with counted_passes() as passes:
        answer = await answers.answer(call, index=0, wait_seconds=1, is_there=lambda: True)
        assert passes() >= 1000 // 50
    assert len(json.loads(answer.body)) == 1000


async def test_no_more_connections_than_there_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those who wait keep theirs; one more is turned away, until there is room again."""
    monkeypatch.setattr(adapter_module, "MAX_CONNECTIONS", 2)
    async with consul(await a_site()) as client:
        index = (await client.ask("health/service/edge")).index
        waiting = [await client.blocked(f"{ALL}{index}") for _ in range(2)]
        with pytest.raises(aiohttp.ClientConnectionError):
            await client.ask("health/service/edge")
        waiting.pop().cancel()
        await until(lambda: client.adapter._answers.blocked == 1, "one has gone")
        assert (await client.ask("health/service/edge")).index == index
        waiting.pop().cancel()
