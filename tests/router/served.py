"""A server's HTTP interface over a control plane in memory, whose requests a test may look at and hold up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from aiohttp import web
from aiohttp.test_utils import BaseTestServer, TestServer
from aiohttp.typedefs import Handler

from admin.app import make_app
from dnsd.api.schemas import ConsumerOutcome, ConsumerRequest, Readiness
from dnsd.config.settings import Token
from dnsd.model.drain import Mode
from dnsd.model.state import FleetState
from dnsd.router import FleetView
from dnsd.router.server_following import ServerFollower
from tests.control.rig import Site
from tests.support.waiting import until


async def _scrape() -> bytes:
    return b""


class Served:
    """A server.

    Args:
        site: its plane and store; another one may take its place, as after a restart.

    Attributes:
        asked, done: method and path of each request, in the order in which they came, and were carried out.
        words: what routers said, and which of them, in order.
        tokens: those that it knows.
        before: what stands before it, as a proxy does.
    """

    def __init__(self, site: Site) -> None:
        self.site = site
        self.asked: list[str] = []
        self.done: list[str] = []
        self.words: list[tuple[str, int]] = []
        self.tokens: tuple[Token, ...] = ()
        self.before: list[Any] = []
        self.held = asyncio.Event()
        self._hold_at: Callable[[str, bool], bool] = lambda what, is_done: False
        self._go_on = asyncio.Event()
        self._is_stopped = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.site.plane, name)

    async def announce_consumer(self, consumer: str, request: ConsumerRequest) -> ConsumerOutcome:
        """Take note of a router's word, and pass it on."""
        self.words.append((consumer, request.applied_revision))
        return await self.site.plane.announce_consumer(consumer, request)

    def readiness(self) -> Readiness:
        """Answer as if it had workers."""
        return self.site.plane.readiness().model_copy(update={"ready": True})

    def app(self) -> web.Application:
        """Return the application."""
        app = make_app(self, tokens=lambda: self.tokens, metrics=_scrape)
        app.middlewares[:0] = [*self.before, self._middleware()]
        return app

    def hold(self, at: Callable[[str, bool], bool]) -> None:
        """Hold the first request up for which this is true of its method and path, and whether it has been done."""
        self.held.clear()
        self._go_on.clear()
        self._hold_at = at

    def stop_at(self, what: str) -> None:
        """Hold a request up, and every one after it, as a process does that is stopped."""
        self.hold(lambda asked, is_done: asked == what and not is_done)
        self._is_stopped = True

    def release(self) -> None:
        """Let it go on."""
        self._is_stopped = False
        self._go_on.set()

    def puts(self) -> int:
        """Return how many words have come."""
        return len([each for each in self.asked if each.startswith("PUT")])

    def _middleware(self) -> Any:
        @web.middleware
        async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
            what = f"{request.method} {request.path}"
            self.asked.append(what)
            await self._wait(what, is_done=False)
            response = await handler(request)
            self.done.append(what)
            await self._wait(what, is_done=True)
            return response

        return middleware

    async def _wait(self, what: str, *, is_done: bool) -> None:
        is_first = not self.held.is_set() and self._hold_at(what, is_done)
        if is_first or (self._is_stopped and self.held.is_set()):
            self.held.set()
            await self._go_on.wait()


class WatchedView(FleetView):
    """A view that remembers each state that it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[FleetState] = []

    def replace(self, state: FleetState, *, now: float) -> None:
        """Take it, and note it."""
        self.taken.append(state)
        super().replace(state, now=now)

    def drained(self) -> set[str]:
        """Return the nodes that are not used for what is new, as it is now."""
        members = self.roles["edge"].everywhere.members
        return {name for name in members if members[name].mode is not Mode.NORMAL}


@contextlib.asynccontextmanager
async def serving(*servers: Served) -> AsyncIterator[list[BaseTestServer]]:
    """Have servers answer for the length of a block."""
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(TestServer(each.app())) for each in servers]


@contextlib.asynccontextmanager
async def following(
    *servers: Served,
    id: str = "r1",  # noqa: A002 - as the store calls it
    token: str | None = None,
    loads: bool = True,
) -> AsyncIterator[tuple[ServerFollower, WatchedView]]:
    """Follow servers for the length of a block, and leave in order.

    Args:
        loads: the block begins when the drains are loaded.
    """
    view = WatchedView()
    async with serving(*servers) as urls:
        names = [str(each.make_url("")) for each in urls]
        follower = ServerFollower(names, view, id=id, token=token, clock=lambda: servers[0].site.clock.wall)
        task = asyncio.create_task(follower.run())
        try:
            if loads:
                await until(lambda: view.loaded or task.done())
            yield follower, view
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await follower.leave()
