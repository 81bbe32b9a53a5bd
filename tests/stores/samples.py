"""Small drains, nodes, changes and history entries to fill stores with."""

from __future__ import annotations

from dnsd.model.drain import Drain, DrainKey, Mode
from dnsd.model.node import Node
from dnsd.model.report import Report
from dnsd.model.state import Action, Change, Entity, HistoryEntry
from dnsd.stores.base import DrainStore

NOW = 1_800_000_000.25


def a_drain(node: str = "edge-1", *, role: str = "edge", holder: str = "ops", revision: int) -> Drain:
    return Drain(
        node=node,
        role=role,
        holder=holder,
        mode=Mode.DRAINING,
        reason="kernel",
        actor="alice",
        created_at=NOW,
        starts_at=NOW,
        expires_at=NOW + 3600,
        revision=revision,
    )


def a_node(node: str = "edge-1", *, weight: int = 100) -> Node:
    return Node(
        id=node,
        addresses=("192.0.2.11", "2001:db8::11"),
        roles=("edge", "ingest"),
        region="eu",
        location=(52.5, 13.4),
        weight=weight,
        labels={"rack": "7"},
        ports={"ingest": 1935},
        priority=10,
    )


def a_report(node: str = "edge-1", *, sequence: int) -> Report:
    return Report(
        node=node,
        sequence=sequence,
        observed_at=NOW,
        received_at=NOW + 0.125,
        health={"edge": True},
        sessions={"edge": {"viewers": sequence, "jobs": None}},
        applied_revision=3,
    )


def placed(drain: Drain) -> Change:
    return Change(Entity.DRAIN, drain.key.text, drain)


def released(key: DrainKey) -> Change:
    return Change(Entity.DRAIN, key.text, None)


def registered(node: Node) -> Change:
    return Change(Entity.NODE, node.id, node)


def removed(node: str) -> Change:
    return Change(Entity.NODE, node, None)


def told(revision: int, *, node: str = "edge-1", reason: str = "kernel") -> HistoryEntry:
    return HistoryEntry(
        revision=revision,
        at=NOW,
        actor="alice",
        action=Action.DRAIN_PLACED,
        node=node,
        roles=("edge",),
        holder="ops",
        reason=reason,
        after=(a_drain(node, revision=revision).to_json(),),
    )


async def put_drain(store: DrainStore, expected_revision: int, node: str = "edge-1") -> int:
    """Commit one drain with its history entry."""
    revision = expected_revision + 1
    return await store.commit(
        expected_revision=expected_revision,
        changes=[placed(a_drain(node, revision=revision))],
        history=[told(revision, node=node)],
        at=NOW,
    )
