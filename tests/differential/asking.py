"""Questions as packets, and thousands of them to a server in a second.

It knows UDP, TCP and the message's ID, and nothing of what an answer means.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import dns.flags
import dns.name
import dns.rdataclass
import dns.rdatatype

HOST = "127.0.0.1"

# The least that a UDP client takes (RFC 1035 §4.2.1). Unit: bytes.
CLASSIC_UDP_SIZE = 512

# Questions that wait for their answers at once: few enough for each server's buffers. Unit: questions.
UDP_WINDOW = 32
TCP_WINDOW = 16

# After that long without any answer, those that are missing are asked again, so many times. Units: seconds, times.
SILENCE_SECONDS = 1.0
TRIES = 3


@dataclass(frozen=True, slots=True)
class Manner:
    """How a question is asked.

    Args:
        edns: payload size in the OPT, in bytes; None: no OPT.
        flags: of the header, from RD, AD and CD.
    """

    tcp: bool = False
    edns: int | None = None
    dnssec_ok: bool = False
    flags: int = 0


@dataclass(frozen=True, slots=True)
class Question:
    """A name, its case as sent, a type, and how to ask."""

    name: dns.name.Name
    rdtype: int
    manner: Manner = Manner()

    def wire(self) -> bytes:
        """Return the packet, with an ID of 0."""
        manner = self.manner
        packet = struct.pack("!HHHHHH", 0, manner.flags, 1, 0, 0, manner.edns is not None)
        packet += self.name.to_wire() + struct.pack("!HH", self.rdtype, dns.rdataclass.IN)  # type: ignore[operator]
        if manner.edns is not None:
            flags = dns.flags.DO if manner.dnssec_ok else 0
            packet += struct.pack("!BHHIH", 0, dns.rdatatype.OPT, manner.edns, flags, 0)
        return packet

    def over_tcp(self) -> Question:
        """Return what is asked again after an answer with TC, whatever the size and the flags were."""
        manner = self.manner
        edns = None if manner.edns is None else CLASSIC_UDP_SIZE
        return replace(self, manner=Manner(tcp=True, edns=edns, dnssec_ok=manner.dnssec_ok))

    def __str__(self) -> str:
        manner = self.manner
        words = [self.name.to_text(), dns.rdatatype.to_text(dns.rdatatype.RdataType(self.rdtype))]
        words.append("+tcp" if manner.tcp else "+notcp")
        words += [] if manner.edns is None else [f"+bufsize={manner.edns}"]
        words += ["+dnssec"] if manner.dnssec_ok else []
        return " ".join([*words, f"[{dns.flags.to_text(manner.flags)}]"])


def ask(port: int, packets: Sequence[bytes], *, tcp: bool, tries: int = TRIES) -> list[bytes | None]:
    """Send packets to a server, and return the answer to each, with an ID of 0; None: there was none.

    Args:
        packets: with an ID of 0, which a number that tells them apart takes the place of.
        tries: how often one that is not answered is sent.
    """
    answers: list[bytes | None] = [None] * len(packets)
    for _ in range(tries):
        missing = [place for place, answer in enumerate(answers) if answer is None]
        if not missing:
            break
        rounds = _over_tcp(port, packets, missing) if tcp else _over_udp(port, packets, missing)
        for place, answer in rounds:
            answers[place] = answer
    return answers


def _numbered(packet: bytes, place: int) -> bytes:
    return (place & 0xFFFF).to_bytes(2, "big") + packet[2:]


def _over_udp(port: int, packets: Sequence[bytes], places: Sequence[int]) -> Iterator[tuple[int, bytes]]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(SILENCE_SECONDS)
        sock.connect((HOST, port))
        for window in _windows(places, UDP_WINDOW):
            for place in window.values():
                sock.send(_numbered(packets[place], place))
            with contextlib.suppress(OSError):
                while window:
                    answer = sock.recv(65535)
                    place = window.pop(int.from_bytes(answer[:2], "big"), -1)
                    if place >= 0:
                        yield place, _numbered(answer, 0)


def _over_tcp(port: int, packets: Sequence[bytes], places: Sequence[int]) -> Iterator[tuple[int, bytes]]:
    for window in _windows(places, TCP_WINDOW):
        with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=SILENCE_SECONDS) as sock:
            sent = [_numbered(packets[place], place) for place in window.values()]
            sock.sendall(b"".join(len(packet).to_bytes(2, "big") + packet for packet in sent))
            for answer in _framed(sock):
                place = window.pop(int.from_bytes(answer[:2], "big"), -1)
                if place >= 0:
                    yield place, _numbered(answer, 0)
                if not window:
                    break


def _windows(places: Sequence[int], size: int) -> Iterator[dict[int, int]]:
    """Yield so many places at a time, by the ID of each."""
    for start in range(0, len(places), size):
        yield {place & 0xFFFF: place for place in places[start : start + size]}


def _framed(sock: socket.socket) -> Iterator[bytes]:
    buffer = bytearray()
    while received := sock.recv(65535):
        buffer += received
        while len(buffer) >= 2 and len(buffer) >= 2 + (size := int.from_bytes(buffer[:2], "big")):
            yield bytes(buffer[2 : 2 + size])
            del buffer[: 2 + size]
