"""Every JSON document of the HTTP interface, as both the server and the client read and write it.

Times are RFC 3339 in UTC, durations seconds. Requests refuse unknown fields and wrong types; answers may gain fields.
"""

from __future__ import annotations

from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationInfo, WithJsonSchema

from dnsd.model.node import DEFAULT_WEIGHT, MAX_PORT, MAX_PRIORITY, MAX_WEIGHT
from dnsd.model.times import can_be_written, format_instant, parse_instant

ItemT = TypeVar("ItemT")


# The largest integer that SQLite and Redis keep.
MAX_INTEGER = 2**63 - 1

# The largest revision that a consumer may say it has applied: a greater number has more digits than what compares marks
# in Redis looks at.
MAX_APPLIED_REVISION = 10**18 - 1


def _read_instant(value: object, info: ValidationInfo) -> float:
    if isinstance(value, str):
        instant = parse_instant(value)
        if not can_be_written(instant):  # its offset leads out of them
            raise ValueError(f"{value!r} is outside the years 1 to 9999 in UTC")
        return instant
    if isinstance(value, float) and info.mode == "python":  # from our own code, not from JSON
        return value
    raise ValueError("expected an RFC 3339 time such as 2026-01-31T12:00:00Z")


# An instant: seconds since the epoch in Python, RFC 3339 in JSON.
Instant = Annotated[
    float,
    BeforeValidator(_read_instant),
    PlainSerializer(format_instant, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]

ModeName = Literal["normal", "draining", "maintenance"]
HealthName = Literal["up", "down", "stale", "unknown"]
MonitorName = Literal["none", "agent", "check"]
TierName = Literal["serving", "unhealthy", "draining", "pool", "nodata", "servfail"]
PoolTypeName = Literal["address", "srv", "svcb", "https"]

AppliedRevision = Annotated[int, Field(ge=0, le=MAX_APPLIED_REVISION)]

# A random word of the commit that made a revision, as this version or another one writes it.
Mark = Annotated[str, Field(pattern=r"^[0-9A-Za-z_.-]{0,64}$")]

Port = Annotated[int, Field(ge=1, le=MAX_PORT)]
Priority = Annotated[int, Field(ge=1, le=MAX_PRIORITY)]


class Request(BaseModel):
    """A body that a client sends."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Answer(BaseModel):
    """A body that the server sends."""

    model_config = ConfigDict(frozen=True)


class Page(Answer, Generic[ItemT]):
    """A list: its items, and the cursor of the next page or null."""

    items: list[ItemT]
    next: str | None = None


# --- drains -----------------------------------------------------------------------------------------------------


class DrainRequest(Request):
    """PUT /v1/nodes/{id}/drain."""

    roles: list[str] | None = Field(None, description='The roles to drain; absent or ["*"]: all of them.')
    mode: str = Field("draining", description="draining or maintenance")
    reason: str = Field("", description="Why; shown to everybody who asks. Required.")
    holder: str | None = Field(None, description="Whose drain it is; absent: the caller's name.")
    expires_in: float | None = Field(None, allow_inf_nan=False, description="Seconds until it expires.")
    expires_at: Instant | None = None
    indefinite: bool = False
    starts_at: Instant | None = Field(None, description="When it takes effect; absent: now.")
    force: bool = Field(False, description="Place it even where a pool falls below its floor.")
    dry_run: bool = Field(False, description="Answer what would happen and write nothing.")


class ReleaseRequest(Request):
    """The query of DELETE /v1/nodes/{id}/drain."""

    roles: list[str] | None = None
    holder: str | None = None
    all_holders: bool = False
    ramp: float | None = Field(None, allow_inf_nan=False, description="Seconds in which the node comes back in steps.")
    dry_run: bool = False


class RampInfo(Answer):
    """An undrained node's return in steps."""

    percent: int = Field(description="Of the node's full part in answers, now.")
    ends_at: Instant = Field(description="When it has its full part.")


class DrainInfo(Answer):
    """What one holder has ordered of one node on the same terms, over one role or several (`*`: all)."""

    node: str
    roles: list[str]
    mode: ModeName
    holder: str
    actor: str
    reason: str
    created_at: Instant
    starts_at: Instant
    expires_at: Instant | None
    revision: int
    forced: bool = False
    state: Literal["scheduled", "active", "expired", "released"] = "active"


class Impact(Answer):
    """What a drain does to one pool."""

    pool: str
    at: Instant | None = Field(None, description="The instant that the numbers are about, the worst; null: now.")
    serving_before: int
    serving_after: int
    answering_before: int = Field(0, description="Nodes that answers are made of, fallbacks included.")
    answering_after: int = 0
    empties: bool = Field(False, description="Its answers become empty.")
    floor: str
    ok: bool


class AppliedBy(Answer):
    """A consumer that has applied the revision."""

    consumer: str
    kind: str
    lag_ms: float | None = Field(description="From the accepted change to applied; null: not known any more.")


class PendingAt(Answer):
    """A consumer that has not."""

    consumer: str
    kind: str
    applied_revision: int


class DrainOutcome(Answer):
    """The answer to placing or releasing a drain. After a release, `drain` is what was released, or null."""

    revision: int
    changed: bool
    dry_run: bool
    drain: DrainInfo | None
    released: list[DrainInfo] = []
    ramp: RampInfo | None = Field(None, description="With which the node comes back.")
    impact: list[Impact] = []
    applied: list[AppliedBy] = []
    pending: list[PendingAt] = []


# --- nodes ------------------------------------------------------------------------------------------------------


class NodeRequest(Request):
    """PUT /v1/nodes/{id}."""

    addresses: list[str]
    roles: list[str]
    region: str | None = None
    cluster: str | None = None
    location: list[float] | None = Field(None, description="Latitude and longitude in degrees.")
    weight: int = Field(DEFAULT_WEIGHT, ge=0, le=MAX_WEIGHT)
    labels: dict[str, str] = {}
    ports: dict[str, Port] = Field({}, description="By role: for pools whose records have a port.")
    priority: Priority | None = Field(None, description="Of its records in pools whose records have one.")
    monitor: MonitorName = "agent"


class RoleState(Answer):
    """A node in one role."""

    mode: ModeName
    health: HealthName
    reason: str | None = Field(None, description="What the server's own checks have found; null: there are none.")
    serving: bool
    ramp: RampInfo | None = Field(None, description="Null: it has its full part in answers.")


class NodeInfo(Answer):
    """GET /v1/nodes/{id}."""

    id: str
    addresses: list[str]
    region: str | None
    cluster: str | None
    location: list[float] | None
    weight: int
    labels: dict[str, str]
    monitor: MonitorName
    configured: bool
    roles: dict[str, RoleState]
    ports: dict[str, int] = Field({}, description="By role: for pools whose records have a port.")
    priority: int | None = Field(None, description="Of its records in pools whose records have one.")
    names: list[str] = Field(description="Its per-node names.")
    reported_at: Instant | None = None
    local_drains: list[str] = Field([], description="Roles that it has drained by itself, as it last reported.")
    left: bool = Field(False, description="Its agent's last report said that the agent was about to end.")


class NodeOutcome(Answer):
    """The answer to registering, replacing or removing a node."""

    revision: int
    changed: bool
    node: NodeInfo | None


class SessionCounts(Request):
    """Sessions of a role by kind; null: could not be counted, which is not zero."""

    viewers: int | None = Field(None, ge=0, le=MAX_INTEGER)
    inputs: int | None = Field(None, ge=0, le=MAX_INTEGER)
    jobs: int | None = Field(None, ge=0, le=MAX_INTEGER)


class ReportRequest(Request):
    """POST /v1/nodes/{id}/report."""

    sequence: int = Field(ge=0, le=MAX_INTEGER)
    observed_at: Instant
    health: dict[str, Literal["up", "down"]] = {}
    sessions: dict[str, SessionCounts] = {}
    applied_revision: int | None = Field(None, ge=0, le=MAX_INTEGER)
    local_drains: list[str] = Field(default_factory=list)
    leaving: bool | None = Field(
        None, description="True: the agent's last one before an end that is meant, as for a restart."
    )


class DesiredState(Answer):
    """The answer to a report: what the node is to do."""

    node: str
    revision: int
    accepted: bool = Field(description="False: its sequence was not higher than the last one's.")
    roles: dict[str, ModeName]
    last_sequence: int | None = Field(
        None, description="The highest sequence so far; an agent that has lost its own goes on from there."
    )


# --- progress ---------------------------------------------------------------------------------------------------


class DnsProgress(Answer):
    """How far a node has left DNS answers and caches, in one role."""

    withdrawn_at: Instant | None = Field(description="Since when no answer names it; null: answers still may.")
    max_ttl: int | None = Field(
        description="Seconds: the largest TTL that named it, as measured, or of its pools where nobody asked or told."
    )
    caches_clear_at: Instant | None
    last_named_at: Instant | None = Field(
        None, description="The last answer of a pool that named it, as measured; null: none, or not known."
    )


class SessionProgress(Answer):
    """The sessions of a role as last reported."""

    viewers: int | None
    inputs: int | None
    jobs: int | None
    observed_at: Instant
    fresh: bool


class RoleStatus(Answer):
    """How far a drain of one role has come."""

    mode: ModeName
    ramp: RampInfo | None = Field(None, description="Null: no ramp is under way.")
    drains: list[DrainInfo]
    dns: DnsProgress
    applied: list[AppliedBy]
    pending: list[PendingAt]
    sessions: SessionProgress | None
    safe_to_stop: bool
    blockers: list[str]


class NodeStatus(Answer):
    """GET /v1/nodes/{id}/status."""

    node: str
    revision: int
    safe_to_stop: bool
    blockers: list[str]
    caveats: list[str] = []
    roles: dict[str, RoleStatus]


# --- pools, consumers, history ----------------------------------------------------------------------------------


class PoolMember(Answer):
    """A node that a pool's role and selector match, and why it is in or out."""

    node: str
    addresses: list[str]
    weight: int
    mode: ModeName
    health: HealthName
    serving: bool
    reasons: list[str] = Field(description="Why it is not serving; empty where it is.")
    ramp: RampInfo | None = Field(None, description="Null: it has its full part in answers.")


class PoolInfo(Answer):
    """GET /v1/pools/{owner}."""

    owner: str
    type: PoolTypeName = Field("address", description="The records that it is answered with; address: A and AAAA.")
    role: str
    match: dict[str, str]
    ttl: int
    floor: str
    max_answers: int
    when_empty: str
    tier: TierName = Field(description="Where the answers come from: serving nodes, or which fallback.")
    serving: int
    total: int
    floor_ok: bool
    answers: list[str] = Field(
        description="Every address that answers are made of now; of pools of other types, the data of every record."
    )
    members: list[PoolMember]


class ConsumerInfo(Answer):
    """An item of GET /v1/consumers."""

    kind: str
    id: str
    applied_revision: int
    lag_ms: float | None = Field(description="How long after the last change it was applied; null: not known.")
    behind: bool
    last_seen: Instant | None = Field(description="Null: never; a secondary that has not answered yet.")
    live: bool


class ConsumerRequest(Request):
    """PUT /v1/consumers/{id}: what a router says of itself."""

    kind: Literal["router"]
    applied_revision: AppliedRevision = Field(description="The revision that it acts by; 0: none yet.")
    mark: Mark = Field(
        "",
        description="The mark that came with that revision in an earlier answer; without it, the number alone counts.",
    )


class ConsumerOutcome(Answer):
    """What became of a router's word, and where the server itself is."""

    id: str
    kind: str
    applied_revision: int = Field(description="What the word counts for here.")
    revision: AppliedRevision = Field(description="Of what the server lists from now on, or a later one.")
    mark: Mark = Field(description="By which the revision is told from others of its number; empty: it has none.")


class ConsumerRemoval(Answer):
    """What became of a router's goodbye."""

    id: str
    revision: int


class HistoryInfo(Answer):
    """An item of GET /v1/history."""

    revision: int
    at: Instant
    actor: str
    action: str
    node: str
    roles: list[str]
    holder: str | None
    reason: str
    forced: bool
    all_holders: bool
    before: list[dict[str, Any]]
    after: list[dict[str, Any]]


class Event(Answer):
    """The data of a server-sent event."""

    revision: int | None = Field(description="Null for what makes no revision: a reload, a health change.")
    at: Instant
    type: str
    node: str | None = None
    detail: dict[str, Any] = {}


class Readiness(Answer):
    """GET /readyz."""

    ready: bool
    generation: int
    revision: int
    workers: int
    problems: list[str] = []


class FieldError(Answer):
    """One thing that is wrong in a request."""

    field: str = Field(description="The field of the body, the query parameter or the header.")
    message: str


class ProblemDetail(Answer):
    """An error (RFC 9457), sent as application/problem+json."""

    model_config = ConfigDict(frozen=True, extra="allow")

    type: str
    title: str
    status: int
    detail: str
    id: str
    field: str | None = None
    errors: list[FieldError] | None = Field(None, description="Everything that is wrong with the request's values.")
    impact: list[Impact] | None = None
    revision: int | None = None


# --- explanations -----------------------------------------------------------------------------------------------


class ExplainedAnswer(Answer):
    """A response as a client would get it, its records in the form of master files."""

    rcode: str
    flags: list[str]
    answer: list[str]
    authority: list[str]
    additional: list[str]


class ExplainedStep(Answer):
    """What was found at one name on the way to the answer."""

    name: str
    zone: str | None = Field(description="The zone that it is in; null: none of the server's, or not looked at.")
    source: Literal["pool", "node-record", "zone", "delegation", "none"]
    outcome: Literal["data", "nodata", "nxdomain", "referral", "alias", "failed", "outside", "loop", "too-long"]
    wildcard: str | None = Field(description="The wildcard that stood in for it; null: none.")
    target: str | None = Field(description="Where an alias leads; null: it is none.")
    pool: str | None = Field(description="The pool's owner, where the source is one.")
    node: str | None = Field(description="The node whose own name it is, where the source is one.")
    text: str = Field(description="The same in plain words.")


class ExplainedNode(Answer):
    """Why one node is in a pool's answers or is not."""

    node: str
    addresses: list[str]
    answered: bool = Field(description="Its addresses, or records that lead to them, are in the answers now.")
    reasons: list[str] = Field(description="Why it is in or out, in plain words; never empty.")
    matches: bool = Field(description="It has the pool's role, and the selector takes it.")
    mode: ModeName
    health: HealthName
    reported_at: Instant | None = Field(description="When its last report came; null: none did.")
    drains: list[DrainInfo] = Field(description="Those on the pool's role, scheduled ones included.")
    weight: int
    ramp: RampInfo | None = Field(description="Its return in steps; null: none runs.")
    share: float | None = Field(description="Of the weight of all nodes that are answered; null: it is not one.")
    drain_breaks_floor: bool | None = Field(
        description="Draining it now would be refused for this pool; null: it is drained, or there are too many to try."
    )


class ExplainedPool(Answer):
    """What a pool answers from, and why."""

    owner: str
    type: PoolTypeName = Field("address", description="The records that it is answered with; address: A and AAAA.")
    role: str
    match: dict[str, str]
    ttl: int
    max_answers: int
    when_empty: str
    tier: TierName
    text: str = Field(description="The tier in plain words.")
    floor: str
    floor_ok: bool
    serving: int
    total: int
    nodes: list[ExplainedNode]
    nodes_left_out: int = Field(description="Nodes that do not match and are not listed, as there are too many.")


class WorkerProgress(Answer):
    """How far one answer process of this server is."""

    pid: int
    generation: int
    applied: bool


class Explanation(Answer):
    """GET /v1/explain."""

    name: str
    type: str
    client: str | None
    at: Instant
    revision: int
    generation: int
    answer: ExplainedAnswer
    steps: list[ExplainedStep]
    pools: list[ExplainedPool] = Field(description="The pool that answers, and then each that it falls back to.")
    workers: list[WorkerProgress]
    applied: list[AppliedBy]
    pending: list[PendingAt]
    notes: list[str]
