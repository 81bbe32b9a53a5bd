"""Queries over UDP from loopback addresses of one's choice, at an even pace, and what comes back.

dnsperf waits for each answer that never comes, and does not tell a truncated one from a whole one.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

PAUSE_SECONDS = 0.002

# What is made up for at most, where the machine stood still: more at once would be lost in the system's queues.
MOST_PAUSE_SECONDS = 0.02

# For the answers to what was sent last. Unit: seconds.
LAST_SECONDS = 0.2

_TC = 0x02  # in the third byte of a header


@dataclass
class Seen:
    """What was sent, and what came back: `whole`, `truncated`, or another RCODE than NOERROR.

    Attributes:
        seconds: in which it was sent; those in which the machine stood still are not among them.
    """

    sent: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def copy(self) -> Seen:
        """Return what was seen so far."""
        return Seen(self.sent, Counter(self.answers), self.seconds)

    def since(self, before: Seen) -> Seen:
        """Return what was seen since."""
        return Seen(self.sent - before.sent, self.answers - before.answers, self.seconds - before.seconds)


@contextlib.contextmanager
def asking_from(source: str, port: int, packets: Sequence[bytes], *, per_second: int, ports: int = 1) -> Iterator[Seen]:
    """Ask a server on 127.0.0.1 from one address, in turn from several ports, for as long as the block takes.

    Args:
        packets: queries, sent one after the other and again.
    """
    seen, ended = Seen(), threading.Event()
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(_socket(source, port)) for _ in range(ports)]
        thread = threading.Thread(target=_ask, args=(sockets, packets, per_second, seen, ended))
        thread.start()
        try:
            yield seen
        finally:
            ended.set()
            thread.join()


def ask_once(source: str, port: int, packet: bytes) -> bytes:
    """Ask from an address, and return the answer."""
    with _socket(source, port) as sock:
        sock.settimeout(5.0)
        sock.send(packet)
        return sock.recv(4096)


def _socket(source: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((source, 0))
    sock.connect(("127.0.0.1", port))
    sock.setblocking(False)
    return sock


def _ask(
    sockets: list[socket.socket], packets: Sequence[bytes], per_second: int, seen: Seen, ended: threading.Event
) -> None:
    last = time.monotonic()
    due = 0
    while not ended.wait(PAUSE_SECONDS):
        now = time.monotonic()
        seen.seconds += min(now - last, MOST_PAUSE_SECONDS)
        last = now
        while due < seen.seconds * per_second:
            with contextlib.suppress(BlockingIOError):  # a full queue loses it
                sockets[due % len(sockets)].send(packets[due % len(packets)])
                seen.sent += 1
            due += 1
        for sock in sockets:
            _read(sock, seen)
    time.sleep(LAST_SECONDS)
    for sock in sockets:
        _read(sock, seen)


def _read(sock: socket.socket, seen: Seen) -> None:
    with contextlib.suppress(BlockingIOError):
        while True:
            answer = sock.recv(4096)
            rcode = answer[3] & 15
            seen.answers["truncated" if answer[2] & _TC else f"RCODE {rcode}" if rcode else "whole"] += 1
