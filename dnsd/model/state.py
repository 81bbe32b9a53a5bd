"""The state of a fleet as a store keeps it, the changes that lead from one revision to the next, and their history."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dnsd.model.drain import Drain, DrainKey
from dnsd.model.node import Node
from dnsd.model.report import Report
from dnsd.model.times import format_instant, parse_instant


class Entity(enum.Enum):
    """What a change is about."""

    DRAIN = "drain"
    NODE = "node"


@dataclass(frozen=True, slots=True)
class Change:
    """One step from a revision to the next.

    Args:
        entity: what kind of thing.
        key: a `DrainKey.text`, or a node's id.
        value: what it is now; None: removed.
    """

    entity: Entity
    key: str
    value: Drain | Node | None

    @property
    def node(self) -> str:
        """The node that it concerns."""
        return DrainKey.of(self.key).node if self.entity is Entity.DRAIN else self.key


@dataclass(frozen=True, slots=True)
class ChangeRecord:
    """A change that a store has accepted.

    Args:
        revision: the revision that it made; consecutive from record to record.
        at: instant of acceptance, for measuring how long it takes to be applied.
        mark: the commit's; see `FleetState`.
    """

    revision: int
    at: float
    change: Change
    mark: str = field(default="", compare=False)


class Action(enum.Enum):
    """What a history entry tells of."""

    DRAIN_PLACED = "drain-placed"
    DRAIN_CHANGED = "drain-changed"
    DRAIN_RELEASED = "drain-released"
    DRAIN_EXPIRED = "drain-expired"
    DRAIN_RESTORED = "drain-restored"  # the store had lost it
    RAMP_ENDED = "ramp-ended"
    NODE_REGISTERED = "node-registered"
    NODE_REPLACED = "node-replaced"
    NODE_REMOVED = "node-removed"
    NODE_RESTORED = "node-restored"  # the store had lost it


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """Who did what, when and why. History is append-only.

    Args:
        revision: the last revision of the commit that it tells of.
        at: instant.
        actor: from the token; `dnsd` where the server acted by itself (an expiry).
        node: its id.
        roles: the drained roles (`*`: all); empty for an inventory entry.
        holder: whose drain; None for an inventory entry.
        reason: in the actor's words; may be empty where none is asked for.
        forced: done against the capacity guard.
        all_holders: an operator released other holders' drains as well.
        before, after: what it was and became, as JSON: a list of drains or nodes.
    """

    revision: int
    at: float
    actor: str
    action: Action
    node: str
    roles: tuple[str, ...] = ()
    holder: str | None = None
    reason: str = ""
    forced: bool = False
    all_holders: bool = False
    before: tuple[dict[str, Any], ...] = ()
    after: tuple[dict[str, Any], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the entry as stores and the API write it."""
        return {
            "revision": self.revision,
            "at": format_instant(self.at),
            "actor": self.actor,
            "action": self.action.value,
            "node": self.node,
            "roles": list(self.roles),
            "holder": self.holder,
            "reason": self.reason,
            "forced": self.forced,
            "all_holders": self.all_holders,
            "before": list(self.before),
            "after": list(self.after),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> HistoryEntry:
        """Read what `to_json` wrote."""
        return cls(
            revision=data["revision"],
            at=parse_instant(data["at"]),
            actor=data["actor"],
            action=Action(data["action"]),
            node=data["node"],
            roles=tuple(data["roles"]),
            holder=data["holder"],
            reason=data["reason"],
            forced=data["forced"],
            all_holders=data["all_holders"],
            before=tuple(data["before"]),
            after=tuple(data["after"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumer:
    """Anything that applies drain state, as it last said of itself.

    Args:
        kind: `dns`, `router` or `agent`.
        applied: the revision that it has applied.
        applied_at: instant at which it had.
        seen_at: instant of its last sign of life.
        mark: of the revision that it has applied; empty: it does not say.
    """

    id: str
    kind: str
    applied: int
    applied_at: float
    seen_at: float
    mark: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetState:
    """A consistent cut of a store.

    Args:
        revision: the cut's revision; 0: nothing was ever written.
        nodes: registered nodes by id (configured nodes are the servers' own and not in a store).
        drains: every drain by key, scheduled and expired ones included.
        reports: last report by node id.
        mark: a random word of the commit that made the revision. It tells two changes of the same number apart, after
            a store has lost writes and gone another way. Empty: not known, and then never different.
    """

    revision: int = 0
    nodes: Mapping[str, Node] = field(default_factory=dict)
    drains: Mapping[DrainKey, Drain] = field(default_factory=dict)
    reports: Mapping[str, Report] = field(default_factory=dict)
    mark: str = field(default="", compare=False)
