"""The client library against a server that speaks the contract."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest
from aiohttp import web

from dnsd.api.client import WAIT_GRACE_SECONDS, Client
from dnsd.api.errors import ApiError, NoAnswerInTime, ServerUnreachable, UnexpectedAnswer
from dnsd.api.schemas import DrainOutcome, DrainRequest, NodeRequest, PendingAt, ReleaseRequest, ReportRequest
from tests.cli.fakeserver import HOUR, POOL, START, FakeServer, problem

# What a busy machine may add. Unit: seconds.
BUSY_SECONDS = 10.0


async def test_a_drain_is_placed_seen_and_released(client: Client, server: FakeServer) -> None:
    """What the client places is listed and in the history, and is gone once it is released."""
    outcome = await client.place_drain("edge-1", DrainRequest(roles=["edge"], reason="kernel"))
    assert outcome.changed
    assert [drain.node for drain in (await client.drains()).items] == ["edge-1"]
    assert (await client.status("edge-1")).roles["edge"].mode == "draining"
    assert [row.consumer for row in outcome.applied] == ["ns1"]
    released = await client.release_drain("edge-1")
    assert [drain.holder for drain in released.released] == ["ops"]
    assert (await client.drains()).items == []
    assert [entry.action async for entry in client.history(node="edge-1")] == ["drain-released", "drain-placed"]


async def test_a_drain_is_sent_as_the_contract_has_it(client: Client, server: FakeServer) -> None:
    """Times go as RFC 3339, what was not said is not sent, and wait, time-out and revision are where they belong."""
    request = DrainRequest(reason="x", expires_at=START + HOUR)
    await client.place_drain("edge-1", request, wait_seconds=2.5, if_match=6)
    sent = server.last
    assert (sent.method, sent.path) == ("PUT", "/v1/nodes/edge-1/drain")
    assert sent.query == [("wait", "applied"), ("timeout", "2.5")]
    assert sent.headers["If-Match"] == '"6"'
    assert sent.body == {
        "mode": "draining",
        "reason": "x",
        "expires_at": "2026-01-31T13:00:00.000Z",
        "indefinite": False,
        "force": False,
        "dry_run": False,
    }


async def test_a_release_is_sent_as_the_contract_has_it(client: Client, server: FakeServer) -> None:
    """Roles repeat in the query, flags are `true`, and values are encoded."""
    request = ReleaseRequest(roles=["edge", "in&gest"], holder="a+b c")
    await client.release_drain("edge-1", request, wait_seconds=10)
    assert server.last.query == [
        ("role", "edge"),
        ("role", "in&gest"),
        ("holder", "a+b c"),
        ("wait", "applied"),
        ("timeout", "10"),
    ]
    await client.release_drain("edge-1", ReleaseRequest(all_holders=True, ramp=300.25))
    assert server.last.query == [("ramp", "300.25"), ("all_holders", "true")]


LATE = PendingAt(consumer="rtr1", kind="router", applied_revision=5)


async def test_a_wait_goes_on_beyond_what_the_server_takes(client: Client, server: FakeServer) -> None:
    """The server is asked for a minute at most; after that the client looks at the consumers until all have applied."""
    server.pending = [LATE]
    server.looks_until_applied = 1
    outcome = await client.place_drain("edge-1", DrainRequest(reason="x"), wait_seconds=300)
    assert server.requests[0].query == [("wait", "applied"), ("timeout", "60")]
    assert [request.path for request in server.requests[1:]] == ["/v1/consumers"] * 2
    assert ([row.consumer for row in outcome.applied], outcome.pending) == (["ns1", "rtr1"], [])


async def test_a_wait_ends_with_its_time(client: Client, server: FakeServer) -> None:
    """Whoever has not applied when the time is over is pending in the answer."""
    server.pending = [LATE]
    outcome = await client.place_drain("edge-1", DrainRequest(reason="x"), wait_seconds=0.2)
    assert outcome.pending == [LATE]


async def test_a_failure_to_look_does_not_lose_the_answer(client: Client, server: FakeServer) -> None:
    """Where the consumers cannot be listed for a moment, the wait goes on and the outcome is returned."""
    server.pending = [LATE]
    server.looks_until_applied = 0
    server.fail_lists = 1
    outcome = await client.place_drain("edge-1", DrainRequest(reason="x"), wait_seconds=20)
    assert (outcome.revision, outcome.pending, server.fail_lists) == (7, [], 0)


async def test_the_inventory_is_written_and_read(client: Client, server: FakeServer) -> None:
    """A node that is registered is found, reports, and is gone once it is removed."""
    added = await client.register("edge-9", NodeRequest(addresses=["192.0.2.9"], roles=["edge"]), if_match=6)
    assert (added.revision, server.last.headers["If-Match"]) == (7, '"6"')
    assert (await client.node("edge-9")).addresses == ["192.0.2.9"]
    report = ReportRequest(sequence=1, observed_at=START, health={"edge": "up"})
    assert (await client.report("edge-9", report)).roles == {"edge": "normal"}
    assert server.last.body["observed_at"] == "2026-01-31T12:00:00.000Z"
    await client.remove("edge-9")
    with pytest.raises(ApiError) as caught:
        await client.node("edge-9")
    assert (caught.value.problem.status, caught.value.problem.id) == (404, "unknown-node")


async def test_lists_join_their_pages(client: Client, server: FakeServer) -> None:
    """However small the server's pages are, a list is whole and in order."""
    server.page_size = 1
    for number in (1, 2):
        await client.place_drain(f"edge-{number}", DrainRequest(reason="x"))
    assert [node.id for node in (await client.nodes()).items] == ["edge-1", "edge-2", "edge-3", "edge-4"]
    assert [entry.node async for entry in client.history()] == ["edge-2", "edge-1"]
    assert [(pool.owner, pool.serving) for pool in (await client.pools()).items] == [(POOL, 2)]
    assert [consumer.id for consumer in (await client.consumers()).items] == ["ns1"]
    first = await client.history_page(limit=1)
    second = await client.history_page(limit=1, cursor=first.next)
    assert ([first.items[0].node, second.items[0].node], second.next) == (["edge-2", "edge-1"], None)


