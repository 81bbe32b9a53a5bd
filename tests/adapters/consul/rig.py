"""A Consul adapter over a control plane without processes, and a client of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

import aiohttp

from dnsd.adapters.consul.adapter import ConsulAdapter
from dnsd.adapters.context import AdapterContext
from dnsd.config.settings import ConsulSettings
from dnsd.model.endpoint import Endpoint
from tests.adapters.running import running
from tests.control.rig import Site
from tests.support.servers import free_port
from tests.support.waiting import until


@dataclass
class Told:
    """An answer."""

    status: int
    headers: dict[str, str]
    text: str
    body: Any

    @property
    def index(self) -> int:
        return int(self.headers["X-Consul-Index"])

    @property
    def nodes(self) -> list[str]:
        """The nodes of the instances."""
        return [each["Node"]["Node"] for each in self.body]


@dataclass
class Client:
    """Asks an adapter."""

    adapter: ConsulAdapter
    context: AdapterContext[ConsulSettings]
    url: str
    session: aiohttp.ClientSession

    async def ask(self, path: str, *, method: str = "GET") -> Told:
        async with self.session.request(method, f"{self.url}/{path}") as response:
            text = await response.text()
            is_json = response.content_type == "application/json"
            body = await response.json() if is_json else None
            return Told(response.status, dict(response.headers), text, body)

    async def blocked(self, path: str) -> asyncio.Task[Told]:
        """Ask for what is not there yet; returns when the adapter has the client waiting."""
        before = self.adapter._answers.blocked
        asked = asyncio.create_task(self.ask(path))
        await until(lambda: self.adapter._answers.blocked > before or asked.done(), "the client waits")
        assert not asked.done(), f"{path} was answered at once"
        return asked


@asynccontextmanager
async def consul(site: Site, *, datacenter: str = "dc1") -> AsyncIterator[Client]:
    """Run an adapter for a site's plane."""
    port = free_port()
    settings = ConsulSettings(
        listen=Endpoint("127.0.0.1", port), allow=(ip_network("127.0.0.0/8"),), datacenter=datacenter
    )
    context = AdapterContext(site.plane, "consul", settings)
    adapter = ConsulAdapter(context)
    async with running(adapter, context), aiohttp.ClientSession() as session:
        yield Client(adapter, context, f"http://127.0.0.1:{port}/v1", session)
