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

_TC = 0x02  # in the third byte of a header


@dataclass
class Seen:
    """What was sent, and what came back: `whole`, `truncated`, or another RCODE than NOERROR."""

    sent: int = 0
    answers: Counter[str] = field(default_factory=Counter)

    def copy(self) -> Seen:
        """Return what was seen so far."""
        return Seen(self.sent, Counter(self.answers))

    def since(self, before: Seen) -> Seen:
        """Return what was seen since."""
        return Seen(self.sent - before.sent, self.answers - before.answers)


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
    began = time.monotonic()
    due = 0
    while not ended.wait(PAUSE_SECONDS):
        while due < (time.monotonic() - began) * per_second:
            with contextlib.suppress(BlockingIOError):  # a full queue loses it
                sockets[due % len(sockets)].send(packets[due % len(packets)])
                seen.sent += 1
            due += 1
        for sock in sockets:
            _read(sock, seen)


def _read(sock: socket.socket, seen: Seen) -> None:
    with contextlib.suppress(BlockingIOError):
        while True:
            answer = sock.recv(4096)
            rcode = answer[3] & 15
            seen.answers["truncated" if answer[2] & _TC else f"RCODE {rcode}" if rcode else "whole"] += 1
