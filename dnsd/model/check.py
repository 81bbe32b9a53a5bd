"""Active checks as the configuration declares them, and what they have found of a node."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from dnsd.model.node import Monitor, Node
from dnsd.model.pool import selector_value
from dnsd.model.report import Health

DEFAULT_INTERVAL_SECONDS = 5.0
DEFAULT_TIMEOUT_SECONDS = 2.0
DEFAULT_RISE = 2
DEFAULT_FALL = 3
DEFAULT_JITTER = 0.1

# All but errors; a redirect is a living server's answer, and is not followed.
DEFAULT_STATUSES = ((200, 399),)


class CheckType(enum.Enum):
    """What is tried at an address."""

    TCP = "tcp"  # a connection
    HTTP = "http"  # a request, its status and perhaps its body
    HTTPS = "https"  # the same over TLS


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What is tried at an address, and what to conclude: equal ones at one address are one.

    Args:
        port: 1 to 65535; 0: not known yet, see `CheckSpec.targets_of`.
        interval_seconds: from the beginning of one try to that of the next.
        timeout_seconds: for all of a try.
        rise, fall: how many tries in a row must succeed, or fail, before the verdict changes; 1 or more.
        jitter: 0 to 0.5, the part of the interval by which a try comes earlier or later.
        path: of the request, with its query.
        host: the name in the request's Host, in SNI, and in the certificate; None: the address.
        statuses: ranges, both ends counted in.
        body: what must be within the first of the body; None: anything.
        tls_verify: whether the certificate must lead to a root, and be for the host.
        ca: PEM of the roots; None: those of the system.
    """

    type: CheckType
    port: int = 0
    interval_seconds: float = DEFAULT_INTERVAL_SECONDS
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    rise: int = DEFAULT_RISE
    fall: int = DEFAULT_FALL
    jitter: float = DEFAULT_JITTER
    path: str = "/"
    host: str | None = None
    method: str = "GET"
    statuses: tuple[tuple[int, int], ...] = DEFAULT_STATUSES
    body: str | None = None
    tls_verify: bool = True
    ca: str | None = field(default=None, repr=False)
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Keep the hash: every target has one of few probes, and a fleet has many targets."""
        told = (self.type.value, self.port, self.path, self.host, self.statuses, self.body, self.interval_seconds)
        object.__setattr__(self, "_hash", hash(told))

    def __hash__(self) -> int:
        return self._hash

    def accepts(self, status: int) -> bool:
        """Say whether a status is one of those that are wanted."""
        return any(first <= status <= last for first, last in self.statuses)


@dataclass(frozen=True, slots=True)
class Target:
    """A probe at an address: what one checker is about, however many nodes, roles and checks share it.

    Args:
        address: canonical text.
    """

    address: str
    probe: Probe
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Keep the hash: each try looks its target up several times."""
        object.__setattr__(self, "_hash", hash((self.address, self.probe)))

    def __hash__(self) -> int:
        return self._hash

    @property
    def text(self) -> str:
        """As people read it: `tcp 192.0.2.1:80` or `http [2001:db8::1]:80/health`."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        path = "" if self.probe.type is CheckType.TCP else self.probe.path
        return f"{self.probe.type.value} {host}:{self.probe.port}{path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckSpec:
    """A check as declared.

    Args:
        roles: those in which its result counts.
        match: a selector, as pools have.
        port: None: the node's own for the role.
        versions: of IP: which of a node's addresses are tried.
    """

    roles: tuple[str, ...]
    probe: Probe
    match: Mapping[str, str] = field(default_factory=dict)
    port: int | None = None
    versions: tuple[int, ...] = (4, 6)

    def selects(self, node: Node, role: str) -> bool:
        """Say whether the check is for a node in a role; a node that nothing monitors is in none."""
        if node.monitor is Monitor.NONE or role not in self.roles or role not in node.roles:
            return False
        return all(selector_value(node, key) == want for key, want in self.match.items())

    def targets_of(self, node: Node, role: str) -> tuple[Target, ...]:
        """Return what is tried of a node for a role; nothing where it is not selected, or has no port for it."""
        port = node.ports.get(role) if self.port is None else self.port
        if port is None or not self.selects(node, role):
            return ()
        probe = self.probe if self.probe.port == port else replace(self.probe, port=port)
        return tuple(Target(each, probe) for each in node.addresses if (6 if ":" in each else 4) in self.versions)


@dataclass(frozen=True, slots=True)
class Checked:
    """What the checks of a node in a role have found.

    Args:
        health: up, down or unknown.
        text: why, for people, as `check tcp 192.0.2.1:80: refused, 3 failures`.
    """

    health: Health
    text: str


# What a server's checks have found, of the nodes and roles of which they know anything: node → role → up or not.
Results = Mapping[str, Mapping[str, bool]]


@dataclass(frozen=True, slots=True)
class CheckedBy:
    """What a server tells readers of its store that its checks have found.

    Args:
        results: of one server the same object for as long as it tells nothing else.
        seen_at: its last sign of life, on its own clock; None: there is none.
        told_at: when it told that, on its own clock; what still holds is told anew every minute.
    """

    results: Results
    seen_at: float | None
    told_at: float
