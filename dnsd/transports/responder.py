"""What a transport asks of the engine: a packet and an instant in, an answer or silence out."""

from __future__ import annotations

from typing import Protocol

from dnsd.core.engine import Transport


class Responder(Protocol):
    """The engine as the transports see it."""

    def respond(self, packet: bytes, *, now: float, transport: Transport) -> bytes | None:
        """Return the answer to a packet, or None to stay silent; never raises.

        Args:
            packet: a whole DNS message as it arrived.
            now: instant.
        """
