"""All that a worker listens on, over one engine: UDP and TCP on each plain address, TCP on those of TLS and HTTPS.

Owns their opening, all or none, and their end. It must not know of generations or of the control process.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

from dnsd.core.engine import Engine
from dnsd.core.via import Transport, Via
from dnsd.transports.handshakes import Handshakes
from dnsd.transports.identity import DOT_PROTOCOLS, HTTPS_PROTOCOLS, Identity
from dnsd.transports.introduction import Successor
from dnsd.transports.limits import TcpLimits
from dnsd.transports.proxy import ProxiedResponder, Proxies
from dnsd.transports.responder import Responder
from dnsd.transports.sockets import Address, open_tcp, open_udp
from dnsd.transports.tcp import TcpConnection
from dnsd.transports.tcp_service import TcpService
from dnsd.transports.tls import behind_tls
from dnsd.transports.udp import UdpShell
from dnsd.workers.messages import Counters, Fronts


class Listeners:
    """The sockets of a worker.

    Args:
        engine: answers.
        tcp_limits: see `TcpLimits`; over TLS and HTTPS the same are in force, and connections of all kinds count
            together.
        fronts: where it answers besides plain DNS.
        identity: the certificate for these.
    """

    def __init__(
        self, engine: Engine, *, tcp_limits: TcpLimits, fronts: Fronts | None = None, identity: Identity | None = None
    ) -> None:
        self._engine = engine
        self._limits = tcp_limits
        self._fronts = fronts or Fronts()
        self._identity = identity or Identity()
        self._proxies = Proxies(self._fronts.proxies) if self._fronts.proxies else None
        self._handshakes = Handshakes()
        self._udp: list[UdpShell] = []
        self._tcp = TcpService(engine, limits=tcp_limits, proxies=self._proxies)

    async def open(self, addresses: Sequence[Address]) -> None:
        """Listen on every address and begin to answer.

        Raises:
            StartError: an address is not to be had; then none is listened on.
        """
        with ExitStack() as opened:
            udp = [opened.enter_context(open_udp(address)) for address in addresses]
            tcp = [(opened.enter_context(open_tcp(address)), make) for address, make in self._streams(addresses)]
            opened.pop_all()
        loop = asyncio.get_running_loop()
        for sock in udp:
            shell = UdpShell(sock, self._udp_responder())
            shell.start(loop)
            self._udp.append(shell)
        for sock, make in tcp:
            await self._tcp.start(sock, make)

    async def stop(self) -> None:
        """Take no new query, answer those that have arrived, and close everything."""
        for shell in self._udp:
            shell.stop()
        await self._tcp.stop()

    def counters(self) -> Counters:
        """Return what was done since the beginning."""
        queries = {
            (transport.name.lower(), rcode): count
            for transport in Transport
            for rcode, count in enumerate(self._engine.counts[transport])
            if count
        }
        tcp = self._tcp.counts
        return Counters(
            queries=queries,
            dropped=self._engine.dropped,
            failures=self._engine.failures + tcp.failures,
            send_errors=sum(shell.counts.send_errors for shell in self._udp),
            receive_errors=sum(shell.counts.receive_errors for shell in self._udp),
            tcp_open=self._tcp.open_connections,
            tcp_accepted=tcp.accepted,
            tcp_refused=tcp.refused,
            tcp_evicted=tcp.evicted,
            tcp_timed_out=tcp.timed_out,
            events={
                **self._engine.events,
                **_events("tls_handshakes", self._handshakes.results),
                **_events("proxy_refused", self._proxies.refused if self._proxies else Counter()),
            },
        )

    def _streams(self, addresses: Sequence[Address]) -> Iterator[tuple[Address, Successor | None]]:
        """Yield each address for TCP, with what makes the conversations there; None: plain ones."""
        for address in addresses:
            yield address, None
        if self._fronts.tls:
            make = self._over_tls()
            for address in self._fronts.tls:
                yield address, make
        if self._fronts.https:
            make = self._over_https()
            for address in self._fronts.https:
                yield address, make

    def _udp_responder(self) -> Responder:
        return self._engine if self._proxies is None else ProxiedResponder(self._engine, self._proxies)

    def _over_tls(self) -> Successor:
        via = Via(Transport.TLS, idle_seconds=self._limits.idle_seconds)

        def connection(client: str) -> TcpConnection:
            return TcpConnection(self._engine, self._tcp, via=via, limits=self._limits, client=client)

        return behind_tls(
            connection, context=lambda: self._identity.context(DOT_PROTOCOLS), handshakes=self._handshakes
        )

    def _over_https(self) -> Successor:
        # Here and not above: only where HTTPS is configured does a worker load libraries.
        from dnsd.transports.https import HttpsConnection

        via, path = Via(Transport.HTTPS), self._fronts.https_path

        def connection(client: str) -> HttpsConnection:
            return HttpsConnection(self._engine, self._tcp, via=via, path=path, limits=self._limits, client=client)

        return behind_tls(
            connection, context=lambda: self._identity.context(HTTPS_PROTOCOLS), handshakes=self._handshakes
        )


def _events(kind: str, results: Counter[str]) -> dict[tuple[str, str], int]:
    return {(kind, result): count for result, count in results.items()}
