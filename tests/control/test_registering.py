"""What an agent's token may say of its own node, through the HTTP interface of a real control plane."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from admin.app import make_app
from admin.server import AdminServer
from dnsd.config.settings import Scope, Token
from tests.control.rig import Site, site_of

TOKENS = (
    Token(name="olga", scope=Scope.OPERATOR, sha256=hashlib.sha256(b"do-all").hexdigest()),
    Token(name="n-agent", scope=Scope.AGENT, node="n", sha256=hashlib.sha256(b"own-node").hexdigest()),
)
NODE = {"addresses": ["192.0.2.99"], "roles": ["edge"]}


async def scrape() -> bytes:
    return b"up 1\n"


@asynccontextmanager
async def served(site: Site) -> AsyncIterator[aiohttp.ClientSession]:
    """Run the interface on a free port."""
    server = AdminServer(make_app(site.plane, tokens=lambda: TOKENS, metrics=scrape), "127.0.0.1", 0)
    await server.start()
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as session:
            yield session
    finally:
        await server.stop()


async def put(session: aiohttp.ClientSession, secret: str, **fields: Any) -> tuple[int, dict[str, Any]]:
    headers = {"Authorization": f"Bearer {secret}"}
    async with session.put("/v1/nodes/n", json={**NODE, **fields}, headers=headers) as got:
        return got.status, await got.json(content_type=None)


@pytest.mark.parametrize("monitor", ["none", "check"])
async def test_an_agent_does_not_switch_off_what_watches_its_node(monitor: str) -> None:
    """It is refused with the field, nothing is written, and the sessions of the last report still count."""
    site = await site_of()
    async with served(site) as session:
        assert (await put(session, "own-node"))[0] == 200
        await site.report("n", sessions={"edge": {"viewers": 7, "inputs": 0, "jobs": 0}})
        await site.drain("n")
        revision = site.plane.revision
        status, problem = await put(session, "own-node", monitor=monitor)
        assert (status, problem["id"], problem["field"]) == (403, "not-allowed", "monitor")
        assert monitor in problem["detail"]
        assert (site.plane.revision, site.plane.node("n").monitor) == (revision, "agent")
        assert "edge: 7 viewers still connected" in site.status("n").blockers


async def test_an_agent_registers_its_node_as_watched() -> None:
    """By the default and in words; an operator may have a node watched in any way."""
    site = await site_of()
    async with served(site) as session:
        for secret, fields in (("own-node", {}), ("own-node", {"monitor": "agent"}), ("do-all", {"monitor": "none"})):
            status, outcome = await put(session, secret, **fields)
            assert (status, outcome["node"]["monitor"]) == (200, fields.get("monitor", "agent"))
