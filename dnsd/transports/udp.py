"""DNS over UDP (RFC 1035 §4.2.1): a socket's queue of queries answered in bounded batches.

Owns when the socket is read and how much at once. It must not know what is in a packet.

Seam: `Batch` is all that the shell needs. `ManyBatch` is the one in use on Linux; elsewhere one of the others takes its
place, a system call for each packet.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from dnsd.core.constants import NOERROR
from dnsd.core.engine import Engine
from dnsd.core.fastpath import ID_SIZE
from dnsd.core.via import UDP, Transport
from dnsd.transports.datagrams import BATCH, MAX_QUERY_BYTES, Datagrams, NotSupportedError
from dnsd.transports.responder import Responder
from dnsd.transports.sockets import IP_PKTINFO, is_wildcard, leave_group

# Batches answered per wake-up, and the time from which on no further one begins, so that generations, TCP and signals
# get their turn in between. Units: batches; seconds.
BATCHES_IN_A_ROW = 4
TURN_SECONDS = 0.001

# Where a batch had so many packets, the next ones are let come for a moment before they are read. A wake-up costs about
# as much as ten answers, and a larger batch shares it out: at full load that saves a sixth of the CPU. Only then do so
# many come at once; with less traffic nobody waits. Units: packets; seconds, to which the kernel adds 50 µs; seconds
# after a batch.
GATHER_FROM_PACKETS = 8
GATHER_SECONDS = 0.00005
GATHER_WITHIN_SECONDS = 0.002

# Packets answered per wake-up at most.
MAX_TURN_PACKETS = BATCHES_IN_A_ROW * BATCH

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
        """Answer what is queued, at most `MAX_TURN_PACKETS`, without waiting.

        Returns:
            How many packets were read; never raises for what a peer or the network does.
        """


class ManyBatch:
    """Many packets with each system call, those that have been answered before past the engine.

    Args:
        sock: bound; on a wildcard address, with the option that tells where a packet was sent to.
        responder: where it is an engine, what it has learned is answered past it.

    Raises:
        NotSupportedError: the system has no such calls.
    """

    def __init__(self, sock: socket.socket, responder: Responder, counts: UdpCounts) -> None:
        self._respond = responder.respond
        self._engine = responder if isinstance(responder, Engine) else None
        # Another responder takes a packet for more than a message, so that the ID may stand anywhere.
        self._kept = ID_SIZE if self._engine else 0
        self._counts = counts
        self._last_count, self._last_at = 0, 0.0
        self._datagrams = Datagrams(sock, addressed=is_wildcard(sock.getsockname()[0]), kept=self._kept)

    def run(self) -> int:
        """See `Batch.run`."""
        now = time.time()
        if GATHER_FROM_PACKETS <= self._last_count < BATCH and 0 <= now - self._last_at < GATHER_WITHIN_SECONDS:
            time.sleep(GATHER_SECONDS)
            now = time.time()
        total = 0
        for _ in range(BATCHES_IN_A_ROW):
            count = self._last_count = self._answer_some(now)
            total += count
            self._last_at = time.time()
            if count < BATCH or self._last_at - now > TURN_SECONDS:
                break
        return total

    def _answer_some(self, now: float) -> int:
        datagrams = self._datagrams
        try:
            tails = datagrams.receive()
        except OSError:
            self._counts.receive_errors += 1
            return 0
        if not tails:
            return 0
        answers: list[bytes] = []
        engine = self._engine
        if engine is not None:
            try:
                answers = self._answer_fast(engine, tails, now)
            except Exception as failure:  # noqa: BLE001 - a fault of ours: the long way is still there
                engine.fast_path_failed(failure)
        if len(answers) != len(tails):
            answers = [self._ask(number, now) for number in range(len(tails))]
        self._counts.send_errors += datagrams.reply(answers)
        return len(tails)

    def _answer_fast(self, engine: Engine, tails: list[bytes], now: float) -> list[bytes]:
        fast = engine.fast
        fast.at(now)
        recall, ask, limiter = fast.recall, self._ask_again, engine.limiter
        if limiter is not None:
            peer = self._datagrams.peer
            return [
                recall(tail, limiter=limiter, peer=peer(number)) or ask(engine, number, tail, now)
                for number, tail in enumerate(tails)
            ]
        known = list(map(fast.exact.get, tails))
        unknown = known.count(None)
        engine.counts[Transport.UDP][NOERROR] += len(known) - unknown
        if not unknown:
            return list(map(next, known))  # type: ignore[arg-type]  # none of them is None
        return [
            next(answers) if answers is not None else recall(tails[number]) or ask(engine, number, tails[number], now)
            for number, answers in enumerate(known)
        ]

    def _ask_again(self, engine: Engine, number: int, tail: bytes, now: float) -> bytes:
        """Return the answer to a packet that is not known by all of its bytes."""
        return engine.recall_with_cookie(tail, now=now, peer=self._datagrams.peer(number)) or self._ask(number, now)

    def _ask(self, number: int, now: float) -> bytes:
        """Return the answer to one packet, less what is kept of that; empty: none."""
        datagrams = self._datagrams
        answer = self._respond(datagrams.packet(number), now=now, via=UDP, peer=datagrams.peer(number))
        return b"" if answer is None else answer[self._kept :]


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
        for number in range(BATCH):
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
        return BATCH


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
        for number in range(BATCH):
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
        return BATCH

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
    with suppress(NotSupportedError):
        return ManyBatch(sock, responder, counts)
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
