"""A node in a role as a group of targets, in the form of Prometheus' `http_sd_config`.

It owns the labels. It is pure, and knows neither requests nor how many nodes there are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TypedDict

from dnsd.adapters.members import RoleMember
from dnsd.model.times import format_instant

PREFIX = "__meta_dnsd_"


class TargetGroup(TypedDict):
    """What Prometheus takes: addresses that share labels."""

    targets: list[str]
    labels: dict[str, str]


def target_group(member: RoleMember, *, port: int | None, version: int | None) -> TargetGroup | None:
    """Return the group of one node; a drained node has one like any other.

    Args:
        port: None: the target has none, and Prometheus takes that of the scheme.
        version: of IP: of the address to take; None: the node's first, whichever it is.

    Returns:
        None: the node has no such address.
    """
    addresses = (each for each in member.node.addresses if version is None or (6 if ":" in each else 4) == version)
    address = next(addresses, None)
    if address is None:
        return None
    host = f"[{address}]" if ":" in address else address
    # Prometheus drops labels without a value, so that they need not be there.
    labels = {f"{PREFIX}{name}": value for name, value in _labels(member) if value}
    return {"targets": [host if port is None else f"{host}:{port}"], "labels": labels}


def _labels(member: RoleMember) -> Iterator[tuple[str, str | None]]:
    node = member.node
    yield "node", node.id
    yield "role", member.role
    yield "mode", member.mode.text
    yield "health", member.health.value
    yield "serving", str(member.serving).lower()
    yield "region", node.region
    yield "cluster", node.cluster
    yield "weight", str(node.weight)
    # Reversed: of two keys that look alike in a label's name, the one that sorts first counts.
    for key in sorted(node.labels, reverse=True):
        yield f"label_{sanitized(key)}", node.labels[key]
    if member.drains:
        strongest = member.drains[0]
        yield "drain_holder", strongest.holder
        yield "drain_reason", strongest.reason
        yield "drain_actor", strongest.actor
        yield "drain_since", format_instant(strongest.effective_since)
        yield "drain_until", None if strongest.expires_at is None else format_instant(strongest.expires_at)


def sanitized(key: str) -> str:
    """Return a key as a part of a label's name: letters, digits and underscores."""
    return re.sub(r"[^a-zA-Z0-9_]", "_", key)
