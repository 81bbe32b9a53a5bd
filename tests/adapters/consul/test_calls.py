"""Every call over HTTP, in Consul's forms, and its errors."""

from __future__ import annotations

import json

import pytest

from dnsd import __version__
from dnsd.adapters.consul.adapter import READ_ONLY
from tests.adapters.consul.rig import consul
from tests.control.rig import site_of
from tests.support.fleets import node, pool

FLEET = (
    node("a", "192.0.2.1", ports={"edge": 8080}, cluster="c1"),
    node("b", "192.0.2.2", region="us", weight=30),
    node("C", "2001:db8::3", roles=("edge", "ingest")),
)
CHECK_KEYS = {
    "Node", "CheckID", "Name", "Status", "Notes", "Output", "ServiceID", "ServiceName", "ServiceTags", "Type",
    "Definition", "CreateIndex", "ModifyIndex",
}  # fmt: skip


async def test_instances_of_a_service_with_their_health() -> None:
    """All of a role, or those that pass, or have tags or metadata; each with its node, service and checks."""
    site = await site_of(FLEET, [pool()])
    await site.drain("b", reason="kernel", force=True)
    async with consul(site, datacenter="paris-1") as client:
        told = await client.ask("health/service/edge")
        assert (told.status, told.nodes) == (200, ["C", "a", "b"])
        assert told.headers["X-Consul-KnownLeader"] == "true"
        assert told.headers["X-Consul-LastContact"] == "0"
        instance = told.body[1]
        index = instance["Node"]["ModifyIndex"]
        assert instance["Node"] == {
            "ID": "",
            "Node": "a",
            "Address": "192.0.2.1",
            "Datacenter": "paris-1",
            "TaggedAddresses": dict.fromkeys(("lan", "wan", "lan_ipv4", "wan_ipv4"), "192.0.2.1"),
            "Meta": {"region": "eu", "cluster": "c1"},
            "CreateIndex": index,
            "ModifyIndex": index,
        }
        service = instance["Service"]
        assert (service["ID"], service["Service"], service["Address"], service["Port"]) == (
            "a:edge", "edge", "192.0.2.1", 8080,
        )  # fmt: skip
        assert service["Weights"] == {"Passing": 100, "Warning": 1}
        assert service["TaggedAddresses"]["lan"] == {"Address": "192.0.2.1", "Port": 8080}
        assert [set(check) for check in instance["Checks"]] == [CHECK_KEYS] * 2
        assert (await client.ask("health/service/edge?passing")).nodes == ["C", "a"]
        assert (await client.ask("health/service/edge?passing=1&tag=cluster=c1&tag=region=eu")).nodes == ["a"]
        assert (await client.ask("health/service/edge?node-meta=region:us")).nodes == ["b"]
        assert (await client.ask("health/service/none")).body == []
        pretty = await client.ask("health/service/edge?pretty")
        assert pretty.body == told.body
        assert "\n    " in pretty.text


async def test_checks_by_node_service_and_state() -> None:
    """Each list has the checks that it is about, with the service that they are of."""
    site = await site_of(FLEET, [pool()])
    await site.drain("b", reason="kernel", force=True)
    async with consul(site) as client:

        async def checks(path: str) -> list[tuple[str, str, str]]:
            return [(each["Node"], each["CheckID"], each["Status"]) for each in (await client.ask(path)).body]

        assert await checks("health/node/B") == [
            ("b", "serfHealth", "passing"),
            ("b", "_node_maintenance", "critical"),
            ("b", "service:b:edge", "passing"),
        ]
        assert await checks("health/checks/ingest") == [("C", "service:C:ingest", "passing")]
        assert await checks("health/state/critical") == [("b", "_node_maintenance", "critical")]
        assert len(await checks("health/state/passing")) == 7
        assert len(await checks("health/state/any")) == 8
        assert await checks("health/state/warning") == []
        assert await checks("health/state/any?node-meta=region:us") == await checks("health/node/b")
        assert await checks("health/node/none") == []


