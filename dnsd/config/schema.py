"""The configuration file's tables and keys, their types and defaults. What the values mean is checked elsewhere.

All relative paths are relative to the configuration file. The store's URL is one of

- `memory://`: nothing outlives the server;
- `sqlite:///var/lib/dnsd/state.db`: the file `/var/lib/dnsd/state.db`;
- `sqlite://./var/state.db` or `sqlite://../state.db`: relative to the configuration file;
- `redis://HOST:6379/0`, `rediss://…`, `unix:///run/redis.sock`, `redis+sentinel://HOST:26379/SERVICE/0`: a Redis that
  servers and routers share; `dnsd.stores.redis.address` tells the whole form.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, create_model
from pydantic_core import PydanticCustomError

from dnsd.model.check import DEFAULT_FALL, DEFAULT_RISE
from dnsd.model.node import DEFAULT_WEIGHT, MAX_PORT, MAX_PRIORITY, MAX_WEIGHT
from dnsd.model.pool import (
    DEFAULT_MAX_ANSWERS,
    DEFAULT_NODE_RECORD_TTL_SECONDS,
    DEFAULT_POOL_TTL_SECONDS,
    MAX_TTL_SECONDS,
)

# The version of the file's format; it rises when a file that was good would mean something else.
FORMAT_VERSION = 1

# More processes than any machine has CPUs are a slip of the pen. Unit: processes.
MAX_WORKERS = 256

# More replicas than any primary has are a slip of the pen. Unit: replicas.
MAX_REPLICAS = 64

# More addresses than this fit in no answer: 28 bytes each for AAAA, 65 535 in all (RFC 1035 §4.2.2).
MAX_MAX_ANSWERS = 2_000


# Figures above these are slips of the pen. Unit: answers per second; queries.
MAX_IN_A_ROW = 100  # results of a check before its verdict changes
MAX_PER_SECOND = 10_000_000
MAX_QUERIES_PER_CONNECTION = 1_000_000_000

# Of the differences that are kept of each zone, for IXFR. The default takes some 20 MB where it is used up: thousands
# of drains. Unit: records.
DEFAULT_HISTORY = 100_000
MAX_HISTORY = 10_000_000


def _count_or_text(value: object) -> object:
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise ValueError('should be a count such as 2 or a share such as "50%"')


def _text_or_list(value: object) -> object:
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return [value]
    if isinstance(value, list):
        return value
    raise ValueError('should be a status or a range such as "200-399", or a list of them')


def _duration_text(value: object) -> object:
    if isinstance(value, str):
        return value
    raise ValueError('should be a duration in quotes, with its unit, such as "4h", "90s" or "1d"')


def _known_version(value: int) -> int:
    if value != FORMAT_VERSION:
        message = f"this dnsd reads version {FORMAT_VERSION}"
        raise PydanticCustomError("version", "{message}", {"message": message})
    return value


Ttl = Annotated[int, Field(ge=0, le=MAX_TTL_SECONDS)]  # seconds
Duration = Annotated[str, BeforeValidator(_duration_text)]
Port = Annotated[int, Field(ge=1, le=MAX_PORT)]


class Section(BaseModel):
    """A table of the file."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class TokenSection(Section):
    """`[[admin.token]]`."""

    name: str
    scope: Literal["viewer", "operator", "agent", "router"]
    sha256: str
    node: str | None = None
    consumer: str | None = None


class ServerSection(Section):
    """`[server]`."""

    id: str | None = None
    listen: list[str] = ["127.0.0.1:5353", "[::1]:5353"]
    workers: int = Field(0, ge=0, le=MAX_WORKERS)
    nsid: str | None = None
    version_bind: str = ""
    id_server: bool = False


class AdminSection(Section):
    """`[admin]`, without its tokens."""

    listen: str = "127.0.0.1:8053"


class CookiesSection(Section):
    """`[cookies]`."""

    enabled: bool = True
    secret_file: str | None = None
    require: bool = False


class RateLimitSection(Section):
    """`[rate_limit]`."""

    responses_per_second: int = Field(200, ge=0, le=MAX_PER_SECOND)
    total_per_second: int = Field(0, ge=0, le=MAX_PER_SECOND)
    window: Duration = "2s"
    slip: int = Field(2, ge=0, le=10)
    ipv4_prefix: int = Field(24, ge=8, le=32)
    ipv6_prefix: int = Field(56, ge=32, le=128)
    allow: list[str] = ["127.0.0.0/8", "::1/128"]
    starts_at: int = Field(500, ge=0, le=MAX_PER_SECOND)


class TcpSection(Section):
    """`[tcp]`."""

    idle: Duration = "10s"
    connections: int = Field(500, ge=1, le=65_536)
    connections_per_client: int = Field(50, ge=1, le=65_536)
    evictable_after: Duration = "1s"
    queries_per_connection: int = Field(10_000, ge=1, le=MAX_QUERIES_PER_CONNECTION)
    unsent_bytes: int = Field(65_536, ge=1_024, le=1_048_576)


class TlsSection(Section):
    """`[tls]`."""

    listen: list[str] = []
    certificate: str | None = None
    key: str | None = None


class DohSection(Section):
    """`[https]`."""

    listen: list[str] = []
    path: str = "/dns-query"


# `[proxy]`; made so because its one key, `from`, is a word of Python's.
_PROXY_KEYS: dict[str, Any] = {"from": (list[str], [])}
ProxySection = create_model("ProxySection", __base__=Section, **_PROXY_KEYS)


class StoreSection(Section):
    """`[store]`."""

    url: str = "memory://"
    prefix: str = "dnsd"
    state_file: str | None = None
    min_replicas: int = Field(0, ge=0, le=MAX_REPLICAS)


