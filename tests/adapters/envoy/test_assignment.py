"""What Envoy is told of a fleet, read by Envoy's own definitions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dnsd.adapters.envoy.discovery import Discovery
from dnsd.adapters.members import member_of
from dnsd.model.node import MAX_WEIGHT, Monitor, Node
from dnsd.model.pool import NodeRecordSpec, PoolType, Service, WhenEmpty
from tests.adapters.envoy.reading import Client, Seen
from tests.control.rig import EDGE, Site, site_of
from tests.support.fleets import node, pool

PORTS = {"edge": 443, "ingest": 1935}
NODES = (
    node("a", "192.0.2.10", "2001:db8::10", "192.0.2.110", cluster="one", ports={"edge": 8443}),
    node("b", "192.0.2.11", monitor=Monitor.AGENT, cluster="two", weight=7),
    node("c", "192.0.2.12", region="us", roles=("edge", "ingest")),
    node("d", "192.0.2.13", region=None),
    node("idle", "192.0.2.14", weight=0),
)


def discovery_of(site: Site, ports: dict[str, int] = PORTS) -> Discovery:
    return Discovery(site.plane, ports)


async def client_of(*names: str, nodes: Any = NODES, **fields: Any) -> tuple[Site, Client]:
    site = await site_of(nodes, **fields)
    return site, Client(discovery_of(site), *names)


async def test_a_fleet_as_envoy_reads_it() -> None:
    """Every address and port, health, weight in tenths, and localities; whoever has weight 0 is not there."""
    _, client = await client_of("edge", "ingest")
    assert await client.poll()
    assert client.clusters == {
        "edge": [
            Seen("d", ("192.0.2.13:443",), "HEALTHY", 1000, ("", "")),
            Seen("a", ("192.0.2.10:8443", "2001:db8::10:8443", "192.0.2.110:8443"), "HEALTHY", 1000, ("eu", "one")),
            Seen("b", ("192.0.2.11:443",), "UNHEALTHY", 70, ("eu", "two")),
            Seen("c", ("192.0.2.12:443",), "HEALTHY", 1000, ("us", "")),
        ],
        "ingest": [Seen("c", ("192.0.2.12:1935",), "HEALTHY", 1000, ("us", ""))],
    }


async def test_a_drain_health_and_maintenance_are_told_and_taken_back() -> None:
    """The version changes with each, and is the one from before when all is as before."""
    site, client = await client_of("edge")
    everybody = {"a": "HEALTHY", "b": "HEALTHY", "c": "HEALTHY", "d": "HEALTHY"}
    await site.report("b")
    assert await client.statuses() == everybody
    versions = [client.version]

    await site.drain("a", force=True)
    assert await client.statuses() == {**everybody, "a": "DRAINING"}
    versions.append(client.version)
    await site.report("b", up=False)
    assert await client.statuses() == {**everybody, "a": "DRAINING", "b": "UNHEALTHY"}
    versions.append(client.version)
    await site.drain("a", mode="maintenance", force=True)
    assert await client.statuses() == {"b": "UNHEALTHY", "c": "HEALTHY", "d": "HEALTHY"}
    versions.append(client.version)
    assert len(set(versions)) == 4

    await site.release("a")
    await site.report("b")
    assert await client.statuses() == everybody
    assert client.version == versions[0]


async def test_what_changes_nothing_for_envoy_changes_no_version() -> None:
    """Reports, drains of other roles, another reason, nodes elsewhere; another server and a restart have the same."""
    site, client = await client_of("edge")
    await site.report("b")
    await site.drain("a", reason="one", force=True)
    assert await client.poll()
    assert not await client.poll()
    await site.report("b")
    await site.drain("a", reason="two", force=True)
    await site.drain("c", roles=["ingest"], force=True)
    await site.register("far", roles=["storage"])
    assert not await client.poll()

    again = await site_of(NODES, store=site.store, clock=site.clock)
    await again.report("b")
    other = Client(discovery_of(again), "edge")
    assert await other.poll()
    assert (other.version, other.clusters) == (client.version, client.clusters)


async def test_time_alone_is_told() -> None:
    """A drain that starts and ends, each step of a ramp, and a report that gets stale."""
    site, client = await client_of("edge", stale_after_seconds=300.0)
    await site.report("b")
    at = site.clock.wall
    await site.drain("a", starts_at=at + 60, expires_at=at + 120, force=True)
    assert (await client.statuses())["a"] == "HEALTHY"
    site.tick(60)
    assert (await client.statuses())["a"] == "DRAINING"
    await site.release("a", ramp=90)
    weights = []
    for _ in range(10):
        await client.poll()
        weights += [each.weight for each in client.clusters["edge"] if each.node == "a"]
        site.tick(10)
    assert weights == list(range(100, 1001, 100))
    assert (await client.statuses())["b"] == "HEALTHY"
    site.tick(300)
    assert (await client.statuses())["b"] == "UNHEALTHY"


async def test_a_clock_that_goes_back_a_little_hides_no_drain() -> None:
    """Once the fleet has taken its start, as answers have; and no release, when it is over."""
    site, client = await client_of("edge")
    at = site.clock.wall
    await site.drain("a", starts_at=at + 60, expires_at=at + 120, force=True)
    assert (await client.statuses())["a"] == "HEALTHY"
    for expected in ("DRAINING", "HEALTHY"):
        site.tick(60)
        site.clock.set_by(-0.5)
        assert (await client.statuses())["a"] == expected
        site.clock.advance(0.5)
        assert (await client.statuses())["a"] == expected


async def test_it_fails_open_where_nobody_serves_and_never_to_a_drained_node() -> None:
    """Whoever is unhealthy is DEGRADED while there is nobody else, by role and by pool, and what drains goes on so."""
    nodes = [node(name, f"192.0.2.{10 + i}", monitor=Monitor.AGENT, region=name[:2]) for i, name in enumerate(FOUR)]
    eu = pool("eu.edge.example.org.", match={"region": "eu"})
    site, client = await client_of("edge", eu.owner, nodes=nodes, pools=[pool(), eu])
    await site.drain("eu-1", force=True)
    open_ = {"eu-1": "DRAINING", "eu-2": "DEGRADED", "us-1": "DEGRADED", "us-2": "DEGRADED"}
    assert await client.statuses() == open_
    await site.report("us-1")
    assert await client.statuses() == {"eu-1": "DRAINING", "eu-2": "UNHEALTHY", "us-1": "HEALTHY", "us-2": "UNHEALTHY"}
    assert await client.statuses(eu.owner) == {"eu-1": "DRAINING", "eu-2": "DEGRADED"}
    await site.report("us-1", up=False)
    assert await client.statuses() == open_


FOUR = ("eu-1", "eu-2", "us-1", "us-2")


async def test_a_pool_that_answers_with_draining_nodes_when_it_is_empty_has_them_degraded() -> None:
    """By `when_empty`; the role by itself has none, and they drain."""
    site, client = await client_of(EDGE, "edge", nodes=NODES[2:4], pools=[pool(when_empty=WhenEmpty.DRAINING)])
    for name in "cd":
        await site.drain(name, force=True)
    assert await client.statuses(EDGE) == {"c": "DEGRADED", "d": "DEGRADED"}
    assert await client.statuses("edge") == {"c": "DRAINING", "d": "DRAINING"}


async def test_a_pool_has_its_own_nodes_and_port() -> None:
    """By its selector; the answer has the name as it was asked for."""
    srv = pool(
        "_x._tcp.example.org.",
        type=PoolType.SRV,
        service=Service(port=9000),
        targets=NodeRecordSpec(template="{id}.nodes.example.org."),
        match={"region": "us"},
    )
    site, client = await client_of("_X._tcp.Example.org", srv.owner, pools=[pool(), srv])
    await client.poll()
    expected = [Seen("c", ("192.0.2.12:9000",), "HEALTHY", 1000, ("us", ""))]
    assert client.clusters == {"_X._tcp.Example.org": expected, srv.owner: expected}
    site.plane.reload(replace(site.plane.settings, pools=(replace(srv, service=Service(port=9001)),)))
    assert await client.poll()
    assert client.clusters[srv.owner][0].addresses == ("192.0.2.12:9001",)
    site.plane.reload(replace(site.plane.settings, pools=()))
    assert await client.poll()
    assert client.clusters == {}


async def test_unknown_names_are_left_out_and_empty_roles_are_not() -> None:
    """Envoy keeps what it has of the first, and has nobody for the second."""
    _, client = await client_of("edgy", "storage", "edge", "no.example.org.")
    await client.poll()
    assert {name: len(found) for name, found in client.clusters.items()} == {"storage": 0, "edge": 4}
    assert client.response is not None
    assert client.response.unknown == ("edgy", "no.example.org.")


async def test_a_node_without_a_port_is_left_out_and_named() -> None:
    """It comes as soon as somebody says its port."""
    site = await site_of(NODES)
    client = Client(discovery_of(site, {}), "edge")
    assert await client.statuses() == {"a": "HEALTHY"}
    assert client.response is not None
    assert client.response.portless == {"edge": ("b", "c", "d")}
    await site.register("new", monitor="none", ports={"edge": 1})
    assert await client.statuses() == {"a": "HEALTHY", "new": "HEALTHY"}


async def test_nodes_that_share_an_address_are_one_host_as_long_as_one_serves() -> None:
    """Envoy keeps the first of several at one address and port, so that the best is the only one."""
    site, client = await client_of("edge", nodes=[node("a", "192.0.2.10"), node("b", "192.0.2.10", region="us")])
    assert await client.statuses() == {"a": "HEALTHY"}
    await site.drain("a", force=True)
    assert await client.statuses() == {"b": "HEALTHY"}
    await site.drain("b", mode="maintenance", force=True)
    assert await client.statuses() == {"a": "DRAINING"}


@pytest.mark.parametrize("count", [3, 500])
async def test_weights_fit_in_what_envoy_takes(count: int) -> None:
    """Where a locality has more than 32 bits of it, all are less in proportion, and none is 0."""
    heavy = [node(f"h{i}", f"10.0.{i // 250}.{i % 250}", weight=MAX_WEIGHT) for i in range(count)]
    _, client = await client_of("edge", nodes=[*heavy, node("light", "192.0.2.1", weight=1)])
    await client.poll()
    weights = {each.node: each.weight for each in client.clusters["edge"]}
    assert sum(weights.values()) < 2**32
    assert weights["light"] >= 1
    assert {weights[each.id] for each in heavy} == {10_000_000 if count == 3 else (2**32 - 502) // 500}


async def test_a_poll_costs_what_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a fleet of 1,000, nothing is looked at where nothing has changed, and one node where one has."""
    looked: list[str] = []
    nodes: list[Node] = [node(f"n{i}", f"10.0.{i // 250}.{i % 250}") for i in range(1000)]
    site, client = await client_of("edge", nodes=nodes)
    assert await client.poll()

    def counted(*arguments: Any, **fields: Any) -> Any:
        looked.append(arguments[2])
        return member_of(*arguments, **fields)

    monkeypatch.setattr("dnsd.adapters.groups.member_of", counted)
    assert not await client.poll()
    assert looked == []
    await site.drain("n7", force=True)
    assert (await client.statuses())["n7"] == "DRAINING"
    assert looked == ["n7"]
    await site.release("n7")
    assert await client.poll()
    assert looked == ["n7", "n7"]
