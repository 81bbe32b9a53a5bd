"""What happens when workers die, hang, or are replaced while generations change and clients ask."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable

import pytest

from dnsd.control import worker_handle
from dnsd.control.worker_limits import MAX_BACKOFF_SECONDS, backoff_seconds
from dnsd.core.constants import SOA
from dnsd.core.records import Delta
from dnsd.core.zonebuild import zone_of
from dnsd.core.zoneimage import ZoneImage
from dnsd.core.zoneimage_build import build_image
from dnsd.sharedbytes import SharedBytes
from tests.workers.askers import Askers
from tests.workers.conftest import StartPool
from tests.workers.fleet import APEX, PATIENCE_SECONDS, ask, ask_at_once, delta, snapshot, until

Address = tuple[str, int]

# The whole point of an acknowledgement, so that it is tried often. Unit: generations.
GENERATIONS = 300


@pytest.mark.alone
async def test_no_answer_is_older_than_an_acknowledgement(start_pool: StartPool, address: Address) -> None:
    """While clients ask and workers are killed, no query sent after an acknowledgement gets an older generation."""
    pool = await start_pool()
    acknowledged: list[tuple[float, int]] = []
    loop = asyncio.get_running_loop()
    seconds: list[float] = []
    async with Askers(address, clients=8) as askers:
        for generation in range(2, GENERATIONS):
            began = loop.time()
            pool.publish(delta(generation))
            killed = generation % 100 == 50
            if killed:
                os.kill(pool.workers[0].pid, signal.SIGKILL)
            assert await pool.wait_applied(generation, timeout_seconds=PATIENCE_SECONDS)
            acknowledged.append((loop.time(), generation))
            seconds.append(acknowledged[-1][0] - began)
            if not killed:  # a query to the dying worker would be lost
                assert ask_at_once(address, queries=6) == {generation}
            await asyncio.sleep(0.003)
    seconds.sort()
    print(f"published → applied: p50 {seconds[len(seconds) // 2] * 1000:.2f} ms, p99 {seconds[-3] * 1000:.2f} ms")
    assert len(askers.exchanges) > GENERATIONS
    stale = []
    for exchange in askers.exchanges:
        known = max((generation for at, generation in acknowledged if at <= exchange.sent_at), default=1)
        if exchange.generation is not None and exchange.generation < known:
            stale.append((exchange, known))
    assert stale == []


@pytest.mark.alone
async def test_a_killed_worker_is_replaced_at_once(
    start_pool: StartPool, address: Address, caplog: pytest.LogCaptureFixture
) -> None:
    """Under load, the others answer on, and what is lost is what was in the dead worker's hands."""
    pool = await start_pool()
    loop = asyncio.get_running_loop()
    async with Askers(address, clients=8) as askers:
        await until(lambda: len(askers.exchanges) > 200)
        os.kill(pool.workers[0].pid, signal.SIGKILL)
        await until(lambda: pool.restarts == 1)
        noticed_at = loop.time()
        seconds = await until(lambda: sum(worker.ready for worker in pool.workers) == 2)
        answered = len(askers.exchanges)
        await until(lambda: len(askers.exchanges) > answered + 200)
    print(f"killed → replaced: {seconds * 1000:.0f} ms")
    assert "is started again in" not in caplog.text  # as of one that is waited with
    assert len(askers.lost) <= 8  # each client has one query under way
    assert [exchange for exchange in askers.lost if exchange.sent_at > noticed_at] == []


@pytest.mark.alone
async def test_a_hung_worker_is_replaced_and_holds_up_an_acknowledgement_no_longer(
    start_pool: StartPool, address: Address
) -> None:
    """A stopped worker could go on with a stale generation at any time, so that it is killed."""
    pool = await start_pool(apply_seconds=0.3)
    hung = pool.workers[0].pid
    os.kill(hung, signal.SIGSTOP)
    pool.publish(delta(2))
    assert not await pool.wait_applied(2, timeout_seconds=0.1)
    assert await pool.wait_applied(2, timeout_seconds=PATIENCE_SECONDS)
    assert hung not in {worker.pid for worker in pool.workers}
    await until(lambda: sum(worker.ready for worker in pool.workers) == 2)
    assert {await asyncio.to_thread(ask, address) for _ in range(20)} == {2}


def with_an_image(generation: int) -> Delta:
    """Return a generation with a zone whose descriptor is sent beside it."""
    soa = snapshot().zones[APEX].soa
    image = build_image(APEX, {APEX: frozenset({SOA})}, {(APEX, SOA): soa})
    return Delta(generation, generation, zones={APEX: zone_of(APEX, ZoneImage(SharedBytes.of(image)))})


async def test_a_worker_that_takes_no_zones_is_replaced(
    start_pool: StartPool, caplog: pytest.LogCaptureFixture
) -> None:
    """Where it leaves so many waiting that no more can be sent, it is killed, and the log says what it failed to do."""
    pool = await start_pool(count=1)
    os.kill(pool.workers[0].pid, signal.SIGSTOP)
    generation = 1
    with caplog.at_level(logging.WARNING, logger=worker_handle.__name__):
        while "is killed" not in caplog.text:
            generation += 1
            assert generation < 10_000
            pool.publish(with_an_image(generation))
    assert "is killed: it does not take what it is sent" in caplog.text
    assert await pool.wait_applied(generation, timeout_seconds=PATIENCE_SECONDS)


async def test_a_control_process_that_stood_still_blames_nobody(
    start_pool: StartPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the whole machine was stopped for a while, workers get their time to acknowledge anew."""
    monkeypatch.setattr("dnsd.control.supervisor.STALL_SECONDS", 0.2)
    pool = await start_pool(count=1, apply_seconds=1.5)
    stand_still(pool.workers[0].pid, lambda: pool.publish(delta(2)))
    assert await pool.wait_applied(2, timeout_seconds=PATIENCE_SECONDS)
    assert pool.restarts == 0


def stand_still(worker: int, before: Callable[[], None]) -> None:
    """Stop a worker and this process's event loop for a while."""
    os.kill(worker, signal.SIGSTOP)
    before()
    time.sleep(2.0)
    os.kill(worker, signal.SIGCONT)


async def test_a_worker_told_to_end_by_others_is_replaced(start_pool: StartPool, address: Address) -> None:
    """SIGTERM ends a worker in order, and the pool starts another with the latest generation."""
    pool = await start_pool(count=1)
    pool.publish(delta(2))
    os.kill(pool.workers[0].pid, signal.SIGTERM)
    await until(lambda: pool.restarts == 1)
    pool.publish(delta(3))
    assert await pool.wait_applied(3, timeout_seconds=PATIENCE_SECONDS)
    await until(lambda: len(pool.workers) == 1 and pool.workers[0].ready)
    assert await asyncio.to_thread(ask, address) == 3


async def test_no_worker_at_all_holds_up_nothing(start_pool: StartPool) -> None:
    """Where nobody answers, nobody answers from an older generation."""
    pool = await start_pool(count=1)
    os.kill(pool.workers[0].pid, signal.SIGKILL)
    await until(lambda: not pool.workers or not pool.workers[0].ready)
    pool.publish(delta(2))
    assert await pool.wait_applied(2, timeout_seconds=PATIENCE_SECONDS)


def test_restarts_back_off() -> None:
    """The first restart is immediate, then they become rarer, up to a bound."""
    delays = [backoff_seconds(number) for number in range(1, 12)]
    assert delays[:4] == [0.0, 0.1, 0.2, 0.4]
    assert delays == sorted(delays)
    assert delays[-1] == backoff_seconds(10**6) == MAX_BACKOFF_SECONDS
