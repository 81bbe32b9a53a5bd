"""Following a server's events over broken connections."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import pytest
from aiohttp import web

from dnsd.api.client import Client
from dnsd.api.errors import ApiError, ServerUnreachable, UnexpectedAnswer
from tests.cli.fakeserver import FakeServer, Handler, problem

DEADLINE_SECONDS = 30.0


def event(number: int) -> bytes:
    data = json.dumps({"revision": number, "at": "2026-01-31T12:00:00.000Z", "type": "drain-placed", "node": "edge-1"})
    return f"id: {number}\nevent: drain-placed\ndata: {data}\n\n".encode()


def stream(*chunks: bytes, hold: bool = False) -> Handler:
    """Send chunks, then end the stream, or hold it open and say nothing more."""

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for chunk in chunks:
            await response.write(chunk)
        if hold:
            await asyncio.Event().wait()
        return response

    return handler


def cut(chunk: bytes) -> Handler:
    """Send a chunk and break the connection in the middle of the body."""

    async def handler(request: web.Request) -> web.StreamResponse:
        response = await stream(chunk)(request)
        assert request.transport is not None
        request.transport.abort()
        return response

    return handler


async def take(
    client: Client, count: int, *, last_id: str = "", silence_seconds: float = DEADLINE_SECONDS
) -> Sequence[str]:
    ids: list[str] = []
    events = client.events(last_id=last_id, silence_seconds=silence_seconds, first_pause_seconds=0.01)
    async with asyncio.timeout(DEADLINE_SECONDS):
        async for received in events:
            assert received.event.revision == int(received.id)
            ids.append(received.id)
            if len(ids) == count:
                break
    await events.aclose()
    return ids


def resumed_after(server: FakeServer) -> list[str | None]:
    return [request.headers.get("Last-Event-ID") for request in server.requests]


async def test_events_come_with_their_ids(client: Client, server: FakeServer) -> None:
    """Comments and the cuts of the network are passed over, and each event comes with its id."""
    whole = b": hello\n\n" + event(7) + b":\n" + event(8)
    server.answer_next(stream(whole[:30], whole[30:31], whole[31:], hold=True))
    assert await take(client, 2) == ["7", "8"]
    assert resumed_after(server) == [None]


async def test_a_broken_stream_is_resumed_after_the_last_event(client: Client, server: FakeServer) -> None:
    """Whether the server ends the stream or the connection breaks, the next one asks for what follows."""
    server.answer_next(stream(event(7)), cut(event(8) + b"id: 9\ndata: half"), stream(event(9), hold=True))
    assert await take(client, 3) == ["7", "8", "9"]
    assert resumed_after(server) == [None, "7", "8"]


async def test_the_first_connection_resumes_where_the_caller_says(client: Client, server: FakeServer) -> None:
    """A caller that remembers an id goes on from there."""
    server.answer_next(stream(event(5), hold=True))
    assert await take(client, 1, last_id="4") == ["5"]
    assert resumed_after(server) == ["4"]


async def test_a_silent_connection_is_taken_as_broken(client: Client, server: FakeServer) -> None:
    """A connection that says nothing, not even a comment, for the agreed time is made again."""

    async def one_event(request: web.Request) -> web.StreamResponse:
        last_id = int(request.headers.get("Last-Event-ID", 6))
        return await stream(event(last_id + 1), hold=True)(request)

    server.answer_next(*[one_event] * 1000)
    assert await take(client, 2, silence_seconds=0.2) == ["7", "8"]
    assert {"7"} <= set(resumed_after(server)) <= {None, "7"}


async def test_a_server_that_restarts_is_waited_for(client: Client, server: FakeServer) -> None:
    """After the first connection a 503 is a pause, not an end."""
    down = problem(503, "store-unavailable", "starting")
    server.answer_next(stream(b"retry: 10\n" + event(7)), down, down, stream(event(8), hold=True))
    assert await take(client, 2) == ["7", "8"]


async def test_a_server_may_end_it(client: Client, server: FakeServer) -> None:
    """Status 204 ends the iteration, as the standard has it."""
    server.answer_next(stream(event(7)), web.Response(status=204))
    assert await take(client, 99) == ["7"]


async def test_a_refusal_ends_it(client: Client, server: FakeServer) -> None:
    """A token that is no longer taken is raised, also in the middle."""
    server.answer_next(stream(event(7)), problem(401, "unauthenticated", "a valid token is needed"))
    with pytest.raises(ApiError, match="valid token"):
        await take(client, 99)


async def test_an_unreachable_server_is_told_at_once() -> None:
    """The very first connection is not tried for ever."""
    async with Client("http://127.0.0.1:1") as client:
        with pytest.raises(ServerUnreachable):
            await take(client, 1)


@pytest.mark.parametrize(
    "answer",
    [web.json_response({}), stream(b"data: {}\n\n"), stream(b"data: nonsense\n\n")],
    ids=["no-stream", "other-event", "no-json"],
)
async def test_what_is_no_event_is_told(client: Client, server: FakeServer, answer: web.Response | Handler) -> None:
    """What a dnsd server would not send ends the iteration with a reason."""
    server.answer_next(answer)
    with pytest.raises(UnexpectedAnswer):
        await take(client, 1)
