"""The short way of agents' reports: where it is taken, and that nobody can tell it from the long one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admin.connections import REPORTS_AT_ONCE
from admin.lane import ReportLane, may_become_report
from dnsd.api.schemas import DesiredState, ReportRequest
from tests.admin.fakebackend import FakeBackend
from tests.admin.site import TOKENS, Site
from tests.admin.wire import BODY, JSON, request, wire

# Each as an agent might send it, with what makes it another case.
CASES: dict[str, bytes] = {
    "plain": request(JSON),
    "in another case": request("content-TYPE: Application/JSON; charset=UTF-8", "User-Agent: agent/1", "Accept: */*"),
    "with a charset and no space": request("Content-Type: application/json;charset=utf-8"),
    "kept alive in so many words": request(JSON, "Connection: keep-alive"),
    "with an origin": request(JSON, "Origin: http://evil.example"),
    "for another host": request(JSON).replace(b"Host: 127.0.0.1", b"Host: evil.example"),
    "of an unknown node": request(JSON, node="edge-9"),
    "of a node in capitals": request(JSON, node="EDGE-1"),
    "of a node that is no word": request(JSON, node="a%2Fb"),
    "with a query": request(JSON).replace(b"/report HTTP", b"/report?x=1 HTTP"),
    "as text": request("Content-Type: text/plain"),
    "without a type": request(),
    "with a type twice": request(JSON, JSON),
    "with two tokens": request(JSON, "Authorization: Bearer a", "Authorization: Bearer b"),
    "compressed": request(JSON, "Content-Encoding: gzip"),
    "with repeated keys": request(JSON, body=b'{"sequence": 1, "sequence": 2, "observed_at": "2026-01-31T12:00:00Z"}'),
    "with half a surrogate pair": request(JSON, body=BODY.replace(b'["edge"]', b'["\\ud800"]')),
    "with an unknown field": request(JSON, body=b'{"sequence": 1, "observed_at": "2026-01-31T12:00:00Z", "x": 1}'),
    "with a number out of range": request(JSON, body=BODY.replace(b"7,", b"1e999,")),
    "that is a list": request(JSON, body=b"[]"),
    "that is no JSON": request(JSON, body=b"{"),
    "that is no UTF-8": request(JSON, body=b'{"a": "\xff"}'),
    "that is empty": request(JSON, body=b""),
    "that is too large": request(JSON, body=b" " * 70_000 + BODY),
}


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each request that came to the short way was answered there."""
    seen: list[bool] = []
    take = ReportLane.take

    def noting(lane: ReportLane, data: bytes, begin: int = 0) -> tuple[bytes, int] | None:
        found = take(lane, data, begin)
        if begin < len(data):
            seen.append(found is not None)
        return found

    monkeypatch.setattr(ReportLane, "take", noting)
    return seen


async def answers(data: Iterable[bytes], monkeypatch: pytest.MonkeyPatch, *, short: bool, tokens: bool) -> list[object]:
    """Return what each request is answered on a new connection, and what the service got."""
    if not short:
        monkeypatch.setattr(ReportLane, "take", lambda *_: None)
    backend = FakeBackend()
    found: list[object] = []
    async with Site(backend, tokens=TOKENS if tokens else ()) as running:
        for each in data:
            async with wire(running) as connection:
                connection.send(each)
                found.append(await connection.answer())
    return [*found, backend.reports]


@pytest.mark.parametrize("tokens", [False, True])
async def test_every_request_is_answered_on_the_short_way_as_on_the_long_one(
    monkeypatch: pytest.MonkeyPatch, tokens: bool
) -> None:
    """Status, every header and the body are the same, and the service gets the same reports, with tokens or without."""
    secrets = ("own-node", "do-all", "see-all", "wrong") if tokens else ("",)
    data = [
        each.replace(b"Host:", f"Authorization: {scheme} {secret}\r\nHost:".encode()) if secret else each
        for secret in secrets
        for scheme in ("Bearer", "bearer", "Basic")
        for each in CASES.values()
    ]
    short = await answers(data, monkeypatch, short=True, tokens=tokens)
    assert short == await answers(data, monkeypatch, short=False, tokens=tokens)


