"""A pool of real workers, and control processes to be killed; none is left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from dnsd.control.supervisor import WorkerPool
from tests.support.servers import free_port
from tests.workers.fleet import PATIENCE_SECONDS, process_is_there, snapshot, until

StartPool = Callable[..., Awaitable[WorkerPool]]


@pytest.fixture
def address() -> tuple[str, int]:
    return ("127.0.0.1", free_port())


@pytest.fixture
async def start_pool(address: tuple[str, int]) -> AsyncIterator[StartPool]:
    """Start a pool on the address; at the end it stops, and all of its processes are gone."""
    pools: list[WorkerPool] = []

    async def start(*, count: int = 2, **options: object) -> WorkerPool:
        pool = WorkerPool(listen=[address], count=count, **options)  # type: ignore[arg-type]
        pools.append(pool)
        await pool.start(snapshot())
        return pool

    yield start
    for pool in pools:
        pids = [worker.pid for worker in pool.workers]
        await pool.stop()
        assert [pid for pid in pids if process_is_there(pid)] == []


@dataclass
class Control:
    """A control process of its own, and its workers."""

    process: asyncio.subprocess.Process
    workers: list[int]

    async def kill(self) -> None:
        self.process.kill()
        # Not `wait()`, which waits for the output as well, and a stopped worker holds that.
        await until(lambda: not process_is_there(self.process.pid))

    async def end(self) -> None:
        self.process.terminate()
        assert await self.process.wait() == 0


@dataclass
class Controls:
    """Starts control processes and remembers all pids."""

    address: tuple[str, int]
    pids: list[int] = field(default_factory=list)
    processes: list[asyncio.subprocess.Process] = field(default_factory=list)

    async def launch(self, *, generation: int, workers: int = 2) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "tests.workers.control", str(self.address[1]), str(workers), str(generation)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        self.pids.append(process.pid)
        self.processes.append(process)
        return process

    async def start(self, *, generation: int, workers: int = 2) -> Control:
        process = await self.launch(generation=generation, workers=workers)
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), PATIENCE_SECONDS)
        control = Control(process, [int(word) for word in line.split()])
        assert len(control.workers) == workers
        self.pids += control.workers
        return control


@pytest.fixture
async def controls(address: tuple[str, int]) -> AsyncIterator[Controls]:
    """Start control processes; at the end none of their processes may be left, and any that is gets ended."""
    started = Controls(address)
    yield started
    try:
        await until(lambda: not any(process_is_there(pid) for pid in started.pids))
    finally:
        for pid in started.pids:
            if process_is_there(pid):
                os.kill(pid, signal.SIGKILL)
        for process in started.processes:
            await asyncio.wait_for(process.wait(), PATIENCE_SECONDS)
