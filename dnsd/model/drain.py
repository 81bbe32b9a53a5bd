"""Drains: what a holder has ordered of a node, and which order is in force.

starts_at                 expires_at
scheduled ──────────┴────────── active ────────┴────── expired
└─ release ─┐                 └─ release ─┐
└──────────── gone ───────────┘
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from dnsd.model.times import format_instant, parse_instant

ALL_ROLES = "*"


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
        mode: `DRAINING` or `MAINTENANCE`.
        actor: who asked for it, from the token.
        created_at, starts_at: instants.
        expires_at: instant; None: indefinite.
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
