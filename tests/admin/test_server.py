"""The listening socket, what every answer carries, and that every error has its place in the table."""

from __future__ import annotations

import asyncio
import json
import socket

import pytest

from admin.app import make_app
from admin.problems import KIND_OF, SECURITY_HEADERS, problem_response
from admin.routes import ROUTES
from admin.server import AdminServer
from dnsd.errors import DnsdError, RequestError, StartError, StoreRefused, StoreUnavailable
from tests.admin.fakebackend import FakeBackend
from tests.admin.site import Site, up
from tests.support.waiting import until


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_a_free_port_can_be_asked_for_and_read(backend: FakeBackend, host: str) -> None:
    """Port 0 becomes a real one, over IPv4 and IPv6, and a stopped server has let go of it."""
    server = AdminServer(make_app(backend, tokens=tuple, metrics=up), host, 0)
    assert server.port == 0
    await server.start()
    port = server.port
    _, writer = await asyncio.open_connection(host, port)
    writer.close()
    await writer.wait_closed()
    await server.stop()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(host, port)


async def test_an_address_in_use_is_one_line(site: Site, backend: FakeBackend) -> None:
    """A server that cannot listen says where and why, in one line."""
    second = AdminServer(make_app(backend, tokens=tuple, metrics=up), "127.0.0.1", site.server.port)
    with pytest.raises(StartError) as caught:
        await second.start()
    expected = f"the admin interface cannot listen on 127.0.0.1:{site.server.port}: Address already in use"
    assert str(caught.value) == expected


async def test_an_address_of_another_machine_is_one_line(backend: FakeBackend) -> None:
    """An address that this machine does not have is told as plainly."""
    server = AdminServer(make_app(backend, tokens=tuple, metrics=up), "192.0.2.1", 0)
    with pytest.raises(StartError, match=r"^the admin interface cannot listen on 192\.0\.2\.1:0: [^\n]+$"):
        await server.start()


async def test_stopping_does_not_wait_for_a_waiting_caller(backend: FakeBackend) -> None:
    """A request that waits for consumers holds the end up for the grace period and no longer."""
    backend.lagging = {"ns1/0"}
    async with Site(backend) as site:
        waiting = asyncio.create_task(site.drain(query="?wait=applied&timeout=60"))
        await until(lambda: backend.waits == [60.0])
        async with asyncio.timeout(30):
            await site.server.stop()
        [end] = await asyncio.gather(waiting, return_exceptions=True)
    assert isinstance(end, Exception)


@pytest.mark.parametrize("path", ["/", "/livez", "/v1/nodes", "/v1/nodes/none", "/nowhere", "/openapi.json"])
async def test_every_answer_has_the_security_headers(site: Site, path: str) -> None:
    """Pages, JSON and problems alike are neither framed, guessed at, nor kept; the server's make is not told."""
    got = await site.get(path)
    assert {name: got.headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS


async def test_an_event_stream_has_them_too(site: Site) -> None:
    """The headers of a stream leave before its first event and are as safe."""
    got = await site.ask("HEAD", "/v1/events")
    assert (got.status, got.headers["Content-Type"]) == (200, "text/event-stream; charset=utf-8")
    assert {name: got.headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS
    assert not site.backend.followers


@pytest.mark.parametrize(
    "path", [route.path for route in ROUTES if route.method == "GET" and "events" not in route.path]
)
async def test_head_is_get_without_a_body(site: Site, path: str) -> None:
    """RFC 9110 §9.3.2: HEAD answers the same status and headers, and nothing behind them."""
    path = path.format(id="edge-1", owner="edge.example.org") + ("?name=x." if path == "/v1/explain" else "")
    got, head = await site.get(path), await site.ask("HEAD", path)
    assert (head.status, head.text) == (200, "")
    assert head.headers["Content-Length"] == str(len(got.text.encode()))
    assert head.headers["Content-Type"] == got.headers["Content-Type"]


async def test_a_caller_that_leaves_midway_harms_nobody(site: Site) -> None:
    """A body that never comes whole ends with its connection, and the next request is answered."""
    with socket.create_connection(("127.0.0.1", site.server.port)) as half:
        half.sendall(b"PUT /v1/nodes/edge-1/drain HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n")
        half.sendall(b'Content-Length: 900\r\n\r\n{"reason"')
    assert (await site.get("/livez")).status == 200
    assert site.backend.actors == []


def test_every_error_of_a_request_has_a_status() -> None:
    """No error that a service may answer with falls through to 500, and each keeps its own id."""

    def below(kind: type[DnsdError]) -> set[type[DnsdError]]:
        return {kind}.union(*(below(child) for child in kind.__subclasses__()))

    for kind in below(RequestError) - {RequestError}:
        assert issubclass(kind, RequestError)
        assert KIND_OF[kind].id == kind.id
        assert 400 <= KIND_OF[kind].status < 500


@pytest.mark.parametrize("error", [StoreUnavailable("away"), StoreRefused("wrong password")])
async def test_every_error_of_a_store_that_cannot_be_used_is_503(site: Site, error: StoreUnavailable) -> None:
    """Whether waiting helps or not, the caller is told why, and that it is the store."""
    response = problem_response(error, site.backend)
    assert response.status == 503
    problem = json.loads(response.text or "")
    assert (problem["id"], problem["detail"]) == ("store-unavailable", str(error))
