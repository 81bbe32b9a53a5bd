"""DNS over HTTPS on real connections: which HTTP is spoken, turns, limits and the end."""

from __future__ import annotations

import asyncio

from dnsd.transports.https import BYTES_PER_TURN
from dnsd.transports.limits import TcpLimits
from tests.support.dnsmessages import engine_of, query, zone_of
from tests.transports.http_client import Client2, get
from tests.transports.secure import secure_service

ENGINE = engine_of(zone_of("@ NS ns1\nwww 120 A 192.0.2.1"))
QUERY = query("www.example.org. A")
REQUEST = f"GET {get(QUERY)} HTTP/1.1\r\nHost: ns1.example.org\r\n\r\n".encode()
SHORT = TcpLimits(idle_seconds=1.0)


async def test_pipelined_requests_are_answered_in_turns() -> None:
    """Many more in one segment than one turn takes are all answered, and the limit on queries is kept."""
    count = 4 * BYTES_PER_TURN // len(REQUEST)
    async with secure_service(ENGINE, https=True, limits=TcpLimits(queries_per_connection=count)) as site:
        client = await site.client("http/1.1")
        client.writer.write(REQUEST * 2 * count)
        assert (await client.until_closed()).count(b"HTTP/1.1 200") == count
        await client.close()


async def test_what_a_client_offers_is_spoken() -> None:
    """HTTP/2 where it can, else HTTP/1.1, also where it names nothing."""
    async with secure_service(ENGINE, https=True) as site:
        for offered, agreed in ((("http/1.1", "h2"), "h2"), (("http/1.1",), "http/1.1"), ((), None)):
            client = await site.client(*offered)
            assert client.writer.get_extra_info("ssl_object").selected_alpn_protocol() == agreed
            if agreed == "h2":
                client.writer.write(Client2().http.data_to_send())
                assert (await client.some())[3] == 4  # a frame of settings
            else:
                client.writer.write(REQUEST)
                assert (await client.some()).startswith(b"HTTP/1.1 200")
            await client.close()


async def test_dripping_bytes_is_not_activity() -> None:
    """A request that never gets whole is cut like silence, and costs nobody else anything."""
    async with secure_service(ENGINE, https=True, limits=SHORT) as site:
        slow, honest = await site.client("http/1.1"), await site.client("http/1.1")
        closed = asyncio.create_task(slow.until_closed())
        honest.writer.write(REQUEST)
        assert (await honest.some()).startswith(b"HTTP/1.1 200")
        while not closed.done():
            slow.writer.write(b"x")
            await asyncio.sleep(0.02)
        assert await closed == b""
        for client in (slow, honest):
            await client.close()


async def test_pings_are_not_activity() -> None:
    """A client of HTTP/2 that keeps its connection and asks nothing is cut after the idle time."""
    async with secure_service(ENGINE, https=True, limits=SHORT) as site:
        client, http = await site.client("h2"), Client2().http
        closed = asyncio.create_task(client.until_closed())
        while not closed.done():
            http.ping(b"12345678")
            client.writer.write(http.data_to_send())
            await asyncio.sleep(0.02)
        assert site.service.counts.timed_out == 1
        await closed
        await client.close()


async def test_stopping_says_goodbye() -> None:
    """What has arrived is answered; a client of HTTP/2 is told that nothing more will be."""
    async with secure_service(ENGINE, https=True) as site:
        old, new, asking = await site.client("http/1.1"), await site.client("h2"), Client2()
        stream = asking.ask(target=get(QUERY))
        new.writer.write(asking.http.data_to_send())
        old.writer.write(REQUEST)
        await site.service.stop()
        assert (await old.until_closed()).startswith(b"HTTP/1.1 200")
        asking.take(await new.until_closed())
        assert (asking.status[stream], asking.gone) == (200, 0)
        for client in (old, new):
            await client.close()
