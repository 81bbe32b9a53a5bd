"""Which node a request is given: the order of what is tried, and why there is none.

fit for it, in the region asked for, with room    up, not drained, weight above 0
  else anywhere, with room
  else in the region, else anywhere               all have many sessions
  else unhealthy ones, near first                 an answer that may work beats none
  else, where the role says so, draining ones     never one in maintenance
  else no node, and why
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from dnsd.model.drain import Mode
from dnsd.model.node import Node
from dnsd.model.report import Health
from dnsd.router import hashing
from dnsd.router.errors import AllDown, AllDrained, AllExcluded, NoNode, NoNodes, NotFollowing, NotLoaded, UnknownRole
from dnsd.router.fleet_view import FleetView
from dnsd.router.members import Level, Member, Purpose, RoleMembers, Scope

# How a choice came about; stable, as answers over HTTP and metrics say it.
PLACED, PLACED_UNHEALTHY, SOURCE, KEPT, FALLBACK_DRAINING, FALLBACK_ROLE = (
    "placed", "placed-unhealthy", "source", "kept", "fallback-draining", "fallback-role",
)  # fmt: skip

_NOBODY: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class RolePolicy:
    """What holds for a role.

    Args:
        fails_open: unhealthy nodes are used where all that are not drained are unhealthy.
        uses_draining: draining nodes are used for new sessions where all are drained.
        other_role: the role to choose from where all are drained; None: no other.
    """

    fails_open: bool = True
    uses_draining: bool = False
    other_role: str | None = None


DEFAULT_POLICY = RolePolicy()


@dataclass(frozen=True, slots=True)
class Choice:
    """A node, and how it was chosen.

    Args:
        role: that it was chosen in: the one asked for, or the one to fall back to.
        reason: `placed`, `placed-unhealthy`, `source`, `kept`, `fallback-draining` or `fallback-role`.
        revision: of the drains that were obeyed.
    """

    node: Node
    role: str
    mode: Mode
    health: Health
    reason: str
    revision: int


class Router:
    """Chooses nodes from a view of the fleet. It waits for nothing; call it from the thread that keeps the view.

    Args:
        policies: by role; a role without one has the default.
        session_factor: a node with more sessions than this times its part is passed over while another has room;
            above 1; None: sessions do not count.
        clock: gives the present instant.
    """

    def __init__(
        self,
        view: FleetView,
        *,
        policies: Mapping[str, RolePolicy] | None = None,
        session_factor: float | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.view = view
        self._policies = policies or {}
        self._factor = session_factor
        self._clock = clock

    def select(
        self,
        role: str,
        *,
        key: str | None = None,
        near: str | None = None,
        exclude: Collection[str] = _NOBODY,
        purpose: Purpose = Purpose.NEW,
    ) -> Choice:
        """Choose a node.

        The same key gets the same node in every router of the fleet, as long as that node can be used: a drain moves
        the drained node's keys and no others, and its end brings just these back.

        Args:
            key: a stream's or a client's name; None: any node, by weight.
            near: a region that is tried first.
            exclude: ids of nodes that it may not be, as those that have just failed the caller.
            purpose: `SOURCE`: to fetch a live stream from, for which a draining node is as good as any.

        Raises:
            NoNode: one of its kinds, with why.
        """
        view = self.view
        now = self._clock()
        if view.why_not_followed:
            raise NotFollowing(view.why_not_followed)
        if now >= view.next_at:
            view.settle(now)
        group = view.roles.get(role)
        if group is not None and view.loaded:
            drawn = hashing.bytes_of(secrets.token_hex(8) if key is None else key)
            member = self._pick(group, drawn, near, exclude, purpose)
            if member is not None:
                reason = SOURCE if purpose is Purpose.SOURCE else PLACED
                return self._choice(member, role, reason if member.health.serves else PLACED_UNHEALTHY)
            found = self._fall_back(group, drawn, near, exclude)
            if found is not None:
                return found
        raise self._why_none(role, exclude, now)

    def keep(self, role: str, node: str) -> Choice | None:
        """Return the node that a session is on, where it may stay: while the node drains, and not in maintenance.

        Returns:
            None: place it anew. The node is in maintenance, known to be down, or has the role no more.

        Raises:
            NotFollowing: nobody knows any more what is drained.
        """
        if self.view.why_not_followed:
            raise NotFollowing(self.view.why_not_followed)
        now = self._clock()
        if now >= self.view.next_at:
            self.view.settle(now)
        member = self.view.member(node, role)
        if not self.view.loaded or member is None or member.mode is Mode.MAINTENANCE or member.health is Health.DOWN:
            return None
        return self._choice(member, role, KEPT)

    def placed(self, choice: Choice) -> None:
        """Take note that a session begins on the chosen node: it counts until the node itself reports it."""
        member = self.view.member(choice.node.id, choice.role)
        if member is not None:
            self.view.placed(member, choice.role)

    # --- the order of what is tried -----------------------------------------------------------------------------

    def _pick(
        self, group: RoleMembers, key: bytes, near: str | None, exclude: Collection[str], purpose: Purpose
    ) -> Member | None:
        region = group.regions.get(near) if near is not None else None
        scopes = (group.everywhere,) if region is None else (region, group.everywhere)
        if self._factor is not None and purpose is Purpose.NEW:
            member = _first(scopes, group, key, exclude, purpose, Level.FIT, self._is_full(group))
            if member is not None:
                return member
        member = _first(scopes, group, key, exclude, purpose, Level.FIT)
        if member is None and self._policy(group.role).fails_open:
            member = _first(scopes, group, key, exclude, purpose, Level.UNHEALTHY)
        return member

    def _is_full(self, group: RoleMembers) -> Callable[[Member], bool]:
        factor = self._factor or 0.0
        return lambda member: group.is_full(member, factor=factor)

    def _fall_back(self, group: RoleMembers, key: bytes, near: str | None, exclude: Collection[str]) -> Choice | None:
        """Choose by the role's fallback, where all of its nodes are drained."""
        policy = self._policy(group.role)
        everywhere = group.everywhere
        if everywhere.has(Purpose.NEW, Level.FIT) or everywhere.has(Purpose.NEW, Level.UNHEALTHY):
            return None
        if policy.uses_draining:
            member = self._pick(group, key, near, exclude, Purpose.SOURCE)
            return None if member is None else self._choice(member, group.role, FALLBACK_DRAINING)
        other = self.view.roles.get(policy.other_role) if policy.other_role is not None else None
        if other is None:
            return None
        member = self._pick(other, key, near, exclude, Purpose.NEW)
        return None if member is None else self._choice(member, other.role, FALLBACK_ROLE)

    def _policy(self, role: str) -> RolePolicy:
        return self._policies.get(role, DEFAULT_POLICY)

    def _choice(self, member: Member, role: str, reason: str) -> Choice:
        return Choice(member.node, role, member.mode, member.health, reason, self.view.revision)

    # --- why there is none --------------------------------------------------------------------------------------

    def _why_none(self, role: str, exclude: Collection[str], now: float) -> NoNode:
        view = self.view
        if not view.loaded:
            return NotLoaded("the drains are not loaded yet")
        group = view.roles.get(role)
        if group is None:
            if role in self._policies:
                return NoNodes(f"no node has the role {role}")
            return UnknownRole(f"no node has the role {role}, and the configuration does not name it")
        members = [each for each in group.everywhere.members.values() if each.weight]
        if not members:
            return NoNodes(f"no node with the role {role} has a weight above 0")
        undrained = [each for each in members if each.mode is Mode.NORMAL]
        if not undrained:
            drains = view.drains_in_force(role, now=now)
            return AllDrained(f"every node with the role {role} is drained: {len(members)}", drains=drains)
        usable = [each for each in undrained if each.health.serves or self._policy(role).fails_open]
        if usable and all(each.id in exclude for each in usable):
            return AllExcluded(f"the request excludes every node of the role {role} that could be used")
        return AllDown(f"no node with the role {role} is up, of {len(undrained)} that are not drained")


def _first(
    scopes: tuple[Scope, ...],
    group: RoleMembers,
    key: bytes,
    exclude: Collection[str],
    purpose: Purpose,
    level: Level,
    passed_over: Callable[[Member], bool] | None = None,
) -> Member | None:
    """Return the member that a key finds in the first scope that has any."""
    for scope in scopes:
        if scope.has(purpose, level):
            member = scope.pick(
                key, group.person, purpose=purpose, level=level, excluded=exclude, passed_over=passed_over
            )
            if member is not None:
                return member
    return None
