"""From changes to generations and back: what is applied, since when, who is told, and what costs nothing."""

from __future__ import annotations

import asyncio

from dnsd.core.names import from_text
from dnsd.model.node import Monitor
from tests.control.rig import ABC, ALICE, EDGE, PATIENCE_SECONDS, FakeWorkers, acknowledged, settings_of, site_of
from tests.support.dnsmessages import zone_of
from tests.support.fleets import ZONE, node, pool

WATCHED = (node("a", "192.0.2.10", monitor=Monitor.AGENT), *ABC[1:])


async def test_what_is_applied_is_what_the_slowest_worker_has_applied() -> None:
    """Two of three workers are not enough; the third one's acknowledgement moves the revision."""
    site = await site_of(workers=FakeWorkers(3, holding=True))
    await site.drain("a")
    for worker in (0, 2):
        site.workers.acknowledge(worker)
    assert site.plane.publisher.applied_revision == 0
    site.workers.acknowledge(1)
    assert site.plane.publisher.applied_revision == 1


async def test_a_lag_is_observed_once_for_each_change() -> None:
    """From its acceptance to the last worker's acknowledgement; later acknowledgements add nothing."""
    site = await site_of(workers=FakeWorkers(2, holding=True))
    await site.drain("a")
    site.clock.advance(0.25)
    await site.drain("b")
    site.clock.advance(0.5)
    site.workers.acknowledge(0)
    assert site.lags == []
    site.workers.acknowledge(1)
    site.workers.acknowledge(1)
    assert site.lags == [0.75, 0.5]
    assert [site.plane.publisher.lag_of(revision) for revision in (1, 2, 3)] == [0.75, 0.5, None]


async def test_waiting_ends_with_the_acknowledgement_or_with_the_time() -> None:
    """In time: true; out of time: false, and the change stands."""
    site = await site_of(workers=FakeWorkers(holding=True))
    await site.drain("a")
    publisher = site.plane.publisher
    assert await publisher.wait_applied(1, timeout_seconds=0.01) is False
    waiting = asyncio.create_task(publisher.wait_applied(1, timeout_seconds=5))
    await asyncio.sleep(0)
    site.workers.acknowledge()
    assert await waiting is True
    assert await publisher.wait_applied(1, timeout_seconds=0) is True


async def test_an_outcome_lists_who_has_applied_it_and_who_has_not() -> None:
    """Without the acknowledgement the server itself is pending; with it, it is applied with its lag."""
    site = await site_of(workers=FakeWorkers(holding=True))
    outcome = await site.drain("a")
    pending = await site.plane.with_applied(outcome, wait_seconds=0.01)
    assert (pending.applied, [each.consumer for each in pending.pending]) == ([], ["ns1"])
    site.clock.advance(0.002)
    site.workers.acknowledge()
    done = await site.plane.with_applied(outcome, wait_seconds=PATIENCE_SECONDS)
    assert ([(each.consumer, each.lag_ms) for each in done.applied], done.pending) == ([("ns1", 2.0)], [])


async def test_a_change_that_alters_no_answer_still_moves_the_revision() -> None:
    """A drain of a role without a pool is acknowledged like any other, with an empty delta."""
    site = await site_of([node("a", roles=("storage",)), *ABC[1:]])
    await site.drain("a")
    await acknowledged()
    (delta,) = site.workers.published
    assert (delta.revision, delta.put, delta.removed) == (1, {}, ())
    assert site.plane.publisher.applied_revision == 1


async def test_a_heartbeat_that_changes_nothing_publishes_and_wakes_nothing() -> None:
    """The first report brings the node in; the hundred after it cost no generation and no turn of the clock's loop."""
    site = await site_of(WATCHED)
    await site.report("a")
    published = len(site.workers.published)
    assert published == 1
    site.plane.publisher.transitions_changed.clear()
    for _ in range(100):
        site.clock.advance(0.1)
        await site.report("a")
    assert len(site.workers.published) == published
    assert not site.plane.publisher.transitions_changed.is_set()


