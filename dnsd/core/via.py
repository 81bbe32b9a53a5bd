"""What a message came over, and what its response goes back over."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Transport(enum.IntEnum):
    """What a packet came over; also the index into `Engine.counts`."""

    UDP = 0
    TCP = 1
    TLS = 2  # RFC 7858
    HTTPS = 3  # RFC 8484


@dataclass(frozen=True, slots=True)
class Via:
    """A way to the engine; a listener has one for all its messages.

    Args:
        idle_seconds: how long the server keeps a connection of it without a query; 0: there is no connection that a
            client may keep, or something before us keeps it.
    """

    transport: Transport
    idle_seconds: float = 0.0

    @property
    def is_stream(self) -> bool:
        """Say whether a response of any size can go back, and to the one who asked."""
        return self.transport is not Transport.UDP

    @property
    def is_encrypted(self) -> bool:
        """Say whether nobody on the way can read it."""
        return self.transport in (Transport.TLS, Transport.HTTPS)


UDP = Via(Transport.UDP)
TCP = Via(Transport.TCP)
