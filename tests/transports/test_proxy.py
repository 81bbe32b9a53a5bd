"""The PROXY protocol: headers, who must send one, and what follows them over UDP, TCP and TLS."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsd.core.via import UDP, Via
from dnsd.transports.limits import TcpLimits
from dnsd.transports.proxy import (
    MAX_HEADER_BYTES,
    SIGNATURE,
    NotAHeaderError,
    ProxiedResponder,
    Proxies,
    ProxyHeader,
    read_header,
)
from dnsd.transports.sockets import Address, open_tcp, open_udp
from dnsd.transports.tcp_service import TcpService
from dnsd.transports.udp import UdpShell
from tests.support.servers import free_port
from tests.transports.secure import pair, secure_service
from tests.transports.stand_ins import Client, framed
from tests.workers.fleet import until

PROXY, LOCAL = 0x21, 0x20
UNSPEC, TCP4, UDP4, TCP6, UDP6, UNIX = 0x00, 0x11, 0x12, 0x21, 0x22, 0x31


def header(command: int, kind: int, block: bytes = b"") -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, kind, len(block)) + block


def of(client: str, *, tlvs: bytes = b"", over_udp: bool = False) -> bytes:
    """Return the header of a proxy that speaks for a client."""
    packed = ip_address(client).packed
    block = packed + ip_address("192.0.2.53" if len(packed) == 4 else "2001:db8::53").packed
    kinds = (UDP4, UDP6) if over_udp else (TCP4, TCP6)
    return header(PROXY, kinds[len(packed) != 4], block + struct.pack("!HH", 40_000, 53) + tlvs)


class WhoAsks:
    """Answers with the client's address and the message."""

    def respond(self, packet: bytes, *, now: float, via: Via, peer: str) -> bytes | None:
        return peer.encode() + b" " + packet


# --- the header -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "client"),
    [
        (of("198.51.100.7"), "198.51.100.7"),
        (of("198.51.100.7", over_udp=True), "198.51.100.7"),
        (of("2001:db8::7"), "2001:db8::7"),
        (of("::ffff:198.51.100.7"), "198.51.100.7"),
        (of("198.51.100.7", tlvs=b"\x04\x00\x03abc"), "198.51.100.7"),
        (header(LOCAL, UNSPEC), ""),
        (header(LOCAL, TCP4, bytes(12)), ""),
        (header(LOCAL, TCP4, b"x"), ""),
        (header(PROXY, UNSPEC), ""),
        (header(PROXY, UNSPEC, b"whatever"), ""),
        (header(PROXY, UNIX, bytes(216)), ""),
    ],
)
def test_a_header_names_the_client(data: bytes, client: str) -> None:
    """Of both families, with more behind the addresses; a proxy that speaks for itself, or of no IP, names nobody."""
    for rest in (b"", b"query"):
        assert read_header(data + rest) == ProxyHeader(len(data), client)
    for end in range(len(data)):
        assert read_header(data[:end]) is None


@pytest.mark.parametrize(
    "data",
    [
        b"\0\0",
        b"PROXY TCP4 198.51.100.7 192.0.2.53 40000 53\r\n",
        SIGNATURE[:-1] + b"?",
        header(0x22, TCP4, bytes(12)),
        header(0x11, TCP4, bytes(12)),
        header(PROXY, 0x41, bytes(12)),
        header(PROXY, 0x13, bytes(12)),
        header(PROXY, TCP4, bytes(11)),
        header(PROXY, TCP6, bytes(35)),
        header(PROXY, TCP4, bytes(MAX_HEADER_BYTES)),
    ],
)
def test_what_is_no_header_is_found_out(data: bytes) -> None:
    """Other beginnings, the first version, unknown commands and families, addresses cut short, and far too much."""
    with pytest.raises(NotAHeaderError):
        read_header(data)


@given(st.binary(max_size=300), st.booleans())
def test_nothing_else_comes_of_any_bytes(data: bytes, signed: bool) -> None:
    """Whatever is read, it is a header, the beginning of one, or none."""
    try:
        found = read_header(SIGNATURE + data if signed else data)
    except NotAHeaderError:
        return
    assert found is None or found.size <= MAX_HEADER_BYTES


