"""The shell of adapters over HTTP: who may ask, what is counted, and how it ends."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Network, IPv6Network, ip_network

import aiohttp
import pytest
from aiohttp import web

from dnsd.adapters.access import is_allowed
from dnsd.adapters.context import AdapterContext
from dnsd.adapters.shell import MAX_BODY_SIZE, MAX_CONNECTIONS, HttpAdapter
from dnsd.config.settings import AdapterSettings
from dnsd.errors import StartError
from dnsd.model.endpoint import Endpoint
from tests.adapters.running import running
from tests.control.rig import site_of
from tests.support.servers import free_port

LOOPBACK = ip_network("127.0.0.0/8")
NOBODY = ip_network("192.0.2.0/24")


async def _echo(request: web.Request) -> web.Response:
    return web.Response(text=await request.text())


async def _broken(_request: web.Request) -> web.Response:
    raise RuntimeError("unthought of")


@asynccontextmanager
async def shell(
    *, allow: tuple[IPv4Network | IPv6Network, ...] = (LOOPBACK,), max_connections: int = MAX_CONNECTIONS
) -> AsyncIterator[tuple[AdapterContext[AdapterSettings], str]]:
    """Run an adapter with two calls; give its context and its URL."""
    port = free_port()
    settings = AdapterSettings(listen=Endpoint("127.0.0.1", port), allow=allow)
    context = AdapterContext((await site_of()).plane, "sample", settings)
    routes = [("POST", "/echo", _echo), ("GET", "/broken", _broken)]
    adapter = HttpAdapter(context, routes, max_connections=max_connections)
    async with running(adapter, context):
        yield context, f"http://127.0.0.1:{port}"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port)).close()


async def test_every_request_is_counted_by_what_became_of_it(caplog: pytest.LogCaptureFixture) -> None:
    """Good ones, unknown paths, wrong methods, too much, what is no HTTP, and a fault of ours: the shell serves on."""
    async with shell() as (context, url), aiohttp.ClientSession() as client:
        async with client.post(f"{url}/echo", data="hello") as answer:
            assert (answer.status, await answer.text()) == (200, "hello")
        for method, path, status in (("GET", "/none", 404), ("GET", "/echo", 405), ("GET", "/broken", 500)):
            async with client.request(method, url + path) as answer:
                assert answer.status == status
        async with client.post(f"{url}/echo", data=b"x" * (MAX_BODY_SIZE + 1)) as answer:
            assert answer.status == 413
        async with client.post(f"{url}/echo", data="hello", headers={"Expect": "a\udca6miracle"}) as answer:
            assert (answer.status, await answer.text()) == (417, "only 100-continue is known\n")
        async with client.post(f"{url}/echo", data="hello", expect100=True) as answer:
            assert answer.status == 200
        reader, writer = await asyncio.open_connection(*url.removeprefix("http://").split(":"))
        writer.write(b"\x16\x03\x01 no HTTP\r\n\r\n")
        told = await reader.read()
        writer.close()
        assert told.startswith(b"HTTP/1.0 400 ")
        assert told.endswith(b"\r\n\r\nit cannot be read as HTTP\n")
        reader, writer = await asyncio.open_connection(*url.removeprefix("http://").split(":"))
        writer.write(b"GET /none HTTP/1.1\r\nHost: x\r\nExpect: \xa6\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
        writer.close()
        assert "UnicodeEncodeError" not in caplog.text
        assert context.counts == {("sample", "ok"): 2, ("sample", "malformed"): 6, ("sample", "failed"): 1}
    assert "RuntimeError: unthought of" in caplog.text


async def test_who_is_not_allowed_gets_nothing() -> None:
    """An address outside the networks is refused before any call, counted, and keeps no connection."""
    async with shell(allow=(NOBODY,)) as (context, url), aiohttp.ClientSession() as client:
        async with client.post(f"{url}/echo", data="hello") as answer:
            assert (answer.status, await answer.text()) == (403, "this address is not allowed\n")
            assert answer.headers["Connection"] == "close"
        assert context.counts == {("sample", "refused"): 1}


async def test_a_taken_address_is_an_error_that_names_it() -> None:
    """The host tells of it, and tries again."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        endpoint = Endpoint("127.0.0.1", taken.getsockname()[1])
        settings = AdapterSettings(listen=endpoint, allow=())
        adapter = HttpAdapter(AdapterContext((await site_of()).plane, "sample", settings), [])
        with pytest.raises(StartError, match=f"sample cannot listen on {endpoint.text}: Address already in use"):
            await adapter.run()


@pytest.mark.parametrize(
    ("peer", "network", "allowed"),
    [
        ("192.0.2.7", "192.0.2.0/24", True),
        ("192.0.3.7", "192.0.2.0/24", False),
        ("::ffff:192.0.2.7", "192.0.2.0/24", True),
        ("::1", "127.0.0.0/8", False),
        ("fe80::1%eth0", "fe80::/64", True),
        ("", "0.0.0.0/0", False),
        (None, "192.0.2.0/24", True),
    ],
)
def test_networks_are_told_apart(peer: str | None, network: str, allowed: bool) -> None:
    """Mapped addresses are IPv4 addresses; a socket in the file system has its mode."""
    assert is_allowed(peer, [ip_network(network)]) is allowed


async def test_too_many_connections_are_told_with_the_adapters_name(caplog: pytest.LogCaptureFixture) -> None:
    """The silent ones make room for whoever asks."""
    async with shell(max_connections=2) as (_, url), aiohttp.ClientSession() as client:
        silent = [await asyncio.open_connection(*url.removeprefix("http://").split(":")) for _ in range(3)]
        async with client.post(f"{url}/echo", data="hello") as answer:
            assert answer.status == 200
        for _, writer in silent:
            writer.close()
    assert "sample: 2 connections are open, which is the limit; silent ones are closed" in caplog.text
