"""HAProxy and dnsdist in front of the transports: the client that they name is the one that asks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager
from pathlib import Path

import dns.flags
import dns.message
import dns.rrset
import pytest

from dnsd.core.via import Via
from dnsd.transports.limits import TcpLimits
from dnsd.transports.proxy import ProxiedResponder, Proxies
from dnsd.transports.sockets import open_tcp, open_udp
from dnsd.transports.tcp_service import TcpService
from dnsd.transports.udp import UdpShell
from tests.support.proxies import dnsdist, haproxy
from tests.support.servers import PATIENCE_SECONDS, free_port


class WhoAsks:
    """Answers every question with the address of who asks."""

    def respond(self, packet: bytes, *, now: float, via: Via, peer: str) -> bytes | None:
        query = dns.message.from_wire(packet)
        response = dns.message.make_response(query)
        response.flags |= dns.flags.AA
        response.answer.append(dns.rrset.from_text(query.question[0].name, 0, "IN", "A", peer))
        return response.to_wire()


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """Serve on a port that only a proxy on 127.0.0.1 speaks to."""
    number, proxies = free_port(), Proxies(["127.0.0.1"])
    shell = UdpShell(open_udp(("127.0.0.1", number)), ProxiedResponder(WhoAsks(), proxies))
    service = TcpService(WhoAsks(), limits=TcpLimits(), proxies=proxies)
    shell.start(asyncio.get_running_loop())
    await service.start(open_tcp(("127.0.0.1", number)))
    yield number
    shell.stop()
    await service.stop()
    assert proxies.refused == {}


@asynccontextmanager
async def aside(proxy: AbstractContextManager[None]) -> AsyncIterator[None]:
    """Run a proxy, whose start waits for it to listen, while the service goes on."""
    with ExitStack() as stack:
        await asyncio.to_thread(stack.enter_context, proxy)
        yield
        await asyncio.to_thread(stack.close)


async def seen(port: int, source: str, *words: str) -> str:
    """Return the address that a query from a source comes from, in the eyes of the server."""
    command = ["dig", "@127.0.0.1", "-p", str(port), "-b", source, "+short", "+tries=1", "example.org", *words]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await asyncio.wait_for(process.communicate(), PATIENCE_SECONDS)
    return output.decode().strip()


async def test_haproxy_names_its_clients(port: int, tmp_path: Path) -> None:
    """Over TCP, each by its own address, while its health checks go on."""
    front = free_port()
    text = f"""\
defaults
    mode tcp
    timeout connect 5s
    timeout client 30s
    timeout server 30s
listen dns
    bind 127.0.0.1:{front}
    server ns1 127.0.0.1:{port} send-proxy-v2 check inter 50ms
"""
    async with aside(haproxy(tmp_path, text, port=front)):
        for source in ("127.0.0.7", "127.0.0.8"):
            assert await seen(front, source, "+tcp") == source


async def test_dnsdist_names_its_clients(port: int, tmp_path: Path) -> None:
    """Over UDP and TCP, each by its own address, while its health checks go on."""
    front = free_port()
    text = f"""\
setLocal("127.0.0.1:{front}")
setACL({{"127.0.0.0/8"}})
newServer({{address="127.0.0.1:{port}", useProxyProtocol=true}})
"""
    async with aside(dnsdist(tmp_path, text, port=front)):
        for source in ("127.0.0.7", "127.0.0.8"):
            for words in ((), ("+tcp",)):
                assert await seen(front, source, *words) == source
