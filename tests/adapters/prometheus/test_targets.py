"""The list of targets: who is in it, with which labels, at which address, and what is no question."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_network
from itertools import chain
from typing import Any

import aiohttp
import pytest

from dnsd.adapters.context import AdapterContext
from dnsd.adapters.members import RoleMember
from dnsd.adapters.prometheus import adapter as adapter_module
from dnsd.adapters.prometheus.adapter import PrometheusAdapter
from dnsd.adapters.prometheus.targets import TargetGroup, target_group
from dnsd.config.settings import PrometheusSettings
from dnsd.model.endpoint import Endpoint
from dnsd.model.node import Monitor
from tests.adapters.running import running
from tests.control.rig import Site, site_of
from tests.support.fleets import node, pool
from tests.support.servers import free_port

FLEET = (
    node("a", "192.0.2.1", "2001:db8::1", ports={"edge": 8080}, cluster="c1", labels={"rack-no": "1", "rack.no": "2"}),
    node("b", "2001:db8::2", monitor=Monitor.AGENT, region=None),
    node("c", "192.0.2.3", roles=("edge", "ingest"), weight=0),
)


@dataclass
class Client:
    """Asks an adapter."""

    adapter: PrometheusAdapter
    context: AdapterContext[PrometheusSettings]
    url: str
    session: aiohttp.ClientSession

    async def ask(self, query: str = "") -> tuple[int, str, str]:
        """Return the status, the type and the text of an answer."""
        async with self.session.get(f"{self.url}/targets{query}") as response:
            return response.status, response.content_type, await response.text()

    async def groups(self, query: str = "") -> list[dict[str, Any]]:
        status, kind, text = await self.ask(query)
        assert (status, kind) == (200, "application/json")
        found: list[dict[str, Any]] = json.loads(text)
        return found

    async def targets(self, query: str = "") -> dict[str, str]:
        """Return each node's target, in the order of the answer; of a node with several roles, the last."""
        groups = await self.groups(query)
        assert all(len(group["targets"]) == 1 for group in groups)
        return {group["labels"]["__meta_dnsd_node"]: group["targets"][0] for group in groups}


@asynccontextmanager
async def prometheus(site: Site, *, port: int | None = None) -> AsyncIterator[Client]:
    """Run an adapter for a site's plane.

    Args:
        port: that of the configuration.
    """
    listen = Endpoint("127.0.0.1", free_port())
    settings = PrometheusSettings(listen=listen, allow=(ip_network("127.0.0.0/8"),), port=port)
    context = AdapterContext(site.plane, "prometheus", settings)
    adapter = PrometheusAdapter(context)
    async with running(adapter, context), aiohttp.ClientSession() as session:
        yield Client(adapter, context, f"http://{listen.text}", session)


async def test_every_node_of_a_role_is_a_target_with_what_is_in_force() -> None:
    """Drained ones stay, with who has drained them and why; what has no value is not there."""
    site = await site_of(FLEET, [pool()])
    await site.drain("a", roles=["edge"], mode="maintenance", reason='new "kernel"', expires_in=3600.0, force=True)
    async with prometheus(site) as client:
        groups = await client.groups("?role=edge")
    assert [group["targets"] for group in groups] == [["192.0.2.1:8080"], ["[2001:db8::2]"], ["192.0.2.3"]]
    prefix = "__meta_dnsd_"
    assert [{key.removeprefix(prefix): value for key, value in group["labels"].items()} for group in groups] == [
        {
            "node": "a",
            "role": "edge",
            "mode": "maintenance",
            "health": "up",
            "serving": "false",
            "region": "eu",
            "cluster": "c1",
            "weight": "100",
            "label_rack_no": "1",
            "drain_holder": "alice",
            "drain_actor": "alice",
            "drain_reason": 'new "kernel"',
            "drain_since": "2023-11-14T22:13:20.000Z",
            "drain_until": "2023-11-14T23:13:20.000Z",
        },
        {"node": "b", "role": "edge", "mode": "normal", "health": "unknown", "serving": "false", "weight": "100"},
        {
            "node": "c", "role": "edge", "mode": "normal", "health": "up", "serving": "false", "region": "eu",
            "weight": "0",
        },
    ]  # fmt: skip


