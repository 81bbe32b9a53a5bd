"""A running endpoint, and clients of all kinds: those that do as they should, and those that do not."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import logging
import socket
import struct
import weakref
from collections.abc import AsyncIterator, Iterator
from typing import cast

import dns.asyncquery
import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.zone
import pytest

from dnsd.adapters.context import AdapterContext
from dnsd.adapters.transfer.conversation import Patience
from dnsd.adapters.transfer.endpoint import TransferEndpoint
from dnsd.adapters.transfer.limits import MAX_CONNECTIONS_PER_CLIENT, MAX_QUERY_BYTES, MAX_TRANSFERS
from dnsd.config.transfer import TransferKey
from dnsd.control.plane import ControlPlane
from dnsd.core.constants import TXT
from dnsd.core.names import from_text
from dnsd.core.zoneversion import ZoneRecord, ZoneVersion
from dnsd.errors import StartError
from dnsd.model.endpoint import Endpoint
from tests.adapters.transfer.world import (
    FIRST_SERIAL,
    ZONE,
    Served,
    Versions,
    contents,
    expected,
    framed,
    ixfr_query,
    key,
    keyring_of,
    read_framed,
    record,
    records,
    secondary,
    serial_of,
    serving,
    settings,
)
from tests.support.servers import PATIENCE_SECONDS, free_port
from tests.support.waiting import until

EDGE = record("edge.example.org. 60 A 192.0.2.11")
AXFR = dns.message.make_query("example.org.", "AXFR").to_wire()
SOA = dns.message.make_query("example.org.", "SOA").to_wire()


class Endless:
    """A zone that no transfer of ends; it can be told whether anybody still reads it."""

    def __init__(self) -> None:
        self.made = 0
        self.readers = 0

    def __call__(self) -> Iterator[ZoneRecord]:
        """Yield records for ever."""
        self.readers += 1
        for number in itertools.count():
            self.made += 1
            yield ZoneRecord(from_text(f"n{number}.example.org."), TXT, 60, b"\xff" + b"x" * 255)


def endless() -> Versions:
    """Return the versions of an endless zone."""
    versions = Versions([])
    versions.held = Endless()
    return versions


async def bring(zone: dns.zone.Zone, served: Served, of: TransferKey | None, *, udp: bool = False) -> None:
    """Transfer a zone as dnspython does it, by IXFR where it has something."""
    query, _ = dns.xfr.make_query(zone, keyring=None if of is None else keyring_of(of))
    mode = dns.query.UDPMode.TRY_FIRST if udp else dns.query.UDPMode.NEVER
    host, port = served.endpoint
    await dns.asyncquery.inbound_xfr(host, zone, query, port, timeout=PATIENCE_SECONDS, udp_mode=mode)


async def serial_now(served: Served) -> int:
    """Ask for the serial over UDP."""
    host, port = served.endpoint
    query = dns.message.make_query("example.org.", "SOA")
    response = await dns.asyncquery.udp(query, host, port=port, timeout=PATIENCE_SECONDS)
    found = response.answer[0][0].serial
    assert isinstance(found, int)
    return found


def new_zone() -> dns.zone.Zone:
    """Return a zone of a secondary that has nothing yet."""
    return dns.zone.Zone(dns.name.from_text("example.org."), relativize=False)


@contextlib.asynccontextmanager
async def deaf(served: Served, count: int = 1) -> AsyncIterator[list[socket.socket]]:
    """Ask for a transfer on connections that nothing is read of."""
    loop = asyncio.get_running_loop()
    with contextlib.ExitStack() as stack:
        opened = []
        for _ in range(count):
            sock = stack.enter_context(socket.socket())
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.setblocking(False)
            await loop.sock_connect(sock, served.endpoint)
            await loop.sock_sendall(sock, framed(AXFR))
            opened.append(sock)
        yield opened


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "0.0.0.0"])
async def test_a_secondary_gets_the_zone_and_then_what_changes(host: str) -> None:
    """AXFR, then IXFR, the second one asked for over UDP first; with a key, on IPv4, IPv6 and every address."""
    of = key(algorithm="hmac-sha512")
    versions = Versions(records(ZONE))
    async with serving(versions, secondary(signs=of), host=host) as at:
        served = Served(Endpoint("127.0.0.1" if host == "0.0.0.0" else host, at.endpoint.port), at.counts)
        zone = new_zone()
        await bring(zone, served, of)
        assert contents(zone) == expected(versions.held())
        for udp in (False, True):
            versions.change(removed=[EDGE] if udp is False else [], added=[EDGE] if udp else [])
            await bring(zone, served, of, udp=udp)
            assert (serial_of(zone), contents(zone)) == (versions.serial, expected(versions.held()))
        await until(lambda: served.count("ixfr") == 2)
        assert (served.count("axfr"), served.count("soa")) == (1, 1)
        with pytest.raises(dns.xfr.TransferError):
            await bring(zone, served, None)
        assert served.count("refused") == 1


async def test_queries_on_one_connection_are_answered_in_order() -> None:
    """Sent at once: SOA, a transfer, one that is refused, IXFR, another transfer; and the connection goes on."""
    versions = Versions([record(f"n{number}.example.org. 60 A 192.0.2.1") for number in range(2000)])
    versions.change(removed=list(versions.held())[:5])
    other = dns.message.make_query("example.net.", "AXFR").to_wire()
    asked = [SOA, AXFR, other, ixfr_query(FIRST_SERIAL).to_wire(), AXFR, SOA]
    async with serving(versions, secondary()) as served:
        reader, writer = await served.connect()
        for _ in range(2):
            writer.write(b"".join(map(framed, asked)))
            seen: list[tuple[int, int]] = []  # ID, records
            while len(seen) < len(asked):
                ids, count = -1, 0
                while True:
                    response = dns.message.from_wire(await read_framed(reader), one_rr_per_rrset=True, xfr=True)
                    assert ids in (-1, response.id)
                    ids, count = response.id, count + len(response.answer)
                    place = len(seen)
                    whole = 1995 + 2 if place in (1, 4) else 9 if place == 3 else 0 if place == 2 else 1
                    if count >= whole:
                        break
                seen.append((ids, count))
            assert [each for each, _ in seen] == [int.from_bytes(query[:2], "big") for query in asked]
            assert [count for _, count in seen] == [1, 1997, 0, 9, 1997, 1]
        writer.close()


async def test_a_transfer_keeps_its_version_while_others_are_made() -> None:
    """Two that began before a change are of the old version, one after it is of the new one."""
    text = (b"\xff" + b"x" * 255) * 60  # of 6 MB, more than the kernel holds for a client that does not read yet
    held = [ZoneRecord(from_text(f"n{number}.example.org."), TXT, 60, text) for number in range(400)]
    versions = Versions(held)
    async with serving(versions, secondary()) as served, deaf(served, 2) as socks:
        connections = [await asyncio.open_connection(sock=sock) for sock in socks]
        begun = [await read_framed(reader) for reader, _ in connections]
        for _ in range(3):
            versions.change(removed=list(versions.held())[:130])
        zone = new_zone()
        await bring(zone, served, None)
        assert (serial_of(zone), contents(zone)) == (versions.serial, expected(versions.held()))
        assert served.count("axfr") == 1
        for (reader, writer), first in zip(connections, begun, strict=True):
            old = new_zone()
            with dns.xfr.Inbound(old) as machine:
                message = first
                while not machine.process_message(dns.message.from_wire(message, xfr=True)):
                    message = await read_framed(reader)
            assert (serial_of(old), contents(old)) == (FIRST_SERIAL, expected(held))
            writer.close()
        await until(lambda: served.count("axfr") == 3)


async def test_a_client_that_does_not_read_is_cut_and_its_version_let_go() -> None:
    """After a while its connection is closed; of the zone that it was to get, nothing is held any more."""
    versions = endless()
    async with serving(versions, secondary(), patience=Patience(stall_seconds=0.05)) as served, deaf(served):
        await until(lambda: served.count("cut") == 1)
        zone = weakref.ref(cast(Endless, versions.held))
        versions.held = records(ZONE).__iter__
        assert zone() is None  # nor does it wait for the garbage collector
        assert await serial_now(served) == FIRST_SERIAL


async def test_what_is_ahead_of_a_client_is_bounded() -> None:
    """No more is made of a zone than the kernel and a bounded buffer take, as long as a client does not read."""
    versions = endless()
    zone = cast(Endless, versions.held)
    async with serving(versions, secondary()) as served, deaf(served):
        before = -1
        while zone.made != before:
            before = zone.made
            for _ in range(200):
                await serial_now(served)
        assert served.count("cut") == 0
        assert zone.made < 200_000  # 50 MB; Linux holds up to 10 MB between two sockets


async def test_a_transfer_takes_no_longer_than_it_may() -> None:
    """A client that reads and reads is cut as well: its version must not live for ever."""
    async with serving(endless(), secondary(), patience=Patience(transfer_seconds=0.1)) as served:
        reader, writer = await served.connect()
        writer.write(framed(AXFR))
        with contextlib.suppress(ConnectionResetError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                while await reader.read(65_536):
                    pass
        await until(lambda: served.count("cut") == 1)
        writer.close()


@pytest.mark.parametrize("reset", [True, False])
async def test_a_client_that_dies_in_the_middle_harms_nobody(reset: bool) -> None:
    """Whether its kernel says so with a reset or an end: the transfer is counted as cut, and others are answered."""
    async with serving(endless(), secondary()) as served:
        reader, writer = await served.connect()
        writer.write(framed(AXFR))
        await read_framed(reader)
        if reset:
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        await until(lambda: served.count("cut") == 1)
        assert await serial_now(served) == FIRST_SERIAL


async def test_over_the_limit_of_transfers_one_waits_and_is_put_off() -> None:
    """SERVFAIL for the one too many, on a connection that goes on; when another one ends, the next gets its turn."""
    of = key()
    versions = endless()
    async with serving(
        versions, secondary(), secondary("ns3", signs=of), patience=Patience(wait_seconds=0.05)
    ) as served:
        async with deaf(served, MAX_TRANSFERS):
            zone = cast(Endless, versions.held)
            await until(lambda: zone.readers == MAX_TRANSFERS)
            with pytest.raises(dns.xfr.TransferError, match="SERVFAIL"):
                await bring(new_zone(), served, of)
            await until(lambda: served.count("busy") == 1)
            assert await serial_now(served) == FIRST_SERIAL
        versions.held = records(ZONE).__iter__
        await until(lambda: served.count("cut") == MAX_TRANSFERS)
        await bring(new_zone(), served, of)


async def test_rubbish_ends_a_connection_and_not_the_listener() -> None:
    """A message of no length, a long one, a response, half of one: each is closed and counted, and others go on."""
    response = dns.message.make_response(dns.message.make_query("example.org.", "AXFR")).to_wire()
    async with serving(Versions(records(ZONE)), secondary()) as served:
        for rubbish in (b"\0\0", (MAX_QUERY_BYTES + 1).to_bytes(2, "big"), framed(response), framed(b"short")):
            reader, writer = await served.connect()
            writer.write(rubbish)
            await ended(reader)
            writer.close()
        assert served.count("malformed") == 4
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for packet in (b"", b"x", response, b"\0" * 12, AXFR[:-1], AXFR * 30):
                sock.sendto(packet, served.endpoint)
            await until(lambda: served.count("malformed") >= 4 + 5)
        assert await serial_now(served) == FIRST_SERIAL


async def test_who_does_not_ask_is_closed() -> None:
    """A connection without a whole query is closed after a while, and counts as nothing."""
    async with serving(Versions(records(ZONE)), secondary(), patience=Patience(idle_seconds=0.05)) as served:
        for half in (framed(AXFR)[:-1], b"\0", b""):
            reader, writer = await served.connect()
            writer.write(half)
            await ended(reader)
            writer.close()
        assert not served.counts


async def ended(reader: asyncio.StreamReader) -> None:
    """Wait until the server closes a connection; nothing comes before."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""


