"""Pools and per-node names as the configuration declares them."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from dnsd.model.node import Node

DEFAULT_POOL_TTL_SECONDS = 30
DEFAULT_NODE_RECORD_TTL_SECONDS = 300
DEFAULT_MAX_ANSWERS = 8
MAX_TTL_SECONDS = 2**31 - 1  # RFC 2181 §8


class WhenEmpty(enum.Enum):
    """What a pool answers when no undrained node is left in it."""

    NODATA = "nodata"
    SERVFAIL = "servfail"
    DRAINING = "draining"  # the nodes that drain; never those in maintenance
    POOL = "pool"  # another pool, named beside it


@dataclass(frozen=True, slots=True)
class Floor:
    """The least that a pool must keep serving: a count of nodes, or a share of the pool's weight.

    Args:
        count: nodes; used where `share` is None.
        share: 0 to 1 of the weight of all its members.
    """

    count: int = 1
    share: float | None = None

    @classmethod
    def of(cls, value: int | str) -> Floor:
        """Read `2` or `"50%"`.

        Raises:
            ValueError: a negative count, or not a percentage from 0% to 100%.
        """
        if isinstance(value, int):
            if value < 0:
                raise ValueError(f"a floor of {value} nodes makes no sense")
            return cls(count=value)
        match = re.fullmatch(r"(\d{1,3}(?:\.\d+)?)%", value)
        if not match or float(match[1]) > 100:
            raise ValueError(f'{value!r} is neither a count of nodes nor a share such as "50%"')
        return cls(count=0, share=float(match[1]) / 100)

    @property
    def text(self) -> str:
        """The floor as the configuration writes it."""
        return str(self.count) if self.share is None else f"{self.share * 100:g}%"

    def holds(self, *, serving: int, serving_weight: int, total_weight: int) -> bool:
        """Say whether a pool that serves this much is at or above the floor."""
        if self.share is None:
            return serving >= self.count
        # Weights are integers and the share came from decimal text: the slack only absorbs its binary rounding.
        return serving_weight >= self.share * total_weight - 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSpec:
    """A pool as declared.

    Args:
        owner: fully qualified owner name, folded to lower case, with its final dot.
        role: the role that its nodes must have.
        match: selector; `region` and `cluster` compare the node's own, any other key compares its label.
        ttl: seconds.
        floor: what the capacity guard keeps.
        max_answers: the most addresses of one family in an answer.
        when_empty: what to answer when no undrained node is left.
        fallback: owner of the pool to answer from, where `when_empty` is `POOL`.
    """

    owner: str
    role: str
    match: Mapping[str, str] = field(default_factory=dict)
    ttl: int = DEFAULT_POOL_TTL_SECONDS
    floor: Floor = Floor()
    max_answers: int = DEFAULT_MAX_ANSWERS
    when_empty: WhenEmpty = WhenEmpty.NODATA
    fallback: str | None = None

    def selects(self, node: Node) -> bool:
        """Say whether a node belongs to the pool by its inventory alone."""
        return self.role in node.roles and not any(self.mismatches(node))

    def mismatches(self, node: Node) -> Iterator[tuple[str, str, str | None]]:
        """Yield each key of the selector that a node does not match, with what is wanted and what the node has."""
        for key, want in self.match.items():
            has = _value(node, key)
            if has != want:
                yield key, want, has


def _value(node: Node, key: str) -> str | None:
    if key == "region":
        return node.region
    if key == "cluster":
        return node.cluster
    return node.labels.get(key)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRecordSpec:
    """A template of per-node names.

    Args:
        template: as `{id}.nodes.example.org.`; the fields are id, region and cluster.
        ttl: seconds.
    """

    template: str
    ttl: int = DEFAULT_NODE_RECORD_TTL_SECONDS

    def owner_of(self, node: Node) -> str | None:
        """Return the node's name, folded to lower case, or None where it lacks a field of the template."""
        fields = {"id": node.id, "region": node.region, "cluster": node.cluster}
        wanted = re.findall(r"\{(\w+)\}", self.template)
        if any(not fields[name] for name in wanted):
            return None
        return self.template.format_map({name: fields[name] for name in wanted}).lower()
