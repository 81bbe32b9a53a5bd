"""A connection until it is known for whom it is: a proxy's begins with a header, anybody else's with a query.

Owns the connection up to the end of the header, and hands it over with every byte that follows.

accepted ──no proxy──────────────────► handed over
   └─ a proxy: waiting ──header────────► handed over
                  └─ something else, or idle too long ──► closed
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from dnsd.transports.conversation import ConnectionKeeper
from dnsd.transports.proxy import NotAHeaderError, Proxies, read_header

# Makes what goes on with a connection: for a client that a proxy has named, or whoever is at the other end (empty).
Successor = Callable[[str], asyncio.Protocol]


class Introduction(asyncio.Protocol):
    """A connection of which nothing has been read.

    Args:
        successor: makes what goes on with it.
        keeper: keeps all connections of the worker; while a proxy has not said for whom it speaks, its connection
            counts among all of them and among no client's.
        proxies: who must send a header.
    """

    def __init__(self, successor: Successor, keeper: ConnectionKeeper, *, proxies: Proxies) -> None:
        self.client = ""
        self._successor = successor
        self._keeper = keeper
        self._proxies = proxies
        self._received = bytearray()
        self._waiting = False
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hand over, or wait for a header."""
        self._transport = cast(asyncio.Transport, transport)  # a stream's loop gives no other
        peer = transport.get_extra_info("peername")
        if peer is None or peer[0] not in self._proxies:
            self._hand_over("")
        else:
            self._waiting = True
            if not self._keeper.opened(self):
                self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Look for the header."""
        self._received += data
        try:
            header = read_header(self._received)
        except NotAHeaderError:
            self._proxies.refused["tcp"] += 1
            self._transport.abort()
            return
        if header is not None:
            self._keeper.closed(self)
            self._waiting = False
            self._hand_over(header.client, bytes(self._received[header.size :]))

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of it."""
        if self._waiting:
            self._keeper.closed(self)

    def abort(self) -> None:
        """See `Connection.abort`."""
        self._transport.abort()

    def close(self) -> None:
        """See `Connection.close`."""
        self._transport.abort()

    def _hand_over(self, client: str, rest: bytes = b"") -> None:
        successor = self._successor(client)
        self._transport.set_protocol(successor)
        successor.connection_made(self._transport)
        if rest:
            successor.data_received(rest)
