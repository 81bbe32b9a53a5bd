"""What a configuration file says, checked and resolved: the form in which the rest of the server reads it."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from dnsd.config.transfer import TransferSettings
from dnsd.core.policy import DEFAULT_POLICY, AnswerPolicy
from dnsd.core.records import Zone
from dnsd.model.check import CheckSpec
from dnsd.model.endpoint import Endpoint
from dnsd.model.node import Node
from dnsd.model.pool import NodeRecordSpec, PoolSpec
from dnsd.transports.limits import TcpLimits


class Scope(enum.Enum):
    """What a token allows."""

    VIEWER = "viewer"  # read
    OPERATOR = "operator"  # read, drain, change the inventory
    AGENT = "agent"  # report and drain on behalf of its own node
    ROUTER = "router"  # read, and say how far a router has come


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A bearer token that the admin interface accepts.

    Args:
        name: becomes the actor of what it does.
        sha256: lower-case hex of the token's SHA-256.
        node: for an agent: the one node that it speaks for.
        consumer: for a router: the one consumer that it speaks for; None: any router.
    """

    name: str
    scope: Scope
    sha256: str
    node: str | None = None
    consumer: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """Who the server is to clients of TLS and HTTPS; checked.

    Args:
        certificate: PEM, the server's own first.
        key: PEM, not encrypted.
        expires_at: instant.
    """

    certificate: bytes = field(repr=False)
    key: bytes = field(repr=False)
    expires_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterSettings:
    """Where an adapter listens, and who may use it there; an adapter with more keys has more fields.

    Args:
        listen: None: it listens nowhere, or in a way of its own.
        allow: networks whose members it serves.
    """

    listen: Endpoint | None
    allow: tuple[IPv4Network | IPv6Network, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerDnsSettings(AdapterSettings):
    """`[powerdns]`.

    Args:
        socket: absolute path of a unix socket; None: there is none.
        cache_seconds: for how long PowerDNS may answer with what it was told once.
    """

    socket: Path | None
    cache_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvoySettings(AdapterSettings):
    """`[envoy]`.

    Args:
        ports: by role: where nodes are reached that have no port of their own for it.
    """

    ports: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class PrometheusSettings(AdapterSettings):
    """Of `[prometheus]`.

    Args:
        port: 1 to 65535: of a target whose node has none for its role; None: such a target has none.
    """

    port: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsulSettings(AdapterSettings):
    """Of `[consul]`.

    Args:
        datacenter: what the fleet is called towards clients of Consul.
    """

    datacenter: str = "dc1"


@dataclass(frozen=True, slots=True, kw_only=True)
class GrpcSettings(AdapterSettings):
    """Of `[grpc]`.

    Args:
        certificate: with its key, for TLS; None: it is spoken in the clear.
    """

    certificate: Certificate | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A configuration that passed every check.

    Args:
        path: the file it was read from.
        workers: number of answer processes, 1 or more (0 in the file has been resolved).
        zones: by folded apex.
        nodes: the configured inventory by id.
        warn_after_seconds: the age at which a drain is overdue.
        min_replicas: how many replicas of the store must have a write before it is acknowledged.
        policy: how to answer, whatever is asked for.
        checks: what the server itself tries at nodes.
        check_local: whether it tries registered nodes at addresses of its own machine or link too.
        tcp: what TCP clients may take of each worker.
        tls_listen, https_listen: where DNS is answered over TLS and over HTTPS.
        https_path: where queries are taken there.
        certificate: for these two.
        proxies: networks whose members must send a PROXY header.
        adapters: by the name of their table, those that are to run.
        transfer: who may have whole zones; None: nobody.
        warnings: what is odd but serves.
    """

    path: Path
    roles: tuple[str, ...]
    server_id: str
    listen: tuple[Endpoint, ...]
    workers: int
    admin_listen: Endpoint
    tokens: tuple[Token, ...]
    store_url: str
    store_prefix: str
    state_file: Path | None
    default_expiry_seconds: float
    stale_after_seconds: float
    zones: Mapping[bytes, Zone]
    nodes: Mapping[str, Node]
    node_records: tuple[NodeRecordSpec, ...]
    pools: tuple[PoolSpec, ...]
    warn_after_seconds: float = 86_400.0
    checks: tuple[CheckSpec, ...] = ()
    check_local: bool = False
    min_replicas: int = 0
    policy: AnswerPolicy = DEFAULT_POLICY
    tcp: TcpLimits = field(default_factory=TcpLimits)
    tls_listen: tuple[Endpoint, ...] = ()
    https_listen: tuple[Endpoint, ...] = ()
    https_path: str = ""
    certificate: Certificate | None = None
    proxies: tuple[str, ...] = ()
    adapters: Mapping[str, AdapterSettings] = field(default_factory=dict)
    transfer: TransferSettings | None = None
    warnings: tuple[str, ...] = ()
