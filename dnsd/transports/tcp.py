"""DNS over TCP (RFC 7766): one connection's framing, order, limits and backpressure.

Owns the bytes of a connection between the event loop and the engine. It must not know what is in a message, nor
of other connections, which `tcp_service` keeps.

reading ──too much unsent──► paused ──client reads──► reading
   │                           │
   │ end of the client's data, no query, limit reached     both: idle too long ──► closed
   ▼
finishing (answers go out, what arrives is dropped) ──client closes──► closed
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol, cast

from dnsd.core.via import Via
from dnsd.transports.limits import TcpLimits
from dnsd.transports.responder import Responder

LENGTH_BYTES = 2  # RFC 1035 §4.2.2

# Queries of one connection answered before other connections, UDP and generations get their turn. Unit: queries.
QUERIES_PER_TURN = 64


class ConnectionKeeper(Protocol):
    """What a connection tells of itself."""

    def opened(self, connection: TcpConnection) -> bool:
        """Take note of a new connection; False: it must go at once."""

    def active(self, connection: TcpConnection) -> None:
        """Take note that it has sent a complete query."""

    def closed(self, connection: TcpConnection) -> None:
        """Take note that it is gone."""


class TcpConnection(asyncio.Protocol):
    """One client's connection.

    Args:
        responder: answers each message.
        keeper: keeps all connections of the worker.
        via: what the connection is.
        limits: see `TcpLimits`.
    """

    def __init__(self, responder: Responder, keeper: ConnectionKeeper, *, via: Via, limits: TcpLimits) -> None:
        self.client: str = ""
        self._respond = responder.respond
        self._keeper = keeper
        self._via = via
        self._limits = limits
        self._received = bytearray()
        self._answered = 0
        self._unsent_limit_reached = False
        self._turn: asyncio.Handle | None = None
        self._finishing = False
        self._transport: asyncio.Transport

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, or end at once where a limit says so."""
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self.client = peer[0] if peer else ""  # a peer that has gone by now has no name
        self._transport.set_write_buffer_limits(high=self._limits.unsent_bytes)
        if not self._keeper.opened(self):
            self._finishing = True
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Answer the queries that are complete."""
        if self._finishing:
            return
        self._received += data
        self._take_turn()

    def eof_received(self) -> bool:
        """Let the transport send what is unsent and close: no query can follow."""
        # What the client asked before it ended its half was answered as it came.
        return False

    def pause_writing(self) -> None:
        """Read no more queries until the client reads its answers."""
        self._unsent_limit_reached = True

    def resume_writing(self) -> None:
        """Go on with the queries that wait."""
        self._unsent_limit_reached = False
        if not self._finishing and self._turn is None:
            self._turn = asyncio.get_running_loop().call_soon(self._take_turn)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of everything."""
        self._finishing = True
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        self._keeper.closed(self)

    # What the keeper calls.

    def abort(self) -> None:
        """Close it now, unsent answers and all."""
        self._transport.abort()

    def close(self) -> None:
        """Send what is unsent, then close."""
        self._finishing = True
        self._transport.close()

    # Its own work.

    def _take_turn(self) -> None:
        self._turn = None
        if self._finishing or self._unsent_limit_reached:
            return
        answers, used, finished = self._answer_some()
        if used:
            del self._received[:used]
            self._keeper.active(self)
        if answers:
            self._transport.write(b"".join(answers))  # RFC 7766 §8: length and message "at the same time"
        if finished:
            self._finish()
        elif self._holds_query():
            self._transport.pause_reading()
            if not self._unsent_limit_reached:
                self._turn = asyncio.get_running_loop().call_soon(self._take_turn)
        elif self._unsent_limit_reached:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _answer_some(self) -> tuple[list[bytes], int, bool]:
        """Answer some of what was received, in the order of arrival.

        Returns:
            Framed answers, the bytes that were used, and whether the conversation is over.
        """
        received = self._received
        answers: list[bytes] = []
        used = size_of_answers = 0
        now = time.time()
        for _ in range(QUERIES_PER_TURN):
            start = used + LENGTH_BYTES
            if len(received) < start:
                break
            size = received[used] << 8 | received[used + 1]
            if size == 0:
                return answers, used, True  # no DNS message is empty: what follows cannot be framed either
            if len(received) < start + size:
                break
            used = start + size
            answer = self._respond(bytes(received[start:used]), now=now, via=self._via, peer=self.client)
            if answer is None:
                return answers, used, True  # whoever sends responses or rubbish has nothing to ask
            answers += (len(answer).to_bytes(LENGTH_BYTES, "big"), answer)
            size_of_answers += len(answer)
            self._answered += 1
            if self._answered >= self._limits.queries_per_connection:
                return answers, used, True
            if size_of_answers >= self._limits.unsent_bytes:
                break
        return answers, used, False

    def _holds_query(self) -> bool:
        received = self._received
        if len(received) < LENGTH_BYTES:
            return False
        return len(received) >= LENGTH_BYTES + (received[0] << 8 | received[1])

    def _finish(self) -> None:
        """End our half and drop what the client still sends.

        Closing at once would answer unread queries with a reset, which takes answers away that are still on their
        way. The idle time-out ends a client that does not close.
        """
        self._finishing = True
        self._received.clear()
        self._transport.write_eof()
        self._transport.resume_reading()
