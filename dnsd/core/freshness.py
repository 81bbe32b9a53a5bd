"""Until when a report speaks of now, with the clock held while the store is out of reach.

An outage of the store is not one of the fleet: reports that come over it cannot be told from nodes that went silent.
It says nothing of sessions: whether a node may be stopped is never decided on a held clock.
"""

from __future__ import annotations

from dataclasses import dataclass

from dnsd.model.report import Report


@dataclass(frozen=True, slots=True)
class Hold:
    """The last time during which freshness stood still.

    Args:
        since: instant; None: it never did.
        until: instant; None: it still does.
    """

    since: float | None = None
    until: float | None = None

    def stale_at(self, report: Report, *, stale_after: float) -> float:
        """Return the instant at which a report gets stale; infinite while the clock is held.

        Args:
            stale_after: seconds.
        """
        instant = report.received_at + stale_after
        if self.since is None or instant <= self.since:
            return instant  # it was stale when the hold began
        if self.until is None:
            return float("inf")
        # Nodes get a full interval to be heard again.
        return max(instant, self.until + stale_after)
