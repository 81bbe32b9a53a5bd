"""When answers are limited: it gives the engine a limiter while there is much traffic, and takes it away after.

Owns the limiter, and what the log is told of it. It must not know how an answer is judged.

quiet ──more answers than `starts_at`──► watchful ──fewer for `CALM_SECONDS`──► quiet
"""

from __future__ import annotations

import asyncio
import logging

from dnsd.core.engine import Engine
from dnsd.core.ratelimit import Limiter, RateLimit, Verdict
from dnsd.core.via import Transport

# How often the traffic is looked at, which is all that a quiet server pays. A flood goes without limits for as long.
# Unit: seconds.
LOOK_SECONDS = 0.1

# How long the limiter stays when traffic has become less: a flood in bursts should not begin anew with each. Unit:
# seconds.
CALM_SECONDS = 10.0

# A line of the log at most so often; nobody is over the limit any more when so long nobody was. Unit: seconds.
LOG_SECONDS = 60.0

_LIMITED = tuple(("rate_limited", verdict.value) for verdict in (Verdict.DROP, Verdict.SLIP))

_log = logging.getLogger(__name__)


class RateWatch:
    """Decides when an engine has a limiter.

    Args:
        engine: counts its answers, and has no limiter of anybody else's.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._limiter: Limiter | None = None
        self._looked_at: float | None = None
        self._answers = 0
        self._busy_at = 0.0
        self._report = _Report()

    def configure(self, limit: RateLimit | None) -> None:
        """Limit by this from now on.

        Args:
            limit: None: nobody is limited.
        """
        if limit == (None if self._limiter is None else self._limiter.limit):
            return
        # Made now: while a flood comes in is no time for it.
        self._limiter = None if limit is None else Limiter(limit)
        if self._engine.limiter is not None:
            self._engine.limiter = self._limiter

    def start(self) -> None:
        """Look regularly."""
        loop = asyncio.get_running_loop()
        self.look(loop.time())
        loop.call_later(LOOK_SECONDS, self.start)

    def look(self, now: float) -> None:
        """Look at the traffic since the last time.

        Args:
            now: seconds, of a clock that nobody sets.
        """
        limiter = self._limiter
        if limiter is None:
            self._looked_at = None
            return
        limited = sum(self._engine.events[key] for key in _LIMITED)
        answers = sum(self._engine.counts[Transport.UDP]) + self._engine.events[_LIMITED[0]]
        if self._looked_at is not None and now > self._looked_at:
            rate = (answers - self._answers) / (now - self._looked_at)
            if rate >= limiter.limit.starts_at:
                self._busy_at = now
                self._engine.limiter = limiter
            elif now - self._busy_at >= CALM_SECONDS:
                self._engine.limiter = None
        self._looked_at, self._answers = now, answers
        if (line := self._report.line(limiter, limited=limited, now=now)) is not None:
            _log.warning("%s", line)


class _Report:
    """What the log is told: that somebody is over the limit, and later that nobody is any more."""

    def __init__(self) -> None:
        self._limited = 0
        self._told_of = 0  # answers over the limit before the last beginning
        self._limited_at = 0.0
        self._told_at = float("-inf")
        self._going_on = False

    def line(self, limiter: Limiter, *, limited: int, now: float) -> str | None:
        """Return a line, where there is one to be told.

        Args:
            limited: answers over the limit since the worker began.
            now: as in `RateWatch.look`.
        """
        before, self._limited = self._limited, limited
        if limited > before:
            self._limited_at = now
        if self._going_on:
            if now - self._limited_at < LOG_SECONDS:
                return None
            self._going_on, self._told_at = False, now
            return f"rate limiting has ended: {limited - self._told_of} answers were over the limit{_most(limiter)}"
        if limited == before or now - self._told_at < LOG_SECONDS:
            return None
        self._going_on, self._told_at, self._told_of = True, now, before
        return f"rate limiting has begun: {limited - before} answers are over the limit{_most(limiter)}"


def _most(limiter: Limiter) -> str:
    network = limiter.busiest()
    return f", most of them to {network}" if network else ""
