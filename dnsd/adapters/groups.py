"""What other programs balance over: the members of a role or of a pool, and who of them is open.

A group has a name: a role (`edge`), or a pool by its owner (`edge.example.org.`). It follows the fail-open rule of
answers: who would not serve may be *open*, because nobody serves. It is no protocol's, keeps no member, and asks nobody
anything but the control plane.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from dnsd.adapters.members import RoleMember, member_of
from dnsd.control.plane import ControlPlane
from dnsd.core.fleet import Fleet
from dnsd.core.selection import Tier
from dnsd.model.drain import Mode
from dnsd.model.node import Node
from dnsd.model.pool import PoolSpec, WhenEmpty

# Nodes that are looked at before others get their turn: less than 10 ms, which a drain may have to wait. Unit: nodes.
LOOKS_AT_ONCE = 1_000

_NOBODY: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True, slots=True)
class Group:
    """A role or a pool.

    Args:
        role: of its members.
        pool: None: all nodes of the role.
    """

    role: str
    pool: PoolSpec | None

    @property
    def name(self) -> str:
        """The role, or the pool's owner."""
        return self.role if self.pool is None else self.pool.owner

    def port_of(self, node: Node) -> int | None:
        """Return the port at which a node is reached in the group; None: the inventory and the pool have none."""
        return node.ports.get(self.role) if self.pool is None else self.pool.port_of(node)

    def may_open(self, member: RoleMember) -> bool:
        """Say whether a member's new work depends on the others: it does not serve, and may where nobody does."""
        if member.serving or member.mode is Mode.MAINTENANCE:
            return False
        return member.mode is Mode.NORMAL or (self.pool is not None and self.pool.when_empty is WhenEmpty.DRAINING)

    def candidates(self, fleet: Fleet) -> Collection[str]:
        """Return the ids of nodes among which all members are."""
        if self.pool is None:
            return fleet.nodes.keys()
        return [each.node.id for each in fleet.members_of(self.pool.owner)]

    def member(self, fleet: Fleet, key: str, *, now: float) -> RoleMember | None:
        """Return a member, drained or not; None: the node is none.

        Args:
            key: its very id: another that differs by case only is another node.
            now: instant.
        """
        if key not in fleet.nodes:
            return None
        if self.pool is not None and all(pool.owner != self.pool.owner for pool in fleet.pools_of(key)):
            return None
        return member_of(fleet, self.role, key, now=now)


@dataclass(frozen=True, slots=True)
class Opening:
    """Who of a group may get new work although it does not serve.

    Args:
        tier: where the group's members come from, as for answers.
        named: of a pool that names nodes which drain: these, with their role.
    """

    tier: Tier
    named: frozenset[tuple[str, str]] = _NOBODY

    def has(self, member: RoleMember) -> bool:
        """Say whether a member may, as nobody serves."""
        if member.serving or member.node.weight == 0:
            return False
        if self.tier is Tier.UNHEALTHY:
            return member.mode is Mode.NORMAL
        # The healthy ones of those that drain; the others where there is none, and then answers name them.
        is_named = member.health.serves or (member.node.id, member.role) in self.named
        return self.tier is Tier.DRAINING and member.mode is Mode.DRAINING and is_named


class Groups:
    """The groups of a fleet, as they are now."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane
        self._watches: dict[str, _RoleWatch] = {}

    @property
    def now(self) -> float:
        """See `ControlPlane.now`."""
        return self._plane.now

    def find(self, name: str) -> Group | None:
        """Return a group, or None where there is no such role or pool.

        Args:
            name: a role, or the owner of a pool in any case, with or without its final dot.
        """
        if name in self._plane.settings.roles:
            return Group(name, None)
        pool = self._plane.publisher.fleet.pools.get(name.lower().removesuffix(".") + ".")
        return None if pool is None else Group(pool.role, pool)

    def opening_of(self, group: Group) -> Opening | None:
        """Return who of a group is open: a role is as a pool of all of its nodes, with NODATA when it is empty.

        None: it is not known yet; ask again when others had their turn.
        """
        fleet = self._plane.publisher.fleet
        if group.pool is None:
            watch = self._watches.setdefault(group.role, _RoleWatch(group.role))
            nobody = watch.nobody_serves(self._plane, now=self.now)
            return None if nobody is None else Opening(Tier.UNHEALTHY if nobody else Tier.SERVING)
        owner = group.pool.owner
        tier = fleet.tier_of(owner)
        return Opening(tier, fleet.named(owner)) if tier is Tier.DRAINING else Opening(tier)


class _RoleWatch:
    """Finds out whether anybody serves in a role, and looks at each node once for each of its changes."""

    def __init__(self, role: str) -> None:
        self._role = role
        self._seen: int | None = None
        # Ids. Whoever is not among these did not serve when it was looked at, and has not changed up to `_seen`.
        self._left: dict[str, None] = {}

    def nobody_serves(self, plane: ControlPlane, *, now: float) -> bool | None:
        """Say whether none does; None: there are more to look at than it does at once."""
        news, fleet = plane.changed, plane.publisher.fleet
        touched = None if self._seen is None else news.since(self._seen)
        self._seen = news.number
        if touched is None:
            self._left = dict.fromkeys(fleet.nodes)
        for key in touched or ():
            if key in fleet.nodes:
                self._left[key] = None
            else:
                self._left.pop(key, None)
        for _ in range(LOOKS_AT_ONCE):
            if not self._left:
                return True
            key, _ = self._left.popitem()
            if self._serves(fleet, key, now):
                self._left[key] = None
                return False
        return None

    def _serves(self, fleet: Fleet, key: str, now: float) -> bool:
        """Say what `RoleMember.serving` says, at a fraction of its cost: it is asked of a whole fleet that is down."""
        node = fleet.nodes.get(key)
        return (
            node is not None
            and self._role in node.roles
            and node.weight > 0
            and fleet.mode_of(key, self._role, now=now) is Mode.NORMAL
            and fleet.health_of(node, self._role, now=now).serves
        )
