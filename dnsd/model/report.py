"""What an agent says of its node, and the health that follows from it."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dnsd.model.node import Monitor, Node
from dnsd.model.times import format_instant, parse_instant

# A report older than this says nothing of now. Unit: seconds.
DEFAULT_STALE_AFTER_SECONDS = 30.0


class Health(enum.Enum):
    """What is known of a node's health in one role."""

    UP = "up"
    DOWN = "down"
    STALE = "stale"  # its last report is too old
    UNKNOWN = "unknown"  # it never reported, or not for this role

    @property
    def serves(self) -> bool:
        """Only a node that is known to be up serves."""
        return self is Health.UP


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One report of an agent.

    Args:
        sequence: rises with every report of a node; an older one is dropped.
        observed_at: the node's clock; shown, never compared with ours.
        received_at: the server's clock; freshness is counted from here.
        health: role → up or not.
        sessions: role → kind (viewers, inputs, jobs) → count; None: the agent could not count.
        applied_revision: the drain revision that the agent has applied; None: it applies none.
        local_drains: roles that the node has drained on its own behalf.
        leaving: the agent ends on purpose after it, as for a restart: silence that follows is no crash.
    """

    node: str
    sequence: int
    observed_at: float
    received_at: float
    health: Mapping[str, bool] = field(default_factory=dict)
    sessions: Mapping[str, Mapping[str, int | None]] = field(default_factory=dict)
    applied_revision: int | None = None
    local_drains: tuple[str, ...] = ()
    leaving: bool = False

    def fresh(self, now: float, *, stale_after: float) -> bool:
        """Say whether it still speaks of now; `stale_after` in seconds."""
        return now - self.received_at < stale_after

    def to_json(self) -> dict[str, Any]:
        """Return the report as the stores write it."""
        return {
            "node": self.node,
            "sequence": self.sequence,
            "observed_at": format_instant(self.observed_at),
            "received_at": format_instant(self.received_at),
            "health": {role: "up" if up else "down" for role, up in self.health.items()},
            "sessions": {role: dict(kinds) for role, kinds in self.sessions.items()},
            "applied_revision": self.applied_revision,
            "local_drains": list(self.local_drains),
            **({"leaving": True} if self.leaving else {}),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Report:
        """Read what `to_json` wrote."""
        return cls(
            node=data["node"],
            sequence=data["sequence"],
            observed_at=parse_instant(data["observed_at"]),
            received_at=parse_instant(data["received_at"]),
            health={role: word == "up" for role, word in data["health"].items()},
            sessions={role: dict(kinds) for role, kinds in data["sessions"].items()},
            applied_revision=data.get("applied_revision"),
            local_drains=tuple(data.get("local_drains", ())),
            leaving=data.get("leaving", False),
        )


def health_of(
    node: Node, role: str, report: Report | None, *, now: float, stale_after: float, checked: Health | None = None
) -> Health:
    """Return the health of a node in a role as known at `now`.

    Where an agent reports and checks are made as well, the worse counts; a check that knows nothing yet is not worse.

    Args:
        checked: what the server's own checks have found; None: nothing, or there are none.
    """
    if node.monitor is Monitor.NONE:
        return Health.UP
    if node.monitor is Monitor.CHECK:
        return Health.UNKNOWN if checked is None else checked
    if checked is Health.DOWN:
        return Health.DOWN
    return _reported(role, report, now=now, stale_after=stale_after)


def _reported(role: str, report: Report | None, *, now: float, stale_after: float) -> Health:
    if report is None:
        return Health.UNKNOWN
    if not report.fresh(now, stale_after=stale_after):
        return Health.STALE
    up = report.health.get(role)
    if up is None:
        return Health.UNKNOWN
    return Health.UP if up else Health.DOWN
