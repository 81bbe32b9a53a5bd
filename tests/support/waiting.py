"""What goes on in a loop beside a test, and waiting in it; `tests.support.servers.wait_until` is for those without."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from tests.support.servers import PATIENCE_SECONDS

# Between two looks. Unit: seconds.
LOOK_SECONDS = 0.002


async def until(condition: Callable[[], object], what: str = "it comes to that") -> None:
    """Wait for a condition while everything else runs."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PATIENCE_SECONDS
    while not condition():
        assert loop.time() < deadline, f"not within {PATIENCE_SECONDS:g} s: {what}"
        await asyncio.sleep(LOOK_SECONDS)


@asynccontextmanager
async def under_way(*work: Coroutine[Any, Any, object]) -> AsyncIterator[list[asyncio.Task[object]]]:
    """Have coroutines run for the length of a block, and end them with it; what one of them raises is raised."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
    for end in ends:
        if isinstance(end, Exception):
            raise end
