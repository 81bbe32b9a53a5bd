"""The pool of workers: start, generations, acknowledgements, counters, end."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from dataclasses import replace

import pytest

from dnsd.control.supervisor import WorkerPool
from dnsd.core.names import from_text
from dnsd.errors import StartError
from dnsd.workers.messages import Counters
from tests.support.servers import free_port
from tests.transports.stand_ins import Client
from tests.workers.conftest import StartPool
from tests.workers.fleet import (
    PATIENCE_SECONDS,
    answered_generation,
    ask,
    delta,
    process_is_there,
    query,
    snapshot,
    until,
)

Address = tuple[str, int]


async def test_workers_answer_over_udp_and_tcp(start_pool: StartPool, address: Address) -> None:
    """Once the pool has started, every query is answered, over either transport."""
    await start_pool()
    assert await asyncio.to_thread(ask, address) == 1
    client = await Client.to(address)
    assert answered_generation(await client.ask(query())) == 1
    await client.close()


async def test_ipv6_is_served_beside_ipv4() -> None:
    """A pool listens on all of its addresses."""
    listen = [("127.0.0.1", free_port()), ("::1", free_port())]
    pool = WorkerPool(listen=listen, count=1)
    await pool.start(snapshot(7))
    try:
        assert [await asyncio.to_thread(ask, address) for address in listen] == [7, 7]
    finally:
        await pool.stop()


async def test_a_reload_replaces_zones(start_pool: StartPool, address: Address) -> None:
    """A delta with zones takes the place of those before it, and others follow on it."""
    pool = await start_pool()
    pool.publish(replace(delta(2), zones=snapshot(2).zones))
    pool.publish(delta(3))
    assert await pool.wait_applied(3, timeout_seconds=PATIENCE_SECONDS)
    assert (await asyncio.to_thread(ask, address), pool.applied_generation, pool.applied_revision) == (3, 3, 3)


async def test_acknowledgements_are_told(start_pool: StartPool) -> None:
    """Each worker's acknowledgement is told with its slot, generation and revision, and so is progress."""
    told: list[tuple[int, int, int]] = []
    progress: list[None] = []
    pool = await start_pool(
        on_applied=lambda slot, generation, revision: told.append((slot, generation, revision)),
        on_progress=lambda: progress.append(None),
    )
    assert sorted(told) == [(0, 1, 1), (1, 1, 1)]
    pool.publish(delta(2))
    assert await pool.wait_applied(2, timeout_seconds=PATIENCE_SECONDS)
    assert sorted(told[2:]) == [(0, 2, 2), (1, 2, 2)]
    assert len(progress) == 4


async def test_waiting_for_what_was_never_published_times_out(start_pool: StartPool) -> None:
    """A wait ends with False when the time is over."""
    pool = await start_pool(count=1)
    assert not await pool.wait_applied(2, timeout_seconds=0.05)


async def test_counters_add_up_over_workers_and_restarts(start_pool: StartPool, address: Address) -> None:
    """The sum knows every answer by transport and RCODE, those of workers that have ended included."""
    pool = await start_pool()
    for _ in range(20):
        await asyncio.to_thread(ask, address)
    client = await Client.to(address)
    for _ in range(3):
        await client.ask(query(name=from_text("nothing.example.org.")))
    counters = await pool.count()
    assert counters.queries == {("udp", 0): 20, ("tcp", 3): 3}
    assert (counters.tcp_open, counters.tcp_accepted) == (1, 1)
    await client.close()
    for worker in pool.workers:
        os.kill(worker.pid, signal.SIGKILL)
    await until(lambda: pool.restarts == 2 and sum(worker.ready for worker in pool.workers) == 2)
    await asyncio.to_thread(ask, address)
    counters = await pool.count()
    assert counters == Counters(queries={("udp", 0): 21, ("tcp", 3): 3}, tcp_accepted=1)


async def test_an_address_in_use_is_one_clear_line(address: Address) -> None:
    """A pool that cannot listen says where, and leaves no process behind."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as foreign:
        foreign.bind(address)
        pool = WorkerPool(listen=[address], count=2)
        with pytest.raises(StartError, match=rf"^cannot listen on 127\.0\.0\.1:{address[1]} \(UDP\): Address already"):
            await pool.start(snapshot())
    assert pool.workers == ()


async def test_stopping_leaves_no_process(start_pool: StartPool, monkeypatch: pytest.MonkeyPatch) -> None:
    """After `stop` every worker has ended by itself; one that is stopped by a signal is killed."""
    monkeypatch.setattr("dnsd.control.supervisor.STOP_SECONDS", 0.5)
    pool = await start_pool(count=3)
    pids = [worker.pid for worker in pool.workers]
    os.kill(pids[1], signal.SIGSTOP)
    await pool.stop()
    assert [pid for pid in pids if process_is_there(pid)] == []
    assert pool.workers == ()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
async def test_signals_to_the_group_are_not_the_workers_business(start_pool: StartPool, number: int) -> None:
    """Ctrl-C and a hang-up reach workers as well, and leave them serving."""
    pool = await start_pool(count=1)
    os.kill(pool.workers[0].pid, number)
    pool.publish(delta(2))
    assert await pool.wait_applied(2, timeout_seconds=PATIENCE_SECONDS)
    assert pool.restarts == 0
