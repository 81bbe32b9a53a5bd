"""How a caller waits for news of a store: woken at once by a bell, looking again for what rings none here.

It owns the waiting. It knows nothing of where anything is kept.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from dnsd.model.state import Consumer

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


class SharedRead(Generic[FoundT]):
    """One read for all who ask before it begins: never two at once, and a rest between two where it is costly.

    Args:
        read: returns what there is now.
        rest_seconds: from what was read to how long to rest after it; the first read after that begins at once.
    """

    def __init__(self, read: Callable[[], Awaitable[FoundT]], *, rest_seconds: Callable[[FoundT], float]) -> None:
        self._read = read
        self._rest_seconds = rest_seconds
        self._rested_at = float("-inf")  # on the clock of the event loop
        self._turn = asyncio.Lock()
        self._next: asyncio.Task[FoundT] | None = None  # has not begun yet

    async def read(self) -> FoundT:
        """Return what was read by a read that began after the call.

        Raises:
            Whatever the read raises.
        """
        if self._next is None:
            self._next = asyncio.create_task(self._begin())
            self._next.add_done_callback(_note_failure)
        # Whoever is cancelled leaves it to the others.
        return await asyncio.shield(self._next)

    async def _begin(self) -> FoundT:
        loop = asyncio.get_running_loop()
        async with self._turn:
            await asyncio.sleep(max(0.0, self._rested_at - loop.time()))
            self._next = None
            found = await self._read()
            self._rested_at = loop.time() + self._rest_seconds(found)
            return found


def _note_failure(task: asyncio.Task[FoundT]) -> None:
    if not task.cancelled():
        task.exception()  # those who asked have it, or have gone


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


def says_more(found: Sequence[Consumer], unlike: Sequence[Consumer] | None) -> bool:
    """Say whether consumers are others than those that a caller has, or have applied something else.

    That one says that it lives is no news: those of a large fleet do so all the time.
    """
    return unlike is None or [_word(each) for each in found] != [_word(each) for each in unlike]


def _word(consumer: Consumer) -> tuple[str, str, int, str]:
    return consumer.id, consumer.kind, consumer.applied, consumer.mark
