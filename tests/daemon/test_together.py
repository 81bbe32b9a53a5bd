"""Coroutines that end together."""

from __future__ import annotations

import asyncio

import pytest

from dnsd.together import until_one_ends


async def test_the_end_of_one_is_the_end_of_all_and_its_error_is_raised_as_it_is() -> None:
    """The others are cancelled, and are over when it returns."""
    ended: list[str] = []

    async def waiting(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(name)

    async def failing() -> None:
        await asyncio.sleep(0)
        raise ValueError("unthought of")

    await until_one_ends(waiting("a"), asyncio.sleep(0), waiting("b"))
    assert ended == ["a", "b"]
    with pytest.raises(ValueError, match="unthought of"):
        await until_one_ends(waiting("c"), failing())
    assert ended == ["a", "b", "c"]


async def test_who_is_cancelled_cancels_all_and_waits_for_them() -> None:
    """None of them goes on by itself."""
    under_way: set[int] = set()

    async def waiting(number: int) -> None:
        under_way.add(number)
        try:
            await asyncio.Event().wait()
        finally:
            under_way.discard(number)

    task = asyncio.create_task(until_one_ends(waiting(1), waiting(2)))
    while len(under_way) < 2:  # noqa: ASYNC110 - a condition is all that a test has to wait on
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not under_way
