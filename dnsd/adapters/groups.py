"""What other programs balance over: the members of a role or of a pool, kept up to date as the fleet changes.

A group has a name: a role (`edge`), or a pool by its owner (`edge.example.org.`). It follows the fail-open rule of
answers: who would not serve may be *open*, because nobody serves. It is no protocol's, and asks nobody anything but
the control plane.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from dnsd.adapters.members import RoleMember, member_of, members_of
from dnsd.control.plane import ControlPlane
from dnsd.core.fleet import CLOCK_SLACK_SECONDS, Fleet
from dnsd.core.selection import Tier
from dnsd.model.drain import Mode
from dnsd.model.node import Node
from dnsd.model.pool import PoolSpec

NOBODY: frozenset[str] = frozenset()


class Group:
    """The members of a role or pool, as of the last `Groups.get`.

    Args:
        role: of its members.
        owner: of the pool; None: all nodes of the role.

    Attributes:
        members: by id, drained ones included.
        open: ids of those that may get new work although they do not serve, as nobody does.
        number: rises when anything of these changes.
    """

    def __init__(self, role: str, owner: str | None) -> None:
        self.role = role
        self.owner = owner
        self.members: dict[str, RoleMember] = {}
        self.open: Collection[str] = NOBODY
        self.number = 0
        self.spec: PoolSpec | None = None
        self._serving = 0
        self._seen: int | None = None
        self._soon = NOBODY

    def port_of(self, node: Node) -> int | None:
        """Return the port at which a node is reached in the group; None: the inventory and the pool have none."""
        return node.ports.get(self.role) if self.spec is None else self.spec.port_of(node)

    def bring_up(self, plane: ControlPlane) -> None:
        """Bring it to what is published: for what changed since the last time, or at first for everybody."""
        news, fleet = plane.changed, plane.publisher.fleet
        if self._seen == news.number and not self._soon:
            return
        touched = None if self._seen is None else news.since(self._seen)
        self._seen = news.number
        now = plane.clock()
        if touched is not None:
            touched |= self._soon
        if touched is None:
            self.spec = None if self.owner is None else fleet.pools[self.owner]
            self.number += 1  # the pool itself may be another one
            self._take({each.node.id: each for each in self._all(fleet, now)}, gone=set(self.members))
        else:
            fresh = {key: each for key in touched if (each := self._member(fleet, key, now)) is not None}
            self._take(fresh, gone={key for key in touched if key in self.members and key not in fresh})
        looked_at = self.members if touched is None else touched
        self._soon = frozenset(key for key in looked_at if _changes_soon(fleet, key, now))
        self._open(fleet)

    def _all(self, fleet: Fleet, now: float) -> Iterable[RoleMember]:
        if self.owner is None:
            return members_of(fleet, self.role, now=now)
        found = (member_of(fleet, self.role, each.node.id, now=now) for each in fleet.members_of(self.owner))
        return (each for each in found if each is not None)

    def _member(self, fleet: Fleet, key: str, now: float) -> RoleMember | None:
        # By its very id: another that differs by case only is another node.
        if key not in fleet.nodes or (self.owner is not None and not self._is_in(fleet, key)):
            return None
        return member_of(fleet, self.role, key, now=now)

    def _is_in(self, fleet: Fleet, key: str) -> bool:
        return any(pool.owner == self.owner for pool in fleet.pools_of(key))

    def _take(self, fresh: Mapping[str, RoleMember], *, gone: set[str]) -> None:
        for key in gone - fresh.keys():
            self._serving -= self.members.pop(key).serving
            self.number += 1
        for key, member in fresh.items():
            was = self.members.get(key)
            if was != member:
                self._serving += member.serving - (was.serving if was is not None else False)
                self.members[key] = member
                self.number += 1

    def _open(self, fleet: Fleet) -> None:
        """Find out who is open: nobody while anybody serves, so that the usual case costs nothing."""
        found: Collection[str] = NOBODY
        if not self._serving:
            if self.owner is None:
                found = {key for key, each in self.members.items() if each.mode is Mode.NORMAL and each.node.weight}
            elif fleet.tier_of(self.owner) in (Tier.UNHEALTHY, Tier.DRAINING):
                found = {each.node.id for each in fleet.selection_of(self.owner).members}
        if found != self.open:
            self.open = found
            self.number += 1


def _changes_soon(fleet: Fleet, key: str, now: float) -> bool:
    """Say whether an order about a node begins, ends or takes a step in a moment.

    That may be behind us already, for those who looked at another clock or before this one was set back a little: the
    change has been told then, and will not be again.
    """
    instants = (at for each in fleet.orders_of(key) for at in (each.starts_at, each.expires_at, *each.step_instants))
    return any(at is not None and now < at <= now + CLOCK_SLACK_SECONDS for at in instants)


class Groups:
    """The groups that somebody has asked for."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane
        self._known: dict[str, Group] = {}

    def get(self, name: str) -> Group | None:
        """Return a group as it is now, or None where there is no such role or pool.

        Args:
            name: a role, or the owner of a pool in any case, with or without its final dot.
        """
        if name in self._plane.settings.roles:
            role, owner = name, None
        else:
            wanted = name.lower().removesuffix(".") + "."
            pool = self._plane.publisher.fleet.pools.get(wanted)
            if pool is None:
                self._known.pop(wanted, None)
                return None
            role, owner = pool.role, pool.owner
        key = owner or role
        group = self._known.get(key)
        if group is None or group.role != role:
            group = self._known[key] = Group(role, owner)
        group.bring_up(self._plane)
        return group
