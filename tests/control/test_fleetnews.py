"""What may have changed: every cause rises the number, and whoever waits hears which nodes to look at."""

from __future__ import annotations

import asyncio

import pytest

from dnsd.control import fleetnews
from dnsd.control.fleetnews import FleetNews
from dnsd.model.node import Monitor
from dnsd.model.pool import Floor
from tests.control.rig import ALICE, PATIENCE_SECONDS, Site, settings_of, site_of
from tests.support.fleets import node, pool

FLEET = (node("a", "192.0.2.1", monitor=Monitor.AGENT), node("b", "192.0.2.2"))
POOLS = (pool(floor=Floor.of(0)),)


async def heard(site: Site, seen: int) -> tuple[int, frozenset[str] | None]:
    """Return what there is after a number; at once, or not at all."""
    return await asyncio.wait_for(site.plane.changed.after(seen), PATIENCE_SECONDS)


async def test_every_cause_is_told_with_its_nodes() -> None:
    """Reports, silence, drains that are placed, start, end and are released, registrations, and reloads."""
    site = await site_of(FLEET, POOLS)
    seen = site.plane.changed.number
    await site.report("a")
    seen, nodes = await heard(site, seen)
    assert nodes == frozenset("a")
    await site.report("a")
    assert site.plane.changed.number == seen
    site.tick(60)
    seen, nodes = await heard(site, seen)
    assert nodes == frozenset("a")
    await site.drain("b", starts_at=site.clock.wall + 10, expires_in=10.0)
    seen, nodes = await heard(site, seen)
    assert nodes == frozenset("b")
    for _ in ("its start", "its end"):
        site.tick(11)
        seen, nodes = await heard(site, seen)
        assert nodes == frozenset("b")
    await site.drain("a", reason="x")
    await site.release("a")
    await site.register("c", "192.0.2.3")
    await site.plane.remove_node("c", actor=ALICE, if_revision=None)
    seen, nodes = await heard(site, seen)
    assert nodes == frozenset("ac")
    site.plane.reload(settings_of(FLEET, POOLS))
    seen, nodes = await heard(site, seen)
    assert nodes is None


async def test_the_fleet_is_ahead_of_the_news() -> None:
    """Whoever is woken finds in the fleet what it was woken for."""
    site = await site_of(FLEET, POOLS)

    async def follow() -> str:
        await site.plane.changed.after(site.plane.changed.number)
        return site.plane.node("b").roles["edge"].mode

    following = asyncio.create_task(follow())
    await asyncio.sleep(0)
    await site.drain("b", reason="x")
    assert await following == "draining"


async def test_who_comes_late_looks_at_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    """The nodes of changes that are remembered are known; of older ones, and of another process, they are not."""
    monkeypatch.setattr(fleetnews, "REMEMBERED", 3)
    news = FleetNews()
    for name in "abcd":
        news.note({name})
    assert news.number == 4
    assert [news.since(number) for number in (4, 3, 1, 0, 5, -1)] == [
        frozenset(), {"d"}, {"b", "c", "d"}, None, None, None,
    ]  # fmt: skip
    news.note(None)
    assert news.since(4) is None
    assert await news.after(99) == (5, None)


def test_what_is_remembered_is_bounded_by_the_nodes_and_not_by_the_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fleet that changes as a whole again and again takes no more room, and is told of from whenever."""
    monkeypatch.setattr(fleetnews, "REMEMBERED", 3)
    news = FleetNews()
    for _ in range(100):
        news.note("abc")
    news.note("b")
    assert [news.since(number) for number in (0, 99, 100)] == [frozenset("abc"), frozenset("abc"), frozenset("b")]
    news.note("abcdef")
    assert (news.since(101), len(news._changed)) == (None, 3)
    news.note("f")
    assert news.since(102) == frozenset("f")


async def test_all_who_wait_are_woken() -> None:
    """One change, a hundred who wait."""
    news = FleetNews()
    waiting = [asyncio.create_task(news.after(0)) for _ in range(100)]
    await asyncio.sleep(0)
    news.note({"a"})
    assert set(await asyncio.gather(*waiting)) == {(1, frozenset({"a"}))}
