"""DNS over TLS: what is the same as over TCP, the handshake, certificates, and clients that misbehave."""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import suppress
from pathlib import Path

import pytest

from dnsd.transports.handshakes import STEPS_PER_TURN, Handshakes
from dnsd.transports.identity import DOT_PROTOCOLS, Identity, context_of
from dnsd.transports.limits import TcpLimits
from tests.support.certificates import make_pair, serial_of
from tests.transports.secure import Site, pair, secure_service
from tests.transports.stand_ins import LONG, Client, Echo, framed, passing_time
from tests.workers.fleet import until

SHORT = TcpLimits(idle_seconds=1.0)


async def test_pipelined_queries_are_answered_in_order() -> None:
    """Many queries in few records, more than one turn takes, get their answers in the order of asking."""
    messages = [b"query %d" % number * 20 for number in range(1000)]
    async with secure_service() as site:
        client = await site.client("dot")
        tls = client.writer.get_extra_info("ssl_object")
        assert (tls.version(), tls.selected_alpn_protocol()) == ("TLSv1.3", "dot")
        client.writer.write(framed(*messages))
        assert messages == [await client.answer() for _ in messages]
        await client.close()


async def test_a_query_may_come_byte_by_byte() -> None:
    """A query in as many records as bytes is answered once it is whole."""
    async with secure_service() as site:
        client = await site.client()
        for byte in framed(b"slow") + framed(b"and steady")[:5]:
            client.writer.write(bytes([byte]))
            await asyncio.sleep(0)
        assert await client.answer() == b"slow"
        client.writer.write(framed(b"and steady")[5:])
        assert await client.answer() == b"and steady"
        await client.close()


async def test_an_older_tls_is_refused() -> None:
    """A client that has TLS 1.2 alone is told so by an alert, and counted."""
    async with secure_service() as site:
        context = pair().trust()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(ssl.SSLError, match="ALERT_PROTOCOL_VERSION"):
            await site.client(context=context)
        await until(lambda: site.service.open_connections == 0)
        assert site.handshakes.results == {"failed": 1}


async def test_what_is_no_tls_ends_its_connection() -> None:
    """Plain DNS, HTTP or rubbish on the TLS port is closed at once, and others are served."""
    async with secure_service() as site:
        for rubbish in (framed(b"hello"), b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 600):
            plain = await Client.to(site.address)
            plain.writer.write(rubbish)
            assert framed(b"hello") not in await plain.until_closed()
            await plain.close()
        assert site.handshakes.results["failed"] == 3
        client = await site.client()
        assert await client.ask(b"hello") == b"hello"
        await client.close()


async def test_a_handshake_that_does_not_go_on_is_cut() -> None:
    """Silence from the start, and half of a ClientHello, take no longer than an idle connection may."""
    async with secure_service(limits=SHORT) as site:
        silent, slow = await Client.to(site.address), await Client.to(site.address)
        slow.writer.write(b"\x16\x03\x01\x02\x00\x01")
        assert (await silent.until_closed(), await slow.until_closed()) == (b"", b"")
        assert site.service.counts.timed_out == 2
        await until(lambda: site.handshakes.results == {"unfinished": 2})
        for client in (silent, slow):
            await client.close()


async def test_a_handshake_counts_as_a_connection_of_its_client() -> None:
    """From the moment it is accepted it is bounded in number, and gives way to others like an idle one."""
    async with secure_service(limits=TcpLimits(connections_per_client=2, evictable_seconds=0)) as site:
        silent = [await Client.to(site.address) for _ in range(2)]
        await until(lambda: site.service.open_connections == 2)
        client = await site.client()
        assert await client.ask(b"in") == b"in"
        assert await silent[0].until_closed() == b""
        assert (site.service.counts.evicted, site.service.open_connections) == (1, 2)
        for each in (*silent, client):
            await each.close()


async def test_handshakes_take_turns() -> None:
    """However many wait for a step, a few are taken, and then others have their turn."""
    handshakes = Handshakes()
    taken: list[int] = []
    for number in range(2 * STEPS_PER_TURN + 1):
        handshakes.enqueue(lambda number=number: taken.append(number))  # type: ignore[misc]
    assert taken == []
    for count in (STEPS_PER_TURN, 2 * STEPS_PER_TURN, 2 * STEPS_PER_TURN + 1):
        await asyncio.sleep(0)
        assert taken == list(range(count))


async def test_a_client_that_ends_its_half_gets_its_answers() -> None:
    """What was asked before the client's goodbye is answered, then the server says goodbye as well."""
    async with secure_service() as site:
        answers = await asyncio.to_thread(_ask_and_say_goodbye, site)
        assert answers == framed(b"one", b"two")


def _ask_and_say_goodbye(site: Site) -> bytes:
    with socket.create_connection(site.address, timeout=5) as plain:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = pair().trust().wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                plain.sendall(outgoing.read())
                incoming.write(plain.recv(65536))
        tls.write(framed(b"one", b"two"))
        with suppress(ssl.SSLWantReadError):
            tls.unwrap()
        plain.sendall(outgoing.read())
        while data := plain.recv(65536):
            incoming.write(data)
        answers = b""
        try:
            while True:
                answers += tls.read(65536)
        except ssl.SSLZeroReturnError:  # the server's goodbye; without it, it would want to read more
            return answers


