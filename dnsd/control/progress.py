"""How far a node has left DNS: when answers stopped naming it, and until when caches may still hold one that did.

The bound is safe rather than tight: a withdrawal counts from the moment at which every worker had applied it, with the
TTL of the pool that named the node, whether or not anybody asked.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from dnsd.core.fleet import Withdrawal


@dataclass(frozen=True, slots=True)
class Departure:
    """How a node left the answers of a role.

    Args:
        withdrawn_at: instant since which no worker names it; None: not applied by all yet.
        max_ttl: seconds; the largest TTL that named it.
        caches_clear_at: instant at which the last answer has expired everywhere.
    """

    generation: int
    withdrawn_at: float | None
    max_ttl: int
    caches_clear_at: float | None


class DepartureLog:
    """The departures of every node and role since this server started."""

    def __init__(self) -> None:
        self._departures: dict[tuple[str, str], Departure] = {}
        self._waiting: set[tuple[str, str]] = set()

    def withdraw(self, withdrawals: Iterable[Withdrawal], *, generation: int) -> None:
        """Note what a generation takes out, before any worker has applied it."""
        for withdrawal in withdrawals:
            key = (withdrawal.node, withdrawal.role)
            earlier = self._departures.get(key)
            self._departures[key] = Departure(
                generation=generation,
                withdrawn_at=None,
                max_ttl=max(withdrawal.ttl, earlier.max_ttl if earlier else 0),
                caches_clear_at=earlier.caches_clear_at if earlier else None,
            )
            self._waiting.add(key)

    def applied(self, generation: int, *, now: float) -> None:
        """Note that every worker has applied a generation and those before it."""
        for key in tuple(self._waiting):
            departure = self._departures[key]
            if departure.generation > generation:
                continue
            clear_at = max(now + departure.max_ttl, departure.caches_clear_at or 0.0)
            self._departures[key] = replace(departure, withdrawn_at=now, caches_clear_at=clear_at)
            self._waiting.discard(key)

    def departure(self, node: str, role: str) -> Departure | None:
        """Return how a node left, or None where no pool has named it since the start."""
        return self._departures.get((node, role))
