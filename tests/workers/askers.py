"""Clients that ask without a pause while a test does something to the server."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass

from tests.workers.fleet import answered_generation, query

# Long enough that on a machine that is busy, or stands still, an answer is late rather than lost. Unit: seconds.
LOST_SECONDS = 5.0


@dataclass
class Exchange:
    """One query: when it was sent, and the generation in its answer; None: lost."""

    sent_at: float
    generation: int | None


class Askers:
    """Some clients, each with one query under way, each query from a new port so that every worker gets its share."""

    def __init__(self, address: tuple[str, int], *, clients: int) -> None:
        self.exchanges: list[Exchange] = []
        self._address = address
        self._clients = clients
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False

    async def __aenter__(self) -> Askers:
        self._tasks = [asyncio.create_task(self._ask_on()) for _ in range(self._clients)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping = True
        await asyncio.gather(*self._tasks)

    @property
    def lost(self) -> list[Exchange]:
        return [exchange for exchange in self.exchanges if exchange.generation is None]

    async def _ask_on(self) -> None:
        while not self._stopping:
            self.exchanges.append(await self._ask())

    async def _ask(self) -> Exchange:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.setblocking(False)
            client.connect(self._address)
            exchange = Exchange(loop.time(), None)
            try:
                async with asyncio.timeout(LOST_SECONDS):
                    client.send(query())
                    exchange.generation = answered_generation(await loop.sock_recv(client, 4096))
            except (TimeoutError, ConnectionRefusedError):
                pass
            return exchange
