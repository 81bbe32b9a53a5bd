"""One answer process on its own, driven over its channel."""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import signal
import socket
import subprocess
import sys
import weakref
from collections.abc import AsyncIterator
from typing import Any

import pytest

from dnsd.core.records import Delta, Zone
from dnsd.transports.limits import TcpLimits
from dnsd.workers import process
from dnsd.workers.channel import Channel, Encoded, encode
from dnsd.workers.messages import Applied, Counters, Failed, Load, Open, Ready
from dnsd.workers.process import Worker
from tests.transports.stand_ins import Client
from tests.workers.fleet import APEX, PATIENCE_SECONDS, answered_generation, ask, delta, query, snapshot, until

Address = tuple[str, int]

# Where a worker may not end, it is waited for so long; on a machine that is not busy a wrong one ends within this.
SOON_SECONDS = 0.3


class Lone:
    """A worker and our end of its channel."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.channel: Channel
        self.socket, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dnsd.workers", str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                stderr=subprocess.PIPE,
            )

    async def connect(self) -> None:
        self.channel = await Channel.over(self.socket, on_message=self.heard.append, on_closed=lambda _: None)

    async def status(self) -> int:
        return await asyncio.to_thread(self.process.wait, PATIENCE_SECONDS)

    async def hears(self, message: object) -> None:
        await until(lambda: message in self.heard)

    async def serve(self, address: Address, *, orphan_seconds: float = 0.0) -> None:
        self.channel.send(Load(snapshot()))
        self.channel.send(Open(listen=(address,), tcp_limits=TcpLimits(), orphan_seconds=orphan_seconds))
        await self.hears(Ready(self.process.pid))


@pytest.fixture
async def lone() -> AsyncIterator[Lone]:
    worker = Lone()
    await worker.connect()
    yield worker
    worker.channel.abort()
    if worker.process.poll() is None:
        worker.process.kill()
    worker.process.wait()
    assert worker.process.stderr is not None
    worker.process.stderr.close()


async def test_it_listens_only_when_told(lone: Lone, address: Address) -> None:
    """With a snapshot and no order, it has no socket; then it answers from the latest generation."""
    lone.channel.send(Load(snapshot()))
    lone.channel.send(delta(2))
    await lone.hears(Applied(2, 2))
    assert socket_is_free(address)
    lone.channel.send(Open(listen=(address,), tcp_limits=TcpLimits(), orphan_seconds=0.0))
    await lone.hears(Ready(lone.process.pid))
    assert not socket_is_free(address)
    assert await asyncio.to_thread(ask, address) == 2


def socket_is_free(address: Address) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        return probe.connect_ex(address) == 0 and _bindable(address)


def _bindable(address: Address) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(address)
        except OSError:
            return False
        return True


async def test_it_tells_its_counters_every_second(lone: Lone, address: Address) -> None:
    """Without being asked it tells what it has done, which is its sign of life too."""
    await lone.serve(address)
    await asyncio.to_thread(ask, address)
    await until(lambda: any(isinstance(m, Counters) and m.queries == {("udp", 0): 1} for m in lone.heard))


async def test_sigterm_ends_it_in_order(lone: Lone, address: Address) -> None:
    """It answers what it has received, closes its connections, tells its last counters and ends with 0."""
    await lone.serve(address)
    client = await Client.to(address)
    assert answered_generation(await client.ask(query())) == 1
    os.kill(lone.process.pid, signal.SIGTERM)
    assert await client.until_closed() == b""
    assert await lone.status() == 0
    await until(lambda: lone.heard[-1] == Counters(queries={("tcp", 0): 1}, tcp_accepted=1))
    await client.close()


async def test_an_address_in_use_is_told(lone: Lone, address: Address) -> None:
    """It says why it cannot serve, and ends with 1."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as foreign:
        foreign.bind(address)
        foreign.listen()
        lone.channel.send(Load(snapshot()))
        lone.channel.send(Open(listen=(address,), tcp_limits=TcpLimits(), orphan_seconds=0.0))
        assert await lone.status() == 1
    await lone.hears(Failed(f"cannot listen on 127.0.0.1:{address[1]} (TCP): Address already in use"))


