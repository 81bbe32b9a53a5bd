"""How a caller waits for news of a store: woken at once by a bell, looking again for what rings none here.

It owns the waiting. It knows nothing of where anything is kept.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

FoundT = TypeVar("FoundT")


class Bell:
    """Wakes everybody who listened before it rang. It belongs to one event loop; `ring` is called on that loop."""

    def __init__(self) -> None:
        self._next = asyncio.Event()

    def listen(self) -> asyncio.Event:
        """Return what the next ring sets. Listen before you look: then no ring between the two is missed."""
        return self._next

    def ring(self) -> None:
        """Wake those who listen."""
        self._next.set()
        self._next = asyncio.Event()


async def follow(
    read: Callable[[], Awaitable[FoundT]],
    bell: Bell,
    *,
    wait_seconds: float,
    poll_seconds: float | None = None,
    news: Callable[[FoundT], object] = bool,
) -> FoundT:
    """Read, and where there is nothing new wait for it.

    Args:
        read: returns what there is now.
        bell: rings at each write of this process, and where a store hears of those of others.
        wait_seconds: how long to wait in all; 0 or less: not at all.
        poll_seconds: how often to look for writes that ring no bell here; None: there are none such.
        news: says whether what was read is new; by default, whether it is not empty.

    Returns:
        What `read` returned last: nothing new where the time ran out.

    Raises:
        Whatever `read` raises.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait_seconds
    while True:
        rung = bell.listen()
        found = await read()
        left = deadline - loop.time()
        if news(found) or left <= 0:
            return found
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(left if poll_seconds is None else min(left, poll_seconds)):
                await rung.wait()
