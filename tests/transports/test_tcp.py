"""DNS over TCP: framing, order, limits and backpressure."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

import pytest

from dnsd.transports.limits import TcpLimits
from dnsd.transports.tcp import QUERIES_PER_TURN
from dnsd.transports.tcp_service import client_key
from tests.transports.stand_ins import LONG, Client, Echo, framed, passing_time, tcp_service
from tests.workers.fleet import until

SHORT = TcpLimits(idle_seconds=1.0)


async def test_pipelined_queries_are_answered_in_order() -> None:
    """Many queries in one segment, more than one turn takes, get their answers in the order of asking."""
    messages = [b"query %d" % number for number in range(3 * QUERIES_PER_TURN + 5)]
    async with tcp_service() as (_, address):
        client = await Client.to(address)
        client.writer.write(framed(*messages))
        assert messages == [await client.answer() for _ in messages]
        await client.close()


async def test_a_query_may_come_byte_by_byte() -> None:
    """A query in many segments is answered once it is whole, and so is the next one."""
    async with tcp_service() as (_, address):
        client = await Client.to(address)
        client.writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in framed(b"slow") + framed(b"and steady")[:5]:
            client.writer.write(bytes([byte]))
            await asyncio.sleep(0)
        assert await client.answer() == b"slow"
        client.writer.write(framed(b"and steady")[5:])
        assert await client.answer() == b"and steady"
        await client.close()


async def test_a_client_that_ends_its_half_gets_its_answers() -> None:
    """What was asked before a half-close is answered, then the server closes as well."""
    async with tcp_service() as (_, address):
        client = await Client.to(address)
        client.writer.write(framed(b"one", b"two"))
        client.writer.write_eof()
        assert await client.until_closed() == framed(b"one", b"two")
        await client.close()


async def test_an_idle_connection_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection without a query is closed after the idle time, and counted."""
    let_pass = passing_time(monkeypatch)
    async with tcp_service(limits=LONG) as (service, address):
        client = await Client.to(address)
        assert await client.ask(b"hello") == b"hello"
        let_pass(400.0)
        for _ in range(5):  # the connections are looked at
            await asyncio.sleep(0)
        assert service.counts.timed_out == 0
        let_pass(400.0)
        assert await client.until_closed() == b""
        assert service.counts.timed_out == 1
        await client.close()


async def test_a_busy_connection_outlives_the_idle_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each complete query begins the idle time anew."""
    let_pass = passing_time(monkeypatch)
    async with tcp_service(limits=LONG) as (service, address):
        client = await Client.to(address)
        for _ in range(4):
            assert await client.ask(b"still here") == b"still here"
            let_pass(400.0)
            for _ in range(5):  # the connections are looked at
                await asyncio.sleep(0)
        assert service.counts.timed_out == 0
        let_pass(400.0)
        assert await client.until_closed() == b""
        assert service.counts.timed_out == 1
        await client.close()


async def test_dripping_bytes_is_not_activity() -> None:
    """A peer that sends a byte now and then and never completes a query is cut like an idle one."""
    async with tcp_service(limits=SHORT) as (service, address):
        client = await Client.to(address)
        closed = asyncio.create_task(client.until_closed())
        client.writer.write((60_000).to_bytes(2, "big"))
        while not closed.done():
            client.writer.write(b"x")
            await asyncio.sleep(0.02)
        assert (await closed, service.counts.timed_out) == (b"", 1)
        await client.close()


async def test_a_lying_length_costs_its_own_connection_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting for bytes that never come delays nobody else."""
    let_pass = passing_time(monkeypatch)
    async with tcp_service(limits=LONG) as (_, address):
        liar, honest = await Client.to(address), await Client.to(address)
        liar.writer.write(b"\xff\xffshort")
        assert await honest.ask(b"hello") == b"hello"
        let_pass(700.0)
        assert await liar.until_closed() == b""
        await liar.close()
        await honest.close()


@pytest.mark.parametrize("end", [b"\x00\x00", framed(b"silent")], ids=["empty message", "no query"])
async def test_what_is_no_query_ends_the_connection(end: bytes) -> None:
    """After an empty message or one that gets silence the server ends, yet what was asked before is answered."""
    echo = Echo()
    async with tcp_service(echo) as (_, address):
        client = await Client.to(address)
        client.writer.write(framed(b"before") + end + framed(b"after") * 1000)
        assert await client.until_closed() == framed(b"before")
        assert echo.seen <= 2
        await client.close()


