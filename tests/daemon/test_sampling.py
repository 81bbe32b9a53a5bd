"""The metrics' values for a state that is known."""

from __future__ import annotations

from dnsd.daemon.sampling import sample
from dnsd.model.node import Monitor
from dnsd.model.pool import Floor
from tests.control.rig import acknowledged, site_of
from tests.support.fleets import node, pool

FLEET = (
    node("a", "192.0.2.10"),
    node("b", "192.0.2.11"),
    node("c", "192.0.2.12", monitor=Monitor.AGENT),
    node("d", "192.0.2.13", weight=0),
)
EDGE, LONE = "edge.example.org.", "lone.example.org."


async def test_every_value_is_that_of_the_present_state() -> None:
    """Drained, silent, unweighted and serving members; drains by mode, age and kind; what is applied."""
    lone = pool(LONE, match={"region": "us"})
    site = await site_of([*FLEET, node("e", "192.0.2.14", region="us", monitor=Monitor.AGENT)], [pool(), lone])
    await site.drain("a", roles=["edge"], mode="maintenance", indefinite=True)
    await acknowledged()
    site.workers.holding = True
    await site.drain("b", starts_at=site.clock.wall + 600, force=True)
    site.tick(90)
    found = sample(site.plane, reloads={"ok": 1})
    assert {key: count for key, count in found.pool_members.items() if count} == {
        (EDGE, "serving"): 1,
        (EDGE, "drained"): 1,
        (EDGE, "unhealthy"): 2,
        (EDGE, "unweighted"): 1,
        (LONE, "unhealthy"): 1,
    }
    assert found.pool_members[LONE, "serving"] == 0
    assert found.pool_fail_open == {EDGE: False, LONE: True}
    assert found.pool_margins == {EDGE: 0, LONE: -1}
    assert {key: count for key, count in found.consumers.items() if count} == {("dns", "applied"): 1}
    assert found.consumers_behind == {}
    assert found.drains == {("maintenance", "edge"): 1}
    assert found.drain_age_seconds == {("a", "edge", "alice"): 90.0}
    assert found.drains_indefinite == 1
    assert found.drains_overdue == 0
    assert (found.store_revision, found.applied_revision, found.answer_generation) == (2, 1, 2)
    assert found.queries == {("udp", "NOERROR"): 7, ("tcp", "NXDOMAIN"): 2}
    assert found.events == {
        ("rate_limited", "dropped"): 4,
        ("tcp", "accepted"): 9,
        ("tcp", "refused"): 8,
        ("tcp", "evicted"): 7,
        ("tcp", "timed_out"): 6,
    }
    assert (found.dropped, found.failures, found.send_errors, found.receive_errors) == (1, 2, 3, 4)
    assert found.tcp_open == 5
    assert (found.store_up, found.state_age_seconds, found.reloads) == (True, 90.0, {"ok": 1})


async def test_a_drain_is_overdue_from_the_warning_age_on() -> None:
    """Counted while it is in force, whether it ends some day or not; a scheduled one ages from its start."""
    site = await site_of(FLEET, [pool(floor=Floor.of(0))], warn_after_seconds=100.0)
    await site.drain("a", indefinite=True)
    await site.drain("b", expires_in=150.0)
    await site.drain("c", starts_at=site.clock.wall + 50, indefinite=True)
    counts = []
    for seconds in (99, 1, 49, 1):
        site.tick(seconds)
        counts.append(sample(site.plane, reloads={}).drains_overdue)
    # b has ended by the last look, and c has come of age.
    assert counts == [0, 2, 2, 2]
    await site.release("a")
    assert sample(site.plane, reloads={}).drains_overdue == 1


async def test_an_outage_shows_as_the_store_down_and_a_state_that_ages() -> None:
    """Readable or not, a store that takes no writes is down; the age counts from the last read."""
    site = await site_of()
    site.store.reads_fail = True
    await site.beat()
    site.clock.advance(42)
    found = sample(site.plane, reloads={})
    assert (found.store_up, found.state_age_seconds) == (False, 42.0)
    site.store.reads_fail = False
    await site.hear()
    await site.beat()
    found = sample(site.plane, reloads={})
    assert (found.store_up, found.state_age_seconds) == (True, 0.0)
