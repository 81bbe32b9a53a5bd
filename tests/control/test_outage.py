"""An outage of the store is not one of the fleet: what stays, what goes on, and what is not decided then."""

from __future__ import annotations

from dnsd.model.node import Monitor
from tests.control.rig import ABC, EDGE, Site, settings_of, site_of
from tests.support.fleets import node, pool

WATCHED = (node("a", "192.0.2.10", monitor=Monitor.AGENT), *ABC[1:])


async def lost(site: Site) -> None:
    """Let the store fail, and the site notice."""
    site.store.reads_fail = True
    await site.beat()


async def back(site: Site) -> None:
    """Let the store work again, and the site notice."""
    site.store.reads_fail = False
    await site.hear()
    await site.beat()


def serves(site: Site, last: int = 10) -> bool:
    return f"192.0.2.{last}" in site.plane.pool(EDGE).answers


async def test_no_report_gets_stale_while_the_store_is_out_of_reach() -> None:
    """An hour without the store: nodes keep their last state; back again, they have one interval to be heard."""
    site = await site_of(WATCHED)
    await site.report("a")
    site.tick(29)
    await lost(site)
    site.tick(3600)
    assert serves(site)
    site.plane.reload(settings_of(WATCHED, [pool(ttl=5)]))
    assert serves(site)
    await back(site)
    site.tick(29.9)
    assert serves(site)
    site.tick(0.1)
    assert not serves(site)


async def test_what_was_stale_before_an_outage_does_not_come_back_by_it() -> None:
    """Neither when it begins nor when it ends, however often."""
    site = await site_of(WATCHED)
    await site.report("a")
    site.tick(30)
    for _ in range(3):
        await lost(site)
        site.tick(10)
        assert not serves(site)
        await back(site)
        assert not serves(site)


async def test_an_outage_that_comes_and_goes_keeps_a_silent_node_for_one_interval_only() -> None:
    """What counts is when the report came, not how often the store was lost since."""
    site = await site_of(WATCHED)
    await site.report("a")
    for _ in range(3):
        site.tick(15)
        await lost(site)
        await back(site)
    assert not serves(site)


async def test_reports_that_come_in_during_an_outage_count() -> None:
    """A node that says it is down is out at once; one that is up again is in."""
    site = await site_of(WATCHED)
    await site.report("a")
    await lost(site)
    await site.report("a", up=False)
    assert not serves(site)
    await site.report("a", up=True)
    assert serves(site)


async def test_drains_persist_and_go_on_expiring() -> None:
    """In force and at its end, with no store to write to."""
    site = await site_of()
    await site.drain("a", expires_in=60)
    await lost(site)
    site.tick(59)
    assert not serves(site)
    site.tick(1)
    assert serves(site)


async def test_a_node_is_not_called_safe_to_stop_on_a_held_clock() -> None:
    """The report that keeps it in its last state is too old to say that nobody is connected."""
    site = await site_of(WATCHED)
    await site.drain("a", indefinite=True)
    await site.report("a")
    await lost(site)
    site.tick(3600)
    status = site.status("a")
    assert status.safe_to_stop is False
    assert any("sessions are not known" in each for each in status.blockers)


async def test_a_node_is_in_the_pool_up_to_the_instant_at_which_its_report_gets_stale() -> None:
    """Whatever the fractions of a second: at that instant it is out, and never stays in for want of another look."""
    for fraction in range(200):
        site = await site_of(WATCHED, heard=False)
        site.clock.advance(fraction * 0.0137)
        await site.report("a")
        due = site.plane.publisher.fleet.next_transition
        assert due is not None
        site.clock.wall = due
        site.tick()
        assert not serves(site)
