"""How far consumers are, as metrics show it."""

from __future__ import annotations

from dnsd.api.schemas import ConsumerInfo
from dnsd.control.lagging import MAX_LISTED, lagging_of
from dnsd.model.state import Consumer
from tests.control.rig import Site, acknowledged, site_of
from tests.support.fleets import node, pool

FLEET = (node("a", "192.0.2.1"), node("b", "192.0.2.2"), node("c", "192.0.2.3"))


def consumer(key: str, applied: int, *, kind: str = "router", live: bool = True) -> ConsumerInfo:
    return ConsumerInfo(
        kind=kind, id=key, applied_revision=applied, lag_ms=None, behind=applied < 9, last_seen=0.0, live=live
    )


def since(applied: int) -> float | None:
    """Return an instant a second after the other for each revision up to 9."""
    return None if applied >= 9 else 100.0 + applied


def test_each_is_in_one_state_and_those_behind_have_their_time() -> None:
    """Silent ones are counted as such, and are behind all the same; strange kinds are one."""
    told = lagging_of(
        [
            consumer("ns1", 9, kind="dns"),
            consumer("r1", 8),
            consumer("r2", 3, live=False),
            consumer("r3", 9, live=False),
            consumer("x", 9, kind="nobody knows"),
        ],
        missed_since=since,
        now=200.0,
    )
    assert {key: count for key, count in told.counts.items() if count} == {
        ("dns", "applied"): 1,
        ("router", "behind"): 1,
        ("router", "silent"): 2,
        ("other", "applied"): 1,
    }
    assert told.counts["dns", "silent"] == 0
    assert told.behind_seconds == {("router", "r2"): 97.0, ("router", "r1"): 92.0}


def test_the_longest_behind_are_listed() -> None:
    """However many there are, the metric has no more series."""
    many = [consumer(f"r{place}", place % 9) for place in range(500)]
    told = lagging_of(many, missed_since=since, now=200.0)
    assert len(told.behind_seconds) == MAX_LISTED
    assert set(told.behind_seconds.values()) == {100.0}
    assert told.counts["router", "behind"] == 500


async def says(site: Site, key: str, applied: int) -> None:
    """Have a router say in the store what it has applied."""
    now = site.clock.wall
    await site.store.heartbeat(Consumer(id=key, kind="router", applied=applied, applied_at=now, seen_at=now))
    await site.beat()


async def test_a_router_is_behind_from_the_first_change_that_it_lacks() -> None:
    """Counted from the acceptance of that change, not from the last one; over when it has caught up."""
    site = await site_of(FLEET, [pool()])
    await says(site, "r1", 0)
    assert site.plane.lagging().behind_seconds == {}
    await site.drain("a", reason="x")
    await acknowledged()
    site.tick(40)
    await site.drain("b", reason="x", force=True)
    await acknowledged()
    site.tick(5)
    await says(site, "r1", 0)
    assert site.plane.lagging().behind_seconds == {("router", "r1"): 45.0}
    await says(site, "r1", 1)
    assert site.plane.lagging().behind_seconds == {("router", "r1"): 5.0}
    await says(site, "r1", 2)
    assert site.plane.lagging().behind_seconds == {}


async def test_what_was_before_the_start_counts_from_the_start() -> None:
    """A server that finds a router behind knows no more than since when it knows that itself."""
    first = await site_of(FLEET, [pool()])
    await first.drain("a", reason="x")
    first.clock.advance(1000)
    second = await site_of(FLEET, [pool()], store=first.store, clock=first.clock)
    await says(second, "r1", 0)
    second.tick(7)
    await says(second, "r1", 0)
    assert second.plane.lagging().behind_seconds == {("router", "r1"): 7.0}


async def test_nobody_lags_more_while_the_store_is_away() -> None:
    """What consumers apply meanwhile cannot be read: the time of the outage is not held against them."""
    site = await site_of(FLEET, [pool()])
    await site.drain("a", reason="x")
    await acknowledged()
    site.tick(5)
    await says(site, "r1", 0)
    await site.hear()
    site.store.reads_fail = True
    await site.beat()
    site.tick(600)
    assert site.plane.lagging().behind_seconds == {("router", "r1"): 5.0}
