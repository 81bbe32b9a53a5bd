"""One try against real servers: whoever answers as wanted, and everything else that a peer may do."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from dnsd.control.checks.probing import MAX_BODY_SIZE, Outcome, Prober
from dnsd.model.check import CheckType, Probe, Target
from tests.support.certificates import NAME, make_pair
from tests.support.servers import free_port

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Talker = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

PAIR = make_pair()

# Short, for peers that never answer; and long, for those that do on a machine that is busy. Unit: seconds.
SHORT, LONG = 0.1, 10.0


def target(port: int, type: CheckType = CheckType.HTTP, *, address: str = "127.0.0.1", **fields: Any) -> Target:  # noqa: A002
    return Target(address, Probe(type=type, port=port, **{"timeout_seconds": LONG, **fields}))


async def tried(aim: Target) -> Outcome:
    async with Prober() as prober:
        return await prober.probe(aim)


@contextlib.asynccontextmanager
async def website(handler: Handler, *, address: str = "127.0.0.1", tls: bool = False) -> AsyncIterator[int]:
    """Serve HTTP; give the port."""
    context = None
    if tls:
        context = _server_context()
    runner = web.ServerRunner(web.Server(handler))
    await runner.setup()
    site = web.TCPSite(runner, address, 0, ssl_context=context)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def _server_context() -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with tempfile.TemporaryDirectory() as folder:
        PAIR.write(Path(folder))
        context.load_cert_chain(Path(folder) / "cert.pem", Path(folder) / "key.pem")
    return context


@contextlib.asynccontextmanager
async def talking(talk: Talker) -> AsyncIterator[int]:
    """Serve TCP in a way of one's own; give the port."""
    talks: set[asyncio.Task[None]] = set()

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talks.add(task)
        with contextlib.suppress(OSError):
            await talk(reader, writer)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    server = await asyncio.start_server(meet, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()
        await asyncio.gather(*talks)  # each ends when its client has


async def fine(request: web.BaseRequest) -> web.Response:
    return web.Response(text="all is fine")


async def _say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


def saying(text: bytes) -> Talker:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(text)
        await writer.drain()

    return talk


async def test_a_port_that_takes_connections_is_up() -> None:
    """TCP asks for no more, also of one that says nothing."""
    async with talking(_say_nothing) as port:
        assert (await tried(target(port, CheckType.TCP))).ok


async def test_ipv6_is_tried_like_ipv4() -> None:
    """A connection, and a request with the address in brackets."""
    async with website(fine, address="::1") as port:
        assert (await tried(target(port, CheckType.TCP, address="::1"))).ok
        assert (await tried(target(port, address="::1"))).ok


@pytest.mark.parametrize("type_", [CheckType.TCP, CheckType.HTTP, CheckType.HTTPS])
async def test_a_closed_port_is_refused(type_: CheckType) -> None:
    """Of whatever type the check is."""
    assert await tried(target(free_port(), type_)) == Outcome("refused", "refused")


@pytest.mark.parametrize("type_", [CheckType.HTTP, CheckType.HTTPS])
async def test_one_that_accepts_and_says_nothing_runs_out_of_time(type_: CheckType) -> None:
    """The time-out is for all of the try, the handshake of TLS included."""
    async with talking(_say_nothing) as port:
        outcome = await tried(target(port, type_, timeout_seconds=SHORT))
    assert outcome == Outcome("timeout", "no answer within 0.1 s")


async def test_one_that_dribbles_runs_out_of_time() -> None:
    """A body that never comes to its end is not waited for."""

    async def dribble(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(b".")
                await asyncio.sleep(0.01)
        return response

    async with website(dribble) as port:
        assert (await tried(target(port, body="fine", timeout_seconds=SHORT))).result == "timeout"
        assert (await tried(target(port))).ok  # nobody asked for the body


@pytest.mark.parametrize(
    ("status", "result"),
    [(200, "ok"), (204, "ok"), (302, "ok"), (404, "status"), (500, "status"), (503, "status")],
)
async def test_a_status_is_one_of_those_that_are_wanted(status: int, result: str) -> None:
    """200 to 399 where nothing else is said; a redirect is not followed."""

    async def answer(request: web.BaseRequest) -> web.Response:
        assert request.path == "/"
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    async with website(answer) as port:
        outcome = await tried(target(port))
    text = "ok" if result == "ok" else f"status {status}"
    assert (outcome.result, outcome.text) == (result, text)


async def test_a_status_of_ones_own_may_be_wanted() -> None:
    """Several ranges; what is in none fails."""

    async def teapot(request: web.BaseRequest) -> web.Response:
        return web.Response(status=418)

    async with website(teapot) as port:
        assert (await tried(target(port, statuses=((200, 200), (400, 418))))).ok
        assert (await tried(target(port, statuses=((200, 417), (419, 599))))).result == "status"


async def test_a_text_must_be_in_the_body() -> None:
    """Within its first 64 KiB, and not behind."""
    text = "x" * (MAX_BODY_SIZE - 4) + "fine" + "late"

    async def answer(request: web.BaseRequest) -> web.Response:
        return web.Response(text=text)

    async with website(answer) as port:
        assert (await tried(target(port, body="fine"))).ok
        assert await tried(target(port, body="late")) == Outcome("body", "the text is not in the body")


async def test_the_request_is_as_configured() -> None:
    """Method, path with its query, Host; no cookie is kept, and each try has a connection of its own."""
    seen = []

    async def answer(request: web.BaseRequest) -> web.Response:
        seen.append((request.method, request.raw_path, request.headers["Host"], request.headers.get("Cookie")))
        assert request.headers["User-Agent"].startswith("dnsd/")
        assert request.headers["Connection"] == "close"
        return web.Response(headers={"Set-Cookie": "a=b"})

    async with website(answer) as port, Prober() as prober:
        aim = target(port, method="HEAD", path="/health%20z?deep=1&x=%2F", host="www.example.org")
        for _ in range(2):
            assert (await prober.probe(aim)).ok
        assert (await prober.probe(target(port))).ok
    assert seen == [("HEAD", "/health%20z?deep=1&x=%2F", "www.example.org", None)] * 2 + [
        ("GET", "/", f"127.0.0.1:{port}", None)
    ]


@pytest.mark.parametrize(
    ("fields", "result"),
    [
        ({"ca": PAIR.certificate.decode()}, "ok"),
        ({"ca": PAIR.certificate.decode(), "host": NAME}, "ok"),
        ({"ca": PAIR.certificate.decode(), "host": "ns2.example.org"}, "tls"),
        ({"ca": make_pair().certificate.decode()}, "tls"),
        ({}, "tls"),
        ({"tls_verify": False}, "ok"),
        ({"tls_verify": False, "host": "ns2.example.org"}, "ok"),
    ],
)
async def test_a_certificate_is_verified(fields: dict[str, Any], result: str) -> None:
    """By roots of one's own, for the address or the host; unless that is turned off."""
    async with website(fine, tls=True) as port:
        outcome = await tried(target(port, CheckType.HTTPS, body="fine", **fields))
    assert outcome.result == result
    assert result == "ok" or outcome.text.startswith("TLS: ")


@pytest.mark.parametrize(
    ("talk", "type_", "result"),
    [
        (saying(b"SSH-2.0-OpenSSH_9.2\r\n"), CheckType.HTTP, "protocol"),
        (saying(b"\x00" * 100 + b"\r\n\r\n"), CheckType.HTTP, "protocol"),
        (saying(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx"), CheckType.HTTP, "protocol"),
        (saying(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nfi"), CheckType.HTTP, "protocol"),
        (saying(b""), CheckType.HTTP, "closed"),
    ],
)
async def test_what_is_no_http_is_told(talk: Talker, type_: CheckType, result: str) -> None:
    """Another protocol, nonsense, a body that is cut off, and nothing."""
    async with talking(talk) as port:
        outcome = await tried(target(port, type_, body="fine"))
    assert (outcome.result, outcome.counts) == (result, True)
    assert len(outcome.text) < 200


async def test_http_where_tls_is_wanted_fails() -> None:
    """A server without TLS is not up by a check over HTTPS."""
    async with website(fine) as port:
        assert (await tried(target(port, CheckType.HTTPS, tls_verify=False))).result in ("tls", "closed")


@pytest.mark.parametrize(
    ("number", "result", "counts"),
    [
        (errno.EMFILE, "not_made", False),
        (errno.ENOBUFS, "not_made", False),
        (errno.EADDRNOTAVAIL, "not_made", False),
        (errno.EHOSTUNREACH, "unreachable", True),
        (errno.ENETUNREACH, "unreachable", True),
        (errno.ETIMEDOUT, "timeout", True),
        (errno.EACCES, "unreachable", True),
    ],
)
async def test_a_fault_of_this_machine_is_no_word_on_the_node(
    number: int, result: str, counts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without descriptors, memory or ports nothing was tried; a network that is not there was."""

    async def fail(*_: object) -> None:
        raise OSError(number, "as told")

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", fail)
    outcome = await tried(target(1, CheckType.TCP))
    assert (outcome.result, outcome.counts) == (result, counts)


async def test_a_fault_of_ours_ends_no_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is logged, and no word on the node."""

    async def fail(*_: object) -> None:
        raise RuntimeError("a slip")

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", fail)
    assert await tried(target(1, CheckType.TCP)) == Outcome("not_made", "a fault of dnsd: RuntimeError", counts=False)
