"""Events of health: one for each change, one for very many, and none for what was over before it was told."""

from __future__ import annotations

import asyncio

from dnsd.api.schemas import Event
from dnsd.control.events import EventHub
from dnsd.control.healthnews import MAX_SINGLE, HealthNews
from dnsd.core.fleet import Fleet
from dnsd.model.check import Checked
from dnsd.model.node import Monitor
from dnsd.model.report import Health
from tests.support.fleets import NOW, fleet_of, node, pool


class Listening:
    """A fleet of nodes that are up by their checks, and what is told of it."""

    def __init__(self, count: int) -> None:
        names = [f"n{number:03}" for number in range(count)]
        nodes = [
            node(name, f"10.0.{place // 250}.{place % 250}", monitor=Monitor.CHECK) for place, name in enumerate(names)
        ]
        self.fleet: Fleet = fleet_of(nodes, [pool()])
        self.hub = EventHub(revision=0)
        self.news = HealthNews(self.hub, fleet=lambda: self.fleet, clock=lambda: NOW)
        self.become(Health.UP, *names, noted=False)

    def become(self, health: Health, *names: str, noted: bool = True) -> None:
        found = {name: {"edge": Checked(health, f"check: {health.value}")} for name in names}
        change = self.fleet.checked(found, now=NOW)
        if noted:
            self.news.note(change.health)

    async def told(self) -> list[Event]:
        """Return what a listener hears when it is told now."""
        heard: list[Event] = []

        async def listen() -> None:
            heard.extend([event async for event in self.hub.listen(after=None)])

        task = asyncio.create_task(listen())
        await asyncio.sleep(0)
        self.news.tell()
        self.hub.close()
        await task
        return heard


async def test_each_change_is_told_with_its_reason() -> None:
    """Node, role, what it was and what it is."""
    site = Listening(3)
    site.become(Health.DOWN, "n001")
    (event,) = await site.told()
    assert (event.type, event.node, event.at, event.revision) == ("health", "n001", NOW, None)
    assert event.detail == {"role": "edge", "health": "down", "before": "up", "reason": "check: down"}


async def test_what_is_over_already_is_no_news() -> None:
    """Down and up again before it was told."""
    site = Listening(3)
    site.become(Health.DOWN, "n000", "n001")
    site.become(Health.UP, "n001")
    assert [event.node for event in await site.told()] == ["n000"]


async def test_very_many_are_told_as_one() -> None:
    """A lost site drowns nobody: how many there were, and what they became."""
    site = Listening(MAX_SINGLE + 1)
    site.become(Health.DOWN, *site.fleet.nodes)
    (event,) = await site.told()
    assert (event.type, event.node) == ("health", None)
    assert event.detail == {"changes": MAX_SINGLE + 1, "became": {"down": MAX_SINGLE + 1}}


async def test_it_pushes_nothing_out_of_what_can_be_resumed() -> None:
    """Whoever resumes gets drains and not the health of then."""
    site = Listening(1)
    site.hub.publish(Event(revision=1, at=NOW, type="drain"))
    site.become(Health.DOWN, "n000")
    site.news.tell()
    site.hub.close()
    assert [event.type async for event in site.hub.listen(after=0)] == ["drain"]


async def test_it_tells_by_itself() -> None:
    """While it runs, soon after a change."""
    site = Listening(1)
    events = site.hub.listen(after=None)
    heard: asyncio.Task[Event] = asyncio.create_task(anext(events))  # type: ignore[arg-type]
    running = asyncio.create_task(site.news.run())
    await asyncio.sleep(0)
    site.become(Health.DOWN, "n000")
    assert (await heard).node == "n000"
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await events.aclose()  # type: ignore[attr-defined]
