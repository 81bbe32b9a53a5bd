"""Which pools a node may belong to, found by its role and what selectors compare instead of by trying every pool.

Selectors that compare the same keys, in pools of one role, share a table from what they want to the pools. A node
looks once into each table of its roles, so that its cost depends on how many kinds of selectors there are, and not on
how many pools. It decides nothing: whoever asks tries the candidates.
"""

from __future__ import annotations

from collections.abc import Iterable

from dnsd.model.node import Node
from dnsd.model.pool import PoolSpec, selector_value

# The keys that a selector compares, rising.
_Keys = tuple[str, ...]


class PoolIndex:
    """Pools by role and selector.

    Args:
        pools: in the order in which candidates are returned.
    """

    def __init__(self, pools: Iterable[PoolSpec]) -> None:
        self._tables: dict[str, dict[_Keys, dict[tuple[str | None, ...], list[tuple[int, PoolSpec]]]]] = {}
        for place, pool in enumerate(pools):
            keys = tuple(sorted(pool.match))
            table = self._tables.setdefault(pool.role, {}).setdefault(keys, {})
            table.setdefault(tuple(pool.match[key] for key in keys), []).append((place, pool))

    def candidates(self, node: Node) -> list[PoolSpec]:
        """Return every pool whose role and selector take a node, each once, in the order of the configuration."""
        found: dict[int, PoolSpec] = {}
        for role in node.roles:
            for keys, table in self._tables.get(role, {}).items():
                found.update(table.get(tuple(selector_value(node, key) for key in keys), ()))
        return [found[place] for place in sorted(found)]
