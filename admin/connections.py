"""The open connections of the admin interface: how many there may be, and how long one may keep quiet.

accepted ─ first request's header complete ──────────────── in use ── closed by either side, or idle for too long
         ├ not within `HEADER_TIMEOUT_SECONDS` ──────────── closed
         └ too many are open, and it is next to make room ─ closed

It also answers what is no HTTP at all, which never reaches a route. It knows nothing of calls.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from admin.lane import ReportLane, is_whole, may_become_report
from admin.problems import malformed_request

log = logging.getLogger("dnsd.admin")

# How long a new connection may take to send the whole header of its first request. Unit: seconds.
HEADER_TIMEOUT_SECONDS = 10.0

# Open at once. Half of the usual limit on descriptors (1024), so that the store and the workers keep theirs.
# Unit: connections.
MAX_CONNECTIONS = 512

# How long the rest of a report is waited for before the long way takes what there is of it: many clients send head and
# body one right after the other. Unit: seconds.
PATIENCE_SECONDS = 0.05

# Reports of one connection that are answered before others get their turn. Unit: reports.
REPORTS_AT_ONCE = 16

# Between two lines of log that say that too many are open. Unit: seconds.
WARNING_INTERVAL_SECONDS = 60.0


class Connections:
    """The connections of one server.

    Args:
        limit: open at once.
        header_timeout_seconds: for the header of a connection's first request.
    """

    def __init__(self, *, limit: int = MAX_CONNECTIONS, header_timeout_seconds: float = HEADER_TIMEOUT_SECONDS) -> None:
        self._limit = limit
        self._header_timeout_seconds = header_timeout_seconds
        self._open: set[Connection] = set()
        self._unproven: dict[Connection, asyncio.TimerHandle] = {}  # no request yet; the oldest comes first
        self._warned_at = -WARNING_INTERVAL_SECONDS

    def admit(self, connection: Connection) -> bool:
        """Take a new connection in, at the cost of one that has not asked anything yet; False where there is none."""
        loop = asyncio.get_running_loop()
        if len(self._open) >= self._limit:
            self._warn(loop.time())
            if not self._make_room():
                return False
        self._open.add(connection)
        self._unproven[connection] = loop.call_later(self._header_timeout_seconds, self._end, connection)
        return True

    def prove(self, connection: Connection) -> None:
        """Note that a connection has sent the header of a request: it is not closed to make room."""
        timer = self._unproven.pop(connection, None)
        if timer is not None:
            timer.cancel()

    def remove(self, connection: Connection) -> None:
        """Forget a connection that has ended."""
        self.prove(connection)
        self._open.discard(connection)

    def _make_room(self) -> bool:
        # Silence costs a flood the least, so it goes first; half a header is the next best disguise.
        silent = next((each for each in self._unproven if not each.heard), None)
        victim = silent or next(iter(self._unproven), None)
        if victim is None:
            return False
        self._end(victim)
        return True

    def _end(self, connection: Connection) -> None:
        self.remove(connection)
        connection.force_close()

    def _warn(self, now: float) -> None:
        if now - self._warned_at >= WARNING_INTERVAL_SECONDS:
            self._warned_at = now
            log.warning("%d admin connections are open, which is the limit; silent ones are closed", self._limit)


class Connection(web.RequestHandler):
    """One connection, counted among the others.

    Args:
        manager: the web server that its requests go to.
        connections: the others.
        lane: the short way of what it can answer; None: there is none.
        options: of aiohttp's request handler.
    """

    __slots__ = ("_admitted", "_begins", "_connections", "_held", "_lane", "_patience", "heard")

    def __init__(
        self, manager: web.Server, *, connections: Connections, lane: ReportLane | None = None, **options: Any
    ) -> None:
        super().__init__(manager, loop=asyncio.get_running_loop(), **options)
        self._connections = connections
        self._lane = lane
        self._admitted = False
        self._begins = True  # with the next byte begins a request
        self._held = b""  # the beginning of one
        self._patience: asyncio.Handle | None = None  # with what is held
        self.heard = False  # it has sent something

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, or be refused at once."""
        self._admitted = self._connections.admit(self)
        if self._admitted:
            super().connection_made(transport)
        elif isinstance(transport, asyncio.WriteTransport):
            transport.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        """End."""
        self._connections.remove(self)
        self._let_go()
        if self._admitted:
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes: by the short way where a request is there whole, and nothing before it is still at work."""
        self.heard = True
        if self._lane is None or not self._begins or not self._is_idle:
            self._take_long_way(self._let_go() + data)
            return
        self._take_short_way(self._lane, self._let_go() + data)

    def _take_short_way(self, lane: ReportLane, data: bytes) -> None:
        """Answer reports as they stand one behind the other, and keep what may become one, or leave the rest."""
        responses: list[bytes] = []
        while len(responses) < REPORTS_AT_ONCE and (taken := lane.take(data)) is not None:
            response, size = taken
            responses.append(response)
            data = data[size:]
        if responses and self.transport is not None:
            self.prove()
            self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
            self.transport.write(b"".join(responses))
        if len(responses) == REPORTS_AT_ONCE and data:
            self._held = data
            self._patience = self._loop.call_soon(self.data_received, b"")
        elif may_become_report(data):
            self._held = data
            self._patience = self._loop.call_later(PATIENCE_SECONDS, self._lose_patience)
        elif data:
            self._take_long_way(data)

    @property
    def _is_idle(self) -> bool:
        """Say whether everything that was asked here before is answered."""
        waiter = self._waiter
        return (
            waiter is not None and not waiter.done() and not self._messages and not (self._close or self._force_close)
        )

    def _take_long_way(self, data: bytes) -> None:
        self._begins = self._begins and is_whole(data)
        super().data_received(data)

    def _lose_patience(self) -> None:
        self._take_long_way(self._let_go())

    def _let_go(self) -> bytes:
        """Return what is held, and hold it no more."""
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        held, self._held = self._held, b""
        return held

    def prove(self) -> None:
        """Note that a request's header has come."""
        self._connections.prove(self)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is no HTTP, without a word in the log, which whoever sends it could fill; close afterwards."""
        if status >= 500:
            return super().handle_error(request, status, exc, message)
        response = malformed_request(message or "")
        response.force_close()
        return response


@web.middleware
async def prove_connection(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Tell a connection that a request's header has come whole."""
    if isinstance(request.protocol, Connection):
        request.protocol.prove()
    return await handler(request)
