"""Drains: what a holder has ordered of a node, and which order is in force.

starts_at                 expires_at
scheduled ──────────┴────────── active ────────┴────── expired
└─ release ─┐                 └─ release ─┐
└──────────── gone ───────────┘
└─ release with a ramp ─► ramp ─ its end, or a release ─► gone

A ramp is kept under the key of the drain that it follows, as a drain of mode `normal`: whoever looks for the strongest
mode reads that nothing is ordered, its expiry removes it, and a new drain under the key takes its place.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from dnsd.model.times import format_instant, parse_instant

ALL_ROLES = "*"

# A ramp's share of a node's full part in answers: 1/10 from its start on, a tenth more at each step, full at its end.
# Unit: steps; our own choice: fine enough for any node to warm up, and few generations.
RAMP_STEPS = 10


class Mode(enum.IntEnum):
    """What a node may still do in a role; a higher one is stronger."""

    NORMAL = 0
    DRAINING = 1  # no new work; existing sessions end by themselves
    MAINTENANCE = 2  # not used for anything

    @property
    def text(self) -> str:
        """The mode as the API, the stores and the command line write it."""
        return self.name.lower()

    @classmethod
    def of(cls, text: str) -> Mode:
        """Read `normal`, `draining` or `maintenance`.

        Raises:
            ValueError: another word.
        """
        for mode in cls:
            if mode.text == text:
                return mode
        raise ValueError(f"{text!r} is not a mode: normal, draining, maintenance")


class DrainKey(NamedTuple):
    """What a drain is kept under; at most one drain has a key."""

    node: str
    role: str  # ALL_ROLES: every role of the node
    holder: str

    @property
    def text(self) -> str:
        """The key as stores write it: `node/role/holder`."""
        return "/".join(self)

    @classmethod
    def of(cls, text: str) -> DrainKey:
        """Read what `text` wrote."""
        node, role, holder = text.split("/")
        return cls(node, role, holder)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """An order of one holder on one node and role.

    Args:
        mode: `DRAINING` or `MAINTENANCE`; `NORMAL`: no drain any more, but the ramp that follows one.
        actor: who asked for it, from the token.
        created_at, starts_at: instants.
        expires_at: instant; None: indefinite, which no ramp is.
        revision: the store's revision at its last change.
        forced: it was placed against the capacity guard.
    """

    node: str
    role: str
    holder: str
    mode: Mode
    reason: str
    actor: str
    created_at: float
    starts_at: float
    expires_at: float | None
    revision: int = 0
    forced: bool = False

    @property
    def key(self) -> DrainKey:
        """What it is kept under."""
        return DrainKey(self.node, self.role, self.holder)

    @property
    def is_ramp(self) -> bool:
        """Say whether it is a ramp: an undrained node's return in steps."""
        return self.mode is Mode.NORMAL

    @property
    def effective_since(self) -> float:
        """The instant from which it holds, or will."""
        return max(self.starts_at, self.created_at)

    @property
    def step_instants(self) -> tuple[float, ...]:
        """The instants at which a ramp's share rises, its end included; none for a drain."""
        if not self.is_ramp or self.expires_at is None:
            return ()
        length = self.expires_at - self.starts_at
        rises = RAMP_STEPS - 1
        return (*(self.starts_at + length * step / rises for step in range(1, rises)), self.expires_at)

    def share(self, now: float) -> float:
        """Return the share of its full part in answers that it leaves a node, above 0 to 1; a drain caps nothing."""
        if not self.is_ramp or not self.active(now):
            return 1.0
        return (1 + sum(instant <= now for instant in self.step_instants)) / RAMP_STEPS

    def overdue(self, now: float, *, after: float) -> bool:
        """Say whether it is a drain that has been in force for `after` seconds or longer."""
        return not self.is_ramp and self.active(now) and now - self.effective_since >= after

    def covers(self, role: str) -> bool:
        """Say whether it is an order about that role."""
        return self.role in (role, ALL_ROLES)

    def expired(self, now: float) -> bool:
        """Say whether its time is over."""
        return self.expires_at is not None and self.expires_at <= now

    def active(self, now: float) -> bool:
        """Say whether it is in force: started and not expired."""
        return self.starts_at <= now and not self.expired(now)

    def to_json(self) -> dict[str, Any]:
        """Return the drain as the stores write it."""
        return {
            "node": self.node,
            "role": self.role,
            "holder": self.holder,
            "mode": self.mode.text,
            "reason": self.reason,
            "actor": self.actor,
            "created_at": format_instant(self.created_at),
            "starts_at": format_instant(self.starts_at),
            "expires_at": None if self.expires_at is None else format_instant(self.expires_at),
            "revision": self.revision,
            "forced": self.forced,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Drain:
        """Read what `to_json` wrote."""
        return cls(
            node=data["node"],
            role=data["role"],
            holder=data["holder"],
            mode=Mode.of(data["mode"]),
            reason=data["reason"],
            actor=data["actor"],
            created_at=parse_instant(data["created_at"]),
            starts_at=parse_instant(data["starts_at"]),
            expires_at=None if data["expires_at"] is None else parse_instant(data["expires_at"]),
            revision=data["revision"],
            forced=data.get("forced", False),
        )


def effective_mode(drains: Iterable[Drain], *, role: str, now: float) -> Mode:
    """Return the strongest mode that the active drains of one node order for a role."""
    return max((drain.mode for drain in drains if drain.covers(role) and drain.active(now)), default=Mode.NORMAL)


class Ramp(NamedTuple):
    """A node's return in one role, as all its ramps make it.

    Args:
        share: of its full part in answers; above 0, below 1.
        ends_at: instant; from then on the node has its full part.
    """

    share: float
    ends_at: float


def ramp_of(drains: Iterable[Drain], *, role: str | None, now: float) -> Ramp | None:
    """Return what the ramps of one node leave it in a role; None: its full part. The least share counts.

    Args:
        drains: drains and ramps of the node.
        role: None: any.
    """
    running = [each for each in drains if each.is_ramp and (role is None or each.covers(role)) and each.active(now)]
    if not running:
        return None
    return Ramp(min(each.share(now) for each in running), max(each.expires_at or now for each in running))
