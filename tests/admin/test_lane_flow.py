"""The short way under floods: what is kept of them is bounded, others are answered, and responses keep their order."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from admin.connections import MAX_HELD_SIZE, REPORTS_AT_ONCE, Connection
from admin.lane import ReportLane
from tests.admin.fakebackend import FakeBackend
from tests.admin.site import DEADLINE_SECONDS, Site
from tests.admin.wire import BODY, JSON, request, wire
from tests.support.waiting import until

PLAIN = request(JSON)

# What asyncio lets a transport keep before it says so, and what a turn may write until then. Unit: bytes.
HIGH_WATER_SIZE = 64 * 1024
TURN_SIZE = REPORTS_AT_ONCE * 1024

# Of the kernel for a connection, so that it is soon asyncio that keeps the rest. Unit: bytes.
KERNEL_SIZE = 32 * 1024

# Of one flood; together they are several times what may be kept, and so are their responses. Unit: reports.
MANY = 5000

# Answers to somebody else during a flood. Unit: answers.
OTHERS = 30


def open_connections(site: Site) -> list[Connection]:
    return list(site.server._connections._open)


def kept(site: Site) -> int:
    """Return how much all connections keep: requests that nobody has taken, and responses not sent. Unit: bytes."""
    transports = [each.transport for each in open_connections(site)]
    held = sum(len(each._held) for each in open_connections(site))
    return held + sum(each.get_write_buffer_size() for each in transports if each is not None)


@asynccontextmanager
async def narrow(site: Site) -> AsyncIterator[socket.socket]:
    """A connection of which the kernel keeps little."""
    assert site.server._listener is not None
    site.server._listener.sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_SIZE)
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KERNEL_SIZE)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", site.server.port))
        yield sock


async def read_answers(sock: socket.socket, count: int) -> None:
    """Read until as many reports are answered; what must come in time is the next part, not a whole flood."""
    loop = asyncio.get_running_loop()
    rest = b""
    while count:
        async with asyncio.timeout(DEADLINE_SECONDS):
            part = await loop.sock_recv(sock, 65536)
        assert part, f"the connection has ended, and {count} reports are not answered"
        rest += part
        count -= rest.count(b"HTTP/1.1 200 OK\r\n")
        rest = rest[rest.rfind(b"\r\n") :]


async def most_kept(site: Site) -> int:
    """Ask as somebody else, see that it is answered, and return the most that was kept meanwhile. Unit: bytes."""
    found = 0
    for _ in range(OTHERS):
        assert (await site.get("/livez")).status == 200
        found = max(found, kept(site))
    return found


async def test_of_a_client_that_floods_and_never_reads_little_is_kept(site: Site, backend: FakeBackend) -> None:
    """It is not read either, whatever aiohttp does meanwhile, until it reads; then each of its reports is answered."""
    async with narrow(site) as sock:
        sending = asyncio.create_task(asyncio.get_running_loop().sock_sendall(sock, PLAIN * MANY))
        assert await most_kept(site) <= MAX_HELD_SIZE + HIGH_WATER_SIZE + TURN_SIZE
        await until(lambda: any(each.writing_paused for each in open_connections(site)))
        stopped = next(each for each in open_connections(site) if each.writing_paused)
        stopped.resume_reading(resume_parser=False)
        assert stopped.transport is not None
        assert not stopped.transport.is_reading()
        assert len(backend.reports) < MANY
        await read_answers(sock, MANY)
        await sending
        await until(stopped.transport.is_reading)
    assert len(backend.reports) == MANY


async def test_of_a_client_that_floods_and_reads_little_is_kept(site: Site, backend: FakeBackend) -> None:
    """However fast it sends, no more is read than is taken."""
    async with narrow(site) as sock:
        sending = asyncio.create_task(asyncio.get_running_loop().sock_sendall(sock, PLAIN * MANY))
        reading = asyncio.create_task(read_answers(sock, MANY))
        assert await most_kept(site) <= MAX_HELD_SIZE + HIGH_WATER_SIZE + TURN_SIZE
        await sending
        await reading
    assert len(backend.reports) == MANY


async def test_one_who_waits_for_a_turn_is_not_read(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a byte comes in while something is held for a later turn."""
    received: list[int] = []
    receive = Connection.data_received

    def noting(connection: Connection, data: bytes) -> None:
        received.append(len(connection._held) - connection._mark)
        receive(connection, data)

    monkeypatch.setattr(Connection, "data_received", noting)
    async with narrow(site) as sock:
        sending = asyncio.create_task(asyncio.get_running_loop().sock_sendall(sock, PLAIN * MANY))
        await read_answers(sock, MANY)
        await sending
    assert max(received) < len(PLAIN)  # but for a report that has begun


