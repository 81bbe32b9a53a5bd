"""Turns of the event loop for many who want to go on at once: a change may concern thousands who wait for it.

What all of them do in one pass of the loop would hold up a drain for as long. It knows nothing of what they do.
"""

from __future__ import annotations

import asyncio


class Turns:
    """Lets one go on in each pass of the event loop, in the order of their coming, and everything else between them."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    async def take(self) -> None:
        """Wait for a turn."""
        async with self._lock:
            await asyncio.sleep(0)
