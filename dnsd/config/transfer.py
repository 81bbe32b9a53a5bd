"""Who may have whole zones, and who is told of each change: what the tables `[transfer]` come to once they are checked.

Reading and checking them is for `dnsd.config.secondaries`; what is on the wire, for the adapter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network

from dnsd.model.endpoint import Endpoint

# The algorithms that are strong enough, and the bytes that each makes. RFC 8945 §6: HMAC-MD5 "MUST NOT" be used, and
# HMAC-SHA1 is "NOT RECOMMENDED".
DIGEST_BYTES = {"hmac-sha256": 32, "hmac-sha384": 48, "hmac-sha512": 64}


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferKey:
    """A secret that the server shares with secondaries (RFC 8945).

    Args:
        name: folded wire form.
        algorithm: one of `DIGEST_BYTES`.
        secret: at least one byte.
    """

    name: bytes
    algorithm: str
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Secondary:
    """A server that may transfer zones.

    Args:
        name: unique; for logs, metrics and blockers.
        address: where it answers DNS: to be told of changes there, and asked how far it is; None: neither.
        key: what it signs with, and everything to it is signed with; None: it is known by its address alone.
        sources: the networks that it asks from; empty: any, and then there is a key.
        zones: folded apexes; None: all that are served.
        notify: whether it is told of changes; without an address it never is.
    """

    name: str
    address: Endpoint | None
    key: TransferKey | None
    sources: tuple[IPv4Network | IPv6Network, ...]
    zones: frozenset[bytes] | None
    notify: bool

    def has_zone(self, apex: bytes) -> bool:
        """Say whether it may have a zone.

        Args:
            apex: folded.
        """
        return self.zones is None or apex in self.zones


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferSettings:
    """Transfers out, as configured.

    Args:
        listen: where secondaries ask, each over UDP and TCP; at least one.
        keys: by folded name.
        secondaries: in the file's order.
        coalesce_seconds: changes that come within this time of the first share a version; 0: each has its own.
        history_records: how many records of differences are kept for each zone, for IXFR.
    """

    listen: tuple[Endpoint, ...]
    keys: Mapping[bytes, TransferKey]
    secondaries: tuple[Secondary, ...]
    coalesce_seconds: float
    history_records: int
