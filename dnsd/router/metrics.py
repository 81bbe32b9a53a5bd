"""What the router's service counts, for Prometheus."""

from __future__ import annotations

import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from dnsd.router.fleet_view import FleetView
from dnsd.router.members import Level, Purpose


class Metrics:
    """Counters and gauges of one router.

    Args:
        is_up: says whether what is followed was reached.
        heard_at: gives the instant at which it was last read; None: never.
        acknowledged: gives the revision that the store has our word for.
    """

    def __init__(
        self,
        view: FleetView,
        *,
        is_up: Callable[[], bool],
        heard_at: Callable[[], float | None],
        acknowledged: Callable[[], int],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._view = view
        self._clock = clock
        self._registry = registry = CollectorRegistry()
        self.routes = Counter(
            "dnsd_router_routes", "Requests by role, and how the node was chosen, or the problem.",
            ["role", "outcome"], registry=registry,
        )  # fmt: skip
        self.fallbacks = Counter(
            "dnsd_router_fallbacks", "Requests that the configured fallback answered, as all nodes were drained.",
            ["role", "fallback"], registry=registry,
        )  # fmt: skip
        self.sessions = Counter(
            "dnsd_router_sessions_placed", "Sessions that were placed.", ["role"], registry=registry
        )
        self._nodes = Gauge(
            "dnsd_router_nodes", "Nodes by role, and whether they take new sessions.",
            ["role", "state"], registry=registry,
        )  # fmt: skip
        revision = Gauge("dnsd_router_revision", "The revision that is obeyed, and acknowledged.", ["stage"],
                         registry=registry)  # fmt: skip
        revision.labels("applied").set_function(lambda: view.revision)
        revision.labels("acknowledged").set_function(acknowledged)
        up = Gauge("dnsd_router_source_up", "1: the store or the server was reached.", registry=registry)
        up.set_function(lambda: float(is_up()))
        age = Gauge("dnsd_router_state_age_seconds", "Since the fleet's state was last read.", registry=registry)
        age.set_function(lambda: self._age(is_up, heard_at))

    def _age(self, is_up: Callable[[], bool], heard_at: Callable[[], float | None]) -> float:
        at = heard_at()
        if at is None:
            return float("inf")
        return 0.0 if is_up() else max(0.0, self._clock() - at)

    def scrape(self) -> bytes:
        """Return everything in the text format of Prometheus."""
        self._view.settle(self._clock())
        self._nodes.clear()
        for role, group in self._view.roles.items():
            for state, level in (("fit", Level.FIT), ("unhealthy", Level.UNHEALTHY), ("out", Level.OUT)):
                self._nodes.labels(role, state).set(group.everywhere.has(Purpose.NEW, level))
        return generate_latest(self._registry)
