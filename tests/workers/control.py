"""A control process with workers and nothing else, to be killed.

Run as `python -m tests.workers.control PORT WORKERS GENERATION`, it prints its workers' pids once it has taken over.
"""

from __future__ import annotations

import asyncio
import signal
import sys

from dnsd.control.instance import Instance
from dnsd.control.supervisor import WorkerPool
from dnsd.errors import StartError
from tests.workers.fleet import snapshot


async def main(port: int, count: int, generation: int) -> None:
    listen = [("127.0.0.1", port)]
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    instance = Instance(listen)
    pool = WorkerPool(listen=listen, count=count)
    await instance.acquire()
    await pool.start(snapshot(generation))
    await instance.take_over()
    print(*(worker.pid for worker in pool.workers), flush=True)
    await ended.wait()
    await pool.stop()
    await instance.release()


if __name__ == "__main__":
    try:
        asyncio.run(main(*map(int, sys.argv[1:])))
    except StartError as error:
        sys.exit(str(error))
