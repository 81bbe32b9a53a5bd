"""How many messages may go to one secondary: at once, and in a second."""

from __future__ import annotations

import asyncio

# Questions and NOTIFY messages that are under way to one secondary at once. Unit: messages.
MAX_UNDER_WAY = 32

# Those that are sent to it in a second. At a start there are two for every zone; BIND sends 20 NOTIFY a second by
# default (`notify-rate`). Unit: messages per second.
MOST_PER_SECOND = 100.0


class Slots:
    """Lets messages go one after the other; whoever enters may send one."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(MAX_UNDER_WAY)
        self._next_at = 0.0

    async def __aenter__(self) -> None:
        await self._free.acquire()
        now = asyncio.get_running_loop().time()
        at = max(now, self._next_at)
        self._next_at = at + 1 / MOST_PER_SECOND
        if at > now:
            try:
                await asyncio.sleep(at - now)
            except asyncio.CancelledError:
                self._free.release()
                raise

    async def __aexit__(self, *_: object) -> None:
        self._free.release()
