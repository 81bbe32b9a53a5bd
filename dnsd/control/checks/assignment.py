"""Which targets stand behind which nodes and roles, both ways, kept up to date node by node.

It knows no network and no results.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from dnsd.model.check import CheckSpec, Target
from dnsd.model.node import Monitor, Node


class Assignment:
    """The targets of the nodes that are checked."""

    def __init__(self) -> None:
        self._of_node: dict[str, dict[str, tuple[Target, ...]]] = {}
        self._users: dict[Target, set[str]] = {}

    @property
    def targets(self) -> Iterable[Target]:
        """Every target that somebody needs, once."""
        return self._users.keys()

    @property
    def nodes(self) -> Iterable[str]:
        """Every node that is checked, or should be."""
        return self._of_node.keys()

    def of(self, node: str) -> Mapping[str, tuple[Target, ...]]:
        """Return a node's targets by role; a role without one is there where nothing else tells its health."""
        return self._of_node.get(node, {})

    def users(self, target: Target) -> Iterable[str]:
        """Return the nodes that a target is behind."""
        return self._users.get(target, ())

    def put(self, key: str, node: Node | None, checks: Sequence[CheckSpec]) -> tuple[set[Target], set[Target]]:
        """Take a node as it is now.

        Args:
            node: None: it is gone.

        Returns:
            The targets that nobody needed before, and those that nobody needs any more.
        """
        before = {target for targets in self.of(key).values() for target in targets}
        found = {} if node is None else _by_role(node, checks)
        after = {target for targets in found.values() for target in targets}
        if found:
            self._of_node[key] = found
        else:
            self._of_node.pop(key, None)
        new = {target for target in after if target not in self._users}
        for target in after - before:
            self._users.setdefault(target, set()).add(key)
        gone = set()
        for target in before - after:
            self._users[target].discard(key)
            if not self._users[target]:
                del self._users[target]
                gone.add(target)
        return new, gone


def _by_role(node: Node, checks: Sequence[CheckSpec]) -> dict[str, tuple[Target, ...]]:
    if node.monitor is Monitor.NONE:
        return {}
    found: dict[str, tuple[Target, ...]] = {}
    for role in node.roles:
        targets = tuple(dict.fromkeys(target for check in checks for target in check.targets_of(node, role)))
        if targets or node.monitor is Monitor.CHECK:
            found[role] = targets
    return found
