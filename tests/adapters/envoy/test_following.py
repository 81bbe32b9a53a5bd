"""Whatever happens to a fleet, who has followed it knows what a newcomer is told."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dnsd.adapters.envoy.discovery import Discovery
from dnsd.adapters.groups import Groups
from dnsd.errors import DnsdError
from dnsd.model.drain import Mode
from dnsd.model.node import Monitor
from dnsd.model.pool import WhenEmpty
from tests.adapters.envoy.reading import Client
from tests.control.rig import ALICE, EDGE, Site, site_of
from tests.support.fleets import node, pool

NAMES = ("a", "b", "c", "d")
NODES = (
    node("a", "192.0.2.10", "2001:db8::10"),
    node("b", "192.0.2.11", monitor=Monitor.AGENT, region="us"),
    node("c", "192.0.2.11", monitor=Monitor.AGENT, weight=3, cluster="x"),  # the address of b
)
POOLS = (pool(when_empty=WhenEmpty.DRAINING), pool("us.edge.example.org.", match={"region": "us"}))
CLUSTERS = ("edge", EDGE, "us.edge.example.org.", "ingest")
PORTS = {"edge": 443, "ingest": 1935}

names = st.sampled_from(NAMES)
steps = st.one_of(
    st.tuples(st.just("drain"), names, st.sampled_from(["draining", "maintenance"]), st.sampled_from([0, 20])),
    st.tuples(st.just("release"), names, st.sampled_from([None, 90.0])),
    st.tuples(st.just("report"), names, st.booleans()),
    st.tuples(st.just("register"), st.just("d"), st.sampled_from(["edge", "ingest"]), st.integers(0, 2)),
    st.tuples(st.just("remove"), st.just("d")),
    st.tuples(st.just("tick"), st.sampled_from([1, 15, 40, 20_000])),
    st.tuples(st.just("poll")),
)


async def take(site: Site, step: tuple[Any, ...]) -> None:
    """Have a step happen; one that makes no sense now is refused, and changes nothing."""
    kind, *rest = step
    try:
        if kind == "drain":
            name, mode, delay = rest
            await site.drain(name, mode=mode, starts_at=site.clock.wall + delay, force=True)
        elif kind == "release":
            await site.release(rest[0], ramp=rest[1])
        elif kind == "report":
            await site.report(rest[0], up=rest[1])
        elif kind == "register":
            await site.register(rest[0], "192.0.2.13", roles=[rest[1]], weight=rest[2], monitor="none")
        elif kind == "remove":
            await site.plane.remove_node(rest[0], actor=ALICE, if_revision=None)
        elif kind == "tick":
            site.tick(rest[0])
    except DnsdError:
        pass


async def follow(story: list[tuple[Any, ...]]) -> None:
    site = await site_of(NODES, POOLS)
    follower = Client(Discovery(Groups(site.plane), PORTS), *CLUSTERS)
    for step in [*story, ("poll",)]:
        await take(site, step)
        if step[0] != "poll":
            continue
        before = follower.version, follower.clusters
        news = follower.poll()
        newcomer = Client(Discovery(Groups(site.plane), PORTS), *CLUSTERS)
        newcomer.poll()
        assert (follower.version, follower.clusters) == (newcomer.version, newcomer.clusters)
        assert news == (before[0] != follower.version) == (before[1] != follower.clusters)
        check(site, follower)


def check(site: Site, client: Client) -> None:
    """Look that no endpoint is better than its node."""
    fleet, now = site.plane.publisher.fleet, site.clock.wall
    for cluster, endpoints in client.clusters.items():
        role = "ingest" if cluster == "ingest" else "edge"
        for each in endpoints:
            mode = fleet.mode_of(each.node, role, now=now)
            assert mode is not Mode.MAINTENANCE
            assert fleet.nodes[each.node].weight > 0
            if each.status == "HEALTHY":
                assert mode is Mode.NORMAL
                assert fleet.health_of(fleet.nodes[each.node], role, now=now).serves
            if each.status == "DEGRADED":
                assert all(other.status != "HEALTHY" for other in endpoints)
                assert mode is Mode.NORMAL or cluster == EDGE


@settings(max_examples=60, deadline=None)
@given(st.lists(steps, max_size=25))
def test_a_follower_knows_what_a_newcomer_is_told(story: list[tuple[Any, ...]]) -> None:
    """After any drains, releases, ramps, reports, registrations and time; the version tells every difference."""
    asyncio.run(follow(story))
