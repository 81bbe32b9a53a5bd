"""A node in a role as other protocols show it: its mode, health, share and port, and who has drained it.

It owns what every adapter would else work out for itself from the fleet. It is pure: no socket, no clock, no protocol.
"""

from __future__ import annotations

from dataclasses import dataclass

from dnsd.core.fleet import Fleet
from dnsd.model.drain import Drain, Mode, ramp_of
from dnsd.model.node import Node
from dnsd.model.report import Health


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleMember:
    """A node in one of its roles, and what is in force for it there.

    Args:
        mode: the strongest active drain for the role.
        health: in the role; by reports and checks, the worse.
        share: above 0 to 1: what a ramp leaves it of its full part; 1 where none runs.
        drains: those in force for the role, the strongest first; empty where the mode is normal.
        port: at which it is reached in the role; None: the inventory has none.
        finding: what the server's own checks say of it, for people; None: it is not checked.
    """

    node: Node
    role: str
    mode: Mode
    health: Health
    share: float
    drains: tuple[Drain, ...]
    port: int | None
    finding: str | None

    @property
    def weight(self) -> float:
        """Its weight as it counts now: that of the inventory, or less while a ramp runs."""
        return self.node.weight * self.share

    @property
    def serving(self) -> bool:
        """Say whether it may get new work: undrained, known to be up, of a weight above 0."""
        return self.mode is Mode.NORMAL and self.health.serves and self.node.weight > 0

    @property
    def holders(self) -> tuple[str, ...]:
        """Who has drained it, each once, the strongest drain's first."""
        return tuple(dict.fromkeys(drain.holder for drain in self.drains))


def member_of(fleet: Fleet, role: str, node: str, *, now: float) -> RoleMember | None:
    """Return a node in a role, or None where there is no such node or it has not that role.

    Args:
        node: its id, in any case.
        now: instant.
    """
    found = fleet.nodes.get(node)
    if found is None and (twin := fleet.twin_of(node)) is not None:
        found = fleet.nodes.get(twin)
    if found is None or role not in found.roles:
        return None
    return _member(fleet, role, found, now)


def _member(fleet: Fleet, role: str, node: Node, now: float) -> RoleMember:
    orders = fleet.orders_of(node.id)
    active = [each for each in orders if not each.is_ramp and each.covers(role) and each.active(now)]
    ramp = ramp_of(orders, role=role, now=now)
    checked = fleet.checks_of(node.id).get(role)
    return RoleMember(
        node=node,
        role=role,
        mode=fleet.mode_of(node.id, role, now=now),
        health=fleet.health_of(node, role, now=now),
        share=1.0 if ramp is None else ramp.share,
        drains=tuple(sorted(active, key=lambda each: (-each.mode, each.created_at, each.key))),
        port=node.ports.get(role),
        finding=None if checked is None else checked.text,
    )
