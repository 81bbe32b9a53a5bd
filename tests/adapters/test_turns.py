"""Turns of the event loop: one at a time, in order, and everything else between."""

from __future__ import annotations

import asyncio

from dnsd.adapters.turns import Turns
from tests.adapters.running import counted_passes


async def test_no_two_go_on_in_the_same_pass() -> None:
    """A hundred who come at once go on one after the other; whoever gives up is passed over."""
    turns = Turns()
    went: list[tuple[int, int]] = []
    async with counted_passes() as passes:

        async def go(number: int) -> None:
            await turns.take()
            went.append((number, passes()))

        going = [asyncio.create_task(go(number)) for number in range(100)]
        await asyncio.sleep(0)
        going[50].cancel()
        await asyncio.gather(*going, return_exceptions=True)
    assert [number for number, _ in went] == [number for number in range(100) if number != 50]
    assert len({at for _, at in went}) == len(went)
