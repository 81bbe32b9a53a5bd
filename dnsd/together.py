"""Coroutines that run beside each other, where the end of one is the end of all."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def until_one_ends(*parts: Coroutine[Any, Any, Any]) -> None:
    """Run coroutines until one of them ends or this is cancelled; then cancel the others, in their order.

    Unlike a task group, it does not wait for all, and raises an error of one as it is: whoever runs it may tell errors
    apart.
    """
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
