"""The nodes of a role, ready to be chosen from: what each may be used for, and the trees that they stand in.

It owns the counts that say at once whether there is anybody. It knows no clock, drain or report: `fleet_view` keeps
members true.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Collection

from dnsd.model.drain import Mode
from dnsd.model.node import Node
from dnsd.model.report import Health
from dnsd.router import hashing, tree

# A key draws so many nodes before it looks at each that is left: where a half of a role is out, one key in 65,536 comes
# so far, and where nearly all of it is, few are left to look at. Unit: draws.
ATTEMPTS = 16

# Where more than one in so many members has come or gone, a tree is made anew. Unit: parts of a scope.
MANY_PARTS = 16


class Purpose(enum.IntEnum):
    """What a node is looked for."""

    NEW = 0  # a new session: drained nodes take none
    SOURCE = 1  # to fetch a live stream from: a draining node still has its own


class Level(enum.IntEnum):
    """How well a node fits a purpose; the lowest that there is gets chosen."""

    FIT = 0
    UNHEALTHY = 1  # it may work, and that beats no answer
    OUT = 2


class Member:
    """A node in one role, as it is now.

    Attributes:
        levels: by `Purpose`.
        share: above 0 to 1; below 1 while it comes back by a ramp.
        sessions: as last reported, of every kind, and what was placed here since; 0 where nobody counts them.
    """

    __slots__ = ("health", "id", "levels", "mode", "node", "place", "sessions", "share", "weight")

    def __init__(self, node: Node) -> None:
        self.node = node
        self.id = node.id
        self.place = hashing.place_of(node.id)
        self.weight = node.weight
        self.mode = Mode.NORMAL
        self.health = Health.UNKNOWN
        self.share = 1.0
        self.sessions = 0
        self.levels = (Level.OUT, Level.OUT)

    def become(self, mode: Mode, health: Health) -> None:
        """Take note of what it is."""
        self.mode, self.health = mode, health
        usable = Level.OUT if self.weight == 0 else Level.FIT if health.serves else Level.UNHEALTHY
        self.levels = (
            usable if mode is Mode.NORMAL else Level.OUT,
            usable if mode is not Mode.MAINTENANCE else Level.OUT,
        )


class Scope:
    """Members among whom a key finds its node: those of a role, or those of a role in one region."""

    def __init__(self) -> None:
        self.members: dict[str, Member] = {}
        self._tree: tree.Fork[Member] | Member | None = None
        self._moved: dict[str, Member] = {}  # came or went since the tree was brought up to date
        self._counts = [[0, 0, 0], [0, 0, 0]]  # by purpose and level

    def put(self, member: Member) -> None:
        """Take a member in."""
        self.members[member.id] = self._moved[member.id] = member
        self.count(member, 1)

    def drop(self, member: Member) -> None:
        """Let a member go."""
        del self.members[member.id]
        self.count(member, -1)
        self._moved[member.id] = member

    def count(self, member: Member, step: int) -> None:
        """Add a member, 1, to the counts, or take it out, -1: before and after it becomes something else."""
        for purpose, level in enumerate(member.levels):
            self._counts[purpose][level] += step

    def has(self, purpose: Purpose, level: Level) -> int:
        """Return how many members are just so fit for a purpose."""
        return self._counts[purpose][level]

    def pick(
        self,
        key: bytes,
        person: bytes,
        *,
        purpose: Purpose,
        level: Level,
        excluded: Collection[str],
        passed_over: Callable[[Member], bool] | None,
    ) -> Member | None:
        """Return the member that a key finds among those that are fit for a purpose up to a level.

        Args:
            person: of the role, `hashing.person_of`.
            excluded: ids.
            passed_over: says which of the others it may not be, either.
        """
        if self._moved:
            self._plant()
        if self._tree is None:
            return None
        for attempt in range(ATTEMPTS):
            member = tree.drawn(self._tree, key, person, attempt)
            if (
                member.levels[purpose] <= level
                and member.id not in excluded
                and (member.share == 1.0 or hashing.uniform(key, person, member.id) <= member.share)
                and (passed_over is None or not passed_over(member))
            ):
                return member
        left = (
            each
            for each in self.members.values()
            if each.levels[purpose] <= level
            and each.id not in excluded
            and (passed_over is None or not passed_over(each))
        )
        return tree.best_of(left, key, person)

    def _plant(self) -> None:
        """Bring the tree up to date: as a whole where much of it is new, else leaf by leaf."""
        if len(self._moved) > len(self.members) // MANY_PARTS:
            whole = sorted((each for each in self.members.values() if each.weight), key=lambda each: each.place)
            self._tree = tree.tree_of(whole)
        else:
            for moved in self._moved.values():
                member = self.members.get(moved.id)
                if member is not None and member.weight:
                    self._tree = tree.with_leaf(self._tree, member)
                else:
                    self._tree = tree.without_leaf(self._tree, moved.place)
        self._moved.clear()


class RoleMembers:
    """All members of a role, as a whole and by region, and the sessions that they have."""

    def __init__(self, role: str) -> None:
        self.role = role
        self.person = hashing.person_of(role)
        self.everywhere = Scope()
        self.regions: dict[str, Scope] = {}
        self._sessions = 0  # of the members that take new ones
        self._weight = 0  # theirs

    def put(self, member: Member) -> None:
        """Take a member in."""
        for scope in self._scopes_of(member):
            scope.put(member)
        self._weigh(member, 1)

    def drop(self, member: Member) -> None:
        """Let a member go."""
        for scope in self._scopes_of(member):
            scope.drop(member)
        self._weigh(member, -1)
        region = member.node.region
        if region is not None and not self.regions[region].members:
            del self.regions[region]

    def become(self, member: Member, mode: Mode, health: Health, *, sessions: int, share: float) -> None:
        """Have a member be what it is now."""
        scopes = self._scopes_of(member)
        for scope in scopes:
            scope.count(member, -1)
        self._weigh(member, -1)
        member.become(mode, health)
        member.sessions, member.share = sessions, share
        for scope in scopes:
            scope.count(member, 1)
        self._weigh(member, 1)

    def placed(self, member: Member) -> None:
        """Count a session that was placed, until the node's next report counts it."""
        self._weigh(member, -1)
        member.sessions += 1
        self._weigh(member, 1)

    def is_full(self, member: Member, *, factor: float) -> bool:
        """Say whether a member has as many sessions as it may: `factor` times its part of all, one more included."""
        return member.sessions >= math.ceil(factor * (self._sessions + 1) * member.weight / (self._weight or 1))

    def _scopes_of(self, member: Member) -> tuple[Scope, ...]:
        region = member.node.region
        if region is None:
            return (self.everywhere,)
        scope = self.regions.get(region)
        if scope is None:
            scope = self.regions[region] = Scope()
        return self.everywhere, scope

    def _weigh(self, member: Member, step: int) -> None:
        if member.levels[Purpose.NEW] is not Level.OUT:
            self._sessions += step * member.sessions
            self._weight += step * member.weight