async def test_a_client_with_too_many_connections_loses_its_idle_ones() -> None:
    """The one that asked nothing for longest is closed for a new one, and one whose transfer runs is not."""
    versions = endless()
    zone = cast(Endless, versions.held)
    async with serving(versions, secondary()) as served, deaf(served):
        await until(lambda: zone.readers == 1)
        idle = [await served.connect() for _ in range(MAX_CONNECTIONS_PER_CLIENT)]
        await ended(idle[0][0])
        reader, writer = idle[-1]
        writer.write(framed(SOA))
        assert dns.message.from_wire(await read_framed(reader)).answer
        for _, each in idle:
            each.close()
        assert served.count("cut") == 0


class Broken(Versions):
    """Versions that cannot be read."""

    def current(self, apex: bytes) -> ZoneVersion | None:
        """See `ZoneVersions.current`."""
        raise RuntimeError("a fault of ours")


async def test_a_fault_of_ours_is_servfail_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    """SERVFAIL, a traceback in the log, once a second at most, and the next one is answered."""
    async with serving(Broken([]), secondary()) as served:
        host, port = served.endpoint
        query = dns.message.make_query("example.org.", "SOA")
        with caplog.at_level(logging.ERROR, logger="dnsd.adapters"):
            for ask in (dns.asyncquery.udp, dns.asyncquery.tcp, dns.asyncquery.udp):
                response = await ask(query, host, port=port, timeout=PATIENCE_SECONDS)
                assert response.rcode() == dns.rcode.SERVFAIL
        assert served.count("failed") == 3
        assert "RuntimeError: a fault of ours" in caplog.text


