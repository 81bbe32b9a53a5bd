"""Work on many values beside the event loop, so that nobody waits for it; it knows no Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

# Values that are read or written on the spot; more of them would hold up everybody else. Unit: values.
FEW = 200

ResultT = TypeVar("ResultT")


async def aside(work: Callable[[], ResultT], *, size: int) -> ResultT:
    """Do something; in a thread where it is about so many values that others would wait for it."""
    return await asyncio.to_thread(work) if size > FEW else work()