def test_proxies_are_addresses_and_networks() -> None:
    """A peer is listed by itself or its network; one that has no name is not."""
    proxies = Proxies(["192.0.2.1", "10.0.0.0/8", "fe80::/64"])
    for _ in range(2):
        assert [peer in proxies for peer in ("192.0.2.1", "10.9.9.9", "fe80::1%eth0")] == [True] * 3
        assert [peer in proxies for peer in ("192.0.2.2", "11.0.0.1", "2001:db8::1", "")] == [False] * 4


# --- UDP ------------------------------------------------------------------------------------------------------------


def ask(proxies: Proxies, packet: bytes, *, peer: str) -> bytes | None:
    return ProxiedResponder(WhoAsks(), proxies).respond(packet, now=1.0, via=UDP, peer=peer)


def test_a_datagram_of_a_proxy_is_that_of_its_client() -> None:
    """The header is taken off and its address counts; a proxy's own checks are the proxy's."""
    proxies = Proxies(["192.0.2.1"])
    assert ask(proxies, of("198.51.100.7", over_udp=True) + b"query", peer="192.0.2.1") == b"198.51.100.7 query"
    assert ask(proxies, header(LOCAL, UNSPEC) + b"query", peer="192.0.2.1") == b"192.0.2.1 query"
    assert proxies.refused == {}


def test_a_datagram_of_a_proxy_without_a_header_is_dropped() -> None:
    """None, half of one, and a broken one are silence, and counted."""
    proxies = Proxies(["192.0.2.1"])
    for packet in (b"query", b"", of("198.51.100.7")[:20], header(0x22, UDP4, bytes(12)) + b"query"):
        assert ask(proxies, packet, peer="192.0.2.1") is None
    assert proxies.refused == {"udp": 4}


def test_nobody_else_is_believed() -> None:
    """What others send is a query as it stands, header or not."""
    proxies = Proxies(["192.0.2.1"])
    for packet in (b"query", of("198.51.100.7") + b"query"):
        assert ask(proxies, packet, peer="192.0.2.2") == b"192.0.2.2 " + packet
    assert proxies.refused == {}


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
async def test_over_a_real_socket(host: str) -> None:
    """On one address and on the wildcard: a listed source speaks for its clients, another one for itself."""
    port = free_port()
    shell = UdpShell(open_udp((host, port)), ProxiedResponder(WhoAsks(), Proxies(["127.0.0.1"])))
    shell.start(asyncio.get_running_loop())
    answers = []
    for source, packet in (("127.0.0.1", of("2001:db8::7") + b"hello"), ("127.0.0.9", b"hello")):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(3)
            client.bind((source, 0))
            client.sendto(packet, ("127.0.0.1", port))
            answers.append(await asyncio.to_thread(client.recv, 100))
    shell.stop()
    assert answers == [b"2001:db8::7 hello", b"127.0.0.9 hello"]


# --- TCP ------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def proxied_service(
    proxies: Proxies, *, limits: TcpLimits | None = None
) -> AsyncIterator[tuple[TcpService, Address]]:
    address = ("127.0.0.1", free_port())
    service = TcpService(WhoAsks(), limits=limits or TcpLimits(), proxies=proxies)
    await service.start(open_tcp(address))
    try:
        yield service, address
    finally:
        await service.stop()
        assert service.open_connections == 0


async def connect(address: Address, *, source: str = "127.0.0.1") -> Client:
    return Client(*await asyncio.open_connection(*address, local_addr=(source, 0)))


async def test_a_connection_of_a_proxy_is_that_of_its_client() -> None:
    """The header may come byte by byte or in one segment with queries; of what follows nothing is lost."""
    async with proxied_service(Proxies(["127.0.0.1"])) as (service, address):
        at_once, slowly = await connect(address), await connect(address)
        at_once.writer.write(of("198.51.100.7") + framed(b"one", b"two"))
        assert [await at_once.answer(), await at_once.answer()] == [b"198.51.100.7 one", b"198.51.100.7 two"]
        for byte in of("2001:db8::7", tlvs=b"\x04\x00\x03abc"):
            slowly.writer.write(bytes([byte]))
            await slowly.writer.drain()
            await asyncio.sleep(0)
        assert await slowly.ask(b"three") == b"2001:db8::7 three"
        assert (service.open_connections, service.counts.accepted) == (2, 2)
        for client in (at_once, slowly):
            await client.close()


