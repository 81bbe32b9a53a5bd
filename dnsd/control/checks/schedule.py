"""When each target is tried next: soon at first, then spread over the interval so that tries do not come in herds.

It knows neither clock nor socket: instants are seconds on a steady clock, and chance comes from the caller.
"""

from __future__ import annotations

import heapq
import itertools
from random import Random

from dnsd.model.check import Target

# First tries are spread over this much, or the interval where that is shorter: a start knows soon who is there, and
# does not open all connections in one moment. Unit: seconds.
FIRST_SPREAD_SECONDS = 1.0

# The second try comes this part of an interval after the first at the earliest, and one interval later at the latest:
# so their phases are spread evenly over the interval, whatever the first ones were. Unit: intervals.
EARLIEST_SECOND = 0.25


class Schedule:
    """The targets, by when they are due.

    A target is in one of three states:

        waiting ──take──► being tried ──tried, put_back──► waiting
           └───remove───► gone ◄───remove──┘
    """

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._heap: list[tuple[float, int, Target]] = []
        self._number: dict[Target, int] = {}  # of the target's present entry; another one in the heap is void
        self._tried: set[Target] = set()
        self._numbers = itertools.count()

    def __len__(self) -> int:
        return len(self._number)

    def add(self, target: Target, *, now: float) -> None:
        """Take a target in; one that is there already stays as it is."""
        if target not in self._number:
            spread = min(FIRST_SPREAD_SECONDS, target.probe.interval_seconds)
            self._push(target, now + self._rng.uniform(0.0, spread))

    def remove(self, target: Target) -> None:
        """Forget a target, also while it is being tried."""
        self._number.pop(target, None)
        self._tried.discard(target)

    def take(self, now: float) -> tuple[Target, float] | None:
        """Return the target that is due for longest, with the instant at which it was due; None: none is."""
        due = self.next_due
        if due is None or due > now:
            return None
        _, _, target = heapq.heappop(self._heap)
        return target, due

    def tried(self, target: Target, *, began: float) -> None:
        """Note that a try has ended; one of a target that was removed meanwhile is passed over.

        Args:
            began: the instant of its beginning.
        """
        if target not in self._number:
            return
        interval = target.probe.interval_seconds
        if target in self._tried:
            jitter = target.probe.jitter
            after = interval * self._rng.uniform(1.0 - jitter, 1.0 + jitter)
        else:
            self._tried.add(target)
            after = interval * self._rng.uniform(EARLIEST_SECOND, EARLIEST_SECOND + 1.0)
        self._push(target, began + after)

    def put_back(self, target: Target, *, due: float) -> None:
        """Let a target that was taken and not tried wait again; one that was removed meanwhile is passed over."""
        if target in self._number:
            self._push(target, due)

    @property
    def next_due(self) -> float | None:
        """The instant at which the next target is due; None: none waits."""
        while self._heap and self._number.get(self._heap[0][2]) != self._heap[0][1]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def _push(self, target: Target, due: float) -> None:
        number = self._number[target] = next(self._numbers)
        heapq.heappush(self._heap, (due, number, target))
