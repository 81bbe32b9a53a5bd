"""What every connection has in common, whatever is said on it: turns, backpressure and the end.

Owns the state of a connection between the event loop and whoever understands its bytes. It must not know these, nor
other connections, which `tcp_service` keeps.

reading ──too much unsent──► paused ──client reads──► reading
   │                           │
   │ end of the client's data, no query, limit reached     both: idle too long ──► closed
   ▼
finishing (answers go out, what arrives is dropped) ──client closes──► closed
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from typing import Protocol, cast

from dnsd.transports.limits import TcpLimits
from dnsd.transports.turns import Turns


class Connection(Protocol):
    """A connection as its keeper sees it.

    Args:
        client: IP address, in text; empty: not known, or not yet.
    """

    client: str

    def abort(self) -> None:
        """Close it now, unsent answers and all."""

    def close(self) -> None:
        """Send what is unsent, then close."""


class ConnectionKeeper(Protocol):
    """What a connection tells of itself.

    Attributes:
        turns: those of all connections.
    """

    turns: Turns

    def opened(self, connection: Connection) -> bool:
        """Take note of a new connection; False: it must go at once."""

    def active(self, connection: Connection) -> None:
        """Take note that it has sent a complete query."""

    def failed(self, failure: Exception) -> None:
        """Take note that one met a fault of ours, and ends."""

    def closed(self, connection: Connection) -> None:
        """Take note that it is gone."""


# What came of some of the bytes that were received: bytes to send; how many of the received bytes are done with;
# whether there was a complete query among them; whether the conversation is over.
Turn = tuple[bytes, int, bool, bool]


class Conversation(asyncio.Protocol):
    """One client's connection.

    Args:
        keeper: keeps all connections of the worker.
        limits: see `TcpLimits`.
        client: for whom it is, where a proxy has said it; empty: whoever is at the other end.
    """

    def __init__(self, keeper: ConnectionKeeper, *, limits: TcpLimits, client: str = "") -> None:
        self.client = client
        self._keeper = keeper
        self._limits = limits
        self._received = bytearray()
        self._unsent_limit_reached = False
        self._finishing = False
        self._transport: asyncio.Transport

    # What those who understand the bytes do.

    @abstractmethod
    def _converse(self) -> Turn:
        """Answer some of what was received, in the order of arrival."""

    @abstractmethod
    def _has_more(self) -> bool:
        """Say whether what was received is enough for another turn."""

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, or end at once where a limit says so."""
        self._transport = cast(asyncio.Transport, transport)  # a stream's loop gives no other
        if not self.client:
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
        if not self._keeper.turns.take(self._take_turn):
            self._transport.pause_reading()

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
        if not self._finishing:
            self._keeper.turns.enqueue(self._take_turn)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of everything."""
        self._finishing = True
        self._keeper.turns.drop(self._take_turn)
        self._keeper.closed(self)

    # What the keeper calls.

    def abort(self) -> None:
        """See `Connection.abort`."""
        self._transport.abort()

    def close(self) -> None:
        """See `Connection.close`."""
        self._finishing = True
        self._transport.close()

    # Its own work.

    def _take_turn(self) -> None:
        if self._finishing or self._unsent_limit_reached:
            return
        try:
            self._go_on()
        except Exception as failure:  # noqa: BLE001 - one connection's fault must not be the worker's
            self._keeper.failed(failure)
            self._finishing = True
            self._transport.abort()

    def _go_on(self) -> None:
        output, used, asked, finished = self._converse()
        if used:
            del self._received[:used]
        if asked:
            self._keeper.active(self)
        if output:
            self._transport.write(output)
        if finished:
            self._finish()
        elif self._has_more():
            self._transport.pause_reading()
            if not self._unsent_limit_reached:
                self._keeper.turns.enqueue(self._take_turn)
        elif self._unsent_limit_reached:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _finish(self) -> None:
        """End our half and drop what the client still sends.

        Closing at once would answer unread queries with a reset, which takes answers away that are still on their
        way. The idle time-out ends a client that does not close.
        """
        self._finishing = True
        self._received.clear()
        self._transport.write_eof()
        self._transport.resume_reading()
