"""Nodes of the configuration."""

from __future__ import annotations

import math
from collections.abc import Sequence
from ipaddress import ip_address

from dnsd.config.document import Entry
from dnsd.config.findings import Findings, suggestion
from dnsd.config.locator import Path
from dnsd.config.schema import NodeSection, TopSection
from dnsd.model.node import NODE_ID, ROLE, Monitor, Node, canonical_address


def check_roles(top: Entry[TopSection], findings: Findings) -> tuple[str, ...]:
    """Return the roles that nodes may have."""
    seen: list[str] = []
    for index, role in top.texts("roles"):
        if not ROLE.fullmatch(role):
            message = f"{role!r} is not a role: 1 to 63 letters, digits, hyphens and underscores"
            findings.problem(top.at("roles", index), "bad-role", message=message)
        elif role in seen:
            findings.problem(top.at("roles", index), "duplicate-role", message=f'"{role}" is listed already')
        seen.append(role)
    if not top.good("roles"):
        return ()  # the faulty one may be any
    if not seen:
        findings.problem(top.at("roles"), "bad-value", message="name at least one role")
    return tuple(seen)


def check_role(role: str, path: Path, findings: Findings, *, roles: Sequence[str]) -> None:
    """Report a role that the configuration does not have.

    Args:
        roles: those that it has; empty where they are themselves faulty.
    """
    if roles and role not in roles:
        hint = suggestion(role, known=roles) or f"; there are {', '.join(roles)}"
        findings.problem(path, "unknown-role", message=f'there is no role "{role}"{hint}')


def check_nodes(
    entries: Sequence[Entry[NodeSection]], findings: Findings, *, roles: Sequence[str]
) -> tuple[Node | None, ...]:
    """Return the node of each entry; problems go to the findings.

    A node has nothing where its entry is faulty, so that what can be known of its names is known. An entry without
    a good id makes no node.
    """
    lines: dict[str, int] = {}
    for entry in entries:
        if entry.good("id"):
            _check_id(entry, findings, lines=lines)
        _check_roles_of(entry, findings, roles=roles)
        _check_ports(entry, findings)
        if entry.good("location"):
            _check_location(entry, findings)
    return tuple(_node(entry, findings) for entry in entries)


def _check_id(entry: Entry[NodeSection], findings: Findings, *, lines: dict[str, int]) -> None:
    text = entry.section.id
    path = entry.at("id")
    if not NODE_ID.fullmatch(text):
        message = f"{text!r} is not a node id: 1 to 63 letters, digits, hyphens and underscores, no hyphen at its ends"
        findings.problem(path, "bad-node-id", message=message)
        return
    # An id becomes part of a name, and names compare without regard to case (RFC 4343).
    folded = text.lower()
    if folded in lines:
        message = f'there is a node "{text}" already, in line {lines[folded]}; case makes no difference'
        findings.problem(path, "duplicate-node", message=message)
    lines.setdefault(folded, findings.line(path))


def _check_roles_of(entry: Entry[NodeSection], findings: Findings, *, roles: Sequence[str]) -> None:
    seen: list[str] = []
    for index, role in entry.texts("roles"):
        path = entry.at("roles", index)
        if role in seen:
            findings.problem(path, "duplicate-role", message=f'"{role}" is listed already')
        else:
            check_role(role, path, findings, roles=roles)
        seen.append(role)
    if entry.good("roles") and not seen:
        findings.problem(entry.at("roles"), "bad-value", message="a node has at least one role")


def _check_ports(entry: Entry[NodeSection], findings: Findings) -> None:
    if not entry.good("ports", "roles"):
        return
    for role in entry.section.ports:
        if role not in entry.section.roles:
            message = f'the node does not have the role "{role}"{suggestion(role, known=entry.section.roles)}'
            findings.problem(entry.at("ports", role), "bad-ports", message=message)


def _check_location(entry: Entry[NodeSection], findings: Findings) -> None:
    location = entry.section.location
    if location is None:
        return
    finite = all(math.isfinite(part) for part in location)
    if len(location) != 2 or not finite or abs(location[0]) > 90 or abs(location[1]) > 180:
        message = "should be [latitude, longitude] in degrees: -90 to 90 and -180 to 180"
        findings.problem(entry.at("location"), "bad-location", message=message)


def _addresses(entry: Entry[NodeSection], findings: Findings) -> tuple[str, ...]:
    found: list[str] = []
    for index, text in entry.texts("addresses"):
        path = entry.at("addresses", index)
        try:
            address = canonical_address(text)
        except ValueError as error:
            findings.problem(path, "bad-address", message=str(error))
            continue
        if ip_address(address).is_multicast or ip_address(address).is_unspecified:
            findings.problem(path, "bad-address", message=f"{address} is not the address of a machine")
        elif address in found:
            findings.problem(path, "duplicate-address", message=f"{address} is listed already")
        found.append(address)
    if entry.good("addresses") and not entry.section.addresses:
        findings.problem(entry.at("addresses"), "bad-value", message="a node has at least one address")
    return tuple(found)


def _node(entry: Entry[NodeSection], findings: Findings) -> Node | None:
    section = entry.section
    addresses = _addresses(entry, findings)
    if not entry.good("id"):
        return None
    plain = ("region", "cluster", "weight", "labels", "ports", "priority")
    good = {name: getattr(section, name) for name in plain if entry.good(name)}
    location = section.location if entry.good("location") else None
    return Node(
        id=section.id,
        addresses=addresses,
        roles=tuple(role for _, role in entry.texts("roles")),
        location=(location[0], location[1]) if location and len(location) == 2 else None,
        monitor=Monitor(section.monitor) if entry.good("monitor") else Monitor.NONE,
        configured=True,
        **good,
    )