async def test_pages_that_go_round_in_a_circle_end(client: Client, server: FakeServer) -> None:
    """A server that repeats a cursor is reported instead of asked for ever."""
    for _ in range(2):
        server.answer_next(web.json_response({"items": [], "next": "again"}))
    with pytest.raises(UnexpectedAnswer, match="circle"):
        await client.nodes()


async def test_an_owner_with_odd_letters_stays_one_segment(client: Client, server: FakeServer) -> None:
    """A pool is asked for by its owner name, whatever its letters."""
    assert (await client.pool(POOL)).owner == POOL
    with pytest.raises(ApiError):
        await client.pool("a/b?c")
    assert server.last.path == "/v1/pools/a%2Fb%3Fc"


async def test_the_token_is_sent_to_the_server_and_nowhere_else(server: FakeServer) -> None:
    """The token goes as a bearer token, and a redirect is not followed with it."""
    server.token = "s3cret"
    async with Client(server.url, token="s3cret") as client:
        await client.nodes()
        server.answer_next(web.Response(status=307, headers={"Location": "/elsewhere"}))
        with pytest.raises(UnexpectedAnswer, match="307"):
            await client.nodes()
    assert [request.path for request in server.requests] == ["/v1/nodes", "/v1/nodes"]
    async with Client(server.url) as client:
        with pytest.raises(ApiError) as caught:
            await client.nodes()
    assert caught.value.problem.status == 401


