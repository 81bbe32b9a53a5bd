"""How many TLS handshakes a worker carries on at once, and what became of them.

Owns the queue of those that wait for their next step. It knows nothing of TLS.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable

# Steps between two looks at the other sockets. A step takes up to a millisecond of CPU, most of it for the signature,
# so that queries over UDP wait for at most a few, however many clients connect at once. Unit: steps.
STEPS_PER_TURN = 4


class Handshakes:
    """The handshakes of a worker.

    Attributes:
        results: how many were `ok`, `failed` (the client cannot do what is asked, or spoke no TLS), or `unfinished`
            (the connection ended before: a port scan, a time-out, another connection that needed the room).
    """

    def __init__(self) -> None:
        self.results: Counter[str] = Counter()
        self._waiting: deque[Callable[[], None]] = deque()
        self._turn: asyncio.Handle | None = None

    def enqueue(self, step: Callable[[], None]) -> None:
        """Have a step taken soon, in the order of asking."""
        self._waiting.append(step)
        self._await_turn()

    def _await_turn(self) -> None:
        if self._turn is None and self._waiting:
            self._turn = asyncio.get_running_loop().call_soon(self._take_steps)

    def _take_steps(self) -> None:
        self._turn = None
        try:
            for _ in range(min(STEPS_PER_TURN, len(self._waiting))):
                self._waiting.popleft()()
        finally:
            self._await_turn()
