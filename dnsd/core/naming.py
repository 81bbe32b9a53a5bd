"""Whom each pool's answers name, and the other way round.

A node is named where any of its addresses is answered, be it as another's. It owns what the last compilation of each
pool has made of that; it compiles none.
"""

from __future__ import annotations

from collections.abc import Iterable

from dnsd.core.fleet_change import Withdrawal
from dnsd.core.selection import Member, Selection
from dnsd.model.pool import PoolSpec

# A node, and the role in which it is named.
Named = tuple[str, str]

NOBODY: frozenset[Named] = frozenset()


class Naming:
    """Whom the pools of a fleet name."""

    def __init__(self) -> None:
        self._named: dict[str, frozenset[Named]] = {}
        self._naming: dict[Named, set[str]] = {}

    def named(self, owner: str) -> frozenset[Named]:
        """Return whom a pool's answers name; empty for a pool that does not exist."""
        return self._named.get(owner, NOBODY)

    def named_by(self, node: str, role: str) -> tuple[str, ...]:
        """Return the owners of the pools whose answers name a node in a role, or share its address there."""
        return tuple(sorted(self._naming.get((node, role), ())))

    def note(self, pool: PoolSpec, selection: Selection, members: Iterable[Member]) -> list[Withdrawal]:
        """Take what a pool answers from now on, and return whom it names no more.

        Args:
            members: all of the pool that the selection is from.
        """
        role = selection.source.role
        answered = {address for member in selection.members for address in member.node.addresses}
        named = frozenset(
            (member.node.id, role) for member in members if not answered.isdisjoint(member.node.addresses)
        )
        before = self._named.get(pool.owner, NOBODY)
        gone = before - named
        for each in gone:
            self._naming[each].discard(pool.owner)
        for each in named - before:
            self._naming.setdefault(each, set()).add(pool.owner)
        self._named[pool.owner] = named
        return [Withdrawal(node, role, pool.ttl, pool.owner) for node, role in sorted(gone)]
