"""Bodies of requests to adapters over HTTP: what is wrong with them is the peer's doing, and no fault of ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network

import pytest
from aiohttp import web

from dnsd.adapters.context import AdapterContext
from dnsd.adapters.shell import HttpAdapter, read_body
from dnsd.config.settings import AdapterSettings
from dnsd.model.endpoint import Endpoint
from tests.adapters.running import running
from tests.control.rig import site_of
from tests.support.servers import free_port
from tests.support.waiting import until

POST = b"POST %s HTTP/1.1\r\nHost: x\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
PACKED = POST + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\n"


async def _echo(request: web.Request) -> web.Response:
    return web.Response(body=await read_body(request))


async def _hasty(request: web.Request) -> web.Response:
    return web.Response(body=await read_body(request, within_seconds=0.05))


async def _deaf(_request: web.Request) -> web.Response:
    return web.Response(text="never read")


@asynccontextmanager
async def shell() -> AsyncIterator[tuple[AdapterContext[AdapterSettings], int]]:
    """Run an adapter with calls that read their body, one with no patience, and one that does not; give its port."""
    port = free_port()
    settings = AdapterSettings(listen=Endpoint("127.0.0.1", port), allow=(ip_network("127.0.0.0/8"),))
    context = AdapterContext((await site_of()).plane, "sample", settings)
    calls = (("/echo", _echo), ("/hasty", _hasty), ("/deaf", _deaf))
    adapter = HttpAdapter(context, [("POST", path, handler) for path, handler in calls])
    async with running(adapter, context):
        yield context, port


async def sent(port: int, *parts: bytes) -> bytes:
    """Send bytes in parts, each read before the next one is sent, and return the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
            for _ in range(5):
                await asyncio.sleep(0)
        head = await reader.readuntil(b"\r\n\r\n")
        return head + await reader.readexactly(int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0]))
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("parts", "status", "text"),
    [
        (
            [PACKED % b"/echo", b"xxxxx"],
            400,
            b"coding is broken",
        ),
        ([PACKED % b"/echo" + b"xxxxx"], 400, b"coding is broken"),
        ([CHUNKED % b"/hasty", b"5\r\nhel"], 408, b"has not come in time"),
    ],
)
async def test_a_broken_body_is_told_and_ends_its_connection(
    parts: list[bytes], status: int, text: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """By its status, counted as malformed; the log has nothing of it."""
    async with shell() as (context, port):
        told = await sent(port, *parts)
        assert told.split()[1] == b"%d" % status
        assert text in told
        assert b"\r\nConnection: close\r\n" in told
        assert set(context.counts) == {("sample", "malformed")}
    assert caplog.records == []


async def test_a_broken_body_that_nobody_reads_is_not_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """It is found out after the answer; the connection ends."""
    async with shell() as (context, port):
        told = await sent(port, PACKED % b"/deaf" + b"xxxxx")
        assert told.endswith(b"never read")
        assert context.counts == {("sample", "ok"): 1}
    assert caplog.records == []


async def test_a_peer_that_goes_in_the_middle_of_its_body_is_no_fault_of_ours(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Counted as malformed, and nothing more."""
    async with shell() as (context, port):
        for part in (b"5\r\nhel", b""):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(CHUNKED % b"/echo" + part)
            await writer.drain()
            writer.close()
        await until(lambda: context.counts["sample", "malformed"] == 2, "both are noticed")
        assert context.counts == {("sample", "malformed"): 2}
    assert caplog.records == []
