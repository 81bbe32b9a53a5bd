"""Whose word is taken of several servers, one of which is behind or cut off from the store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from dnsd.control import storehealth
from dnsd.model.drain import Mode
from dnsd.router import FleetView, server_following
from dnsd.router.server_following import BACKWARD_LOOKS, ServerFollower
from dnsd.router.server_standing import CUT_OFF_PROBLEM
from tests.router.fleets import ROLE
from tests.support.waiting import until


class FakeServer:
    """Lists one node and its drain, at a revision that a test sets."""

    def __init__(self, revision: int, *, is_drained: bool) -> None:
        self.revision = revision
        self.is_drained = is_drained
        self.is_down = False
        self.problems: list[str] = []
        self.looks = 0

    def app(self) -> web.Application:
        """Return the application."""
        app = web.Application()
        app.add_routes(
            [
                web.get("/v1/nodes", self.nodes),
                web.get("/v1/drains", self.drains),
                web.get("/readyz", self.ready),
            ]
        )
        return app

    async def nodes(self, _request: web.Request) -> web.Response:
        """List the node."""
        state = {"mode": "draining" if self.is_drained else "normal", "health": "up", "serving": not self.is_drained}
        node = {
            "id": "n0", "addresses": ["192.0.2.1"], "roles": {ROLE: state}, "region": None, "cluster": None,
            "location": None, "weight": 100, "labels": {}, "names": [], "ports": {}, "priority": 0, "monitor": "none",
            "configured": True,
        }  # fmt: skip
        return self._answer({"items": [node], "next": None})

    async def drains(self, _request: web.Request) -> web.Response:
        """List the drain, where there is one."""
        drain = {
            "node": "n0", "roles": ["*"], "holder": "ops", "mode": "draining", "reason": "r", "actor": "alice",
            "created_at": "2026-01-01T00:00:00Z", "starts_at": "2026-01-01T00:00:00Z", "expires_at": None,
            "revision": 1,
        }  # fmt: skip
        return self._answer({"items": [drain] if self.is_drained else [], "next": None})

    async def ready(self, _request: web.Request) -> web.Response:
        """Tell the problems."""
        self.looks += 1
        document = {"ready": True, "generation": 1, "revision": self.revision, "workers": 1, "problems": self.problems}
        return self._answer(document)

    def _answer(self, document: Any) -> web.Response:
        if self.is_down:
            raise web.HTTPServiceUnavailable
        return web.json_response(document, headers={"ETag": f'"{self.revision}"'})


@asynccontextmanager
async def following(*fakes: FakeServer) -> AsyncIterator[FleetView]:
    """Follow servers for the length of a block."""
    view = FleetView()
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(TestServer(fake.app())) for fake in fakes]
        follower = ServerFollower([str(server.make_url("")) for server in servers], view, id="r1")
        task = asyncio.create_task(follower.run())
        try:
            await until(lambda: view.loaded or task.done())
            yield view
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_following, "RETRY_SECONDS", 0.005)
    monkeypatch.setattr(server_following, "LOOK_SECONDS", 0.005)


def mode(view: FleetView) -> Mode:
    """Return the node's mode."""
    member = view.member("n0", ROLE)
    assert member is not None
    return member.mode


async def test_a_server_that_is_behind_undrains_nobody() -> None:
    """While the one that is ahead is away for a moment; what it says then is taken again."""
    ahead, behind = FakeServer(10, is_drained=True), FakeServer(9, is_drained=False)
    behind.problems = [f"the store is unavailable: {CUT_OFF_PROBLEM}"]
    async with following(ahead, behind) as view:
        assert (view.revision, mode(view)) == (10, Mode.DRAINING)
        ahead.is_down = True
        await until(lambda: behind.looks >= 2 * BACKWARD_LOOKS)
        assert (view.revision, mode(view)) == (10, Mode.DRAINING)
        ahead.revision, ahead.is_drained, ahead.is_down = 11, False, False
        await until(lambda: view.revision == 11)
        assert mode(view) is Mode.NORMAL


async def test_a_lower_revision_is_believed_after_several_looks() -> None:
    """A store that was put back has one, and it stays."""
    server = FakeServer(10, is_drained=True)
    async with following(server) as view:
        assert view.revision == 10
        server.looks, server.revision, server.is_drained = 0, 3, False
        await until(lambda: view.revision == 3)
        assert server.looks >= BACKWARD_LOOKS
        assert mode(view) is Mode.NORMAL


async def test_a_server_that_reaches_its_store_is_preferred() -> None:
    """One that does not is asked where there is no other."""
    cut_off, good = FakeServer(5, is_drained=False), FakeServer(6, is_drained=True)
    cut_off.problems = [f"the store is unavailable: {CUT_OFF_PROBLEM}"]
    async with following(cut_off, good) as view:
        assert (view.revision, mode(view)) == (6, Mode.DRAINING)
    async with following(cut_off) as view:
        assert view.revision == 5


def test_a_server_says_by_these_words_that_it_is_cut_off() -> None:
    """In both of its problems with the store."""
    assert Path(storehealth.__file__).read_text().count(CUT_OFF_PROBLEM) == 2
