"""The open connections of one HTTP server: how many there may be, and how long one may keep quiet.

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

from admin.framing import Boundary
from admin.lane import ReportLane, may_become_report
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

# The most that is held of one connection; what is more goes the long way. While reports wait for their turn nothing is
# read, so it is what one read brings (asyncio: 256 KiB) behind what is there of one report, and some room. Unit: bytes.
MAX_HELD_SIZE = 384 * 1024

# Between two lines of log that say that too many are open. Unit: seconds.
WARNING_INTERVAL_SECONDS = 60.0


class Connections:
    """The connections of one server.

    Args:
        limit: open at once.
        header_timeout_seconds: for the header of a connection's first request.
        what: whose they are, for the log.
        malformed: makes the response to what is no HTTP, from the reason.

    Attributes:
        malformed: as above.
    """

    def __init__(
        self,
        *,
        limit: int = MAX_CONNECTIONS,
        header_timeout_seconds: float = HEADER_TIMEOUT_SECONDS,
        what: str = "the admin interface",
        malformed: Callable[[str], web.Response] = malformed_request,
    ) -> None:
        self.malformed = malformed
        self._what = what
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
            text = "%s: %d connections are open, which is the limit; silent ones are closed"
            log.warning(text, self._what, self._limit)


class Connection(web.RequestHandler):
    """One connection, counted among the others.

    Args:
        manager: the web server that its requests go to.
        connections: the others.
        lane: the short way of what it can answer; None: there is none.
        options: of aiohttp's request handler.
    """

    __slots__ = ("_admitted", "_boundary", "_connections", "_held", "_lane", "_mark", "_stopped", "_wake", "heard")

    def __init__(
        self, manager: web.Server, *, connections: Connections, lane: ReportLane | None = None, **options: Any
    ) -> None:
        super().__init__(manager, loop=asyncio.get_running_loop(), **options)
        self._connections = connections
        self._lane = lane
        self._admitted = False
        self._boundary = Boundary()
        self._held = b""  # of which no request is under way yet
        self._mark = 0  # where in it the next one begins
        self._wake: asyncio.Handle | None = None  # its turn, or the end of patience with it
        self._stopped = False  # nothing is read until its turn: aiohttp has reasons of its own not to read
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
        stopped = self._stopped  # not all transports keep to it at once
        held, mark = self._let_go()
        self._take(held[mark:] + data if held else data)
        if stopped:
            self._read_on()

    def resume_writing(self) -> None:
        """Go on, now that the client has read enough of its responses."""
        super().resume_writing()
        if self._stopped and self._wake is None:
            self._wake = self._loop.call_soon(self._take_turn)

    def _take(self, data: bytes, begin: int = 0) -> None:
        if self._lane is None or not self._boundary.is_here or not self._is_idle or len(data) - begin > MAX_HELD_SIZE:
            self._take_long_way(data[begin:])
        elif self.writing_paused:
            self._hold_for_turn(data, begin)
        else:
            self._take_short_way(self._lane, data, begin)

    def _take_short_way(self, lane: ReportLane, data: bytes, begin: int) -> None:
        """Answer reports as they stand one behind the other, and keep what may become one, or leave the rest."""
        responses: list[bytes] = []
        while len(responses) < REPORTS_AT_ONCE and (taken := lane.take(data, begin)) is not None:
            response, begin = taken
            responses.append(response)
        if responses and self.transport is not None:
            self.prove()
            self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
            self.transport.write(b"".join(responses))
        if self.writing_paused or (len(responses) == REPORTS_AT_ONCE and begin < len(data)):
            self._hold_for_turn(data, begin)
        elif may_become_report(rest := data[begin:]):
            self._held = rest
            self._wake = self._loop.call_later(PATIENCE_SECONDS, self._lose_patience)
        elif rest:
            self._take_long_way(rest)

    @property
    def _is_idle(self) -> bool:
        """Say whether everything that was asked here before is answered."""
        waiter = self._waiter
        return (
            waiter is not None
            and not waiter.done()
            and not self._messages
            and not (self._close or self._force_close or self._upgraded)
        )

    def _take_long_way(self, data: bytes) -> None:
        self._boundary.pass_over(data)
        super().data_received(data)

    def _lose_patience(self) -> None:
        self._take_long_way(self._let_go()[0])

    # --- waiting for a turn ---

    def _hold_for_turn(self, data: bytes, begin: int) -> None:
        """Hold what others go before, and read no more: until the next pass, or until responses can be written."""
        self._held, self._mark = data, begin
        self._stopped = True
        self._pause_transport_reading()
        if not self.writing_paused:
            self._wake = self._loop.call_soon(self._take_turn)

    def _take_turn(self) -> None:
        self._take(*self._let_go())
        self._read_on()

    def _read_on(self) -> None:
        if not (self._reading_paused or self._buffer_paused):
            self._resume_transport_reading()

    def _let_go(self) -> tuple[bytes, int]:
        """Return what is held and where its first request begins, and hold it no more."""
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None
        found = self._held, self._mark
        self._held, self._mark, self._stopped = b"", 0, False
        return found

    def _resume_transport_reading(self) -> None:
        # aiohttp calls it when its own reasons are gone; ours may stand.
        if not self._stopped:
            super()._resume_transport_reading()

    def prove(self) -> None:
        """Note that a request's header has come."""
        self._connections.prove(self)

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Log a fault of ours; that the coding of a body is broken, which is found out after its answer, is none."""
        if not isinstance(kw.get("exc_info"), web.RequestPayloadError):
            super().log_exception(*args, **kw)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is no HTTP, without a word in the log, which whoever sends it could fill; close afterwards."""
        # Calls answer for faults of theirs. An Expect header at a path that is no call's is answered by aiohttp before
        # any of ours: to who has gone, or in bytes that it cannot quote.
        if status >= 500 and not isinstance(exc, ConnectionError | UnicodeEncodeError):
            return super().handle_error(request, status, exc, message)
        response = self._connections.malformed(message or "")
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