async def test_a_reload_sends_the_zones_and_names_that_differ_and_no_others() -> None:
    """The workers get zones only when they differ; either way they answer from what the fleet says."""
    site = await site_of()
    site.plane.reload(settings_of(ABC, [pool(), pool("more.example.org.")]))
    assert site.workers.published[0].zones is None
    assert set(site.workers.published[0].put) == {from_text("more.example.org.")}
    zone = zone_of(
        """
        @ SOA ns1 hostmaster 2 7200 900 1209600 60
        @ NS ns1
        ns1 A 192.0.2.2
        """
    )
    site.plane.reload(settings_of(ABC[:2], [pool()], zones={zone.apex: zone}))
    snapshot = site.workers.snapshot
    assert snapshot.zones == {zone.apex: zone}
    assert snapshot.generation == 3
    assert snapshot.overlay == site.plane.publisher.fleet.overlay


async def test_a_reload_that_changes_zones_alone_sends_no_name_of_the_fleet() -> None:
    """Of three zones one is new, one differs and one is gone: the delta has these, and not one node of the overlay."""
    one, gone, two = (zone_of("@ NS ns1", apex=f"{name}.example.") for name in ("one", "gone", "two"))
    before = {zone.apex: zone for zone in (ZONE, one, gone)}
    site = await site_of(ABC, zones=before)
    changed = {zone.apex: zone for zone in (zone_of("@ NS ns2", apex="one.example."), two)}
    after = {ZONE.apex: ZONE, **changed}
    site.plane.reload(settings_of(ABC, [pool()], zones=after))
    (delta,) = site.workers.published
    assert (delta.put, delta.removed, delta.zones) == ({}, (), changed)
    assert delta.removed_zones == (from_text("gone.example."),)
    assert site.workers.snapshot.zones == after


async def test_a_reload_needs_no_store_and_keeps_drains_reports_and_registrations() -> None:
    """During an outage the configuration can change; what the store holds is as it was."""
    site = await site_of(ABC)
    await site.register("n", "192.0.2.99")
    await site.report("n")
    await site.drain("a")
    site.store.reads_fail = True
    site.plane.reload(settings_of(ABC, [pool(ttl=5)]))
    await acknowledged()
    assert site.plane.pool(EDGE).answers == ["192.0.2.11", "192.0.2.12", "192.0.2.99"]
    assert site.plane.revision == 2


async def test_deltas_leave_workers_with_what_the_fleet_has() -> None:
    """After registrations, removals, drains, releases and a reload the workers' overlay is the fleet's."""
    site = await site_of()
    await site.register("n", "192.0.2.99", monitor="none")
    await site.drain("a")
    await site.register("n", "192.0.2.98", monitor="none")
    await site.release("a")
    await site.drain("b", starts_at=site.clock.wall + 5)
    site.tick(5)
    site.plane.reload(settings_of(ABC[1:], [pool(), pool("more.example.org.")]))
    await site.register("m", "192.0.2.97")
    assert site.workers.snapshot.overlay == site.plane.publisher.fleet.overlay
    assert site.workers.snapshot.revision == site.plane.revision


async def test_every_change_is_an_event_with_its_revision() -> None:
    """Placed, released, registered, removed: kind, node and revision of each."""
    site = await site_of()
    listener = site.plane.events(after=0)
    await site.drain("a", roles=["edge"])
    await site.release("a")
    await site.register("n")
    await site.plane.remove_node("n", actor=ALICE, if_revision=None)
    events = [await anext(listener) for _ in range(4)]
    assert [(each.revision, each.type, each.node) for each in events] == [
        (1, "drain", "a"),
        (2, "drain-removed", "a"),
        (3, "node", "n"),
        (4, "node-removed", "n"),
    ]


async def test_a_node_whose_drain_ends_while_it_is_not_up_stays_out_and_an_event_says_so() -> None:
    """Expired with a stale report: out of the pool as unhealthy, told once; a healthy one returns without a word."""
    site = await site_of(WATCHED)
    await site.report("a")
    for name in ("a", "b"):
        await site.drain(name, expires_in=60)
    site.tick(60)
    assert site.plane.pool(EDGE).answers == ["192.0.2.11", "192.0.2.12"]
    told = [event for event in site.plane.hub._kept if event.revision is None]
    assert [(each.type, each.node, each.detail) for each in told] == [
        ("node-stays-out", "a", {"role": "edge", "health": "stale"})
    ]
    site.tick(1)
    assert len([event for event in site.plane.hub._kept if event.revision is None]) == 1
