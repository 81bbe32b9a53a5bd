"""Whatever happens to a fleet, who has followed it knows what a newcomer is told."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnsd.adapters.envoy import following
from dnsd.adapters.envoy.discovery import Discovery
from dnsd.adapters.groups import Groups
from dnsd.adapters.haproxy.answering import answer
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
    st.tuples(st.just("set"), st.sampled_from([-0.5, -30, 30])),
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
        elif kind == "set":
            site.clock.set_by(rest[0])
            site.tick(0)
    except DnsdError:
        pass


async def follow(story: list[tuple[Any, ...]]) -> None:
    site = await site_of(NODES, POOLS)
    follower = Client(Discovery(site.plane, PORTS), *CLUSTERS)
    followers = Groups(site.plane)
    for step in [*story, ("poll",)]:
        await take(site, step)
        if step[0] != "poll":
            continue
        before = follower.version, follower.clusters
        news = await follower.poll()
        newcomer = Client(Discovery(site.plane, PORTS), *CLUSTERS)
        await newcomer.poll()
        assert (follower.version, follower.clusters) == (newcomer.version, newcomer.clusters)
        assert news == (before[0] != follower.version) == (before[1] != follower.clusters)
        check(site, follower)
        assert told_to_haproxy(site, followers) == told_to_haproxy(site, Groups(site.plane))


def check(site: Site, client: Client) -> None:
    """Look that no endpoint is better than its node, and that those in use are the ones that answers name."""
    fleet, now = site.plane.publisher.fleet, Groups(site.plane).now
    haproxy = told_to_haproxy(site, Groups(site.plane))
    for owner in fleet.pools:
        used = {each.addresses[0] for each in client.clusters[owner] if each.status in ("HEALTHY", "DEGRADED")}
        assert used == {f"{member.node.addresses[0]}:443" for member in fleet.selection_of(owner).members}
    for cluster, endpoints in client.clusters.items():
        role = "ingest" if cluster == "ingest" else "edge"
        for each in endpoints:
            mode = fleet.mode_of(each.node, role, now=now)
            assert mode is not Mode.MAINTENANCE
            assert fleet.nodes[each.node].weight > 0
            assert haproxy[cluster, each.node].startswith(WORDS[each.status])
            assert ("nobody serves" in haproxy[cluster, each.node]) == (each.status == "DEGRADED")
            if each.status == "HEALTHY":
                assert mode is Mode.NORMAL
                assert fleet.health_of(fleet.nodes[each.node], role, now=now).serves
            if each.status == "DEGRADED":
                assert all(other.status != "HEALTHY" for other in endpoints)
                assert mode is Mode.NORMAL or cluster == EDGE


# What HAProxy is told of who is what to Envoy. The first words count.
WORDS = {
    "HEALTHY": "ready up %",
    "DEGRADED": "ready up % # nobody serves",
    "DRAINING": "drain",
    "UNHEALTHY": "ready down",
}


def told_to_haproxy(site: Site, groups: Groups) -> dict[tuple[str, str], str]:
    """Return what HAProxy is told of each node in each group."""
    found = {}
    for group in CLUSTERS:
        for name in NAMES:
            said = answer(f"{group}/{name}\n".encode(), groups, site.plane.publisher.fleet)
            assert said is not None
            found[group, name] = re.sub(r"\d+%", "%", said.line.decode().strip())
    return found


@settings(max_examples=60, deadline=None)
@given(st.lists(steps, max_size=25))
def test_a_follower_knows_what_a_newcomer_is_told(story: list[tuple[Any, ...]]) -> None:
    """After any drains, releases, ramps, reports, registrations and time; the version tells every difference."""
    asyncio.run(follow(story))


@pytest.fixture
def one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every node is a part of its own, and every group is large."""
    monkeypatch.setattr(following, "MEMBERS_AT_ONCE", 1)


@pytest.mark.usefixtures("one_at_a_time")
async def test_a_large_group_is_looked_at_in_parts_and_a_drain_meanwhile_is_not_lost() -> None:
    """Everything else has its turns; whoever asks after the drain is told of it, though others began before."""
    site = await site_of(NODES[:1] + tuple(node(f"n{i}", f"198.51.100.{i}") for i in range(40)))
    discovery = Discovery(site.plane, PORTS)
    early = [Client(discovery, cluster) for cluster in ("edge", EDGE, "edge")]
    polls = [asyncio.create_task(client.poll()) for client in early]
    for _ in range(10):
        await asyncio.sleep(0)
    assert not any(poll.done() for poll in polls)
    for name in ("a", "n7", "n39"):
        await site.drain(name, force=True)
    late = Client(discovery, "edge")
    statuses = await late.statuses()
    assert {name for name, status in statuses.items() if status == "DRAINING"} == {"a", "n7", "n39"}
    assert len(statuses) == 41
    assert all(await asyncio.gather(*polls))
    for client in early:
        await client.poll()
        (endpoints,) = client.clusters.values()
        assert {each.node: each.status for each in endpoints} == statuses


@pytest.mark.usefixtures("one_at_a_time")
async def test_a_reload_while_a_group_is_looked_at_is_followed() -> None:
    """Whenever it comes: a pool is told as it was or as it is, not half of each."""
    seen = set()
    for turns in range(20):
        nodes = [node(f"n{i}", f"198.51.100.{i}", roles=("edge", "ingest")) for i in range(4)]
        site = await site_of(nodes, [pool(), pool("gone.example.org.")])
        await site.drain("n0", roles=["ingest"], mode="maintenance", force=True)
        client = Client(Discovery(site.plane, PORTS), EDGE, "gone.example.org.")
        poll = asyncio.create_task(client.poll())
        for _ in range(turns):
            await asyncio.sleep(0)
        site.plane.reload(replace(site.plane.settings, pools=(pool(role="ingest"),)))
        await poll
        (port,) = {each.addresses[0].partition(":")[2] for each in client.clusters[EDGE]}
        assert (port, len(client.clusters[EDGE])) in {("443", 4), ("1935", 3)}
        seen.add(port)
        await client.poll()
        assert {name: len(each) for name, each in client.clusters.items()} == {EDGE: 3}
    assert seen == {"443", "1935"}


@pytest.mark.usefixtures("one_at_a_time")
async def test_who_gives_up_takes_nothing_from_others() -> None:
    """A poll that is cancelled, at whatever moment, leaves the next one all that it needs."""
    site = await site_of(NODES)
    client = Client(Discovery(site.plane, PORTS), "edge")
    for turns in range(12):
        await site.drain("a", mode=("draining", "maintenance")[turns % 2], force=True)
        poll = asyncio.create_task(client.poll())
        for _ in range(turns):
            await asyncio.sleep(0)
        poll.cancel()
        await asyncio.gather(poll, return_exceptions=True)
        assert (await client.statuses()).get("a") == ("DRAINING", None)[turns % 2]