async def test_a_connection_ends_after_its_last_query() -> None:
    """The limit on queries is kept, and no answer below it is lost to a reset."""
    async with tcp_service(limits=TcpLimits(queries_per_connection=100)) as (_, address):
        client = await Client.to(address)
        client.writer.write(framed(b"question") * 5000)
        assert await client.until_closed() == framed(b"question") * 100
        await client.close()


async def test_an_idle_connection_makes_room_for_another_one_of_its_client() -> None:
    """Whoever holds connections open and asks nothing does not shut out others behind the same address."""
    limits = TcpLimits(connections_per_client=2, evictable_seconds=0)
    async with tcp_service(limits=limits) as (service, address):
        idle, busy = await Client.to(address), await Client.to(address)
        await until(lambda: service.open_connections == 2)
        assert await busy.ask(b"in") == b"in"
        late = await Client.to(address)
        assert await late.ask(b"in as well") == b"in as well"
        assert await idle.until_closed() == b""
        assert await busy.ask(b"still") == b"still"
        assert (service.counts.refused, service.counts.evicted) == (0, 1)
        for client in (idle, busy, late):
            await client.close()


async def test_one_client_has_a_limited_number_of_connections() -> None:
    """Over its limit, and with all of them busy, a client's new connection is closed; the others of it go on."""
    limits = TcpLimits(connections_per_client=3, evictable_seconds=60)
    async with tcp_service(limits=limits) as (service, address):
        clients = [await Client.to(address) for _ in range(3)]
        for client in clients:
            assert await client.ask(b"in") == b"in"
        over = await Client.to(address)
        assert await over.until_closed() == b""
        assert service.counts.refused == 1
        await clients.pop().close()
        await until(lambda: service.open_connections == 2)
        clients.append(await Client.to(address))
        for client in clients:
            assert await client.ask(b"in again") == b"in again"
        for client in (over, *clients):
            await client.close()


async def test_the_one_idle_longest_makes_room() -> None:
    """When a worker is full, a new connection gets in and the one idle longest goes."""
    async with tcp_service(limits=TcpLimits(connections=3)) as (service, address):
        clients = [await Client.to(address) for _ in range(3)]
        for number in (1, 2, 0):
            assert await clients[number].ask(b"hello") == b"hello"
        new = await Client.to(address)
        assert await new.ask(b"new") == b"new"
        assert await clients[1].until_closed() == b""
        assert (service.counts.evicted, service.open_connections) == (1, 3)
        for number in (0, 2):
            assert await clients[number].ask(b"still here") == b"still here"
        for client in (new, *clients):
            await client.close()


async def test_a_client_that_does_not_read_is_not_read_either() -> None:
    """Answers pile up to a bound only; then the server stops reading, and cuts the client after the idle time."""
    echo = Echo(repeat=60)
    limits = TcpLimits(idle_seconds=0.3, unsent_bytes=4096)
    async with tcp_service(echo, limits=limits) as (service, address):
        with socket.create_connection(address) as deaf:
            deaf.setblocking(False)
            flood = framed(b"q" * 1000) * 64

            def send_more() -> bool:
                with suppress(BlockingIOError, ConnectionError):
                    deaf.send(flood)
                return service.counts.timed_out == 1

            await until(send_more)
        # Some megabytes fit in the kernel's buffers. Without backpressure it would be 60 times all that was sent.
        assert echo.seen * 60_000 < 30_000_000


async def test_a_client_that_reads_late_gets_everything() -> None:
    """Backpressure loses and reorders nothing."""
    messages = [b"%05d" % number * 40 for number in range(4000)]
    async with tcp_service(Echo(repeat=10), limits=TcpLimits(unsent_bytes=4096)) as (_, address):
        client = await Client.to(address)
        client.writer.write(framed(*messages))
        for message in messages:
            assert await client.answer() == message * 10
        await client.close()


async def test_stopping_answers_what_has_arrived() -> None:
    """The end of the service sends answers to what it had received, and waits for no idle client."""
    async with tcp_service() as (service, address):
        busy, idle = await Client.to(address), await Client.to(address)
        assert await idle.ask(b"once") == b"once"
        busy.writer.write(framed(*[b"last"] * 50))
        await service.stop()
        assert await busy.until_closed() == framed(*[b"last"] * 50)
        assert await idle.until_closed() == b""
        await busy.close()
        await idle.close()


def test_clients_are_told_apart_by_address_or_network() -> None:
    """An IPv6 client is its /64, zone or not; an IPv4 client is its address."""
    assert client_key("2001:db8:1:2::1") == client_key("2001:db8:1:2:ffff::9")
    assert client_key("2001:db8:1:2::1") != client_key("2001:db8:1:3::1")
    assert client_key("fe80::1%eth0") == client_key("fe80::2")
    assert client_key("192.0.2.1") != client_key("192.0.2.2")
