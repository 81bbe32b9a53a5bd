"""An adapter that runs while a test looks at it, and whether it leaves others their turns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from dnsd.adapters.context import Adapter, AdapterContext
from tests.support.waiting import until


@asynccontextmanager
async def running(adapter: Adapter, context: AdapterContext[Any]) -> AsyncIterator[None]:
    """Run an adapter, from when it listens; one that cannot raises at once what it has against it."""
    task = asyncio.create_task(adapter.run())
    try:
        await until(lambda: context.up or task.done(), "it listens")
        if task.done():
            task.result()
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def counted_passes() -> AsyncIterator[Callable[[], int]]:
    """Give what says how many passes the event loop has made meanwhile: how often anything else had its turn."""
    passes = 0

    async def count() -> None:
        nonlocal passes
        while True:
            passes += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    yield lambda: passes
    counting.cancel()
