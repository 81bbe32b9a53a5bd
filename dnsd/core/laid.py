"""What a fleet lays over one zone, as a table that never changes and whose successors share nearly all of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dnsd.core.records import ZoneNode

# Names that a table has apart from those that it shares. Each successor copies so many; at more, all names are copied,
# which takes milliseconds where they are 100,000. Unit: names.
MAX_APART = 256


class Laid(Mapping[bytes, ZoneNode]):
    """The fleet's nodes of one zone, by folded name: pools, per-node records, and empty non-terminals.

    Args:
        nodes: belongs to the table from now on.
    """

    __slots__ = ("_apart", "_count", "_shared")

    def __init__(self, nodes: dict[bytes, ZoneNode]) -> None:
        self._shared = nodes
        self._apart: dict[bytes, ZoneNode | None] = {}  # instead of the shared ones; None: there is none
        self._count = len(nodes)

    def followed(self, changes: Mapping[bytes, ZoneNode | None]) -> Laid:
        """Return the table with other nodes at some names.

        Args:
            changes: None: there is none any more.
        """
        apart = {**self._apart, **changes}
        shared = self._shared
        if len(apart) > MAX_APART:
            shared = {name: node for name, node in shared.items() if name not in apart}
            shared.update((name, node) for name, node in apart.items() if node is not None)
            apart = {}
        after = Laid(shared)
        after._apart = apart
        after._count = len(shared) + sum((node is not None) - (name in shared) for name, node in apart.items())
        return after

    def get(self, name: bytes, default: Any = None, /) -> Any:
        """Return the node at a name, or the default."""
        if name in self._apart:
            node = self._apart[name]
            return default if node is None else node
        return self._shared.get(name, default)

    def __getitem__(self, name: bytes) -> ZoneNode:
        node: ZoneNode | None = self.get(name)
        if node is None:
            raise KeyError(name)
        return node

    def __contains__(self, name: object) -> bool:
        return isinstance(name, bytes) and self.get(name) is not None

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[bytes]:
        apart = self._apart
        yield from (name for name in self._shared if name not in apart)
        yield from (name for name, node in apart.items() if node is not None)
