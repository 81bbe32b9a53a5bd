"""How a caller of `changes` waits: woken at once by this process's commits, looking again for those of others.

It owns the waiting. It knows nothing of where changes are kept.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from dnsd.model.state import ChangeRecord

Read = Callable[[], Awaitable[tuple[ChangeRecord, ...]]]


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
    read: Read, bell: Bell, *, wait_seconds: float, poll_seconds: float | None = None
) -> tuple[ChangeRecord, ...]:
    """Read changes, and where there are none wait for the first one.

    Args:
        read: returns what there is now.
        bell: rings at each commit of this process.
        wait_seconds: how long to wait in all; 0 or less: not at all.
        poll_seconds: how often to look for commits that ring no bell here; None: there are none such.

    Returns:
        What `read` returned last: empty where the time ran out.

    Raises:
        Whatever `read` raises.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait_seconds
    while True:
        rung = bell.listen()
        records = await read()
        left = deadline - loop.time()
        if records or left <= 0:
            return records
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(left if poll_seconds is None else min(left, poll_seconds)):
                await rung.wait()
