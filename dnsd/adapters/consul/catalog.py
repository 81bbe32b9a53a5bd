"""What Consul's clients are told of, kept up to date by what may have changed, with the index of each thing's change.

An index is the time of a change in milliseconds, and rises by one at least. So those of two servers, or of one before
and after a restart, are not mixed up by chance, and none is 0. It knows no call.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from dnsd.adapters.consul.entries import Check, Entry, NodeEntry, ServiceEntry, entry_of
from dnsd.control.plane import ControlPlane

ThingT = TypeVar("ThingT")


@dataclass(frozen=True, slots=True)
class Stamped(Generic[ThingT]):
    """A thing with the indexes of its coming and of its last change."""

    thing: ThingT
    created: int
    modified: int


def _stamp(before: Stamped[ThingT] | None, thing: ThingT, index: int) -> Stamped[ThingT]:
    if before is None:
        return Stamped(thing, index, index)
    return before if before.thing == thing else Stamped(thing, before.created, index)


@dataclass(frozen=True, slots=True)
class Kept:
    """A node's entry, part by part: services by role."""

    entry: Entry
    node: Stamped[NodeEntry]
    checks: Stamped[tuple[Check, ...]]
    services: dict[str, Stamped[ServiceEntry]]


@dataclass(slots=True)
class Touched:
    """What a step has changed.

    Args:
        folded: the nodes' ids, without regard to case.
        roles: those of which an instance looks different, has come or gone.
    """

    folded: set[str] = field(default_factory=set)
    roles: set[str] = field(default_factory=set)


class Catalog:
    """The nodes as Consul shows them.

    Args:
        plane: of what.

    Attributes:
        index: of the last change of anything.
    """

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane
        self.index = max(1, int(plane.clock() * 1000))
        self._nodes: dict[str, Kept] = {}
        self._of_role: dict[str, set[str]] = {}
        self._folded: dict[str, set[str]] = {}

    def take(self, keys: Collection[str]) -> Touched:
        """Look at nodes again, whether they are there or not, and say what looks different."""
        fleet = self._plane.publisher.fleet
        now = self._plane.now
        touched, index = Touched(), max(self.index + 1, int(now * 1000))
        for key in keys:
            before, entry = self._nodes.get(key), entry_of(fleet, key, now=now)
            if entry != (None if before is None else before.entry):
                self._put(key, before, entry, index, touched)
        if touched.folded:
            self.index = index
        return touched

    def _put(self, key: str, before: Kept | None, entry: Entry | None, index: int, touched: Touched) -> None:
        had = {} if before is None else before.services
        kept = None
        if entry is not None:
            kept = Kept(
                entry,
                _stamp(None if before is None else before.node, entry.node, index),
                _stamp(None if before is None else before.checks, entry.checks, index),
                {role: _stamp(had.get(role), service, index) for role, service in entry.services.items()},
            )
        has = {} if kept is None else kept.services
        # What is said of a node stands in the answers about each of its services as well.
        whole = before is None or kept is None or before.node is not kept.node or before.checks is not kept.checks
        roles = had.keys() | has.keys()
        touched.folded.add(key.lower())
        touched.roles |= roles if whole else {role for role in roles if had.get(role) is not has.get(role)}
        self._index(key, had.keys(), has.keys(), there=kept is not None)
        if kept is None:
            del self._nodes[key]
        else:
            self._nodes[key] = kept

    def _index(self, key: str, had: Collection[str], has: Collection[str], *, there: bool) -> None:
        for role in had:
            self._of_role[role].discard(key)
        for role in has:
            self._of_role.setdefault(role, set()).add(key)
        namesakes = self._folded.setdefault(key.lower(), set())
        (namesakes.add if there else namesakes.discard)(key)
        if not namesakes:
            del self._folded[key.lower()]

    # --- reading ------------------------------------------------------------------------------------------------

    @property
    def known(self) -> Collection[str]:
        """The ids of the nodes that are kept."""
        return self._nodes.keys()

    def nodes(self) -> Iterator[Kept]:
        """Yield every node, by id."""
        return (self._nodes[key] for key in sorted(self._nodes))

    def node(self, key: str) -> Kept | None:
        """Return a node by its id, in any case as Consul has it."""
        found = self._nodes.get(key)
        if found is not None:
            return found
        return next((self._nodes[each] for each in sorted(self._folded.get(key.lower(), ()))), None)

    def instances(self, role: str) -> Iterator[tuple[Kept, Stamped[ServiceEntry]]]:
        """Yield every node with a role, by id, with the service that it is there."""
        for key in sorted(self._of_role.get(role, ())):
            kept = self._nodes[key]
            yield kept, kept.services[role]

    def roles(self) -> list[str]:
        """Return the roles that some node has."""
        return sorted(role for role, nodes in self._of_role.items() if nodes)
