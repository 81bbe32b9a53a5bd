"""How many connections there may be, and how long one may keep quiet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

import pytest

from admin.connections import MAX_CONNECTIONS
from tests.admin.fakebackend import FakeBackend
from tests.admin.site import DEADLINE_SECONDS, Site

LIVEZ = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
HALF = b"GET /livez HTTP/1.1\r\nHost: loc"


class Caller:
    """A connection to a site, and what comes over it."""

    def __init__(self, site: Site) -> None:
        self._port = site.server.port

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.transport.abort()

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    async def is_served(self) -> bool:
        """Ask, and say whether an answer came rather than the end."""
        self.send(LIVEZ)
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                head = await self._reader.readuntil(b"ok\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return False
        return head.startswith(b"HTTP/1.1 200 OK\r\n")

    async def is_closed(self) -> bool:
        """Wait for the end without asking, and say that nothing came before it."""
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                return await self._reader.read() == b""
        except ConnectionError:
            return True


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.mark.parametrize("sent", [b"", b"\r\n", HALF], ids=["nothing", "a line end", "half a header"])
async def test_a_connection_that_asks_nothing_is_closed(
    backend: FakeBackend, stack: AsyncExitStack, sent: bytes
) -> None:
    """Whoever has not sent a whole header in time is closed, with or without a part of it."""
    site = await stack.enter_async_context(Site(backend, header_timeout_seconds=0.1))
    caller = await stack.enter_async_context(Caller(site))
    caller.send(sent)
    assert await caller.is_closed()


async def test_a_connection_that_has_asked_is_kept(backend: FakeBackend, stack: AsyncExitStack) -> None:
    """After its first request, a connection may rest for longer than a header may take."""
    site = await stack.enter_async_context(Site(backend, header_timeout_seconds=0.1))
    first = await stack.enter_async_context(Caller(site))
    while not await first.is_served():  # the machine stood still before it had asked
        first = await stack.enter_async_context(Caller(site))
    later = await stack.enter_async_context(Caller(site))
    assert await later.is_closed()
    assert await first.is_served()


async def test_the_oldest_silent_connection_makes_room(backend: FakeBackend, stack: AsyncExitStack) -> None:
    """Over the limit, the silent go first and the oldest of them before the others, then those with half a header."""
    site = await stack.enter_async_context(Site(backend, max_connections=4))
    served, half, silent, younger = [await stack.enter_async_context(Caller(site)) for _ in range(4)]
    assert await served.is_served()
    half.send(HALF)
    assert await served.is_served()  # what was sent before it has been read by now
    newcomers = []
    for expected in (silent, younger, half):
        newcomers.append(await stack.enter_async_context(Caller(site)))
        assert await newcomers[-1].is_served()
        assert await expected.is_closed()
    assert all([await caller.is_served() for caller in (served, *newcomers)])


async def test_where_all_are_in_use_the_newcomer_is_refused(
    backend: FakeBackend, stack: AsyncExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody who has asked loses the connection to a newcomer; the log says so once; a place that is left is taken."""
    site = await stack.enter_async_context(Site(backend, max_connections=2))
    first = await stack.enter_async_context(Caller(site))
    async with Caller(site) as second:
        assert await first.is_served()
        assert await second.is_served()
        for _ in range(3):
            async with Caller(site) as refused:
                assert not await refused.is_served()
    async with asyncio.timeout(DEADLINE_SECONDS):
        served = False
        while not served:
            async with Caller(site) as newcomer:
                served = await newcomer.is_served()
    assert await first.is_served()
    assert [record.getMessage() for record in caplog.records] == [
        "the admin interface: 2 connections are open, which is the limit; silent ones are closed"
    ]


async def test_a_flood_of_silent_connections_shuts_nobody_out(backend: FakeBackend, stack: AsyncExitStack) -> None:
    """With more half-open connections than there is room for, the next one to ask is answered."""
    site = await stack.enter_async_context(Site(backend, max_connections=20))
    for _ in range(100):
        await stack.enter_async_context(Caller(site))
    operator = await stack.enter_async_context(Caller(site))
    assert await operator.is_served()


async def test_silent_connections_do_not_hold_up_the_end(
    backend: FakeBackend, stack: AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server with connections that ask nothing stops at once, however long one that asks would be waited for."""
    monkeypatch.setattr("admin.server.SHUTDOWN_GRACE_SECONDS", 60.0)
    site = await stack.enter_async_context(Site(backend))
    callers = [await stack.enter_async_context(Caller(site)) for _ in range(5)]
    assert await callers[0].is_served()
    async with asyncio.timeout(30):
        await site.server.stop()
    assert all([await caller.is_closed() for caller in callers])


def test_the_limit_leaves_descriptors_to_the_rest() -> None:
    """Where a process may have 1024 descriptors, half of them stay for the store, the workers and the log."""
    assert MAX_CONNECTIONS <= 1024 // 2
