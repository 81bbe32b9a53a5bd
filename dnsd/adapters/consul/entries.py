"""A node in Consul's words: the node, its checks, and a service with its checks for each of its roles.

It owns what is said of a node, and compares equal where the same is said. It is pure; it knows no index and no call.

A drain is Consul's maintenance, in both modes, for which Consul has no two words: `_node_maintenance` for a drain of
the whole node, `_service_maintenance:ID` for one of a role, both critical, with the reason as their notes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from dnsd.adapters.members import RoleMember, member_of
from dnsd.core.fleet import Fleet
from dnsd.model.drain import ALL_ROLES, Drain
from dnsd.model.node import Node
from dnsd.model.report import Health

PASSING, CRITICAL = "passing", "critical"

# What Consul takes as a weight. Unit: its own, relative to other instances.
MAX_CONSUL_WEIGHT = 65_535

# What Consul takes as a key and a value of metadata, and how many. Units: characters, pairs.
MAX_META_KEY, MAX_META_VALUE, MAX_META = 128, 512, 64

_HEALTH_TEXT = {
    Health.UP: "up",
    Health.DOWN: "reported down",
    Health.STALE: "the last report is too old",
    Health.UNKNOWN: "nothing was reported of it",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A check as Consul shows it, less the node and the service that it is of."""

    id: str
    name: str
    status: str
    notes: str = ""
    output: str = ""
    type: str = ""

    @property
    def passing(self) -> bool:
        """Say whether the service may be used as far as this goes."""
        return self.status == PASSING


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeEntry:
    """A node.

    Args:
        address: the first.
        tagged: more of its addresses, by Consul's tags for them.
        meta: region, cluster and labels.
    """

    id: str
    address: str
    tagged: Mapping[str, str] = field(default_factory=dict)
    meta: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceEntry:
    """A node in a role.

    Args:
        id: unique among all nodes.
        name: the role.
        tags: `key=value` for region, cluster and each label, and `pool=NAME` for each pool.
        port: 0: the inventory has none.
        weight: 1 to `MAX_CONSUL_WEIGHT`.
        meta: mode and health, as dnsd has them.
    """

    id: str
    name: str
    tags: tuple[str, ...]
    port: int
    weight: int
    meta: Mapping[str, str]
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """All that is said of a node: services by role."""

    node: NodeEntry
    checks: tuple[Check, ...]
    services: Mapping[str, ServiceEntry]


def entry_of(fleet: Fleet, key: str, *, now: float) -> Entry | None:
    """Return what is said of a node at an instant; None: there is no such node."""
    node = fleet.nodes.get(key)
    if node is None:
        return None
    members = [each for role in node.roles if (each := member_of(fleet, role, key, now=now)) is not None]
    drains = [each for each in fleet.drains_of(key) if each.role == ALL_ROLES and each.active(now)]
    pools = {role: [p.owner.rstrip(".") for p in fleet.pools_of(key) if p.role == role] for role in node.roles}
    return Entry(
        node=_node_entry(node),
        checks=tuple(_node_checks(node, members, drains)),
        services={each.role: _service_entry(each, pools[each.role]) for each in members},
    )


def _node_entry(node: Node) -> NodeEntry:
    return NodeEntry(id=node.id, address=node.addresses[0], tagged=tagged_addresses(node.addresses), meta=_meta(node))


def tagged_addresses(addresses: Sequence[str]) -> dict[str, str]:
    """Return addresses by Consul's tags: `lan` and `wan` the first, and the first of each kind."""
    tagged = {"lan": addresses[0], "wan": addresses[0]}
    for name, has_colon in (("ipv4", False), ("ipv6", True)):
        first = next((each for each in addresses if (":" in each) is has_colon), None)
        if first is not None:
            tagged |= {f"lan_{name}": first, f"wan_{name}": first}
    return tagged


def _words(node: Node) -> dict[str, str]:
    """Return what an operator calls the node by: labels, and what is looked for more often."""
    places = {"region": node.region, "cluster": node.cluster}
    return {**dict(sorted(node.labels.items())), **{key: value for key, value in places.items() if value}}


def _meta(node: Node) -> dict[str, str]:
    pairs = [(re.sub(r"[^A-Za-z0-9_-]", "_", key)[:MAX_META_KEY], v) for key, v in _words(node).items()]
    return {key: value[:MAX_META_VALUE] for key, value in pairs[-MAX_META:]}


def _node_checks(node: Node, members: Sequence[RoleMember], drains: Sequence[Drain]) -> Iterator[Check]:
    silent = node.monitor.reports and all(each.health in (Health.STALE, Health.UNKNOWN) for each in members)
    yield Check(
        id="serfHealth",
        name="Serf Health Status",
        status=CRITICAL if silent else PASSING,
        output="Agent not live or unreachable" if silent else "Agent alive and reachable",
    )
    yield from _maintenance("_node_maintenance", "Node Maintenance Mode", drains)


def _service_entry(member: RoleMember, pools: Sequence[str]) -> ServiceEntry:
    key = f"{member.node.id}:{member.role}"
    own = [each for each in member.drains if each.role != ALL_ROLES]
    tags = [f"{name}={value}" for name, value in _words(member.node).items()]
    return ServiceEntry(
        id=key,
        name=member.role,
        tags=tuple(sorted([*tags, *(f"pool={owner}" for owner in pools)])),
        port=member.port or 0,
        weight=max(1, min(MAX_CONSUL_WEIGHT, round(member.weight))),
        meta={"dnsd-mode": member.mode.text, "dnsd-health": member.health.value},
        checks=(
            _health_check(key, member),
            *_maintenance(f"_service_maintenance:{key}", "Service Maintenance Mode", own),
        ),
    )


def _health_check(key: str, member: RoleMember) -> Check:
    # Consul knows no weight of 0, and whoever reads such an instance as passing would send it work.
    unweighted = member.health.serves and member.node.weight == 0
    return Check(
        id=f"service:{key}",
        name=f"Service '{member.role}' check",
        status=PASSING if member.health.serves and not unweighted else CRITICAL,
        output="its weight is 0" if unweighted else member.finding or _HEALTH_TEXT[member.health],
    )


def _maintenance(key: str, name: str, drains: Sequence[Drain]) -> Iterator[Check]:
    if not drains:
        return
    strongest = min(drains, key=lambda each: (-each.mode, each.created_at, each.key))
    yield Check(
        id=key,
        name=name,
        status=CRITICAL,
        notes=strongest.reason or f"drained by {strongest.holder}, without a reason",
        output=f"{strongest.mode.text}, by {', '.join(sorted({each.holder for each in drains}))}",
        type="maintenance",
    )
