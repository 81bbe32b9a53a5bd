"""The event stream: what it sends, how it resumes, and how it ends."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import pytest

from admin import streams
from dnsd.api.schemas import Event
from dnsd.errors import ChangesTrimmed
from tests.admin.fakebackend import NOW, FakeBackend
from tests.admin.site import DEADLINE_SECONDS, Site
from tests.support.waiting import until


class Reader:
    """Reads one stream, block by block."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def block(self) -> list[str]:
        """The lines of the next block; empty where the stream has ended."""
        lines = []
        async with asyncio.timeout(DEADLINE_SECONDS):
            while line := (await self.response.content.readline()).decode():
                if line == "\n":
                    break
                lines.append(line.rstrip("\n"))
        return lines

    async def event(self) -> dict[str, str]:
        """The fields of the next event; comments and the retry field are passed over."""
        while lines := await self.block():
            fields = dict(line.split(": ", 1) for line in lines if not line.startswith(":"))
            if "event" in fields:
                return fields
        return {}


@asynccontextmanager
async def reading(site: Site, **headers: str) -> AsyncIterator[Reader]:
    async with site.session.get(site.url("/v1/events"), headers=headers) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        yield Reader(response)


async def test_a_change_is_an_event_with_its_revision(site: Site) -> None:
    """Whoever has the headers misses nothing: the next change is the next event, with revision, type and JSON."""
    async with reading(site) as reader:
        await site.drain()
        event = await reader.event()
    assert (event["id"], event["event"]) == ("1", "drain-placed")
    assert json.loads(event["data"])["node"] == "edge-1"


async def test_an_event_without_a_revision_has_no_id(site: Site, backend: FakeBackend) -> None:
    """What makes no revision does not move the place that a reader resumes from."""
    async with reading(site) as reader:
        backend.emit(Event(revision=None, at=NOW, type="reload", detail={"text": "two\nlines"}))
        event = await reader.event()
    assert event.keys() == {"event", "data"}
    assert json.loads(event["data"])["detail"] == {"text": "two\nlines"}


async def test_a_reader_resumes_behind_what_it_has(site: Site) -> None:
    """Last-Event-ID brings everything after that revision, once and in order."""
    for node in ("edge-1", "edge-2"):
        await site.drain(node)
    async with reading(site, **{"Last-Event-ID": "1"}) as reader:
        await site.ask("DELETE", "/v1/nodes/edge-1/drain")
        assert [(await reader.event())["id"] for _ in range(2)] == ["2", "3"]


@pytest.mark.parametrize("seen", ["0", "99"])
async def test_a_reader_that_cannot_resume_is_reset(site: Site, backend: FakeBackend, seen: str) -> None:
    """A place that is no longer known, or not yet, is answered by `reset` and then what happens from now on."""
    await site.drain("edge-1")
    backend.trim()
    async with reading(site, **{"Last-Event-ID": seen}) as reader:
        reset = await reader.event()
        assert (reset["event"], reset["id"]) == ("reset", "1")
        assert json.loads(reset["data"])["revision"] == 1
        await site.drain("edge-2")
        assert (await reader.event())["id"] == "2"


async def test_a_source_that_loses_its_place_ends_the_stream() -> None:
    """Where changes are trimmed under a running stream, it ends whole, and the reader that comes again is reset."""

    class Trimmed(FakeBackend):
        async def events(self, *, after: int | None) -> AsyncIterator[Event]:
            if after != 1:
                yield Event(revision=1, at=NOW, type="first")
            if after is not None or self.revision == 0:
                self.trim()
                raise ChangesTrimmed("too long ago")

    backend = Trimmed()
    async with Site(backend) as site:
        async with reading(site) as reader:
            assert [(await reader.event()).get("event") for _ in range(2)] == ["first", None]
        await site.drain()
        async with reading(site, **{"Last-Event-ID": "1"}) as reader:
            assert [(await reader.event()).get("event") for _ in range(3)] == ["reset", "first", None]


@pytest.mark.parametrize("seen", ["x", "-1", "1.5", "9223372036854775808"])
async def test_a_place_that_is_no_revision_is_refused(site: Site, seen: str) -> None:
    """A Last-Event-ID that this server never sent is a 400 that names it."""
    got = await site.get("/v1/events", headers={"Last-Event-ID": seen})
    assert (got.status, got.problem["field"]) == (400, "Last-Event-ID")


