"""The fleet as the HTTP interface shows it: pure renderings of what is in force at an instant."""

from __future__ import annotations

from collections.abc import Iterable

import dns.rdata
import dns.rdataclass
import dns.rdatatype

from dnsd.api.schemas import DrainInfo, HistoryInfo, ModeName, NodeInfo, PoolInfo, PoolMember, RampInfo, RoleState
from dnsd.core.fleet import Fleet
from dnsd.core.names import from_text
from dnsd.core.selection import Member, Selection, holds_floor
from dnsd.core.services import TYPES
from dnsd.errors import UnknownNode, UnknownPool
from dnsd.model.drain import Drain, Mode, ramp_of
from dnsd.model.node import Node
from dnsd.model.pool import PoolSpec, WhenEmpty
from dnsd.model.state import HistoryEntry

MODE_NAMES: dict[Mode, ModeName] = {
    Mode.NORMAL: "normal",
    Mode.DRAINING: "draining",
    Mode.MAINTENANCE: "maintenance",
}


def node_of(fleet: Fleet, key: str) -> Node:
    """Return a node by its id.

    Raises:
        UnknownNode: there is none.
    """
    node = fleet.nodes.get(key)
    if node is None:
        raise UnknownNode(f"there is no node {key!r}", field="node")
    return node


def node_info(fleet: Fleet, node: Node, *, now: float) -> NodeInfo:
    """Return a node with what is in force for it."""
    roles = {}
    for role in node.roles:
        mode = fleet.mode_of(node.id, role, now=now)
        health = fleet.health_of(node, role, now=now)
        serving = mode is Mode.NORMAL and health.serves and node.weight > 0
        ramp = ramp_info(fleet.orders_of(node.id), role=role, now=now)
        checked = fleet.checks_of(node.id).get(role)
        roles[role] = RoleState(
            mode=MODE_NAMES[mode],
            health=health.value,
            reason=None if checked is None else checked.text,
            serving=serving,
            ramp=ramp,
        )
    report = fleet.reports.get(node.id)
    return NodeInfo(
        id=node.id,
        addresses=list(node.addresses),
        region=node.region,
        cluster=node.cluster,
        location=list(node.location) if node.location else None,
        weight=node.weight,
        labels=dict(node.labels),
        monitor=node.monitor.value,
        configured=node.configured,
        ports=dict(node.ports),
        priority=node.priority,
        roles=roles,
        names=list(fleet.names_of(node.id)),
        reported_at=report.received_at if report else None,
        local_drains=list(report.local_drains) if report else [],
        left=report.leaving if report else False,
    )


def drain_infos(drains: Iterable[Drain], *, now: float, released: bool = False) -> list[DrainInfo]:
    """Return drains with those that one holder placed on the same terms joined into one, oldest first."""
    groups: dict[tuple[object, ...], list[Drain]] = {}
    for drain in sorted(drains, key=lambda drain: (drain.created_at, drain.key)):
        terms = (drain.node, drain.holder, drain.mode, drain.reason, drain.actor, drain.forced)
        times = (drain.created_at, drain.starts_at, drain.expires_at)
        groups.setdefault((*terms, *times), []).append(drain)
    return [_drain_info(group, now=now, released=released) for group in groups.values()]


def _drain_info(group: list[Drain], *, now: float, released: bool) -> DrainInfo:
    drain = group[0]
    state = "scheduled" if drain.starts_at > now else "expired" if drain.expired(now) else "active"
    return DrainInfo(
        node=drain.node,
        roles=[each.role for each in group],
        mode=MODE_NAMES[drain.mode],
        holder=drain.holder,
        actor=drain.actor,
        reason=drain.reason,
        created_at=drain.created_at,
        starts_at=drain.starts_at,
        expires_at=drain.expires_at,
        revision=max(each.revision for each in group),
        forced=any(each.forced for each in group),
        state="released" if released else state,
    )


def ramp_info(orders: Iterable[Drain], *, now: float, role: str | None = None) -> RampInfo | None:
    """Return how far the ramps of a node have come in a role; None where none runs.

    Args:
        orders: drains and ramps of one node.
        role: None: any.
    """
    ramp = ramp_of(orders, role=role, now=now)
    return None if ramp is None else RampInfo(percent=round(ramp.share * 100), ends_at=ramp.ends_at)


def pool_of(fleet: Fleet, owner: str) -> PoolSpec:
    """Return a pool by its owner name, in any case, with or without its final dot.

    Raises:
        UnknownPool: there is none.
    """
    pool = fleet.pools.get(owner.lower().rstrip(".") + ".")
    if pool is None:
        raise UnknownPool(f"there is no pool {owner!r}", field="pool")
    return pool


def fallback_text(pool: PoolSpec) -> str:
    """Write a pool's `when_empty` as the configuration does."""
    return f"pool:{pool.fallback}" if pool.when_empty is WhenEmpty.POOL else pool.when_empty.value


def pool_info(fleet: Fleet, pool: PoolSpec, *, now: float) -> PoolInfo:
    """Return a pool with its members, why each is in or out, and what is answered now."""
    members = fleet.members_of(pool.owner)
    selection = fleet.selection_of(pool.owner)
    return PoolInfo(
        owner=pool.owner,
        type=pool.type.value,
        role=pool.role,
        match=dict(pool.match),
        ttl=pool.ttl,
        floor=pool.floor.text,
        max_answers=pool.max_answers,
        when_empty=fallback_text(pool),
        tier=selection.tier.value,
        serving=sum(member.serving for member in members),
        total=len(members),
        floor_ok=holds_floor(pool, members),
        answers=_answers(fleet, pool, selection),
        members=[
            PoolMember(
                node=member.node.id,
                addresses=list(member.node.addresses),
                weight=member.node.weight,
                mode=MODE_NAMES[member.mode],
                health=member.health.value,
                serving=member.serving,
                reasons=_reasons(fleet, pool, member),
                ramp=ramp_info(fleet.orders_of(member.node.id), role=pool.role, now=now),
            )
            for member in members
        ],
    )


def _reasons(fleet: Fleet, pool: PoolSpec, member: Member) -> list[str]:
    """Return why a member does not serve, with what checks have found where that is why."""
    checked = fleet.checks_of(member.node.id).get(pool.role)
    if member.health.serves or checked is None or checked.health is not member.health:
        return list(member.reasons)
    return [*member.reasons, checked.text]


def _answers(fleet: Fleet, pool: PoolSpec, selection: Selection) -> list[str]:
    """Return every address that the answers are made of, or the data of every record, as the overlay has it."""
    if not selection.members:
        return []
    rrsets = fleet.overlay[from_text(pool.owner)].rrsets
    found = {rdtype: set(rrsets[rdtype].rdatas) for rdtype in sorted(TYPES[pool.type]) if rdtype in rrsets}
    return [_data_text(rdtype, rdata) for rdtype, rdatas in found.items() for rdata in sorted(rdatas)]


def _data_text(rdtype: int, rdata: bytes) -> str:
    kind = dns.rdatatype.RdataType.make(rdtype)
    return dns.rdata.from_wire(dns.rdataclass.IN, kind, rdata, 0, len(rdata)).to_text()


def history_info(entry: HistoryEntry) -> HistoryInfo:
    """Return an entry of history."""
    document = entry.to_json()
    document["at"] = entry.at
    return HistoryInfo.model_validate(document)