async def test_a_broken_record_ends_its_connection_only() -> None:
    """What was tampered with on its way is not answered, and whoever else is connected goes on."""
    async with secure_service() as site:
        victim, other = await site.client(), await site.client()
        assert await victim.ask(b"hello") == b"hello"
        raw = victim.writer.get_extra_info("socket")
        socket.socket.send(raw._sock, b"\x17\x03\x03\x00\x20" + b"\x00" * 32)
        with suppress(ssl.SSLError):
            assert await victim.until_closed() == b""
        assert await other.ask(b"still here") == b"still here"
        await other.close()
        with suppress(ssl.SSLError):
            await victim.close()


async def test_a_lying_length_costs_its_own_connection_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting for bytes that never come delays nobody else, and ends after the idle time."""
    let_pass = passing_time(monkeypatch)
    async with secure_service(limits=LONG) as site:
        liar, honest = await site.client(), await site.client()
        liar.writer.write(b"\xff\xffshort")
        assert await honest.ask(b"hello") == b"hello"
        let_pass(700.0)
        assert await liar.until_closed() == b""
        await liar.close()
        await honest.close()


@pytest.mark.parametrize("end", [b"\x00\x00", framed(b"silent")], ids=["empty message", "no query"])
async def test_what_is_no_query_ends_the_connection(end: bytes) -> None:
    """After an empty message or one that gets silence the server says goodbye, and reads no more."""
    echo = Echo()
    async with secure_service(echo) as site:
        client = await site.client()
        client.writer.write(framed(b"before") + end + framed(b"after") * 1000)
        assert await client.until_closed() == framed(b"before")
        assert echo.seen <= 2
        await client.close()


async def test_a_client_that_does_not_read_is_not_read_either() -> None:
    """Answers pile up to a bound only; then the server stops reading, and cuts the client after the idle time."""
    echo = Echo(repeat=60)
    async with secure_service(echo, limits=TcpLimits(idle_seconds=0.3, unsent_bytes=4096)) as site:
        deaf = await site.client()
        deaf.writer.transport.pause_reading()  # type: ignore[attr-defined]
        for _ in range(200):
            deaf.writer.write(framed(b"q" * 1000) * 64)
        await until(lambda: site.service.counts.timed_out == 1)
        deaf.writer.transport.abort()
    # Some megabytes fit in the kernel's buffers. Without backpressure it would be 60 times all that was sent.
    assert echo.seen * 60_000 < 30_000_000


async def test_a_client_that_reads_late_gets_everything() -> None:
    """Backpressure loses and reorders nothing."""
    messages = [b"%05d" % number * 40 for number in range(4000)]
    async with secure_service(Echo(repeat=10), limits=TcpLimits(unsent_bytes=4096)) as site:
        client = await site.client()
        client.writer.write(framed(*messages))
        for message in messages:
            assert await client.answer() == message * 10
        await client.close()


async def test_stopping_answers_what_has_arrived() -> None:
    """The end of the service sends answers to what it had received, and waits for no client, in a handshake or idle."""
    async with secure_service() as site:
        silent, busy, idle = await Client.to(site.address), await site.client(), await site.client()
        assert await idle.ask(b"once") == b"once"
        busy.writer.write(framed(*[b"last"] * 50))
        await site.service.stop()
        assert await busy.until_closed() == framed(*[b"last"] * 50)
        assert await idle.until_closed() == b""
        assert await silent.until_closed() == b""
        for client in (silent, busy, idle):
            await client.close()


async def test_a_new_certificate_is_for_new_connections() -> None:
    """Those that are open go on with the one that they began with."""
    async with secure_service() as site:
        old = await site.client()
        site.identity.take(pair(2).certificate, pair(2).key)
        new = await site.client(context=pair(2).trust())
        assert await old.ask(b"still here") == b"still here"
        assert await new.ask(b"hello") == b"hello"
        assert [serial_of(each.writer.get_extra_info("ssl_object")) for each in (old, new)] == [1, 2]
        for client in (old, new):
            await client.close()


async def test_a_pair_that_cannot_be_used_changes_nothing() -> None:
    """A key of another certificate, an encrypted one and rubbish are refused; the pair from before is kept."""
    identity = Identity()
    identity.take(pair().certificate, pair().key)
    kept = identity.context(DOT_PROTOCOLS)
    secret = make_pair(password=b"secret")
    for certificate, key in ((pair().certificate, pair(2).key), (secret.certificate, secret.key), (b"x", b"y")):
        with pytest.raises(ssl.SSLError):
            identity.take(certificate, key)
    assert identity.context(DOT_PROTOCOLS) is kept


def test_no_descriptor_is_left_of_a_certificate() -> None:
    """The files in memory from which the library reads are closed again."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        context_of(pair().certificate, pair().key, protocols=DOT_PROTOCOLS)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