class DrainSection(Section):
    """`[drain]`."""

    default_expiry: Duration = "4h"
    warn_after: Duration = "24h"


class HealthSection(Section):
    """`[health]`."""

    stale_after: Duration = "30s"
    check_local: bool = False


class ZoneSection(Section):
    """`[[zone]]`."""

    name: str
    file: str


class NodeSection(Section):
    """`[[node]]`."""

    id: str
    addresses: list[str]
    roles: list[str]
    region: str | None = None
    cluster: str | None = None
    location: list[float] | None = None
    weight: int = Field(DEFAULT_WEIGHT, ge=0, le=MAX_WEIGHT)
    labels: dict[str, str] = {}
    ports: dict[str, Port] = {}
    priority: Annotated[int, Field(ge=1, le=MAX_PRIORITY)] | None = None
    monitor: Literal["none", "agent", "check"] = "none"


class NodeRecordSection(Section):
    """`[[node_record]]`."""

    name: str
    zone: str | None = None
    ttl: Ttl = DEFAULT_NODE_RECORD_TTL_SECONDS


class HttpsRecordSection(Section):
    """`https` of a `[[pool]]`."""

    alpn: list[str] = []
    no_default_alpn: bool = False
    port: Port | None = None


class PoolSection(Section):
    """`[[pool]]`."""

    name: str
    zone: str | None = None
    type: Literal["address", "srv", "svcb", "https"] = "address"
    role: str
    match: dict[str, Any] = {}
    ttl: Ttl = DEFAULT_POOL_TTL_SECONDS
    floor: Annotated[Any, BeforeValidator(_count_or_text)] = 1
    max_answers: int = Field(DEFAULT_MAX_ANSWERS, ge=1, le=MAX_MAX_ANSWERS)
    when_empty: str = "nodata"
    https: HttpsRecordSection | None = None
    targets: str | None = None
    port: Port | None = None
    priority: Annotated[int, Field(ge=0, le=MAX_PRIORITY)] | None = None
    alpn: list[str] = []
    no_default_alpn: bool = False


class CheckSection(Section):
    """`[[check]]`."""

    roles: list[str]
    match: dict[str, Any] = {}
    type: Literal["tcp", "http", "https"]
    port: Port | None = None
    addresses: Literal["all", "ipv4", "ipv6"] = "all"
    interval: Duration = "5s"
    timeout: Duration | None = None
    rise: int = Field(DEFAULT_RISE, ge=1, le=MAX_IN_A_ROW)
    fall: int = Field(DEFAULT_FALL, ge=1, le=MAX_IN_A_ROW)
    jitter: int = Field(10, ge=0, le=50)
    path: str = "/"
    host: str | None = None
    method: Literal["GET", "HEAD"] = "GET"
    status: Annotated[Any, BeforeValidator(_text_or_list)] = "200-399"
    body: str | None = None
    tls_verify: bool = True
    ca: str | None = None


class AdapterSection(Section):
    """A table of an adapter (docs/integrations): it runs where the table says where to."""

    listen: str | None = None
    allow: list[str] = []


class PowerDnsSection(AdapterSection):
    """`[powerdns]`."""

    socket: str | None = None
    cache_ttl: Duration = "40s"


class HaproxySection(AdapterSection):
    """`[haproxy]`."""


class EnvoySection(AdapterSection):
    """`[envoy]`."""

    ports: dict[str, Port] = {}


class PrometheusSection(AdapterSection):
    """`[prometheus]`."""

    port: Port | None = None


class ConsulSection(AdapterSection):
    """`[consul]`."""

    datacenter: str = "dc1"


class GrpcSection(AdapterSection):
    """`[grpc]`."""

    certificate: str | None = None
    key: str | None = None


class TransferSection(Section):
    """`[transfer]`, without its keys and secondaries."""

    listen: list[str]
    coalesce: Duration = "1s"
    history: int = Field(DEFAULT_HISTORY, ge=0, le=MAX_HISTORY)


class TransferKeySection(Section):
    """`[[transfer.key]]`."""

    name: str
    algorithm: str = "hmac-sha256"
    secret: str | None = Field(None, repr=False)
    secret_file: str | None = None


class TransferSecondarySection(Section):
    """`[[transfer.secondary]]`."""

    name: str
    address: str | None = None
    key: str | None = None
    sources: list[str] = []
    zones: list[str] | None = None
    notify: bool = True


class TopSection(Section):
    """The keys above all tables."""

    version: Annotated[int, AfterValidator(_known_version)]  # strict: `true` is no 1
    roles: list[str] = ["ingest", "edge", "storage", "processing"]


# The tables that stand once, and those that stand any number of times; `token` stands below `admin`.
SINGLE_TABLES: dict[str, type[Section]] = {
    "server": ServerSection,
    "cookies": CookiesSection,
    "rate_limit": RateLimitSection,
    "tcp": TcpSection,
    "tls": TlsSection,
    "https": DohSection,
    "proxy": ProxySection,
    "admin": AdminSection,
    "store": StoreSection,
    "drain": DrainSection,
    "health": HealthSection,
}
# Tables that stand once or not at all: without them the server does not do what they are about.
OPTIONAL_TABLES: dict[str, type[Section]] = {"transfer": TransferSection}
ADAPTER_TABLES: dict[str, type[AdapterSection]] = {
    "powerdns": PowerDnsSection,
    "haproxy": HaproxySection,
    "envoy": EnvoySection,
    "prometheus": PrometheusSection,
    "consul": ConsulSection,
    "grpc": GrpcSection,
}
REPEATED_TABLES: dict[str, type[Section]] = {
    "zone": ZoneSection,
    "node": NodeSection,
    "node_record": NodeRecordSection,
    "pool": PoolSection,
    "check": CheckSection,
}