async def test_what_an_agent_sends_takes_the_short_way(site: Site, taken: list[bool]) -> None:
    """Again and again on one connection, and also after another call on it."""
    async with wire(site) as connection:
        for _ in range(3):
            connection.send(CASES["plain"])
            assert (await connection.answer())[0] == b"HTTP/1.1 200 OK"
        connection.send(b"GET /v1/nodes/edge-1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await connection.answer())[0] == b"HTTP/1.1 200 OK"
        connection.send(CASES["in another case"])
        assert (await connection.answer())[0] == b"HTTP/1.1 200 OK"
    assert taken == [True, True, True, False, True]


@pytest.mark.parametrize("cut", [1, 20, 60, 120, 200])
async def test_a_report_in_two_parts_is_answered(site: Site, backend: FakeBackend, cut: int) -> None:
    """Wherever it is cut, it is taken once, and so is the next one on that connection."""
    async with wire(site) as connection:
        for _ in range(2):
            connection.send(CASES["plain"][:cut])
            await connection.drain()
            await asyncio.sleep(0)
            connection.send(CASES["plain"][cut:])
            assert (await connection.answer())[0] == b"HTTP/1.1 200 OK"
    assert len(backend.reports) == 2


async def test_reports_that_come_together_are_answered_in_their_order(site: Site, backend: FakeBackend) -> None:
    """By the short way as far as it goes, and then by the long one; none is lost and none is taken twice."""
    other = request(JSON, node="edge-9")
    many = 3 * REPORTS_AT_ONCE + 1
    async with wire(site) as connection:
        connection.send(CASES["plain"] * many + other + CASES["plain"])
        got = [(await connection.answer())[0] for _ in range(many + 2)]
    assert got == [b"HTTP/1.1 200 OK"] * many + [b"HTTP/1.1 404 Not Found", b"HTTP/1.1 200 OK"]
    assert len(backend.reports) == many + 1


async def test_a_report_whose_body_does_not_come_is_not_answered_for_ever(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is held for a moment, and then is the long way's, which says that it did not arrive."""
    monkeypatch.setattr("admin.bodies.BODY_TIMEOUT_SECONDS", 0.05)
    async with wire(site) as connection:
        connection.send(CASES["plain"][:-5])
        assert (await connection.answer())[0] == b"HTTP/1.1 408 Request Timeout"


async def test_a_fault_of_ours_is_answered_as_on_the_long_way(
    site: Site, backend: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was answered before it arrives, then comes a 500 rather than the end, and the connection goes on."""
    take = backend.report

    def failing(node: str, report: ReportRequest) -> DesiredState:
        if node == "edge-2":
            raise RuntimeError("a fault of ours")
        return take(node, report)

    monkeypatch.setattr(backend, "report", failing)
    async with wire(site) as connection:
        connection.send(CASES["plain"] + request(JSON, node="edge-2"))
        got = [(await connection.answer())[0] for _ in range(2)]
        connection.send(CASES["plain"])
        got.append((await connection.answer())[0])
    assert got == [b"HTTP/1.1 200 OK", b"HTTP/1.1 500 Internal Server Error", b"HTTP/1.1 200 OK"]


# --- where a request ends ---------------------------------------------------------------------------------------


async def test_after_a_call_in_parts_reports_take_the_short_way_again(site: Site, taken: list[bool]) -> None:
    """A client that has sent a head and its body one after the other, or two calls at once, is no slower ever after."""
    order = b"PUT /v1/nodes/edge-1/drain HTTP/1.1\r\nHost: localhost\r\n%s\r\nContent-Length: 2\r\n\r\n" % JSON.encode()
    async with wire(site) as connection:
        for parts in ([order, b"{}"], [order[:30], order[30:] + b"{", b"}"], [(order + b"{}") * 2]):
            for part in parts:
                connection.send(part)
                await connection.drain()
            for _ in range(b"".join(parts).count(order)):
                await connection.answer()
            taken.clear()
            connection.send(CASES["plain"])
            assert (await connection.answer())[0] == b"HTTP/1.1 200 OK"
            assert taken == [True]


async def test_nothing_behind_a_connect_request_is_taken_for_a_report(site: Site, backend: FakeBackend) -> None:
    """Its content begins the next request, as aiohttp reads it: a GET with a body, and no report."""
    content = b"GET /livez HTTP/1.1\r\nX-Rest: "
    async with wire(site) as connection:
        connection.send(b"CONNECT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(content) + content)
        assert (await connection.answer())[0] == b"HTTP/1.1 404 Not Found"
        connection.send(CASES["plain"])
        assert (await connection.answer())[0] == b"HTTP/1.1 400 Bad Request"
    assert backend.reports == []


@given(st.integers(0, len(CASES["plain"])))
def test_a_report_is_waited_for_from_the_end_of_its_head_to_the_end_of_its_body(size: int) -> None:
    """Before, it may be anything; after, it is there."""
    data = CASES["plain"]
    assert may_become_report(data[:size]) is (len(data) - len(BODY) <= size < len(data))
