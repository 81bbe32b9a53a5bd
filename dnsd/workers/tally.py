"""What a worker remembers of its pools' answers from one generation to the next, and tells of those that change.

It owns the watch over the wall clock that answers are counted on. It knows overlays, and nothing of channels.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import chain

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

    def watch_clock(self, *overlays: Overlay) -> None:
        """Look whether the wall clock was set; to be called every second or so, and before anything is told.

        Args:
            overlays: every node that has been answered from, and whose trace is still wanted.
        """
        now = self._clock()
        offset = now - self._steady()
        if abs(offset - self._offset) > CLOCK_SET_SECONDS:
            for node in chain.from_iterable(overlay.values() for overlay in overlays):
                if node.trace is not None:
                    node.trace.assume_answered(now)
        self._offset = offset

    def hand_on(self, replaced: Overlay, after: Overlay) -> dict[bytes, Answered]:
        """Hand traces on to the next generation, which nobody has answered from yet.

        Args:
            replaced: the nodes that are replaced or removed.
            after: the whole overlay of the next generation.

        Returns:
            What is to be told of the pools among those that are replaced, the never answered included.
        """
        self.watch_clock(replaced, after)
        now = self._clock()
        told = {}
        for name, node in replaced.items():
            if node.trace is None:
                continue
            told[name] = node.trace.told(now)
            successor = after.get(name)
            if successor is not None and successor.trace is not None and successor is not node:
                successor.trace.take_over(node.trace, now)
        return told
