"""What a worker remembers of its pools' answers from one generation to the next, and tells of those that change.

It owns the watch over the wall clock that answers are counted on. It knows overlays, and nothing of channels.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from dnsd.core.records import Overlay
from dnsd.core.trace import Answered

# A wall clock that differs by more from the steady one than when last looked at was set. Slewing, at most 0.5 ms in
# each second, is far below. Unit: seconds.
CLOCK_SET_SECONDS = 0.1


class Tally:
    """The traces of a worker's pools.

    Args:
        clock: gives the instant that answers are counted at.
        steady: gives seconds on a clock that nobody sets.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time, steady: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._steady = steady
        self._offset = clock() - steady()

    def watch_clock(self, overlay: Overlay) -> None:
        """Look whether the wall clock was set; to be called every second or so, and before anything is told."""
        now = self._clock()
        offset = now - self._steady()
        if abs(offset - self._offset) > CLOCK_SET_SECONDS:
            for node in overlay.values():
                if node.trace is not None:
                    node.trace.assume_answered(now)
        self._offset = offset

    def hand_on(self, before: Overlay, after: Overlay, names: Iterable[bytes]) -> dict[bytes, Answered]:
        """Hand traces on to the next generation, which nobody has answered from yet.

        Args:
            names: owners that are replaced or removed.

        Returns:
            What is to be told of the pools among them, those included that were never answered.
        """
        self.watch_clock(before)
        now = self._clock()
        told = {}
        for name in names:
            node = before.get(name)
            if node is None or node.trace is None:
                continue
            told[name] = node.trace.told(now)
            successor = after.get(name)
            if successor is not None and successor.trace is not None and successor is not node:
                successor.trace.take_over(node.trace, now)
        return told
