"""Whose turn it is: the connections of a worker share the time that UDP, generations and timers leave them.

Owns the queue of connections that have something to do. It knows nothing of what they do.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable

# What all connections together may take between two looks at the other sockets, plus what is left of a turn that has
# begun; a batch over UDP takes about half of it. Unit: seconds.
SECONDS_PER_PASS = 0.002


class Turns:
    """The turns of a worker's connections, in the order of asking.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._waiting: OrderedDict[Callable[[], None], None] = OrderedDict()
        self._pass: asyncio.Handle | None = None
        # At least what was spent in this pass of the event loop: it begins anew in a pass where somebody waits.
        self._spent_seconds = 0.0

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return len(self._waiting)

    def take(self, turn: Callable[[], None]) -> bool:
        """Take a turn at once if there is time for it, else have it taken soon; returns whether it was taken."""
        if self._spent_seconds >= SECONDS_PER_PASS or turn in self._waiting:
            self.enqueue(turn)
            return False
        began = self._clock()
        turn()
        self._spent_seconds += self._clock() - began
        return True

    def enqueue(self, turn: Callable[[], None]) -> None:
        """Have a turn taken soon; whoever waits already keeps its place."""
        self._waiting[turn] = None
        self._await_pass()

    def drop(self, turn: Callable[[], None]) -> None:
        """Forget a turn, where it waits."""
        self._waiting.pop(turn, None)

    def _await_pass(self) -> None:
        if self._pass is None and self._waiting:
            self._pass = asyncio.get_running_loop().call_soon(self._take_some)

    def _take_some(self) -> None:
        self._pass = None
        self._spent_seconds = 0.0
        began = self._clock()
        try:
            while self._waiting and self._spent_seconds < SECONDS_PER_PASS:
                turn, _ = self._waiting.popitem(last=False)
                turn()
                self._spent_seconds = self._clock() - began
        finally:
            self._await_pass()
