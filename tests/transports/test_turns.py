"""Turns: many busy connections share the time between two looks at the other sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import pytest

from dnsd.core.via import Via
from dnsd.transports.tcp import QUERIES_PER_TURN
from dnsd.transports.turns import SECONDS_PER_PASS, Turns
from tests.support.dnsmessages import engine_of, query, zone_of
from tests.transports.http_client import Client2, get
from tests.transports.secure import secure_service
from tests.transports.stand_ins import Client, Echo, framed, tcp_service
from tests.workers.fleet import until

CONNECTIONS = 20
TURNS_PER_PASS = 4


class Clock:
    """Time that passes where a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def pass_by(self, share: float) -> None:
        """Let a share of what is spent in a pass go by."""
        self.now += share * SECONDS_PER_PASS


class Hurried(Clock):
    """Time of which a whole pass goes by between any two looks."""

    def __call__(self) -> float:
        self.pass_by(1)
        return self.now


class Slow(Echo):
    """An echo for which a turn's queries take a quarter of a pass."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def respond(self, packet: bytes, *, now: float, via: Via, peer: str) -> bytes | None:
        self._clock.pass_by(1 / TURNS_PER_PASS / QUERIES_PER_TURN)
        return super().respond(packet, now=now, via=via, peer=peer)


async def test_busy_connections_share_a_pass() -> None:
    """However many have much to be answered, no pass of the event loop answers more than its time allows, of all."""
    clock = Clock()
    echo = Slow(clock)
    async with tcp_service(echo) as (service, address):
        service.turns = Turns(clock=clock)
        clients = [await Client.to(address) for _ in range(CONNECTIONS)]
        await until(lambda: service.open_connections == CONNECTIONS)
        for client in clients:
            sock: socket.socket = client.writer.get_extra_info("socket")
            socket.socket.send(sock._sock, framed(b"busy") * 200)  # type: ignore[attr-defined]
        at_most = 0
        while echo.seen < CONNECTIONS * 200:
            before = echo.seen
            await asyncio.sleep(0)
            at_most = max(at_most, echo.seen - before)
        assert 0 < at_most <= (TURNS_PER_PASS + 1) * QUERIES_PER_TURN
        for client in clients:
            assert [await client.answer() for _ in range(200)] == [b"busy"] * 200
            await client.close()


async def test_nobody_waits_for_more_than_the_others_turns() -> None:
    """Those that wait are served in the order of asking, and again only after all the others."""
    clock, taken = Clock(), [0] * CONNECTIONS
    turns = Turns(clock=clock)

    def turn_of(number: int) -> Callable[[], None]:
        def turn() -> None:
            clock.pass_by(0.3)
            taken[number] += 1
            turns.enqueue(turn)

        return turn

    for number in range(CONNECTIONS):
        turns.enqueue(turn_of(number))
    for _ in range(3 * CONNECTIONS):
        await asyncio.sleep(0)
        assert max(taken) - min(taken) <= 1
    assert sum(taken) == 3 * CONNECTIONS * TURNS_PER_PASS


async def test_a_turn_is_taken_at_once_while_there_is_time() -> None:
    """What comes on an idle connection waits for no further pass, unless this one is used up."""
    clock, taken = Clock(), []
    turns = Turns(clock=clock)

    def turn() -> None:
        clock.pass_by(0.6)
        taken.append(1)

    assert [turns.take(turn) for _ in range(4)] == [True, True, False, False]
    assert (len(taken), turns.waiting) == (2, 1)
    await asyncio.sleep(0)
    assert (len(taken), turns.waiting) == (3, 0)


async def test_who_has_gone_has_no_turn() -> None:
    """A connection that is closed while it waits leaves the queue."""
    clock = Clock()
    echo = Slow(clock)
    async with tcp_service(echo) as (service, address):
        service.turns = Turns(clock=clock)
        client = await Client.to(address)
        await until(lambda: service.open_connections == 1)
        client.writer.write(framed(b"busy") * 5000)
        await until(lambda: service.turns.waiting == 1)
        client.writer.transport.abort()
        for connection in tuple(service._last_active):
            connection.abort()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        seen = echo.seen
        assert (service.turns.waiting, service.open_connections) == (0, 0)
        await asyncio.sleep(0)
        assert echo.seen == seen < 5000


async def test_a_turn_over_https_has_few_requests() -> None:
    """Of many small requests in one segment, a pass answers as many as a turn may when each takes all its time."""
    engine = engine_of(zone_of("@ NS ns1\nwww 120 A 192.0.2.1"))
    async with secure_service(engine, https=True) as site:
        client, asking = await site.client("h2"), Client2()
        client.writer.write(asking.http.data_to_send())
        asking.take(await client.some())
        site.service.turns = Turns(clock=Hurried())
        streams = [asking.ask(target=get(query("www.example.org. A"))) for _ in range(60)]
        client.writer.write(asking.http.data_to_send())
        before = sum(map(sum, engine.counts))
        at_most = 0
        while set(streams) - asking.ended:
            reading = asyncio.ensure_future(client.some())
            while not reading.done():
                await asyncio.sleep(0)
                now = sum(map(sum, engine.counts))
                at_most, before = max(at_most, now - before), now
            asking.take(await reading)
        assert 0 < at_most <= 12
        await client.close()


async def test_a_fault_of_ours_ends_its_connection_only(caplog: pytest.LogCaptureFixture) -> None:
    """It is counted each time, logged once in a while, and others go on."""

    class Broken(Echo):
        def respond(self, packet: bytes, *, now: float, via: Via, peer: str) -> bytes | None:
            if packet == b"break":
                raise RuntimeError("broken")
            return super().respond(packet, now=now, via=via, peer=peer)

    async with tcp_service(Broken()) as (service, address):
        other = await Client.to(address)
        for _ in range(3):
            victim = await Client.to(address)
            victim.writer.write(framed(b"break"))
            assert await victim.until_closed() == b""
            await victim.close()
        assert await other.ask(b"still here") == b"still here"
        assert (service.counts.failures, len(caplog.records)) == (3, 1)
        await other.close()
