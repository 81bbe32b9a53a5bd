"""Responders that make visible what a transport does, and a client of length-framed messages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from dnsd.core.via import Via
from dnsd.transports.limits import TcpLimits
from dnsd.transports.sockets import Address, open_tcp
from dnsd.transports.tcp_service import TcpService
from tests.support.servers import PATIENCE_SECONDS, free_port


class Echo:
    """Answers a message with itself; `silent` ones get nothing.

    Args:
        repeat: how many times the message is in its answer.
    """

    def __init__(self, *, repeat: int = 1, silent: bytes = b"silent") -> None:
        self.seen = 0
        self._repeat = repeat
        self._silent = silent

    def respond(self, packet: bytes, *, now: float, via: Via, peer: str) -> bytes | None:
        assert now > 0
        self.seen += 1
        return None if packet == self._silent else packet * self._repeat


def framed(*messages: bytes) -> bytes:
    return b"".join(len(message).to_bytes(2, "big") + message for message in messages)


class Client:
    """A TCP client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    @classmethod
    async def to(cls, address: Address) -> Client:
        return cls(*await asyncio.open_connection(*address))

    async def answer(self) -> bytes:
        async with asyncio.timeout(PATIENCE_SECONDS):
            size = int.from_bytes(await self._reader.readexactly(2), "big")
            return await self._reader.readexactly(size)

    async def ask(self, message: bytes) -> bytes:
        self.writer.write(framed(message))
        return await self.answer()

    async def some(self) -> bytes:
        """Return what comes next, as much of it as there is."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self._reader.read(65_536)

    async def until_closed(self) -> bytes:
        """Return what still comes before the server ends the connection; a reset is an end as well."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await self._reader.read()
        except ConnectionResetError:
            return b""

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()


# An idle time that runs out only where time is made to pass: however long the machine stands still.
LONG = TcpLimits(idle_seconds=600.0)


def passing_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Return what lets so many seconds pass at once for the running event loop."""
    loop, passed = asyncio.get_running_loop(), 0.0
    steady = loop.time
    monkeypatch.setattr(loop, "time", lambda: steady() + passed)

    def let_pass(seconds: float) -> None:
        nonlocal passed
        passed += seconds

    return let_pass


@asynccontextmanager
async def tcp_service(
    responder: Echo | None = None, *, limits: TcpLimits | None = None
) -> AsyncIterator[tuple[TcpService, Address]]:
    address = ("127.0.0.1", free_port())
    service = TcpService(responder or Echo(), limits=limits or TcpLimits())
    await service.start(open_tcp(address))
    try:
        yield service, address
    finally:
        await service.stop()
        assert service.open_connections == 0