async def test_without_control_it_ends_unless_it_serves(lone: Lone) -> None:
    """A worker that has nothing open is of no use alone."""
    lone.channel.send(Load(snapshot()))
    await lone.hears(Applied(1, 1))
    lone.channel.close()
    assert await lone.status() == 0


async def test_an_orphan_ends_after_its_time(lone: Lone, address: Address) -> None:
    """When the time that it was given is over, nobody listens there any more."""
    await lone.serve(address, orphan_seconds=0.2)
    lone.channel.close()
    assert await lone.status() == 0
    assert socket_is_free(address)


async def test_an_orphan_answers_on(lone: Lone, address: Address) -> None:
    """While the time that it was given is not over, it neither ends nor stops answering."""
    await lone.serve(address, orphan_seconds=600.0)
    lone.channel.close()
    assert lone.process.stderr is not None
    assert b"the control process is gone" in await asyncio.to_thread(lone.process.stderr.readline)
    with pytest.raises(subprocess.TimeoutExpired):
        await asyncio.to_thread(lone.process.wait, SOON_SECONDS)
    assert await asyncio.to_thread(ask, address) == 1
    assert lone.process.poll() is None


@pytest.mark.parametrize("message", [encode(delta(2)), encode("what?"), Encoded(b"\0\0\0\4" + pickle.dumps(1)[:1] * 4)])
async def test_a_worker_that_cannot_follow_ends(lone: Lone, address: Address, message: Encoded) -> None:
    """What it cannot use would leave it behind: it ends with 1 instead of answering from an old generation."""
    if message != encode(delta(2)):  # which is only wrong before the first snapshot
        await lone.serve(address, orphan_seconds=600.0)
    lone.channel.send_encoded(message)
    assert await lone.status() == 1


def test_a_worker_imports_no_library() -> None:
    """It starts fast and stays small: standard library, core and transports only."""
    code = "import dnsd.workers.process, sys; print(*{name.split('.')[0] for name in sys.modules}, *sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"dnsd.core.engine", "asyncio"} <= set(modules)
    libraries = {"dns", "aiohttp", "pydantic", "click", "rich", "sqlite3", "prometheus_client", "cryptography"}
    assert (libraries | {"h2", "h11", "hpack", "hyperframe"}) & set(modules) == set()
    assert [name for name in modules if name.startswith(("dnsd.control", "dnsd.stores", "dnsd.config"))] == []


class Circle:
    """Refers to itself, so that only the collector ends it, as a TCP connection of asyncio's."""

    def __init__(self) -> None:
        self.self = self


class Mute:
    """A channel on which nobody listens."""

    def send(self, _message: object) -> None:
        pass


def test_what_reloads_bring_stays_and_garbage_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """The collector is told of new zones when they have many names together, and looks for garbage before."""
    node = snapshot().zones[APEX].nodes[APEX]
    monkeypatch.setattr(process, "FREEZE_NAMES", 12)
    worker = Worker()
    worker._channel = Mute()  # type: ignore[assignment]
    gc.disable()
    try:
        worker._load(snapshot())
        circle = weakref.ref(Circle())
        nodes = {APEX: node, **{b"%c" % number + APEX: node for number in range(9)}}
        worker._apply_delta(Delta(2, 2, zones={APEX: Zone(APEX, nodes, 60)}))
        assert any(each is nodes for each in gc.get_objects())
        assert circle() is not None
        worker._apply_delta(Delta(3, 3, zones={APEX: Zone(APEX, nodes, 60)}))
        assert not any(each is nodes for each in gc.get_objects())
        assert circle() is None
    finally:
        gc.unfreeze()
        gc.enable()
