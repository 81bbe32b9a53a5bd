"""That both readers of a connection, the short way and aiohttp's parser, see a request begin at the same byte.

Where they did not, somebody could hide a report in the content of another request, and have it taken with the token of
whoever shares the connection.
"""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import Sequence
from http import HTTPMethod

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from admin.app import LANE, make_app
from admin.connections import Connection, Connections
from admin.lane import ReportLane
from tests.admin.fakebackend import FakeBackend
from tests.admin.site import up
from tests.admin.test_framing import in_parts
from tests.admin.wire import BODY, JSON, request

REPORT = request(JSON)

# The content of a request that begins another one, which the next bytes on the connection would go on.
BEGUN = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Rest: "

# Of RFC 9110 and others', and some that are none.
METHODS = (*HTTPMethod, "COPY", "LOCK", "QUERY", "SEARCH", "SOURCE", "PRI", "FOO", "get")
OFTEN = ("GET", "PUT", "HEAD", "OPTIONS", "CONNECT")

LENGTH = f"Content-Length: {len(BEGUN)}"
ODD_FIELDS = (
    (LENGTH, "Connection: close"),
    (LENGTH, "Proxy-Connection: close"),
    (LENGTH, "Connection: Upgrade", "Upgrade: websocket"),
    (LENGTH, "Connection: Upgrade", "Upgrade: h2c"),
    (LENGTH, "Upgrade: websocket"),
    (LENGTH, "Expect: 100-continue"),
    (LENGTH, "Expect: more"),
    (LENGTH, "Content-Encoding: gzip"),
    (LENGTH, "Transfer-Encoding: chunked"),
    (LENGTH, "Transfer-Encoding: identity"),
    (LENGTH, LENGTH),
    (LENGTH, "Content-Length: 0"),
    (LENGTH, "X: " + "x" * 5000),
    (LENGTH, "X: \x80"),
    (f"Content-Length: 000{len(BEGUN)}",),
    (f"Content-Length:\t{len(BEGUN)} ",),
    (f"Content-Length: {len(BEGUN)}\t",),
    (f"Content-Length: +{len(BEGUN)}",),
    (f"Content-Length : {len(BEGUN)}",),
    (f"Content-Length: {len(BEGUN)}, {len(BEGUN)}",),
    (f"Content-Length:\r\n {len(BEGUN)}",),
    (f"X-Content-Length: {len(BEGUN)}",),
    ("Transfer-Encoding: chunked",),
)

# Requests that aiohttp takes. Whatever it does not take has it forget what came before in the same read, and what comes
# behind `Connection: close` as well: there it counts how reads are cut, which the short way may change.
ALLOWED = (
    REPORT,
    request(JSON, node="edge-9"),
    request(JSON, body=b"{"),
    request(JSON, "Expect: 100-continue"),
    request(JSON, "Content-Encoding: deflate", body=zlib.compress(BODY)),
    request(JSON, body=REPORT * 2).replace(b"/v1/nodes/edge-1/report", b"/nowhere", 1),
    b"PUT /v1/nodes/edge-1/drain HTTP/1.1\r\nHost: localhost\r\n%s\r\nContent-Length: 2\r\n\r\n{}" % JSON.encode(),
    b"GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 000%d\r\n\r\n" % len(REPORT) + REPORT,
    b"GET http://localhost/livez HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"HEAD /v1/nodes HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /livez HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"CONNECT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(REPORT) + REPORT,
    b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"\r\n" + REPORT,
)


class Output(asyncio.Transport):
    """A connection of which only what goes out is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += b"" if self.closed else bytes(data)

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        """What it is given is taken all the same, as from a transport that is slow to stop."""

    resume_reading = pause_reading


async def said(parts: Sequence[bytes], *, short: bool) -> tuple[list[bytes], int, bool]:
    """Return the statuses that a connection answers, how many reports the service got, and whether it was closed."""
    backend = FakeBackend()
    app = make_app(backend, tokens=tuple, metrics=up)
    runner = web.AppRunner(app)
    await runner.setup()
    assert runner.server is not None
    lane = app[LANE] if short else None
    connection, output = Connection(runner.server, connections=Connections(), lane=lane, access_log=None), Output()
    connection.connection_made(output)
    await settled()
    for part in parts:
        if not output.closed:
            connection.data_received(part)
            await settled()
    found = re.findall(rb"HTTP/1\.[01] (\d{3})", output.written), len(backend.reports), output.closed
    connection.connection_lost(None)
    await runner.cleanup()
    return found


async def settled() -> None:
    """Let everything have its turn until nothing is left to do: no answer takes so many passes of the loop."""
    for _ in range(40):
        await asyncio.sleep(0)


async def both(parts: Sequence[bytes]) -> tuple[list[bytes], int, bool]:
    """Return what a connection says, which is the same with the short way and without it."""
    found = await said(parts, short=True)
    assert found == await said(parts, short=False), parts
    return found


@pytest.mark.parametrize(
    ("method", "fields"),
    [(each, (LENGTH,)) for each in METHODS] + [(each, fields) for each in OFTEN for fields in ODD_FIELDS],
)
async def test_a_report_behind_an_odd_request_is_one_for_both_or_for_neither(
    method: str, fields: tuple[str, ...]
) -> None:
    """Also where what the odd one brings with it begins another request, of which the report is a field."""
    head = "\r\n".join((f"{method} /livez HTTP/1.1", "Host: localhost", *fields, "", "")).encode("latin-1")
    await both([head + BEGUN, REPORT, REPORT])
    await both([head, BEGUN, REPORT])


async def test_the_short_way_is_taken_behind_a_request_with_content(monkeypatch: pytest.MonkeyPatch) -> None:
    """So what the others compare are two ways indeed."""
    taken: list[bytes] = []
    answer = ReportLane._answer

    def noting(lane: ReportLane, node: str, values: dict[bytes, bytes], body: bytes) -> bytes:
        taken.append(body)
        return answer(lane, node, values, body)

    monkeypatch.setattr(ReportLane, "_answer", noting)
    order = b"PUT /v1/nodes/edge-1/drain HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}"
    assert await both([order, REPORT, REPORT]) == ([b"415", b"200", b"200"], 2, False)
    assert taken == [BODY, BODY]


@given(st.lists(st.sampled_from(ALLOWED), min_size=1, max_size=5), st.lists(st.integers(0, 4000), max_size=6))
@settings(max_examples=40, deadline=None)
def test_however_requests_are_cut_both_ways_say_the_same(requests: list[bytes], cuts: list[int]) -> None:
    """As many answers, the same ones, and as many reports."""
    asyncio.run(both(in_parts(b"".join(requests) + REPORT, cuts)))
