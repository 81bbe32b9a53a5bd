"""The death of a control process: its workers answer on, and the next one takes over from them."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable

import pytest

from dnsd.control.instance import Instance
from dnsd.errors import StartError
from dnsd.transports.sockets import open_tcp, open_udp
from dnsd.workers.takeover import lock_name, until_retired
from tests.workers.askers import Askers
from tests.workers.conftest import Controls
from tests.workers.fleet import PATIENCE_SECONDS, ask, process_is_there, until

Address = tuple[str, int]


async def retire_orphans(address: Address) -> int:
    instance = Instance([address])
    await instance.acquire()
    try:
        return await instance.take_over()
    finally:
        await instance.release()


@pytest.mark.alone
async def test_no_query_is_lost_between_two_control_processes(controls: Controls, address: Address) -> None:
    """Orphans answer until the next control process has workers that answer; then they end, and only these answer."""
    first = await controls.start(generation=1)
    async with Askers(address, clients=4) as askers:
        await until(lambda: len(askers.exchanges) > 100)
        await first.kill()
        asked = len(askers.exchanges)
        await until(lambda: len(askers.exchanges) > asked + 300)
        second = await controls.start(generation=2)
        took_over_at = asyncio.get_running_loop().time()
        await until(lambda: not any(process_is_there(pid) for pid in first.workers))
        asked = len(askers.exchanges)
        await until(lambda: len(askers.exchanges) > asked + 300)
    assert askers.lost == []
    assert {exchange.generation for exchange in askers.exchanges if exchange.sent_at > took_over_at} == {2}
    await second.end()


async def test_orphans_hold_no_output(controls: Controls) -> None:
    """Whoever reads the output of a control process that was killed sees its end, while the orphans go on."""
    first = await controls.start(generation=1)
    await first.kill()
    assert first.process.stdout is not None
    assert first.process.stderr is not None
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await first.process.stdout.read() == b""
        assert (await first.process.stderr.read()).count(b"the control process is gone") == 2
    assert all(process_is_there(pid) for pid in first.workers)
    await retire_orphans(controls.address)


async def test_a_hung_orphan_is_killed(controls: Controls, monkeypatch: pytest.MonkeyPatch) -> None:
    """An orphan that has said hello and then hangs must not come back with stale answers."""
    monkeypatch.setattr("dnsd.control.instance.RETIRE_SECONDS", 0.5)
    first = await controls.start(generation=1)
    await first.kill()
    instance = Instance([controls.address])
    await instance.acquire()
    try:
        os.kill(first.workers[0], signal.SIGSTOP)
        assert await instance.take_over() == 2
        await until(lambda: not any(process_is_there(pid) for pid in first.workers))
    finally:
        await instance.release()


async def test_a_silent_orphan_is_killed(controls: Controls) -> None:
    """An orphan that hangs before it says hello is found by its sockets; one that speaks retires in order."""
    first = await controls.start(generation=1)
    os.kill(first.workers[0], signal.SIGSTOP)
    await first.kill()
    assert await retire_orphans(controls.address) == 1
    await until(lambda: not any(process_is_there(pid) for pid in first.workers))


async def test_an_orphan_survives_a_start_that_fails(controls: Controls, address: Address) -> None:
    """Orphans end when they are told to, not when a control process comes and goes."""
    first = await controls.start(generation=1, workers=1)
    await first.kill()
    for _ in range(2):
        instance = Instance([address])
        await instance.acquire()
        assert await asyncio.to_thread(ask, address) == 1
        await instance.release()
    assert await retire_orphans(address) == 1


async def test_an_orphan_that_comes_late_retires(address: Address) -> None:
    """Whoever says hello after the take-over is told to go at once."""
    instance = Instance([address])
    await instance.acquire()
    assert await instance.take_over() == 0
    try:
        told = await until_retired([address], seconds=PATIENCE_SECONDS)
        assert told is not None
        told.close()
    finally:
        await instance.release()


async def test_an_orphan_gives_up_after_its_time(address: Address) -> None:
    """Without a control process, an orphan's time is bounded."""
    assert await until_retired([address], seconds=0.3) is None


async def test_a_second_server_on_the_address_is_refused(controls: Controls) -> None:
    """While one lives, another one does not start, and its message names the pid."""
    first = await controls.start(generation=1, workers=1)
    second = await controls.launch(generation=2)
    _, message = await second.communicate()
    address = f"127.0.0.1:{controls.address[1]}"
    assert message.decode().strip() == f"{address} is served by another dnsd (pid {first.process.pid})"
    assert second.returncode == 1
    await first.end()


@pytest.mark.parametrize("opens", [open_udp, open_tcp])
async def test_a_foreign_server_is_found_out(
    address: Address, opens: Callable[[Address], socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even one that would share the address is no orphan: it says no hello."""
    monkeypatch.setattr("dnsd.control.instance.FOREIGN_SECONDS", 0.3)
    line = rf"127\.0\.0\.1:{address[1]}: another program \(pid {os.getpid()}\) has the address"
    with opens(address), pytest.raises(StartError, match=line):
        await Instance([address]).acquire()
    instance = Instance([address])
    await instance.acquire()
    await instance.release()


async def test_a_start_waits_for_nobody_on_free_addresses(address: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without orphans there is nothing to wait for, however long one would be."""
    for name in ("HELLO_SECONDS", "FOREIGN_SECONDS", "RETIRE_SECONDS"):
        monkeypatch.setattr(f"dnsd.control.instance.{name}", 60.0)
    instance = Instance([address])
    async with asyncio.timeout(PATIENCE_SECONDS):
        await instance.acquire()
    await instance.release()


async def test_rubbish_on_the_lock_is_no_orphan(address: Address) -> None:
    """Whoever connects and does not say hello is not waited for, and not killed."""
    instance = Instance([address])
    await instance.acquire()
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
            other.connect(lock_name(address))
            other.send(b"what is this?\n")
            assert await asyncio.to_thread(other.recv, 10) == b""
        assert await instance.take_over() == 0
    finally:
        await instance.release()


def test_a_lock_has_one_name_per_address() -> None:
    """An IPv6 address has several spellings and one lock."""
    assert lock_name(("0:0:0:0:0:0:0:1", 53)) == lock_name(("::1", 53)) != lock_name(("::1", 54))