async def test_a_connection_of_anybody_else_needs_no_header() -> None:
    """It is served as it is; a header from it is no message, and ends it."""
    async with proxied_service(Proxies(["127.0.0.1"])) as (_, address):
        plain, liar = await connect(address, source="127.0.0.9"), await connect(address, source="127.0.0.9")
        assert await plain.ask(b"hello") == b"127.0.0.9 hello"
        liar.writer.write(of("198.51.100.7") + framed(b"hello"))
        liar.writer.write_eof()
        assert b"198.51.100.7" not in await liar.until_closed()
        for client in (plain, liar):
            await client.close()


async def test_a_connection_of_a_proxy_without_a_header_is_closed() -> None:
    """A query that comes first ends it at once, and it is counted."""
    proxies = Proxies(["127.0.0.1"])
    async with proxied_service(proxies) as (service, address):
        client = await connect(address)
        client.writer.write(framed(b"hello"))
        assert await client.until_closed() == b""
        await until(lambda: service.open_connections == 0)
        assert proxies.refused == {"tcp": 1}
        await client.close()


async def test_a_proxy_that_says_nothing_is_cut() -> None:
    """Half of a header is not waited for longer than for a query."""
    async with proxied_service(Proxies(["127.0.0.1"]), limits=TcpLimits(idle_seconds=0.2)) as (service, address):
        client = await connect(address)
        client.writer.write(of("198.51.100.7")[:20])
        assert await client.until_closed() == b""
        assert (service.counts.timed_out, service.counts.accepted) == (1, 0)
        await client.close()


async def test_limits_are_those_of_the_clients_behind_a_proxy() -> None:
    """The proxy may have many connections, and each client of it no more than its own share."""
    limits = TcpLimits(connections_per_client=2, evictable_seconds=60)
    async with proxied_service(Proxies(["127.0.0.1"]), limits=limits) as (service, address):
        clients = []
        for number in range(6):
            clients.append(await connect(address))
            clients[-1].writer.write(of(f"198.51.100.{number % 3}"))
            assert await clients[-1].ask(b"in") == b"198.51.100.%d in" % (number % 3)
        over = await connect(address)
        over.writer.write(of("198.51.100.1") + framed(b"in"))
        assert await over.until_closed() == b""
        assert (service.counts.refused, service.open_connections) == (1, 6)
        for client in (over, *clients):
            await client.close()


async def test_waiting_proxies_are_bounded_in_number() -> None:
    """Connections whose client is not known yet count among all: the one idle longest makes room."""
    async with proxied_service(Proxies(["127.0.0.1"]), limits=TcpLimits(connections=3)) as (service, address):
        silent = [await connect(address) for _ in range(4)]
        assert await silent[0].until_closed() == b""
        assert (service.counts.evicted, service.open_connections) == (1, 3)
        for client in silent:
            await client.close()


# --- TLS ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("together", [True, False], ids=["one segment", "apart"])
async def test_before_tls_the_header_stands_in_the_clear(together: bool) -> None:
    """A handshake that comes in the segment of the header is carried on with all of its bytes."""
    async with secure_service(WhoAsks(), proxies=Proxies(["127.0.0.1"])) as site:
        answer = await asyncio.to_thread(_ask_through_tls, site.address, together)
        assert answer == framed(b"198.51.100.7 hello")
        assert site.handshakes.results == {"ok": 1}


def _ask_through_tls(address: Address, together: bool) -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = pair().trust("dot").wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    with socket.create_connection(address, timeout=5) as plain:
        first = of("198.51.100.7")
        if not together:
            plain.sendall(first)
            first = b""
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                plain.sendall(first + outgoing.read())
                first = b""
                incoming.write(plain.recv(65536))
        tls.write(framed(b"hello"))
        plain.sendall(outgoing.read())
        while True:
            incoming.write(plain.recv(65536))
            try:
                return tls.read(1000)
            except ssl.SSLWantReadError:  # tickets come first
                pass