async def test_the_port_is_that_of_the_question_the_node_or_the_configuration() -> None:
    """In this order; without any the target has none."""
    site = await site_of(FLEET, [pool()])
    async with prometheus(site, port=9100) as client:
        assert await client.targets("?role=edge") == {
            "a": "192.0.2.1:8080", "b": "[2001:db8::2]:9100", "c": "192.0.2.3:9100",
        }  # fmt: skip
        assert await client.targets("?role=edge&port=65535&family=ipv6") == {
            "a": "[2001:db8::1]:65535", "b": "[2001:db8::2]:65535",
        }  # fmt: skip
        assert list(await client.targets("?family=ipv4&port=1")) == ["c", "a"]


async def test_without_a_role_every_role_of_a_node_is_a_target() -> None:
    """Roles may be named several times; one without nodes gives an empty list, which is an answer."""
    site = await site_of(FLEET, [pool()])
    async with prometheus(site) as client:

        async def pairs(query: str) -> list[tuple[str, str]]:
            labels = [group["labels"] for group in await client.groups(query)]
            return [(each["__meta_dnsd_role"], each["__meta_dnsd_node"]) for each in labels]

        edges = [("edge", "a"), ("edge", "b"), ("edge", "c")]
        assert await pairs("") == [("ingest", "c"), *edges]
        assert await pairs("?role=edge&role=ingest&role=edge") == [*edges, ("ingest", "c")]
        assert await client.groups("?role=storage") == []


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("?role=egde", "'egde' is not a role: ingest, edge, storage"),
        ("?role=", "'' is not a role: ingest, edge, storage"),
        ("?port=0", "'0' is not a port: 1 to 65535"),
        ("?port=65536", "'65536' is not a port: 1 to 65535"),
        ("?port=000008000000", "'000008000000' is not a port: 1 to 65535"),
        ("?port=http", "'http' is not a port: 1 to 65535"),
        ("?family=6", "'6' is not a family: ipv4, ipv6"),
        ("?rol=edge", "'rol' is not a parameter: role, port, family"),
    ],
)
async def test_a_question_that_cannot_be_meant_gets_an_error(query: str, text: str) -> None:
    """Never an empty list, which would have Prometheus drop its targets; counted."""
    site = await site_of(FLEET, [pool()])
    async with prometheus(site) as client:
        assert await client.ask(query) == (400, "text/plain", f"{text}\n")
        assert client.context.counts == {("prometheus", "malformed"): 1}


async def test_of_those_who_ask_at_once_each_has_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """One list is made after the other, however many ask: others wait for no more than a part of one."""
    monkeypatch.setattr(adapter_module, "NODES_AT_ONCE", 1)
    made: list[int | None] = []

    def noted(member: RoleMember, *, port: int | None, version: int | None) -> TargetGroup | None:
        made.append(port)
        return target_group(member, port=port, version=version)

    monkeypatch.setattr(adapter_module, "target_group", noted)
    async with prometheus(await site_of(FLEET, [pool()])) as client:
        await asyncio.gather(*(client.groups(f"?role=edge&port={port}") for port in range(1, 9)))
    assert [made[begin : begin + 3] for begin in range(0, len(made), 3)] == [[port] * 3 for port in made[::3]]
    assert set(made) == set(range(1, 9))


async def test_a_large_list_lets_others_have_their_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """They come every few nodes; one that has gone when it is its turn is left out."""
    monkeypatch.setattr(adapter_module, "NODES_AT_ONCE", 10)
    site = await site_of([node(f"n{place:03}", "192.0.2.1") for place in range(300)], [pool()])
    turns = 0

    def places(roles: tuple[str, ...]) -> Iterator[tuple[str, str]]:
        found = PrometheusAdapter._places(client.adapter, roles)
        asyncio.get_running_loop().call_soon(take_turn)
        return chain(found, [("edge", "gone")])

    def take_turn() -> None:
        nonlocal turns
        turns += 1
        if not asked.done():
            asyncio.get_running_loop().call_soon(take_turn)

    async with prometheus(site) as client:
        monkeypatch.setattr(client.adapter, "_places", places)
        asked = asyncio.create_task(client.groups("?role=edge"))
        assert len(await asked) == 300
    assert turns >= 300 // 10
