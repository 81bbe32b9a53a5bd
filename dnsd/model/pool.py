"""Pools and per-node names as the configuration declares them."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from dnsd.model.node import Node

DEFAULT_POOL_TTL_SECONDS = 30
DEFAULT_NODE_RECORD_TTL_SECONDS = 300
DEFAULT_MAX_ANSWERS = 8
MAX_TTL_SECONDS = 2**31 - 1  # RFC 2181 §8

# Templates whose fields are remembered: each is asked for every node of a fleet. Unit: templates.
TEMPLATES_KEPT = 1024


class WhenEmpty(enum.Enum):
    """What a pool answers when no undrained node is left in it."""

    NODATA = "nodata"
    SERVFAIL = "servfail"
    DRAINING = "draining"  # the nodes that drain; never those in maintenance
    POOL = "pool"  # another pool, named beside it


class PoolType(enum.Enum):
    """Which records a pool is answered with."""

    ADDRESS = "address"  # A and AAAA: the nodes' addresses
    SRV = "srv"  # RFC 2782: a record for each node, which points to its own name
    SVCB = "svcb"  # RFC 9460: the same
    HTTPS = "https"  # RFC 9460: the same


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
class Service:
    """How the nodes of a pool are to be spoken to, where its records say so.

    Args:
        port: 1 to 65535; None: the protocol's own, or each node's.
        priority: of the records; the lowest is tried first. 0 only in SRV (in SVCB it would make an alias).
        alpn: protocols as TLS names them, such as `h2` (RFC 9460 §7.1).
        default_alpn: the protocol that the record's type implies is spoken as well.
    """

    port: int | None = None
    priority: int = 0
    alpn: tuple[str, ...] = ()
    default_alpn: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSpec:
    """A pool as declared.

    Args:
        owner: fully qualified owner name, folded to lower case, with its final dot.
        role: the role that its nodes must have.
        match: selector; `region` and `cluster` compare the node's own, any other key compares its label.
        ttl: seconds.
        floor: what the capacity guard keeps.
        max_answers: the most addresses of one family, or records that point to nodes, in an answer.
        when_empty: what to answer when no undrained node is left.
        fallback: owner of the pool to answer from, where `when_empty` is `POOL`; it is of the same type.
        type: the records that it is answered with.
        service: what these say beside the target; for addresses nothing.
        targets: the template of the names that they point to; addresses need none.
        https: of a pool of addresses: the HTTPS record that stands beside them (RFC 9460 §9); None: there is none.
    """

    owner: str
    role: str
    match: Mapping[str, str] = field(default_factory=dict)
    ttl: int = DEFAULT_POOL_TTL_SECONDS
    floor: Floor = Floor()
    max_answers: int = DEFAULT_MAX_ANSWERS
    when_empty: WhenEmpty = WhenEmpty.NODATA
    fallback: str | None = None
    type: PoolType = PoolType.ADDRESS
    service: Service = Service()
    targets: NodeRecordSpec | None = None
    https: Service | None = None

    def selects(self, node: Node) -> bool:
        """Say whether a node belongs to the pool by its inventory alone."""
        return self.role in node.roles and not any(self.mismatches(node)) and self.why_unnamed(node) is None

    def mismatches(self, node: Node) -> Iterator[tuple[str, str, str | None]]:
        """Yield each key of the selector that a node does not match, with what is wanted and what the node has."""
        for key, want in self.match.items():
            has = selector_value(node, key)
            if has != want:
                yield key, want, has

    def port_of(self, node: Node) -> int | None:
        """Return the port at which a node is reached in the pool's role."""
        return node.ports.get(self.role, self.service.port)

    def why_unnamed(self, node: Node) -> str | None:
        """Say why the pool's records cannot point to a node, or None where they can."""
        if self.type is PoolType.ADDRESS:
            return None
        if self.targets is None or self.targets.owner_of(node) is None:
            template = "" if self.targets is None else f" by the template {self.targets.template}"
            return f"it has no name{template}"
        if self.type is PoolType.SRV and self.port_of(node) is None:
            return f"it has no port for the role {self.role}, and the pool has none for all"
        return None


def selector_value(node: Node, key: str) -> str | None:
    """Return what a node has of what a key of a selector compares; None: nothing."""
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
        if any(not fields[name] for name in _fields_of(self.template)):
            return None
        return self.template.format_map(fields).lower()


@lru_cache(maxsize=TEMPLATES_KEPT)
def _fields_of(template: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\{(\w+)\}", template))
