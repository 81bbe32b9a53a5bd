"""How many tries each node may have under way, so that a few that swallow every packet do not make all others late.

It knows no clock, network or results; which nodes a target is behind comes from the caller.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from dnsd.model.check import Target

# A node has up to 64 addresses, in several checks. With this many, 31 nodes that swallow everything leave room for
# others among all tries that may be under way. Unit: tries.
MAX_PER_NODE = 8


class Slots:
    """The tries under way of each node, and the targets that wait for one of them to end.

    A target that several nodes share counts for one of them.
    """

    def __init__(self) -> None:
        self._under_way: Counter[str] = Counter()
        self._held: dict[str, dict[Target, float]] = {}  # by node: in the order in which they came, with when due

    def take(self, target: Target, users: Collection[str], *, due: float) -> str | None:
        """Return the node whose try it is; None: none of its nodes may have one more, and it is held.

        Args:
            users: the nodes that the target is behind; at least one.
        """
        for node in users:
            if self._under_way[node] < MAX_PER_NODE:
                self._under_way[node] += 1
                return node
        least = min(users, key=lambda node: len(self._held.get(node, ())))
        self._held.setdefault(least, {})[target] = due
        return None

    def give_back(self, node: str) -> tuple[Target, float] | None:
        """Note that a try of a node has ended; return what was held for longest for it, and when it was due."""
        self._under_way[node] -= 1
        if not self._under_way[node]:
            del self._under_way[node]
        held = self._held.get(node)
        if not held:
            return None
        target = next(iter(held))
        due = held.pop(target)
        if not held:
            del self._held[node]
        return target, due

    def let_go(self, node: str) -> Collection[tuple[Target, float]]:
        """Return all that is held for a node, as where the node has changed or is gone; it is held no more."""
        return self._held.pop(node, {}).items()
