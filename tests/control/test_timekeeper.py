"""Time alone: drains start and expire at their instants, whatever the clock or the store does."""

from __future__ import annotations

import asyncio

from dnsd.model.node import Monitor
from dnsd.model.state import Action
from tests.control.rig import ABC, EDGE, BreakableStore, Clock, Site, site_of
from tests.control.timekeeping import keeping_time, look, pass_time
from tests.support.fleets import node
from tests.support.waiting import until


def serves(site: Site, last: int) -> bool:
    return f"192.0.2.{last}" in site.plane.pool(EDGE).answers


async def test_a_drain_starts_and_ends_at_its_instants_and_its_end_is_told_once() -> None:
    """Not a moment before; afterwards it is gone from the store with one entry of history."""
    site = await site_of()
    start = site.clock.wall + 10
    await site.drain("a", starts_at=start, expires_at=start + 10)
    async with keeping_time(site):
        pass_time(9.999, site)
        await asyncio.sleep(0.01)
        assert serves(site, 10)
        pass_time(0.001, site)
        await until(lambda: not serves(site, 10), "it has started")
        pass_time(9.999, site)
        await asyncio.sleep(0.01)
        assert not serves(site, 10)
        pass_time(0.001, site)
        await until(lambda: serves(site, 10), "it is over")
        await until(lambda: site.plane.revision == 2, "it is removed")
    assert (await site.store.load()).drains == {}
    entries = (await site.store.history())[0]
    assert [(each.action, each.actor) for each in entries] == [
        (Action.DRAIN_EXPIRED, "dnsd"),
        (Action.DRAIN_PLACED, "alice"),
    ]


async def test_two_servers_over_one_store_remove_an_expired_drain_once() -> None:
    """Both see it end; one removes it, and the history has one entry."""
    store = BreakableStore()
    await store.open()
    clock = Clock()
    sites = [await site_of(store=store, clock=clock, server_id=f"ns{number}") for number in (1, 2)]
    for name in "abc":
        await sites[0].drain(name, expires_in=60, force=True)
    await sites[1].hear()
    async with keeping_time(*sites):
        pass_time(60, *sites)
        await until(lambda: all(site.plane.revision == 6 for site in sites), "both have seen the removal")
    assert [each.action for each in (await store.history())[0][:4]] == [Action.DRAIN_EXPIRED] * 3 + [
        Action.DRAIN_PLACED
    ]


async def test_with_the_store_down_answers_are_right_all_the_same_and_the_entry_follows() -> None:
    """Expired during an outage: back in the pool at once and not listed; removed when the store is back."""
    site = await site_of()
    await site.drain("a", expires_in=60)
    await site.drain("b", starts_at=site.clock.wall + 61)
    async with keeping_time(site):
        site.store.writes_fail = True
        pass_time(60, site)
        await until(lambda: serves(site, 10), "its effect has ended")
        assert [each.node for each in site.plane.drains()] == ["b"]
        pass_time(1, site)
        # The failed removal holds up nothing: a drain that starts now does so at once.
        await until(lambda: not serves(site, 11), "the next one has started")
        assert len((await site.store.history())[0]) == 2
        site.store.writes_fail = False
        look(site)
        await until(lambda: site.plane.revision == 3, "it is removed")
    assert (await site.store.history())[0][0].action is Action.DRAIN_EXPIRED


async def test_a_clock_set_forward_has_everything_happen_that_lies_between() -> None:
    """A drain that would have started and one that would have ended: both, at the next look."""
    site = await site_of()
    await site.drain("a", expires_in=600)
    await site.drain("b", starts_at=site.clock.wall + 600)
    async with keeping_time(site):
        site.clock.set_by(3600)
        look(site)
        await until(lambda: serves(site, 10) and not serves(site, 11), "both have happened")


async def test_a_clock_set_back_has_drains_wait_for_their_instants_again() -> None:
    """What had started is scheduled again, and starts when the clock has come there a second time."""
    site = await site_of()
    await site.drain("a", starts_at=site.clock.wall + 100)
    site.tick(200)
    assert not serves(site, 10)
    site.clock.set_by(-150)
    site.tick()
    assert serves(site, 10)
    site.tick(50)
    assert not serves(site, 10)


async def test_a_clock_set_back_does_not_make_reports_last_longer() -> None:
    """A node that dies after the clock went back an hour is out after the usual time."""
    site = await site_of((node("a", "192.0.2.10", monitor=Monitor.AGENT), *ABC[1:]))
    await site.report("a")
    site.clock.set_by(-3600)
    site.tick()
    assert serves(site, 10)
    site.tick(29)
    assert serves(site, 10)
    site.tick(2)
    assert not serves(site, 10)


async def test_a_renewed_drain_does_not_expire_at_its_first_instant() -> None:
    """The time is the renewed one's; the earlier one's passes without a word."""
    site = await site_of()
    await site.drain("a", expires_in=60)
    await site.drain("a", expires_in=600)
    site.tick(60)
    assert site.plane.publisher.fleet.expired_drains(site.clock.wall) == ()
    assert not serves(site, 10)
    site.tick(540)
    (over,) = site.plane.publisher.fleet.expired_drains(site.clock.wall)
    assert site.plane.publisher.fleet.expired_drains(site.clock.wall) == (over,)
    assert over.node == "a"


async def test_the_start_of_a_scheduled_drain_is_told() -> None:
    """An event when its time comes, once; none for a drain that was in force from its placing on."""
    site = await site_of()
    listener = site.plane.events(after=None)
    first = asyncio.ensure_future(anext(listener))
    await asyncio.sleep(0)
    await site.drain("b")
    assert (await first).type == "drain"
    await site.drain("a", starts_at=site.clock.wall + 10)
    assert (await anext(listener)).type == "drain"
    site.tick(10)
    started = await anext(listener)
    assert (started.type, started.node, started.revision) == ("drain-started", "a", None)
    site.tick(10)
    await site.release("a")
    assert (await anext(listener)).type == "drain-removed"


async def test_a_server_that_ends_in_order_is_not_waited_for() -> None:
    """Its last word is taken out of the store, where a crash would leave it."""
    site = await site_of()
    await site.beat()
    assert [each.id for each in await site.store.consumers()] == ["ns1"]
    await site.plane._consumers.leave()
    assert await site.store.consumers() == ()
