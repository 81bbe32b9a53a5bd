"""Until when a report speaks of now, with the clock held while the store is out of reach.

An outage of the store is not one of the fleet: reports that come over it cannot be told from nodes that went silent.
It says nothing of sessions: whether a node may be stopped is never decided on a held clock.

    fresh ──hold──► held ──over──► in grace for a full interval ──time──► stale
                     ▲                │ another hold: what is left of the interval is kept
                     └────────────────┘
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from dnsd.model.report import Report

# Graces that began so close together are told apart no more, so that few are kept. Unit: parts of an interval.
GRAINS = 64

NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class Earlier:
    """A hold before the last one, whose grace was not over when that began.

    Args:
        since: instant at which it began.
        gone: seconds of the grace after it that were gone when the last hold began.
    """

    since: float
    gone: float


@dataclass(frozen=True, slots=True)
class Hold:
    """The last time during which freshness stood still.

    Args:
        since: instant; None: it never did.
        until: instant; None: it still does.
        earlier: oldest first.
    """

    since: float | None = None
    until: float | None = None
    earlier: tuple[Earlier, ...] = ()

    def stale_at(self, report: Report, *, stale_after: float) -> float:
        """Return the instant at which a report gets stale; infinite while the clock is held.

        Args:
            stale_after: seconds.
        """
        instant = report.received_at + stale_after
        if self.since is None:
            return instant
        gone = self._gone(instant, self.since)
        if gone is None or gone >= stale_after:
            return instant  # it was stale when the hold began
        if self.until is None:
            return NEVER
        # Nodes get a full interval to be heard again, and no more of it for being silent through several holds.
        return max(instant, self.until + stale_after - gone)

    def _gone(self, instant: float, since: float) -> float | None:
        """Return how much of its grace was gone when the hold began; None: no hold has found the report fresh."""
        if instant > since:
            return 0.0
        return next((each.gone for each in reversed(self.earlier) if instant > each.since), None)

    def begun_again(self, now: float, *, stale_after: float) -> Hold:
        """Return the hold that begins now, after this one has ended.

        Args:
            stale_after: seconds.
        """
        if self.since is None or self.until is None:
            return Hold(now)
        passed = max(0.0, now - self.until)  # the clock may have been set back
        kept: list[Earlier] = []
        for each in (*self.earlier, Earlier(self.since, 0.0)):
            gone = each.gone + passed
            if gone < stale_after and (not kept or kept[-1].gone - gone >= stale_after / GRAINS):
                kept.append(Earlier(each.since, gone))
        return Hold(now, earlier=tuple(kept))

    def ended(self, now: float) -> Hold:
        """Return the hold as it is over by now."""
        return replace(self, until=now)

    def set_back(self, now: float) -> Hold:
        """Return the hold on a clock that was set back to now: nothing of it is ahead."""
        if self.since is None:
            return self
        until = None if self.until is None else min(self.until, now)
        return replace(self, since=min(self.since, now), until=until)


NO_HOLD = Hold()
