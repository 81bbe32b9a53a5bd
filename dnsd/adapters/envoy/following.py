"""The assignment of a group, brought up to the fleet when somebody asks for it, in parts and in a thread.

A drain waits for no more than a part: a large fleet's first assignment takes seconds, and a change of one node a good
part of one. Whoever asks gets what is not older than the question. It knows no HTTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from dnsd.adapters.envoy.assignment import Assignment, Members, assignment_of
from dnsd.adapters.groups import Group, Groups, Opening
from dnsd.adapters.members import RoleMember
from dnsd.adapters.turns import Turns
from dnsd.control.plane import ControlPlane

# Looked at before others get their turn, and of a group that is written at once: a few milliseconds. Unit: members.
MEMBERS_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Shared:
    """What all that are followed have in common, so that many of them take no more of the process than one.

    Args:
        turns: for a part of one of them.
        writing: one is written at a time; more threads would leave less to the one that everything else runs in.
    """

    turns: Turns = field(default_factory=Turns)
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)


class Followed:
    """A group's assignment.

    Args:
        name: of the group.
        ports: by role, for nodes that have none of their own.
        shared: of all that are followed.
    """

    def __init__(
        self, plane: ControlPlane, groups: Groups, name: str, *, ports: Mapping[str, int], shared: Shared
    ) -> None:
        self._plane = plane
        self._groups = groups
        self._name = name
        self._ports = ports
        self._shared = shared
        self._members: dict[str, RoleMember] = {}
        self._seen: int | None = None  # up to which number of the news the members go; None: not at all
        self._changed = True  # of the members, since the assignment was made
        self._made_of: tuple[Group, Opening] | None = None
        self._assignment: Assignment | None = None
        self._at_work = asyncio.Lock()

    async def renewed(self) -> Assignment | None:
        """Return it as it is now; nothing is written where nothing has changed. None: there is no such group."""
        async with self._at_work:
            found = await self._caught_up()
            if found is None:
                return None
            if self._changed or self._made_of != found:
                group, opening = found
                source = Members(group, dict(self._members), opening, self._ports)
                self._changed = False
                self._made_of = None  # until it is made: whoever asks for it may be gone before
                self._assignment = await self._make(source)
                self._made_of = found
            return self._assignment

    async def _make(self, source: Members) -> Assignment:
        before = {} if self._assignment is None else self._assignment.endpoints
        if len(source.members) <= MEMBERS_AT_ONCE:
            return assignment_of(source, before)
        async with self._shared.writing:
            return await asyncio.to_thread(assignment_of, source, before)

    async def _caught_up(self) -> tuple[Group, Opening] | None:
        """Bring all to what is published now, or to what follows; return what `_open` does."""
        while True:
            await self._catch_up()
            found = await self._open()
            if self._seen is not None and self._plane.changed.since(self._seen) is not None:
                return found  # no reload has come in between, with which all may be others

    async def _catch_up(self) -> None:
        """Bring the members there."""
        news = self._plane.changed
        wanted = news.number
        while self._seen is None or self._seen < wanted:
            number = news.number
            nodes: Collection[str] | None = None if self._seen is None else news.since(self._seen)
            group = self._groups.find(self._name)
            if nodes is None:
                candidates = () if group is None else group.candidates(self._plane.publisher.fleet)
                nodes = dict.fromkeys((*candidates, *self._members))
            keys = tuple(nodes)
            for begin in range(0, len(keys), MEMBERS_AT_ONCE):
                await self._shared.turns.take()
                for key in keys[begin : begin + MEMBERS_AT_ONCE]:
                    self._look_at(key)
            self._seen = number

    async def _open(self) -> tuple[Group, Opening] | None:
        """Return the group as it is now and who of it is open; None: there is no such group."""
        while (group := self._groups.find(self._name)) is not None:
            opening = self._groups.opening_of(group)
            if opening is not None:
                return group, opening
            await self._shared.turns.take()
        return None

    def _look_at(self, key: str) -> None:
        # Anew for each: while others had their turn, all may have become another fleet.
        group = self._groups.find(self._name)
        fleet = self._plane.publisher.fleet
        member = None if group is None else group.member(fleet, key, now=self._groups.now)
        if member == self._members.get(key):
            return
        self._changed = True
        if member is None:
            del self._members[key]
        else:
            self._members[key] = member
