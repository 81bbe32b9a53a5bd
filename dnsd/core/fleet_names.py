"""The per-node names of a fleet, and the empty names above them and above pools (RFC 4592 §2.2.2).

It owns who has which name. It knows nothing of drains, health or the members of pools: no drain changes a name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from dnsd.core.compile import record_node
from dnsd.core.fleet_change import OverlayChange
from dnsd.core.names import from_text, to_text
from dnsd.core.owners import overlay_ancestors, why_not_overlay
from dnsd.core.records import Overlay, Zone, ZoneNode
from dnsd.model.node import Node
from dnsd.model.pool import NodeRecordSpec


class NodeNames:
    """Gives nodes their names and takes them back, as changes of the overlay.

    Args:
        zones: by folded apex.
        records: the templates of names.
        pools: folded owners of the pools.
        overlay: as it stood before the present step; never written here.

    Attributes:
        clashes: per-node names that cannot be served, with the reason.
    """

    def __init__(
        self,
        zones: Mapping[bytes, Zone],
        records: tuple[NodeRecordSpec, ...],
        pools: Iterable[bytes],
        overlay: Overlay,
    ) -> None:
        self.clashes: dict[str, str] = {}
        self._zones = zones
        self._records = records
        self._pool_names = frozenset(pools)
        self._overlay = overlay
        self._node_of_name: dict[bytes, str] = {}
        self._names_of: dict[str, tuple[bytes, ...]] = {}
        self._non_terminals: Counter[bytes] = Counter()

    def of(self, node: str) -> tuple[bytes, ...]:
        """Return the folded names of a node."""
        return self._names_of.get(node, ())

    def node_named(self, owner: str) -> str | None:
        """Return the node that has a name; None: none has.

        Args:
            owner: folded text, with its final dot.
        """
        try:
            return self._node_of_name.get(from_text(owner))
        except ValueError:  # no name that a template could make
            return None

    def holds(self, node: str, owner: str) -> bool:
        """Say whether a name is a node's own.

        Args:
            owner: folded text, with its final dot.
        """
        return owner in map(to_text, self.of(node))

    def why_not(self, node: Node) -> str | None:
        """Say why a node cannot have its per-node names, or None where it can."""
        return next((reason for *_, reason in self._wanted(node) if reason), None)

    def hold_pools(self, change: OverlayChange) -> None:
        """Keep the empty names above every pool; called once, before any node has a name."""
        for name in self._pool_names:
            self._hold_non_terminals(name, change)

    def release(self, node: str, change: OverlayChange) -> None:
        """Take a node's names back."""
        for name in self._names_of.pop(node, ()):
            self._release_name(name, change)

    def _wanted(self, node: Node) -> Iterator[tuple[NodeRecordSpec, str, bytes, str | None]]:
        """Yield the names that the templates make for a node, as text and folded, each with why it cannot have it."""
        for record in self._records:
            text = record.owner_of(node)
            if text is None:
                continue
            try:
                name = from_text(text)
            except ValueError as error:
                yield record, text, b"", str(error)
            else:
                yield record, text, name, self._why_not_name(text, name, node.id)

    def _why_not_name(self, text: str, name: bytes, node: str) -> str | None:
        if name in self._pool_names:
            return f"{text} is a pool"
        other = self._node_of_name.get(name)
        if other is not None and other != node:
            return f"{text} is the name of node {other}"
        problem = why_not_overlay(self._zones, name)
        return problem[1] if problem else None

    def give(self, node: Node, change: OverlayChange) -> None:
        """Give a node the names that its templates make, but for those that it cannot have."""
        names = []
        for record, text, name, reason in self._wanted(node):
            if reason:
                self.clashes[text] = reason
                continue
            self.clashes.pop(text, None)
            self._node_of_name[name] = node.id
            self._hold_non_terminals(name, change)
            put = record_node(node, name, self._zones, ttl=record.ttl)
            if self._overlay.get(name) != put:
                change.put[name] = put
            else:
                change.put.pop(name, None)  # released in the same step, and given back as it was
            change.removed.discard(name)
            names.append(name)
        self._names_of[node.id] = tuple(names)

    def _release_name(self, name: bytes, change: OverlayChange) -> None:
        del self._node_of_name[name]
        if self._non_terminals[name]:
            change.put[name] = ZoneNode()
        else:
            change.put.pop(name, None)
            change.removed.add(name)
        for above in overlay_ancestors(self._zones, name):
            self._non_terminals[above] -= 1
            if not self._non_terminals[above]:
                del self._non_terminals[above]
                if above not in self._node_of_name and above not in self._pool_names:
                    change.put.pop(above, None)
                    change.removed.add(above)

    def _hold_non_terminals(self, name: bytes, change: OverlayChange) -> None:
        """Keep the empty names between an owner and its zone (RFC 4592 §2.2.2)."""
        for above in overlay_ancestors(self._zones, name):
            self._non_terminals[above] += 1
            if above not in self._node_of_name and above not in self._pool_names and above not in self._overlay:
                change.put[above] = ZoneNode()
            change.removed.discard(above)
