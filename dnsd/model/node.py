"""A node of the fleet as the inventory knows it."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

DEFAULT_WEIGHT = 100
MAX_WEIGHT = 1_000_000
MAX_PORT = 65_535  # two bytes in every record that has one
MAX_PRIORITY = 65_535  # the same

# One DNS label (RFC 1035 §2.3.4) of letters, digits, hyphen and underscore: an id becomes part of a name, and of
# a store's key, where "/" separates.
NODE_ID = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")

# Roles and holders stand in the same keys, in metrics and in command lines.
ROLE = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62})")
HOLDER = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.@:-]{0,127})")


class Monitor(enum.Enum):
    """How the health of a node is known."""

    NONE = "none"  # taken as healthy; sessions are not known
    AGENT = "agent"  # from its agent's reports
    CHECK = "check"  # from the server's own checks; sessions are not known

    @property
    def reports(self) -> bool:
        """Say whether an agent tells of it: health, and sessions."""
        return self is Monitor.AGENT


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A machine of the fleet.

    Args:
        id: one DNS label; compared without regard to case.
        addresses: IPv4 and IPv6 in canonical text, in the operator's order, without repeats.
        roles: what it does; at least one.
        weight: its share in pools relative to others; 0: never served from a pool.
        location: latitude and longitude in degrees.
        labels: free text by key, for pool selectors.
        ports: by role, 1 to 65535: where it is reached in pools whose records have a port.
        priority: 1 to 65535, of its records in pools whose records have one, the lowest first; None: the pool's own.
        monitor: how its health is known.
        configured: declared in the server's configuration file rather than registered over the API.
    """

    id: str
    addresses: tuple[str, ...]
    roles: tuple[str, ...]
    region: str | None = None
    cluster: str | None = None
    location: tuple[float, float] | None = None
    weight: int = DEFAULT_WEIGHT
    labels: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)
    priority: int | None = None
    monitor: Monitor = Monitor.AGENT
    configured: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the node as the stores and the API write it; `configured` is the server's own and left out."""
        return {
            "id": self.id,
            "addresses": list(self.addresses),
            "roles": list(self.roles),
            "region": self.region,
            "cluster": self.cluster,
            "location": list(self.location) if self.location else None,
            "weight": self.weight,
            "labels": dict(self.labels),
            "ports": dict(self.ports),
            "priority": self.priority,
            "monitor": self.monitor.value,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Node:
        """Read what `to_json` wrote, or that of an earlier version."""
        location = data.get("location")
        return cls(
            id=data["id"],
            addresses=tuple(data["addresses"]),
            roles=tuple(data["roles"]),
            region=data.get("region"),
            cluster=data.get("cluster"),
            location=(location[0], location[1]) if location else None,
            weight=data.get("weight", DEFAULT_WEIGHT),
            labels=dict(data.get("labels") or {}),
            ports=dict(data.get("ports") or {}),
            priority=data.get("priority"),
            monitor=Monitor(data.get("monitor", "agent")),
        )


def canonical_address(text: str) -> str:
    """Return an IP address in its canonical text (RFC 5952 for IPv6).

    Raises:
        ValueError: not an address, or one with a zone (`fe80::1%eth0`), which DNS cannot carry.
    """
    address: IPv4Address | IPv6Address = ip_address(text)
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        raise ValueError(f"{text!r} has a zone id, which a DNS record cannot carry")
    return str(address)
