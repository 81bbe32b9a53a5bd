"""All that a worker listens on: a UDP socket and a TCP socket on each address, over one engine.

Owns their opening, all or none, and their end. It must not know of generations or of the control process.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

from dnsd.core.engine import Engine
from dnsd.core.via import Transport
from dnsd.transports.limits import TcpLimits
from dnsd.transports.sockets import Address, open_tcp, open_udp
from dnsd.transports.tcp_service import TcpService
from dnsd.transports.udp import UdpShell
from dnsd.workers.messages import Counters


class Listeners:
    """The sockets of a worker.

    Args:
        engine: answers.
        tcp_limits: see `TcpLimits`.
    """

    def __init__(self, engine: Engine, *, tcp_limits: TcpLimits) -> None:
        self._engine = engine
        self._udp: list[UdpShell] = []
        self._tcp = TcpService(engine, limits=tcp_limits)

    async def open(self, addresses: Sequence[Address]) -> None:
        """Listen on every address and begin to answer.

        Raises:
            StartError: an address is not to be had; then none is listened on.
        """
        opened: list[socket.socket] = []
        try:
            for address in addresses:
                opened.append(open_udp(address))
                opened.append(open_tcp(address))
        except BaseException:
            for sock in opened:
                sock.close()
            raise
        loop = asyncio.get_running_loop()
        for sock in opened:
            if sock.type == socket.SOCK_DGRAM:
                shell = UdpShell(sock, self._engine)
                shell.start(loop)
                self._udp.append(shell)
            else:
                await self._tcp.start(sock)

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
            failures=self._engine.failures,
            send_errors=sum(shell.counts.send_errors for shell in self._udp),
            tcp_open=self._tcp.open_connections,
            tcp_accepted=tcp.accepted,
            tcp_refused=tcp.refused,
            tcp_evicted=tcp.evicted,
            tcp_timed_out=tcp.timed_out,
        )
