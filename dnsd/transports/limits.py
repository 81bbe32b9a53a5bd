"""What TCP clients may take of a worker."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpLimits:
    """Limits on TCP, each counted in one worker.

    Args:
        idle_seconds: how long a connection may go without a complete query, or without reading its answers; 1 to 600.
            RFC 7766 §6.2.3 recommends "on the order of a few seconds", and leaves it to vary with the resources.
        connections: open at once; 1 to 65,536, and below the limit on open files (1024 where nobody raised it).
            Over it, the one that is idle longest makes room (RFC 7766 §6.2.3).
        connections_per_client: open at once from one IPv4 address or IPv6 /64; 1 to `connections`. Over it,
            the one of the same client that is idle longest makes room. RFC 7766 §6.2.2 asks a client to keep to one;
            NAT and resolvers of many processes put several clients behind one address.
        evictable_seconds: how long a connection must have been idle to make room for another one of its client; where
            all have asked more lately, the new one is closed at once; 0 to `idle_seconds`.
        queries_per_connection: answered before the server ends the connection; 1 or more. It spreads long-lived
            clients over the workers again after a restart.
        unsent_bytes: answers that wait for the client to read; above it no query is read; 1 KiB to 1 MiB.
    """

    idle_seconds: float = 10.0
    connections: int = 500
    connections_per_client: int = 50
    evictable_seconds: float = 1.0
    queries_per_connection: int = 10_000
    unsent_bytes: int = 65_536
