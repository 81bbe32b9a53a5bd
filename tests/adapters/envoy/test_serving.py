"""Envoy's endpoint discovery over HTTP: what is answered to good requests, bad ones and slow ones."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import Any

import aiohttp
import pytest

from dnsd.adapters.context import AdapterContext
from dnsd.adapters.envoy import serving
from dnsd.adapters.envoy.serving import PATH, EndpointDiscovery
from dnsd.adapters.sending import PIECE_SIZE
from dnsd.adapters.shell import MAX_BODY_SIZE
from dnsd.config.settings import EnvoySettings
from dnsd.model.endpoint import Endpoint
from dnsd.model.node import Node
from tests.adapters.envoy.reading import parsed, request_of
from tests.adapters.running import running as kept_running
from tests.control.rig import Site, site_of
from tests.support.fleets import node
from tests.support.servers import free_port
from tests.support.waiting import until


class Running:
    """An adapter that runs, and a client of it."""

    def __init__(self, site: Site, adapter: EndpointDiscovery, url: str, http: aiohttp.ClientSession):
        self.site = site
        self.adapter = adapter
        self.context = adapter.context
        self.url = url
        self.http = http

    async def post(self, body: Any, **fields: Any) -> tuple[int, str]:
        """Return the status and the body of an answer."""
        async with self.http.post(self.url, data=body, **fields) as answer:
            return answer.status, await answer.text()


@asynccontextmanager
async def discovery(
    *,
    allow: str = "127.0.0.0/8",
    ports: dict[str, int] | None = None,
    nodes: Sequence[Node] | None = None,
    **options: Any,
) -> AsyncIterator[Running]:
    """Run the adapter over a small fleet."""
    port = free_port()
    settings = EnvoySettings(
        listen=Endpoint("127.0.0.1", port), allow=(ip_network(allow),), ports={"edge": 443} if ports is None else ports
    )
    site = await (site_of() if nodes is None else site_of(nodes))
    context = AdapterContext(site.plane, "envoy", settings)
    adapter = EndpointDiscovery(context, **options)
    async with kept_running(adapter, context), aiohttp.ClientSession() as http:
        yield Running(site, adapter, f"http://127.0.0.1:{port}{PATH}", http)


@pytest.mark.parametrize("proto_names", [True, False])
async def test_endpoints_are_answered_once_and_304_while_they_stay(proto_names: bool) -> None:
    """With the names of fields as protobuf has them, and as its JSON has them."""
    async with discovery() as running:
        status, body = await running.post(request_of("edge", proto_names=proto_names))
        version, clusters = parsed(body)
        assert (status, [each.node for each in clusters["edge"]]) == (200, ["a", "b", "c"])
        again = request_of("edge", version=version, proto_names=proto_names)
        assert await running.post(again) == (304, "")
        await running.site.drain("a")
        status, body = await running.post(again)
        assert (status, parsed(body)[1]["edge"][0].status) == (200, "DRAINING")
        assert running.context.counts == {("envoy", "ok"): 3}


async def test_a_long_answer_is_whole_and_the_same_for_all_who_ask() -> None:
    """Made in parts and in a thread, sent in pieces; clusters that share it have it each."""
    nodes = [node(f"n{i}", f"10.0.{i // 250}.{i % 250}") for i in range(600)]
    async with discovery(nodes=nodes) as running:
        answers = await asyncio.gather(*(running.post(request_of("edge", "edge.example.org.")) for _ in range(4)))
        assert len(set(answers)) == 1
        status, body = answers[0]
        assert len(body) > 2 * PIECE_SIZE
        version, clusters = parsed(body)
        assert (status, [len(each) for each in clusters.values()]) == (200, [600, 600])
        assert await running.post(request_of("edge", "edge.example.org.", version=version)) == (304, "")


async def test_who_does_not_read_holds_no_more_than_there_is_room_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Others get what is on its way already, and 503 where they need another one, until the reader has gone."""
    monkeypatch.setattr(serving, "MAX_IN_FLIGHT", 1)
    nodes = [node(f"n{i}-{'x' * 50}", f"10.{i // 62500}.{i // 250 % 250}.{i % 250}") for i in range(5_000)]
    clusters = ["edge", "edge.example.org.", "edge.example.org", "Edge.example.org", "EDGE.example.org"]
    request = request_of(*clusters)
    async with discovery(nodes=nodes) as running:
        assert (await running.post(request_of("storage")))[0] == 200
        host, port = running.url.split("/")[2].split(":")
        with socket.socket() as mute:
            mute.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            mute.connect((host, int(port)))
            mute.sendall(
                f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(request)}\r\n\r\n".encode() + request
            )
            await until(lambda: running.adapter.sends, "it is on its way")
            assert (await running.post(request_of("storage")))[0] == 503
            assert (await running.post(request))[0] == 200
        await until(lambda: not running.adapter.sends, "the mute one has gone")
        assert (await running.post(request_of("storage")))[0] == 200
    assert len([line for line in caplog.messages if "busy" in line]) == 1


