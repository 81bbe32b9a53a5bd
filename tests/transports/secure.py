"""A TLS service over a stand-in, and clients that speak TLS properly or not."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache

from dnsd.core.via import Transport, Via
from dnsd.transports.handshakes import Handshakes
from dnsd.transports.https import HttpsConnection
from dnsd.transports.identity import DOT_PROTOCOLS, HTTPS_PROTOCOLS, Identity
from dnsd.transports.limits import TcpLimits
from dnsd.transports.proxy import Proxies
from dnsd.transports.responder import Responder
from dnsd.transports.sockets import Address, open_tcp
from dnsd.transports.tcp import TcpConnection
from dnsd.transports.tcp_service import TcpService
from dnsd.transports.tls import behind_tls
from tests.support.certificates import Pair, make_pair
from tests.support.servers import free_port
from tests.transports.stand_ins import Client, Echo


@cache
def pair(serial: int = 1) -> Pair:
    return make_pair(serial=serial)


@dataclass
class Site:
    """A service behind TLS."""

    service: TcpService
    address: Address
    identity: Identity
    handshakes: Handshakes

    async def client(self, *protocols: str, context: ssl.SSLContext | None = None) -> Client:
        reader, writer = await asyncio.open_connection(*self.address, ssl=context or pair().trust(*protocols))
        return Client(reader, writer)


@asynccontextmanager
async def secure_service(
    responder: Responder | None = None,
    *,
    https: bool = False,
    limits: TcpLimits | None = None,
    proxies: Proxies | None = None,
) -> AsyncIterator[Site]:
    """Serve DNS over TLS, or over HTTPS, for the length of a test."""
    responder, limits = responder or Echo(), limits or TcpLimits()
    identity, handshakes = Identity(), Handshakes()
    identity.take(pair().certificate, pair().key)
    service = TcpService(responder, limits=limits, proxies=proxies)

    def over_tls(client: str) -> TcpConnection:
        return TcpConnection(responder, service, via=Via(Transport.TLS), limits=limits, client=client)

    def over_https(client: str) -> HttpsConnection:
        return HttpsConnection(
            responder, service, via=Via(Transport.HTTPS), path="/dns-query", limits=limits, client=client
        )

    protocols = HTTPS_PROTOCOLS if https else DOT_PROTOCOLS
    make = behind_tls(
        over_https if https else over_tls, context=lambda: identity.context(protocols), handshakes=handshakes
    )
    address = ("127.0.0.1", free_port())
    await service.start(open_tcp(address), make)
    try:
        yield Site(service, address, identity, handshakes)
    finally:
        await service.stop()
        assert service.open_connections == 0