async def test_a_record_that_fits_nowhere_ends_the_transfer(caplog: pytest.LogCaptureFixture) -> None:
    """What cannot be sent whole is not sent in part: the connection is closed, and the reason is in the log."""
    giant = ZoneRecord(from_text("big.example.org."), TXT, 60, (b"\xff" + b"x" * 255) * 255 + b"\xe0" + b"x" * 224)
    async with serving(Versions([EDGE, giant]), secondary(signs=key())) as served:
        with pytest.raises((EOFError, OSError)):
            await bring(new_zone(), served, key())
        await until(lambda: served.count("failed") == 1)
        assert "RecordTooLargeError" in caplog.text


async def test_refusals_are_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """A client that repeats itself is counted each time, and logged once."""
    async with serving(Versions(records(ZONE)), secondary(sources=["192.0.2.0/24"])) as served:
        host, port = served.endpoint
        with caplog.at_level(logging.WARNING, logger="dnsd.adapters"):
            for _ in range(5):
                query = dns.message.make_query("example.org.", "AXFR")
                response = await dns.asyncquery.tcp(query, host, port=port, timeout=PATIENCE_SECONDS)
                assert response.rcode() == dns.rcode.REFUSED
        assert served.count("refused") == 5
        assert [each.message for each in caplog.records] == [
            "transfer: refused to 127.0.0.0/24: no secondary has this address: AXFR of example.org. from 127.0.0.1"
        ]


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
async def test_an_address_that_is_taken_is_not_shared(kind: socket.SocketKind) -> None:
    """Where another program has one of the addresses, over UDP or TCP, none is listened on, and that is said."""
    free, taken = (Endpoint("127.0.0.1", free_port()) for _ in range(2))
    with socket.socket(socket.AF_INET, kind) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(taken)
        if kind is socket.SOCK_STREAM:
            other.listen()
        given = settings(secondary(), listen=[free, taken])
        context = AdapterContext(cast(ControlPlane, None), "transfer", given)
        with pytest.raises(StartError, match=str(taken.port)):
            await TransferEndpoint(context, Versions([])).run()
        assert not context.up
    with socket.socket(socket.AF_INET, kind) as again:
        again.bind(free)


async def test_the_end_leaves_nothing_open() -> None:
    """When it is stopped, in the middle of a transfer as well, its sockets are closed and clients are told."""
    before = len(asyncio.all_tasks())
    async with serving(endless(), secondary()) as served:
        reader, writer = await served.connect()
        writer.write(framed(AXFR))
        await read_framed(reader)
        idle, idle_writer = await served.connect()
        await serial_now(served)
    with contextlib.suppress(ConnectionResetError):
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.gather(reader.read(), idle.read())
    for each in (writer, idle_writer):
        each.close()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        udp.bind(served.endpoint)
        tcp.bind(served.endpoint)
    await until(lambda: len(asyncio.all_tasks()) == before)
    gc.collect()  # a transport that nobody closed would warn
