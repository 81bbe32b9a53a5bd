"""The drains and ramps of a fleet: by node, and in the order in which they expire.

It knows neither nodes nor pools: an order about a node that is not there is kept like any other. Instants come in.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping

from dnsd.model.drain import Drain, DrainKey

NO_ORDERS: Mapping[DrainKey, Drain] = {}


class Orders:
    """What is ordered of which node, expired orders included until they are dropped.

    Args:
        drains: drains and ramps.
    """

    def __init__(self, drains: Iterable[Drain]) -> None:
        self._of: dict[str, dict[DrainKey, Drain]] = {}
        self._expiring: list[tuple[float, DrainKey]] = []  # a heap; of what was replaced or dropped, too
        for drain in drains:
            self.keep(drain)

    def of(self, node: str) -> Mapping[DrainKey, Drain]:
        """Return the orders about a node."""
        return self._of.get(node, NO_ORDERS)

    def all(self) -> dict[DrainKey, Drain]:
        """Return the orders about all nodes."""
        return {key: drain for orders in self._of.values() for key, drain in orders.items()}

    def keep(self, drain: Drain) -> None:
        """Take an order, in place of an earlier one of its key."""
        self._of.setdefault(drain.node, {})[drain.key] = drain
        self._note_expiry(drain)

    def drop(self, key: DrainKey) -> None:
        """Forget an order, if it is there."""
        orders = self._of.get(key.node)
        if orders is not None:
            orders.pop(key, None)
            if not orders:
                del self._of[key.node]

    def expired(self, now: float) -> tuple[Drain, ...]:
        """Return the orders whose time is over, without a look at any other."""
        over: dict[DrainKey, Drain] = {}
        while self._expiring and self._expiring[0][0] <= now:
            _, key = heapq.heappop(self._expiring)
            drain = self.of(key.node).get(key)
            if drain is not None and drain.expired(now):
                over[key] = drain
        for drain in over.values():
            self._note_expiry(drain)  # until it is dropped
        return tuple(over.values())

    def _note_expiry(self, drain: Drain) -> None:
        if drain.expires_at is not None:
            heapq.heappush(self._expiring, (drain.expires_at, drain.key))