async def test_a_silent_stream_has_a_heartbeat(backend: FakeBackend) -> None:
    """A comment comes while nothing happens, and events still come afterwards."""
    async with Site(backend, heartbeat_seconds=0.02) as site, reading(site) as reader:
        assert (await reader.block())[0].startswith("retry: ")
        for _ in range(2):
            assert await reader.block() == [": still here"]
        await site.drain()
        assert (await reader.event())["id"] == "1"


async def test_a_reader_that_leaves_is_forgotten(backend: FakeBackend) -> None:
    """The subscription ends soon after its reader has gone."""
    async with Site(backend, heartbeat_seconds=0.02) as site:
        async with reading(site):
            assert len(backend.followers) == 1
        await until(lambda: not backend.followers)


async def test_a_long_absence_is_made_up_for(site: Site, backend: FakeBackend) -> None:
    """A reader that missed more than its backlog holds still gets all of it, in order."""
    missed = 3 * streams.MAX_BACKLOG
    await site.drain()
    for revision in range(2, missed + 2):
        backend.emit(Event(revision=revision, at=NOW, type="missed"))
    async with reading(site, **{"Last-Event-ID": "1"}) as reader:
        assert [int((await reader.event())["id"]) for _ in range(missed)] == list(range(2, missed + 2))


async def test_a_slow_reader_is_cut_off(
    site: Site, backend: FakeBackend, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A reader that takes nothing in is disconnected after a while, with a bounded backlog; others go on."""
    monkeypatch.setattr(streams, "SEND_TIMEOUT_SECONDS", 2.5)  # less for who reads, where the machine stands still
    caplog.set_level("INFO", "dnsd.admin")
    loop = asyncio.get_running_loop()
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.setblocking(False)
        await loop.sock_connect(slow, ("127.0.0.1", site.server.port))
        await loop.sock_sendall(slow, b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await until(lambda: len(backend.followers) == 1)
        async with reading(site) as reader, asyncio.timeout(DEADLINE_SECONDS):
            sent = 0
            while len(backend.followers) == 2:
                sent += 1
                backend.emit(Event(revision=sent, at=NOW, type="big", detail={"fill": "x" * 60_000}))
                assert (await reader.event())["id"] == str(sent)
            await site.drain()
            assert (await reader.event())["event"] == "drain-placed"
            await until(lambda: "too slow" in caplog.text)
            received = await _until_the_end(slow)
    assert 0 < len(received) < sent * 60_000
    assert not received.endswith(b"0\r\n\r\n")  # cut, rather than ended as a whole


async def _until_the_end(connection: socket.socket) -> bytes:
    received = bytearray()
    with suppress(ConnectionResetError):
        while data := await asyncio.get_running_loop().sock_recv(connection, 1 << 20):
            received += data
    return bytes(received)


async def test_too_many_readers_are_refused(site: Site, backend: FakeBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """One reader above the limit is a 503; once another one has left there is room again."""
    monkeypatch.setattr(streams, "MAX_STREAMS", 1)
    async with reading(site):
        got = await site.get("/v1/events")
        assert (got.status, got.problem["id"]) == (503, "too-many-streams")
        assert "Retry-After" in got.headers


async def test_stopping_the_server_ends_its_streams(backend: FakeBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server with open streams stops at once, and its readers see the end."""
    monkeypatch.setattr("admin.server.SHUTDOWN_GRACE_SECONDS", 60.0)
    site = Site(backend)
    async with site, reading(site) as reader:
        async with asyncio.timeout(30):
            await site.server.stop()
        assert await reader.event() == {}
    assert not backend.followers


async def test_a_failure_of_the_source_ends_the_stream_and_is_logged(
    backend: FakeBackend, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug behind the stream closes it, so that the reader comes again, and is in the log."""

    class Failing(FakeBackend):
        async def events(self, *, after: int | None) -> AsyncIterator[Event]:
            yield Event(revision=1, at=NOW, type="first")
            raise RuntimeError("broken source")

    async with Site(Failing()) as site, reading(site) as reader:
        while await reader.event():
            pass
    assert "broken source" in caplog.text


async def test_a_source_that_ends_is_sent_to_its_end(backend: FakeBackend) -> None:
    """Events that were told before the source ended still reach the reader."""

    class Ending(FakeBackend):
        async def events(self, *, after: int | None) -> AsyncIterator[Event]:
            for revision in (1, 2, 3):
                yield Event(revision=revision, at=NOW, type="last words")

    got: list[Any] = []
    async with Site(Ending()) as site, reading(site) as reader:
        while event := await reader.event():
            got.append(event["id"])
    assert got == ["1", "2", "3"]
