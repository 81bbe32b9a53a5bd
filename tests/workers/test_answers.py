"""What workers tell of the answers that a generation puts an end to: over their channel, and of several at once."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from dataclasses import replace

from dnsd.core.records import Delta, Overlay, ZoneNode
from dnsd.core.trace import Answered, Trace
from dnsd.workers.tally import Tally
from tests.workers.conftest import StartPool
from tests.workers.fleet import PATIENCE_SECONDS, POOL, ask_at_once, pool_node, snapshot, until

OTHER = b"\x05other" + POOL[5:]
NEVER = Answered(float("inf"), float("-inf"), 0)


def traced(generation: int) -> ZoneNode:
    return replace(pool_node(generation), trace=Trace())


def traced_delta(generation: int) -> Delta:
    return Delta(generation, generation, {POOL: traced(generation), OTHER: traced(generation)})


async def test_workers_tell_when_a_pool_that_changes_was_last_answered(
    start_pool: StartPool, address: tuple[str, int]
) -> None:
    """The most of two workers; of a pool that nobody asked, that nobody did; of one that stays, nothing."""
    pool = await start_pool()
    pool.publish(traced_delta(2))
    assert await pool.wait_applied(2, timeout_seconds=PATIENCE_SECONDS)
    began = time.monotonic()
    await asyncio.to_thread(ask_at_once, address, queries=40)
    pool.publish(Delta(3, 3, {POOL: traced(3)}))
    assert await pool.wait_applied(3, timeout_seconds=PATIENCE_SECONDS)
    heard = pool.answers.heard(POOL, 3)
    assert heard is not None
    assert began - 0.01 <= heard.last_at <= time.monotonic()
    assert (heard.max_ttl, round(heard.clear_at - heard.last_at)) == (30, 30)
    assert pool.answers.heard(OTHER, 3) is None
    # Nobody has asked since, but caches still hold what the generation before answered.
    pool.publish(Delta(4, 4, removed=(POOL, OTHER)))
    assert await pool.wait_applied(4, timeout_seconds=PATIENCE_SECONDS)
    again, other = pool.answers.heard(POOL, 4), pool.answers.heard(OTHER, 4)
    assert again is not None
    assert abs(again.clear_at - heard.clear_at) < 0.1
    assert other is not None
    assert other.last_at == other.clear_at == float("-inf")


async def test_other_zones_are_no_reason_to_forget_answers(start_pool: StartPool, address: tuple[str, int]) -> None:
    """A reload with other zones tells of every pool that it replaces, as any change does."""
    pool = await start_pool(count=1)
    pool.publish(traced_delta(2))
    assert await pool.wait_applied(2, timeout_seconds=PATIENCE_SECONDS)
    await asyncio.to_thread(ask_at_once, address, queries=1)
    pool.publish(replace(traced_delta(3), zones=snapshot(3).zones))
    assert await pool.wait_applied(3, timeout_seconds=PATIENCE_SECONDS)
    heard = [pool.answers.heard(name, 3) for name in (POOL, OTHER)]
    assert [each and each.max_ttl for each in heard] == [30, 0]


async def test_a_worker_that_is_killed_is_remembered_to_have_told_nothing(start_pool: StartPool) -> None:
    """The instant of its end is noted."""
    pool = await start_pool()
    assert pool.answers.lost_at == float("-inf")
    began = time.monotonic()
    os.kill(pool.workers[0].pid, signal.SIGKILL)
    await until(lambda: pool.answers.lost_at >= began)


class Clocks:
    """A wall clock and a steady one."""

    def __init__(self) -> None:
        self.wall, self.steady = 1_700_000_000.0, 50.0

    def advance(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


def told_after(*, set_by: float) -> Answered:
    clocks = Clocks()
    tally = Tally(clock=lambda: clocks.wall, steady=lambda: clocks.steady)
    before: Overlay = {POOL: traced(1)}
    trace = before[POOL].trace
    assert trace is not None
    trace.note(30, clocks.wall)
    clocks.advance(10)
    clocks.wall += set_by
    return tally.hand_on(before, {POOL: traced(2)})[POOL]


def test_a_wall_clock_that_is_set_makes_every_answer_one_of_now() -> None:
    """Forward it would clear caches that hold the node; backward it would hold them for ever."""
    assert told_after(set_by=0.0) == Answered(10.0, 20.0, 30)
    assert told_after(set_by=3600.0) == told_after(set_by=-3600.0) == Answered(0.0, 30.0, 30)


def test_a_clock_that_is_set_takes_nothing_from_a_pool_that_nobody_asked() -> None:
    """There is no answer to take for one of now."""
    clocks = Clocks()
    tally = Tally(clock=lambda: clocks.wall, steady=lambda: clocks.steady)
    clocks.wall += 3600
    assert tally.hand_on({POOL: traced(1)}, {}) == {POOL: NEVER}
