"""Who may be connected: a new client gets in, and whoever is idle longest makes room for it.

It knows neither sockets nor messages.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from typing import Protocol

from dnsd.adapters.transfer.limits import MAX_CONNECTIONS, MAX_CONNECTIONS_PER_CLIENT
from dnsd.transports.tcp_service import client_key


class Connection(Protocol):
    """A connection as its keeper sees it.

    Args:
        peer: IP address of the client, in text.
    """

    peer: str

    def abort(self) -> None:
        """Close it now."""


class Connections:
    """The connections that are open.

    Args:
        limit: at once.
        limit_per_client: at once, from one IPv4 address or IPv6 /64.
    """

    def __init__(self, *, limit: int = MAX_CONNECTIONS, limit_per_client: int = MAX_CONNECTIONS_PER_CLIENT) -> None:
        self._limit = limit
        self._limit_per_client = limit_per_client
        self._open: set[Connection] = set()
        self._idle: OrderedDict[Connection, None] = OrderedDict()  # the one that is idle longest comes first
        self._per_client: Counter[str | bytes] = Counter()

    def __len__(self) -> int:
        return len(self._open)

    def admit(self, connection: Connection) -> bool:
        """Take note of a new connection, which is idle; False: it must go at once, for all others are busy."""
        key = client_key(connection.peer)
        if self._per_client[key] >= self._limit_per_client:
            made_room = self._evict(next((each for each in self._idle if client_key(each.peer) == key), None))
        elif len(self._open) >= self._limit:
            made_room = self._evict(next(iter(self._idle), None))
        else:
            made_room = True
        if not made_room:
            return False
        self._open.add(connection)
        self._per_client[key] += 1
        self._idle[connection] = None
        return True

    def busy(self, connection: Connection) -> None:
        """Take note that it has asked something, and stays until it is answered."""
        self._idle.pop(connection, None)

    def idle(self, connection: Connection) -> None:
        """Take note that it is answered."""
        if connection in self._open:
            self._idle[connection] = None
            self._idle.move_to_end(connection)

    def leave(self, connection: Connection) -> None:
        """Take note that it is closed; harmless the second time."""
        if connection not in self._open:
            return
        self._open.remove(connection)
        self._idle.pop(connection, None)
        key = client_key(connection.peer)
        self._per_client[key] -= 1
        if not self._per_client[key]:
            del self._per_client[key]

    def _evict(self, connection: Connection | None) -> bool:
        if connection is None:
            return False
        self.leave(connection)
        connection.abort()
        return True
