"""What active checks cost the control process: CPU for a try of each type, and how long they hold up its loop.

    python -m bench.check_cost [TARGETS]

The servers that are tried are a process of their own, on the loopback; their CPU is not counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import ssl
import sys
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random

from dnsd.control.checks.checking import Checks
from dnsd.control.checks.probing import Prober
from dnsd.housekeeping import settle
from dnsd.model.check import CheckSpec, CheckType, Probe, Target
from dnsd.model.node import Monitor
from tests.control.rig import settings_of, site_of
from tests.support.certificates import make_pair
from tests.support.fleets import node, pool

TRIES, ROUNDS = 300, 3
DEFAULT_TARGETS = 1000
INTERVAL_SECONDS, WATCHED_SECONDS = 5.0, 7.0
LOOK_SECONDS = 0.001
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


async def _serve(ports: Connection, folder: str) -> None:
    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(ANSWER)
            await writer.drain()
        writer.close()

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(Path(folder) / "cert.pem", Path(folder) / "key.pem")
    plain = await asyncio.start_server(meet, "0.0.0.0", 0, backlog=4096)
    secure = await asyncio.start_server(meet, "0.0.0.0", 0, backlog=4096, ssl=context)
    ports.send([server.sockets[0].getsockname()[1] for server in (plain, secure)])
    await asyncio.Event().wait()


def _run_servers(ports: Connection, folder: str) -> None:
    asyncio.run(_serve(ports, folder))


@contextlib.contextmanager
def _servers() -> Iterator[tuple[dict[CheckType, int], str]]:
    """Run the servers; give the port of each type, and the certificate."""
    pair = make_pair()
    ours, theirs = multiprocessing.Pipe()
    with tempfile.TemporaryDirectory() as folder:
        pair.write(Path(folder))
        process = multiprocessing.get_context("spawn").Process(target=_run_servers, args=(theirs, folder))
        process.start()
        try:
            plain, secure = ours.recv()
            ports = {CheckType.TCP: plain, CheckType.HTTP: plain, CheckType.HTTPS: secure}
            yield ports, pair.certificate.decode()
        finally:
            process.kill()
            process.join()


async def _cost_of_a_try(probe: Probe) -> float:
    """Return the CPU of one try, the least of some rounds. Unit: microseconds."""
    least = float("inf")
    async with Prober() as prober:
        for _ in range(ROUNDS):
            began = time.process_time()
            for _ in range(TRIES):
                outcome = await prober.probe(Target("127.0.0.1", probe))
                assert outcome.ok, outcome
            least = min(least, (time.process_time() - began) / TRIES)
    return least * 1e6


async def _fleet_of(probe: Probe, targets: int) -> tuple[float, float, float]:
    """Return what checks of so many addresses take while all is well.

    Returns:
        Per cent of a CPU, the median and the longest time in milliseconds by which the loop was late.
    """
    nodes = [
        node(f"n{number}", f"127.1.{number // 250}.{number % 250 + 1}", monitor=Monitor.CHECK)
        for number in range(targets)
    ]
    site = await site_of(nodes, (pool(),), heard=False)
    specs = (CheckSpec(roles=("edge",), probe=probe, port=probe.port),)
    site.plane.settings = settings_of(nodes, (pool(),), checks=specs)
    checks = Checks(site.plane.publisher, settings=lambda: site.plane.settings, rng=Random(1))
    running = asyncio.create_task(checks.run())
    await asyncio.sleep(INTERVAL_SECONDS * 1.3)  # the first tries are over
    assert checks.states()["up"] == targets, checks.states()
    settle()  # as a server does
    share, late = await _watched()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    idle, _ = await _watched()
    return (share - idle) * 100, late[len(late) // 2] * 1e3, late[-1] * 1e3


async def _watched() -> tuple[float, list[float]]:
    """Return the CPU's share that goes on, the looks themselves included, and by how much each look was late."""
    late: list[float] = []
    began, ends = time.process_time(), time.monotonic() + WATCHED_SECONDS
    while (now := time.monotonic()) < ends:
        await asyncio.sleep(LOOK_SECONDS)
        late.append(time.monotonic() - now - LOOK_SECONDS)
    return (time.process_time() - began) / WATCHED_SECONDS, sorted(late)


async def _measure(ports: dict[CheckType, int], ca: str, targets: int) -> None:
    for kind, port in ports.items():
        probe = Probe(type=kind, port=port, interval_seconds=INTERVAL_SECONDS, ca=ca)
        print(f"{kind.value:5}  a try: {await _cost_of_a_try(probe):6.0f} µs of CPU")
    for kind, port in ports.items():
        probe = Probe(type=kind, port=port, interval_seconds=INTERVAL_SECONDS, ca=ca, tls_verify=False)
        share, median, longest = await _fleet_of(probe, targets)
        print(
            f"{kind.value:5}  {targets} addresses each {INTERVAL_SECONDS:g} s: {share:4.1f} % of a CPU; "
            f"the loop is late by {median:.2f} ms (median), {longest:.1f} ms at most"
        )


def main() -> None:
    """Measure and print."""
    targets = int(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_TARGETS
    with _servers() as (ports, ca):
        asyncio.run(_measure(ports, ca, targets))


if __name__ == "__main__":
    main()
