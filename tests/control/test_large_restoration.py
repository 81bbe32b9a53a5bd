"""A whole fleet's drains written back to a Redis that has lost them, while everything else goes on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from dnsd.control.recovery import restore
from dnsd.model.state import Action, FleetState
from tests.stores.redis_stores import opened
from tests.support.fleets import NOW, drain, node
from tests.support.redis import redis_server
from tests.support.waiting import under_way

DRAINS = 30_000

# What the longest turn of the loop may take of all that is done meanwhile: it is a twentieth, and a fifth or more where
# any of the large steps is taken on the loop. Both are times of the processor, however fast it is.
LONGEST_SHARE = 0.125


@asynccontextmanager
async def ticking(gaps: list[float]) -> AsyncIterator[None]:
    """Take note of what the event loop's thread has done between two turns, in seconds."""

    async def tick() -> None:
        last = time.thread_time()
        try:
            while True:
                await asyncio.sleep(0.002)
                now = time.thread_time()
                gaps.append(now - last)
                last = now
        finally:
            gaps.append(time.thread_time() - last)

    async with under_way(tick()):
        yield


@pytest.mark.alone
async def test_a_fleet_of_drains_comes_back_in_one_commit_and_holds_nobody_up(tmp_path: Path) -> None:
    """Each is there under a revision of its own and with its history; the event loop has had its turns."""
    orders = [drain(f"edge-{number:05}", reason='a "new"\nkernel ☂ \\ \U0001f701') for number in range(DRAINS)]
    known = FleetState(
        revision=3 * DRAINS, drains={each.key: each for each in orders}, nodes={"n": node("n", "192.0.2.1")}
    )
    gaps: list[float] = []
    with redis_server(tmp_path / "redis") as server:
        async with opened(server.url) as store:
            before = time.process_time()
            async with ticking(gaps):
                restoration = await restore(store, known, now=NOW)
            spent = time.process_time() - before
            last = 4 * DRAINS + 1
            state = await store.load()
            assert restoration.state == state
            assert (state.revision, state.nodes) == (last, known.nodes)
            assert state.drains.keys() == known.drains.keys()
            assert {each.reason for each in state.drains.values()} == {orders[0].reason}
            assert sorted(each.revision for each in state.drains.values()) == list(range(3 * DRAINS + 1, last))
            (newest, *others), _ = await store.history(limit=1000)
            assert (newest.action, newest.node) == (Action.NODE_RESTORED, "n")
            assert [each.node for each in others] == [each.node for each in reversed(orders[-999:])]
            assert server.cli("xlen", "{dnsd}:history") == str(DRAINS + 1)
            assert len(await store.changes(after=last - 700)) == 700
    print(f"the longest turn took {max(gaps):.3f} s of {spent:.3f} s")
    assert max(gaps) < LONGEST_SHARE * spent