async def test_the_catalog() -> None:
    """Services with their tags, nodes, instances, a node with its services; a drained node is in all of them."""
    site = await site_of(FLEET, [pool()])
    await site.drain("b", reason="kernel", force=True)
    async with consul(site) as client:
        assert (await client.ask("catalog/services")).body == {
            "edge": ["cluster=c1", "pool=edge.example.org", "region=eu", "region=us"],
            "ingest": ["region=eu"],
        }
        assert (await client.ask("catalog/services?node-meta=region:us")).body == {
            "edge": ["pool=edge.example.org", "region=us"]
        }
        assert [each["Node"] for each in (await client.ask("catalog/nodes")).body] == ["C", "a", "b"]
        instance = (await client.ask("catalog/service/edge?tag=region=us")).body[0]
        assert (instance["Node"], instance["ServiceID"], instance["ServiceWeights"]["Passing"]) == ("b", "b:edge", 30)
        assert (instance["ServiceAddress"], instance["ServicePort"], instance["ServiceMeta"]["dnsd-mode"]) == (
            "192.0.2.2", 0, "draining",
        )  # fmt: skip
        found = (await client.ask("catalog/node/c")).body
        assert found["Node"]["Address"] == "2001:db8::3"
        assert {key: each["Service"] for key, each in found["Services"].items()} == {
            "C:edge": "edge",
            "C:ingest": "ingest",
        }
        unknown = await client.ask("catalog/node/none")
        assert (unknown.status, unknown.body) == (200, None)


async def test_what_clients_ask_of_the_cluster() -> None:
    """Datacenters, a leader, peers, and what an agent says of itself."""
    async with consul(await site_of(FLEET)) as client:
        assert (await client.ask("catalog/datacenters")).body == ["dc1"]
        leader = (await client.ask("status/leader")).body
        assert leader in client.url
        assert (await client.ask("status/peers")).body == [leader]
        itself = (await client.ask("agent/self")).body
        assert (itself["Config"]["Datacenter"], itself["Config"]["Version"]) == ("dc1", __version__)
        assert itself["Member"]["Addr"] == "127.0.0.1"


@pytest.mark.parametrize(
    ("method", "path", "status", "text"),
    [
        ("GET", "health/service/", 400, "Missing service name"),
        ("GET", "catalog/node/", 400, "Missing node name"),
        ("GET", "health/state/", 400, "Missing check state"),
        ("GET", "health/state/sick", 400, "'sick' is not a check state: any, passing, warning, critical"),
        ("GET", "health/service/edge?index=x", 400, "Invalid index"),
        ("GET", "health/service/edge?index=1&wait=1", 400, "Invalid wait time"),
        ("GET", "catalog/nodes?dc=dc2", 500, "No path to datacenter"),
        ("GET", "health/service/edge?filter=Checks+is+empty", 400, "?filter is not supported here"),
        ("GET", "kv/some/key", 404, "Invalid URL path: not a recognized HTTP API endpoint"),
        ("PUT", "health/service/edge", 405, "method PUT not allowed"),
        ("DELETE", "catalog/nodes", 405, "method DELETE not allowed"),
        ("PUT", "agent/service/register", 403, READ_ONLY),
        ("PUT", "agent/maintenance?enable=true", 403, READ_ONLY),
    ],
)  # fmt: skip
async def test_errors_are_consuls(method: str, path: str, status: int, text: str) -> None:
    """Plain text, as its clients show it; counted."""
    async with consul(await site_of(FLEET)) as client:
        told = await client.ask(path, method=method)
        assert (told.status, told.text, told.body) == (status, f"{text}\n", None)
        assert told.headers.get("Allow") == ("GET" if status == 405 else None)
        assert sum(client.context.counts.values()) == 1
        assert client.context.counts["consul", "ok"] == 0


async def test_while_the_store_is_away_answers_are_those_of_the_last_state() -> None:
    """They say for how long nothing was heard; who asks for consistency gets an error."""
    site = await site_of(FLEET)
    async with consul(site) as client:
        before = await client.ask("health/service/edge")
        site.store.reads_fail = True
        await site.beat()
        site.clock.advance(2.5)
        told = await client.ask("health/service/edge?stale")
        assert (told.body, told.index) == (before.body, before.index)
        assert (told.headers["X-Consul-KnownLeader"], told.headers["X-Consul-LastContact"]) == ("false", "2500")
        assert (await client.ask("status/leader")).body == ""
        told = await client.ask("health/service/edge?consistent")
        assert (told.status, told.text) == (500, "No cluster leader\n")
        site.store.reads_fail = False
        await site.hear()
        await site.beat()
        assert (await client.ask("health/service/edge?consistent")).body == before.body


async def test_a_name_may_be_anything() -> None:
    """Encoded, long and strange names find nothing, and break nothing."""
    async with consul(await site_of(FLEET)) as client:
        for name in ("%2Fetc%2Fpasswd", "%00", "x" * 2000, "%F0%9F%92%A9", "..%2f..", "a%20b"):
            told = await client.ask(f"health/service/{name}")
            assert (told.status, json.loads(told.text)) == (200, []), name