async def test_what_is_more_than_may_be_held_goes_the_long_way(
    site: Site, backend: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is answered there."""
    monkeypatch.setattr("admin.connections.MAX_HELD_SIZE", 2 * len(PLAIN))
    monkeypatch.setattr(ReportLane, "take", lambda *_: pytest.fail("too much for the short way"))
    async with wire(site) as connection:
        connection.send(PLAIN * 20)
        assert {(await connection.answer())[0] for _ in range(20)} == {b"HTTP/1.1 200 OK"}
    assert len(backend.reports) == 20


async def test_where_aiohttp_has_stopped_reading_a_turn_does_not_go_on(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a turn leaves to the long way may be more than that takes at once; its word not to read stands."""
    seen: list[tuple[bool, bool]] = []
    take_turn = Connection._take_turn

    def noting(connection: Connection) -> None:
        take_turn(connection)
        assert connection.transport is not None
        seen.append((connection._buffer_paused, connection.transport.is_reading()))

    monkeypatch.setattr(Connection, "_take_turn", noting)
    async with wire(site) as connection:
        connection.send(PLAIN * (REPORTS_AT_ONCE + 1) + request(JSON, "X-Other: 1") * 100 + PLAIN * 100)
        for _ in range(REPORTS_AT_ONCE + 201):
            assert (await connection.answer())[0] == b"HTTP/1.1 200 OK"
    assert (True, False) in seen
    assert (True, True) not in seen


# --- the order of responses -------------------------------------------------------------------------------------


def mixed(chance: random.Random, count: int) -> list[bytes]:
    """Return requests that are answered differently, by the short way and by the long one."""

    def one(number: int) -> bytes:
        body = BODY.replace(b'"sequence": 7', b'"sequence": %d' % number)
        kinds = (
            request(JSON, body=body, node="edge-1"),
            request(JSON, body=body, node="edge-2"),
            request(JSON, body=body, node=f"none-{number}"),
            request(JSON, "X-Other: 1", body=body),
            request(JSON, body=b"{%d" % number),
            f"GET /v1/nodes/none-{number} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(),
        )
        return chance.choices(kinds, (20, 20, 1, 1, 1, 1))[0]

    return [one(number) for number in range(count)]


def parts(chance: random.Random, requests: Sequence[bytes]) -> list[tuple[bytes, int]]:
    """Return all of them in parts that mostly end where one of them does, and how many end in each part."""
    found = []
    rest = b""
    while requests:
        count = chance.choice((1, 1, 2, REPORTS_AT_ONCE, 2 * REPORTS_AT_ONCE + 1))
        data = rest + b"".join(requests[:count])
        most = len(requests[:count][-1]) - 1 if len(requests) > count else 0
        cut = min(most, chance.choice((0, 0, 0, 1, len(BODY) - 1, len(BODY) + 10)))
        rest = data[len(data) - cut :]
        found.append((data[: len(data) - cut], len(requests[:count])))
        requests = requests[count:]
    return found


async def exchange(seed: int) -> tuple[list[object], list[int]]:
    """Send the requests of a seed, now and then without reading, and return the responses and the reports taken."""
    chance = random.Random(seed)
    backend = FakeBackend()
    got: list[object] = []
    async with Site(backend) as running, wire(running) as connection:
        unread = 0
        for data, count in parts(chance, mixed(chance, 150)):
            connection.send(data)
            unread += count
            if chance.random() < 0.5:
                await asyncio.sleep(0)
                continue
            while unread > 1:  # the last one may not be there whole
                got.append(await connection.answer())
                unread -= 1
        got.extend([await connection.answer() for _ in range(unread)])
    return got, [report.sequence for _, report in backend.reports]


@pytest.mark.parametrize("seed", range(6))
async def test_responses_keep_the_order_of_their_requests(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever way each goes, wherever they are cut, and however often the client has not read enough to go on."""
    chance = random.Random(seed)
    pauses: list[Connection] = []
    make = Connection.connection_made

    def made(connection: Connection, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        write = transport.write

        def written(data: bytes) -> None:
            write(data)
            if not connection.writing_paused and chance.random() < 0.5:
                pauses.append(connection)
                connection.pause_writing()
                asyncio.get_running_loop().call_later(chance.random() / 200, connection.resume_writing)

        transport.set_write_buffer_limits(high=2**30)  # it is this test that pauses
        monkeypatch.setattr(transport, "write", written)
        make(connection, transport)

    monkeypatch.setattr(Connection, "connection_made", made)
    short = await exchange(seed)
    assert pauses
    monkeypatch.setattr(ReportLane, "take", lambda *_: None)
    assert short == await exchange(seed)
    assert short[1] == sorted(short[1])