async def test_several_clusters_and_none_are_answered() -> None:
    """Each name once; without a name there is nothing to tell, and that is 304 the next time as well."""
    async with discovery() as running:
        _, body = await running.post(request_of("edge", "storage", "edge", "edge.example.org."))
        assert list(parsed(body)[1]) == ["edge", "storage", "edge.example.org."]
        _, body = await running.post(b"{}")
        version, clusters = parsed(body)
        assert clusters == {}
        assert await running.post(request_of(version=version)) == (304, "")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b"null",
        b'"edge"',
        b"[" * 100_000,
        b'{"resource_names": "edge"}',
        b'{"resource_names": [1]}',
        b'{"resourceNames": [""]}',
        b'{"resource_names": {"edge": 1}}',
        b'{"version_info": 1}',
        b'{"type_url": "type.googleapis.com/envoy.config.cluster.v3.Cluster"}',
        b'{"typeUrl": ["x"]}',
    ],
)
async def test_what_is_no_request_for_endpoints_is_400_in_json(body: bytes) -> None:
    """It says why, and is counted as malformed."""
    async with discovery() as running:
        status, text = await running.post(body)
        document = json.loads(text)
        assert (status, document["error"]["code"]) == (400, 400)
        assert document["error"]["message"]
        assert running.context.counts == {("envoy", "malformed"): 1}


async def test_other_mistakes_have_their_status_in_json(caplog: pytest.LogCaptureFixture) -> None:
    """Another path or method, too large a body, one that is not what its header says; none is a fault of ours."""
    async with discovery() as running:
        for method, url, status in (("GET", running.url, 405), ("POST", running.url + "x", 404)):
            async with running.http.request(method, url) as answer:
                assert (answer.status, (await answer.json())["error"]["code"]) == (status, status)
        assert (await running.post(b" " * (MAX_BODY_SIZE + 1)))[0] == 413
        packed = gzip.compress(request_of("edge"))
        headers = {"Content-Encoding": "gzip"}
        assert (await running.post(packed, headers=headers))[0] == 200
        assert (await running.post(b"no gzip", headers=headers))[0] == 400
        assert (await running.post(gzip.compress(b" " * 50_000_000), headers=headers))[0] == 413
        host, port = running.url.split("/")[2].split(":")
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(f"POST {PATH} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nno size\r\n".encode())
        answer_line = await reader.readline()
        writer.close()
        assert b" 400 " in answer_line
        assert (await running.post(request_of("edge")))[0] == 200
        assert running.context.counts == {("envoy", "ok"): 2, ("envoy", "malformed"): 6}
    assert "Traceback" not in caplog.text


async def test_who_is_not_allowed_gets_an_error_in_json() -> None:
    """Before anything of the request is looked at."""
    async with discovery(allow="192.0.2.0/24") as running:
        status, text = await running.post(b"{")
        assert (status, json.loads(text)["error"]["message"]) == (403, "this address is not allowed")
        assert running.context.counts == {("envoy", "refused"): 1}


async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    """It is 408 after its time, and others are answered meanwhile."""

    async def stuck() -> AsyncIterator[bytes]:
        yield b'{"resource'
        await asyncio.Event().wait()

    async with discovery(body_seconds=1.0) as running:
        slow = asyncio.create_task(running.post(stuck()))
        assert (await running.post(request_of("edge")))[0] == 200
        status, text = await slow
        assert (status, json.loads(text)["error"]["code"]) == (408, 408)


async def test_what_an_operator_should_know_is_in_the_log_once(caplog: pytest.LogCaptureFixture) -> None:
    """A name that nobody has, nodes without a port, and why a client could not use an answer."""
    async with discovery(ports={}) as running:
        rejected = json.dumps({"resource_names": ["edgy", "edge"], "error_detail": {"message": "too\nodd" * 200}})
        for _ in range(3):
            assert (await running.post(rejected))[0] == 200
    told = [line for line in caplog.messages if line.startswith("envoy: ")]
    assert len(told) == 3
    assert "envoy: unknown: there is no role or pool 'edgy'" in told
    assert "envoy: portless: 3 nodes of 'edge' are left out, a for one: they have no port for the role" in told
    assert [len(line) < 400 for line in told if "could not use" in line and "\n" not in line] == [True]