async def test_a_problem_keeps_what_this_version_does_not_know(client: Client, server: FakeServer) -> None:
    """Members of a refusal that no schema names are there for whoever looks."""
    server.answer_next(problem(503, "store-unavailable", "the store is down", store="redis"))
    with pytest.raises(ApiError, match="the store is down") as caught:
        await client.drains()
    assert caught.value.problem.model_dump()["store"] == "redis"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (web.Response(text="<p>hi</p>", content_type="text/html"), "text/html"),
        (web.Response(text="{", content_type="application/json"), "Invalid JSON"),
        (web.json_response({"items": [{"id": 1}]}), "items.0.id"),
        (web.Response(text="Bad Gateway", status=502), "text/plain"),
        (web.Response(text="{}", status=500, content_type="application/problem+json"), "Field required"),
    ],
    ids=["page", "broken", "other", "proxy", "empty-problem"],
)
async def test_what_no_dnsd_sends_is_told_apart(
    client: Client, server: FakeServer, answer: web.Response, reason: str
) -> None:
    """An answer that is not this interface's is neither believed nor mistaken for an unreachable server."""
    server.answer_next(answer)
    with pytest.raises(UnexpectedAnswer, match=reason):
        await client.nodes()


async def test_nothing_listening_is_unreachable_and_nothing_was_sent() -> None:
    """A refused connection says so in plain words, and that no write can have happened."""
    with socket.socket() as held:  # bound, never listening: nobody else gets the port meanwhile
        held.bind(("127.0.0.1", 0))
        async with Client(f"http://127.0.0.1:{held.getsockname()[1]}") as client:
            with pytest.raises(ServerUnreachable, match="Connection refused") as caught:
                await client.nodes()
    assert not caught.value.sent


async def test_a_server_that_does_not_answer_in_time_may_have_acted(server: FakeServer) -> None:
    """Where time runs out after sending, the error says that the write may stand."""
    server.answer_next(silent)
    async with Client(server.url, timeout_seconds=1.0) as client:
        with pytest.raises(ServerUnreachable, match="in time") as caught:
            await client.place_drain("edge-1", DrainRequest(reason="x"))
    assert caught.value.sent


async def silent(_: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    return web.Response()


async def test_a_wait_without_an_answer_ends_soon_after_its_time(client: Client, server: FakeServer) -> None:
    """A server that falls silent at the write holds its caller up for a named grace, and the write may stand."""
    server.answer_next(silent)
    started = time.monotonic()
    with pytest.raises(NoAnswerInTime, match="in time") as caught:
        await client.place_drain("edge-1", DrainRequest(reason="x"), wait_seconds=0.1)
    assert time.monotonic() - started < 0.1 + WAIT_GRACE_SECONDS + BUSY_SECONDS
    assert caught.value.sent


async def test_a_look_without_an_answer_does_not_outlast_the_wait(client: Client, server: FakeServer) -> None:
    """A server that falls silent after the write costs no more than the wait and its grace, and not the answer."""
    late = DrainOutcome(revision=7, changed=True, dry_run=False, drain=None, pending=[LATE])
    server.answer_next(web.Response(text=late.model_dump_json(), content_type="application/json", status=202), silent)
    started = time.monotonic()
    outcome = await client.place_drain("edge-1", DrainRequest(reason="x"), wait_seconds=0.2)
    assert time.monotonic() - started < 0.2 + WAIT_GRACE_SECONDS + BUSY_SECONDS
    assert (outcome.revision, outcome.pending) == (7, [LATE])


async def test_a_broken_connection_may_have_acted(client: Client, server: FakeServer) -> None:
    """A server that hangs up in the middle is unreachable, and the write may stand."""

    async def hang_up(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    server.answer_next(*[hang_up] * 3)  # the library tries an idempotent request again on a new connection
    with pytest.raises(ServerUnreachable, match="broke") as caught:
        await client.place_drain("edge-1", DrainRequest(reason="x"))
    assert caught.value.sent


async def test_a_client_outside_its_block_says_so(server: FakeServer) -> None:
    """Forgetting `async with` is a clear error of the program."""
    with pytest.raises(RuntimeError, match="async with"):
        await Client(server.url).nodes()
