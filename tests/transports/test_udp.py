"""DNS over UDP: batches, reply addresses, errors, and the end."""

from __future__ import annotations

import asyncio
import math
import socket

import pytest

from dnsd.errors import StartError
from dnsd.transports.datagrams import BATCH
from dnsd.transports.sockets import (
    IP_MTU_DISCOVER,
    IPV6_MTU_DISCOVER,
    PMTUDISC_OMIT,
    leave_group,
    open_tcp,
    open_udp,
    someone_listens,
)
from dnsd.transports.udp import MAX_TURN_PACKETS, UdpCounts, UdpShell, batch_for
from tests.support.servers import free_port
from tests.transports.stand_ins import Echo


def client_of(family: int = socket.AF_INET) -> socket.socket:
    client = socket.socket(family, socket.SOCK_DGRAM)
    client.settimeout(3)
    return client


async def test_a_packet_is_answered_and_silence_kept() -> None:
    """A query gets its answer; what gets none costs nothing more."""
    address = ("127.0.0.1", free_port())
    shell = UdpShell(open_udp(address), Echo())
    shell.start(asyncio.get_running_loop())
    with client_of() as client:
        client.sendto(b"silent", address)
        client.sendto(b"hello", address)
        assert await asyncio.to_thread(client.recvfrom, 100) == (b"hello", address)
    shell.stop()
    shell.stop()
    assert shell.counts == UdpCounts()


@pytest.mark.parametrize(
    ("turn_seconds", "first"),
    [pytest.param(math.inf, MAX_TURN_PACKETS, id="by packets"), pytest.param(-1, BATCH, id="by time")],
)
def test_a_turn_is_bounded(turn_seconds: float, first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much is queued, one wake-up ends after so many packets, and begins no batch after so long a time."""
    monkeypatch.setattr("dnsd.transports.udp.TURN_SECONDS", turn_seconds)
    address = ("127.0.0.1", free_port())
    echo = Echo()
    with open_udp(address) as sock, client_of() as client:
        batch = batch_for(sock, echo, UdpCounts())
        for _ in range(first + 10):
            client.sendto(b"query", address)
        assert (batch.run(), echo.seen) == (first, first)
        assert (batch.run(), batch.run()) == (10, 0)


@pytest.mark.parametrize("asked", ["127.0.0.1", "127.0.0.2", "127.8.9.10"])
def test_on_a_wildcard_the_answer_comes_from_the_address_asked(asked: str) -> None:
    """A client accepts an answer only from where it sent its query."""
    port = free_port()
    with open_udp(("0.0.0.0", port)) as sock, client_of() as client:
        client.sendto(b"hello", (asked, port))
        assert batch_for(sock, Echo(), UdpCounts()).run() == 1
        assert client.recvfrom(100) == (b"hello", (asked, port))


def test_on_the_ipv6_wildcard_as_well() -> None:
    """An IPv6 client gets its answer from the address asked; an IPv4 client is not served by that socket."""
    port = free_port()
    with open_udp(("::", port)) as sock, client_of(socket.AF_INET6) as client, client_of() as other:
        client.sendto(b"hello", ("::1", port))
        other.sendto(b"hello", ("127.0.0.1", port))
        assert batch_for(sock, Echo(), UdpCounts()).run() == 1
        assert client.recvfrom(100)[1][:2] == ("::1", port)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_an_answer_that_cannot_be_sent_is_counted(host: str) -> None:
    """A refused send neither raises nor keeps the next client from its answer."""
    port = free_port()
    counts = UdpCounts()
    with open_udp((host, port)) as sock, client_of() as client:
        batch = batch_for(sock, Echo(repeat=100), counts)
        client.sendto(b"x" * 1000, ("127.0.0.1", port))  # 100,000 bytes fit in no datagram
        client.sendto(b"yy", ("127.0.0.1", port))
        assert batch.run() == 2
        assert client.recv(1000) == b"yy" * 100
    assert counts == UdpCounts(send_errors=1)


def test_leaving_the_group_loses_no_query() -> None:
    """A socket that leaves keeps what it has; everything after goes to those that stay."""
    address = ("127.0.0.1", free_port())
    leaving, staying = Echo(), Echo()
    with open_udp(address) as first, open_udp(address) as second:
        clients = [client_of() for _ in range(64)]
        for client in clients:
            client.sendto(b"before", address)
        leave_group(first)
        for client in clients:
            client.sendto(b"after", address)
        batches = [batch_for(first, leaving, UdpCounts()), batch_for(second, staying, UdpCounts())]
        for batch in batches:
            while batch.run():
                pass
        for client in clients:
            assert {client.recv(100), client.recv(100)} == {b"before", b"after"}
            client.close()
    assert 0 < leaving.seen < 64
    assert leaving.seen + staying.seen == 128


def test_an_address_in_use_is_named() -> None:
    """Whoever does not share an address is found out, over either transport, in one clear line."""
    for kind, opens in ((socket.SOCK_DGRAM, open_udp), (socket.SOCK_STREAM, open_tcp)):
        with socket.socket(socket.AF_INET, kind) as foreign:
            foreign.bind(("127.0.0.1", free_port()))  # no client gets it when it is closed
            if kind == socket.SOCK_STREAM:
                foreign.listen()
            address = foreign.getsockname()
            assert someone_listens(address)
            with pytest.raises(StartError, match=rf"127\.0\.0\.1:{address[1]} \((UDP|TCP)\): Address already in use"):
                opens(address)
        assert not someone_listens(address)


@pytest.mark.parametrize(
    ("host", "level", "option"),
    [("127.0.0.1", socket.IPPROTO_IP, IP_MTU_DISCOVER), ("::1", socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER)],
)
def test_nobody_can_have_our_answers_cut_into_fragments(host: str, level: int, option: int) -> None:
    """What is said of the path's MTU, which anybody can forge, is not listened to (RFC 9715 §3.1)."""
    with open_udp((host, free_port())) as sock:
        assert sock.getsockopt(level, option) == PMTUDISC_OMIT


def test_a_foreign_address_cannot_be_listened_on() -> None:
    """An address that is not the machine's is refused with its name."""
    with pytest.raises(StartError, match=r"192\.0\.2\.1:5353 \(UDP\): Cannot assign requested address"):
        someone_listens(("192.0.2.1", 5353))
    with pytest.raises(StartError, match=r"192\.0\.2\.1:5353 \(TCP\): Cannot assign requested address"):
        open_tcp(("192.0.2.1", 5353))
