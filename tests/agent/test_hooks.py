"""Running hooks: what becomes of one that fails, and of one that is cut off."""

from __future__ import annotations

import asyncio

from dnsd.agent.effects import RunHook
from dnsd.agent.hooks import HookRunner

DRAIN = RunHook("drain", "edge", "draining")


async def test_a_hook_that_fails_in_a_way_nobody_thought_of_has_ended() -> None:
    """Otherwise its revision would never be applied."""
    ended: list[RunHook] = []

    async def reason(_: str) -> str:
        raise RuntimeError("no reason at all")

    hooks = HookRunner("edge-1", {"drain": ("true",)}, timeout_seconds=5.0, reason=reason, ended=ended.append)
    hooks.start(DRAIN)
    await hooks.finish()
    assert ended == [DRAIN]


async def test_a_hook_that_is_cut_off_has_not_ended() -> None:
    """So that it runs again at the next start."""
    ended: list[RunHook] = []
    asked = asyncio.Event()

    async def reason(_: str) -> str:
        asked.set()
        await asyncio.Event().wait()
        return ""

    hooks = HookRunner("edge-1", {"drain": ("true",)}, timeout_seconds=5.0, reason=reason, ended=ended.append)
    hooks.start(DRAIN)
    await asked.wait()
    await hooks.cancel()
    assert ended == []
