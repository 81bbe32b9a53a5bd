"""Whether the store can be read and written, as those who use it find out; each outage is told once.

A store may take no writes and still be read (a full disk), so the two are kept apart. It knows no store: whoever reads
or writes tells it how that went.

up ──failed──► down (logged, counted) ──read or wrote again──► up (logged)
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from dnsd.errors import NotReplicated, StoreError

log = logging.getLogger(__name__)

# What was read longer ago says nothing of now. More than the longest question for changes. Unit: seconds.
STALE_SECONDS = 15.0


class StoreHealth:
    """What is known of the store's health.

    Args:
        clock: gives the present instant.
        steady: gives seconds on a clock that nobody sets.
        on_reach: told when the store gets out of reach (False) and when it can be read again (True).
        heard_at: instant of the last successful read, by a server that starts while the store is out of reach; None:
            it was read just now.

    Attributes:
        seen_at: instant of the last successful read.
        outages: how often it went from up to down.
        divergences: how often it was found to have lost writes.
        why: what stands in its way; None while it is up.
        why_unconfirmed: why what it takes is not as lasting as it should be; None: it is, as far as anybody knows.
        down_since: when it last went down, on the steady clock; minus infinity: never.
        back_at: when it was last up again after that, on the steady clock; minus infinity: never.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        steady: Callable[[], float],
        on_reach: Callable[[bool], None],
        heard_at: float | None = None,
    ) -> None:
        self._clock = clock
        self._steady = steady
        self._on_reach = on_reach
        self._readable = heard_at is None
        self._writable = True
        self.outages = 0 if heard_at is None else 1
        self.divergences = 0
        self.why: str | None = None
        self.why_unconfirmed: str | None = None
        self.down_since = float("-inf") if heard_at is None else steady()
        self.back_at = float("-inf")
        self.seen_at = clock() if heard_at is None else heard_at
        self._seen_at_steady = steady()

    @property
    def up(self) -> bool:
        """Say whether the store can be read and written."""
        return self._readable and self._writable

    @property
    def readable(self) -> bool:
        """Say whether the store can be read."""
        return self._readable

    @property
    def fresh(self) -> bool:
        """Say whether what was read of the store still speaks of now."""
        return self._readable and self._steady() - self._seen_at_steady < STALE_SECONDS

    @property
    def problem(self) -> str | None:
        """What stands in the way of changes, for people; None: nothing."""
        if not self.up:
            return "the store is unavailable: drains cannot be changed"
        return None if self.why_unconfirmed is None else f"drains cannot be changed: {self.why_unconfirmed}"

    def was_read(self) -> None:
        """Take note that reading worked."""
        self.seen_at = self._clock()
        self._seen_at_steady = self._steady()
        self._become(readable=True, writable=self._writable)

    def was_written(self) -> None:
        """Take note that writing worked."""
        self._become(readable=self._readable, writable=True)

    def failed_to_read(self, error: StoreError) -> None:
        """Take note that reading failed."""
        self._become(readable=False, writable=self._writable, error=error)

    def failed_to_write(self, error: StoreError) -> None:
        """Take note that writing failed."""
        self._become(readable=self._readable, writable=False, error=error)

    def failed_to_confirm(self, error: NotReplicated) -> None:
        """Take note that a write was taken, and that too few replicas have it."""
        if self.why_unconfirmed is None:
            log.error("writes are not acknowledged: %s", error)
        self.why_unconfirmed = str(error)
        self.was_written()

    def was_confirmed(self) -> None:
        """Take note that replicas have what was written."""
        if self.why_unconfirmed is not None:
            log.info("replicas have what was written again")
        self.why_unconfirmed = None

    def diverged(self) -> None:
        """Take note that the store had lost writes."""
        self.divergences += 1

    def _become(self, *, readable: bool, writable: bool, error: StoreError | None = None) -> None:
        was_up, was_readable = self.up, self._readable
        self._readable, self._writable = readable, writable
        self.why = None if self.up else str(error) if error is not None else self.why
        if readable != was_readable:
            self._on_reach(readable)
        if was_up and not self.up:
            self.outages += 1
            self.down_since = self._steady()
            log.error("the store is unavailable: %s; answers go on from the last known state", error)
        elif self.up and not was_up:
            self.back_at = self._steady()
            log.info("the store is back")
