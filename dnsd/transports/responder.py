"""What a transport asks of the engine: a packet and an instant in, an answer or silence out."""

from __future__ import annotations

from typing import Protocol

from dnsd.core.via import Via


class Responder(Protocol):
    """The engine as the transports see it."""

    def respond(self, packet: bytes, *, now: float, via: Via, peer: str) -> bytes | None:
        """Return the answer to a packet, or None to stay silent; never raises.

        Args:
            packet: a whole DNS message as it arrived.
            now: instant.
            via: what it came over.
            peer: IP address of the client, in text; empty: unknown.
        """
