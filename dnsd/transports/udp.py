"""DNS over UDP (RFC 1035 §4.2.1): a socket's queue of queries answered in bounded batches.

Owns when the socket is read and how much at once. It must not know what is in a packet.

Seam: `Batch` is all that the shell needs. A batch over recvmmsg and sendmmsg takes the place of the ones here.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from dataclasses import dataclass
from typing import Protocol

from dnsd.core.via import UDP
from dnsd.transports.responder import Responder
from dnsd.transports.sockets import IP_PKTINFO, is_wildcard, leave_group

# Packets answered per wake-up, so that generations, TCP and signals get their turn in between; at 20 µs each it is
# about a millisecond. Unit: packets; range 1 to 1024.
BATCH_PACKETS = 64

# A longer packet is cut by the kernel and then fails to parse. Real queries have less than 512 bytes, with room for
# EDNS options (RFC 6891 §6.2.5 suggests 4096 as the largest that is worth asking for). Unit: bytes.
MAX_QUERY_BYTES = 4096

# Batches read at the end, when no new query reaches the socket any more; a bound against the impossible.
MAX_LAST_BATCHES = 1024

_IN_PKTINFO = struct.Struct("@i4s4s")  # struct in_pktinfo: interface, address to reply from, address asked
_IN6_PKTINFO = struct.Struct("@16sI")  # struct in6_pktinfo (RFC 3542 §6.2): address asked, interface
_IN_SPACE = socket.CMSG_SPACE(_IN_PKTINFO.size)
_IN6_SPACE = socket.CMSG_SPACE(_IN6_PKTINFO.size)


@dataclass(slots=True)
class UdpCounts:
    """What happened on a UDP socket besides answers, which the engine counts.

    Args:
        send_errors: answers that the kernel refused: full queue, no route, port 0, a firewall.
        receive_errors: failed reads, other than for want of a packet.
    """

    send_errors: int = 0
    receive_errors: int = 0


class Batch(Protocol):
    """Reads some packets of a socket and answers them."""

    def run(self) -> int:
        """Answer what is queued, at most `BATCH_PACKETS`, without waiting.

        Returns:
            How many packets were read; never raises for what a peer or the network does.
        """


class PlainBatch:
    """One recvfrom and one sendto per query, for a socket on one address."""

    def __init__(self, sock: socket.socket, responder: Responder, counts: UdpCounts) -> None:
        self._sock = sock
        self._responder = responder
        self._counts = counts

    def run(self) -> int:
        """See `Batch.run`."""
        receive, send, respond = self._sock.recvfrom, self._sock.sendto, self._responder.respond
        now = time.time()
        for number in range(BATCH_PACKETS):
            try:
                packet, peer = receive(MAX_QUERY_BYTES)
            except BlockingIOError:
                return number
            except OSError:
                self._counts.receive_errors += 1
                return number
            answer = respond(packet, now=now, via=UDP, peer=peer[0])
            if answer is not None:
                try:
                    send(answer, peer)
                except OSError:
                    self._counts.send_errors += 1
        return BATCH_PACKETS


class AddressedBatch:
    """One recvmsg and one sendmsg per query, for a wildcard address: the answer leaves from the address asked."""

    def __init__(self, sock: socket.socket, responder: Responder, counts: UdpCounts) -> None:
        self._sock = sock
        self._responder = responder
        self._counts = counts
        ipv6 = sock.family == socket.AF_INET6
        self._space = _IN6_SPACE if ipv6 else _IN_SPACE
        self._level = socket.IPPROTO_IPV6 if ipv6 else socket.IPPROTO_IP
        self._kind = socket.IPV6_PKTINFO if ipv6 else IP_PKTINFO
        self._source = _source_ipv6 if ipv6 else _source_ipv4

    def run(self) -> int:
        """See `Batch.run`."""
        receive, send, respond = self._sock.recvmsg, self._sock.sendmsg, self._responder.respond
        now = time.time()
        for number in range(BATCH_PACKETS):
            try:
                packet, notes, _, peer = receive(MAX_QUERY_BYTES, self._space)
            except BlockingIOError:
                return number
            except OSError:
                self._counts.receive_errors += 1
                return number
            answer = respond(packet, now=now, via=UDP, peer=peer[0])
            if answer is not None:
                try:
                    send((answer,), self._reply_notes(notes), 0, peer)
                except OSError:
                    self._counts.send_errors += 1
        return BATCH_PACKETS

    def _reply_notes(self, notes: list[tuple[int, int, bytes]]) -> list[tuple[int, int, bytes]]:
        for level, kind, data in notes:
            if level == self._level and kind == self._kind:
                return [(level, kind, self._source(data))]
        return []


def _source_ipv4(data: bytes) -> bytes:
    # The interface stays open: the way back may lead over another one.
    _, reply_from, _ = _IN_PKTINFO.unpack(data[: _IN_PKTINFO.size])
    return _IN_PKTINFO.pack(0, reply_from, bytes(4))


def _source_ipv6(data: bytes) -> bytes:
    asked, interface = _IN6_PKTINFO.unpack(data[: _IN6_PKTINFO.size])
    link_local = asked[0] == 0xFE and asked[1] & 0xC0 == 0x80  # means nothing without its interface
    return _IN6_PKTINFO.pack(asked, interface if link_local else 0)


def batch_for(sock: socket.socket, responder: Responder, counts: UdpCounts) -> Batch:
    """Return the batch that suits a bound socket."""
    if is_wildcard(sock.getsockname()[0]):
        return AddressedBatch(sock, responder, counts)
    return PlainBatch(sock, responder, counts)


class UdpShell:
    """A bound UDP socket in an event loop.

    Args:
        sock: from `open_udp`; the shell closes it.
        responder: answers each packet.
    """

    def __init__(self, sock: socket.socket, responder: Responder) -> None:
        self.counts = UdpCounts()
        self._sock = sock
        self._batch = batch_for(sock, responder, self.counts)
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Answer from now on."""
        self._loop = loop
        loop.add_reader(self._sock.fileno(), self._batch.run)

    def stop(self) -> None:
        """Answer what has arrived, then let go of the socket; harmless the second time."""
        if self._sock.fileno() < 0:
            return
        if self._loop is not None:
            self._loop.remove_reader(self._sock.fileno())
            leave_group(self._sock)
            for _ in range(MAX_LAST_BATCHES):
                if not self._batch.run():
                    break
        self._sock.close()
