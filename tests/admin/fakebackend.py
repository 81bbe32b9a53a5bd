"""A small in-memory service behind the admin interface: it keeps what it is told and refuses what makes no sense."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from dnsd.api.schemas import (
    AppliedBy,
    ConsumerInfo,
    ConsumerOutcome,
    ConsumerRemoval,
    ConsumerRequest,
    DesiredState,
    DrainInfo,
    DrainOutcome,
    DrainRequest,
    Event,
    ExplainedAnswer,
    Explanation,
    HistoryInfo,
    Impact,
    ModeName,
    NodeInfo,
    NodeOutcome,
    NodeRequest,
    NodeStatus,
    PendingAt,
    PoolInfo,
    PoolMember,
    Readiness,
    ReleaseRequest,
    ReportRequest,
    RoleState,
)
from dnsd.control.actor import Actor
from dnsd.errors import (
    CapacityFloor,
    ChangesTrimmed,
    ConsumerConflict,
    InvalidRequest,
    NodeConflict,
    RevisionMoved,
    StoreUnavailable,
    UnknownNode,
    UnknownPool,
)

NOW = 1_770_000_000.0
ROLES = ("edge", "ingest", "storage")
FOLLOWER_BACKLOG = 1000
MAX_EXPIRY_SECONDS = 10 * 365 * 86400.0


class FakeBackend:
    """Keeps nodes, drains and history in dictionaries under one revision.

    `consumers_applied` says how far each consumer is; `lagging` ones stay behind until `catch_up`. `store_down` makes
    every coroutine fail as an unreachable store does, and `broken` makes reads fail in a way that nobody expects.
    """

    def __init__(self) -> None:
        self.node_infos: dict[str, NodeInfo] = {}
        self.drain_infos: dict[tuple[str, str, str], DrainInfo] = {}
        self.entries: list[HistoryInfo] = []
        self.reports: list[tuple[str, ReportRequest]] = []
        self.actors: list[Actor] = []
        self.words: list[tuple[str, ConsumerRequest | None]] = []  # None: a goodbye
        self.waits: list[float] = []
        self.releases: list[ReleaseRequest] = []
        self.lagging: set[str] = set()
        self.consumers_applied = {"ns1/0": 0, "ns1/1": 0}
        self.caught_up = asyncio.Event()
        self.store_down = False
        self.broken: Exception | None = None
        self.ready = True
        self.followers: set[asyncio.Queue[Event | None]] = set()
        self.log: list[Event] = []
        self.first_known = 0
        self._revision = 0
        for number in (1, 2, 3):
            self._add_node(f"edge-{number}", [f"192.0.2.{number}"], ["edge"], configured=True)

    # --- what tests turn ---

    def catch_up(self) -> None:
        """Let every consumer apply the current revision."""
        self.lagging.clear()
        self.caught_up.set()

    def emit(self, event: Event) -> None:
        """Tell every follower of an event."""
        self.log.append(event)
        for follower in tuple(self.followers):
            if follower.qsize() < FOLLOWER_BACKLOG:
                follower.put_nowait(event)
            else:
                self.followers.discard(follower)
                follower.put_nowait(None)

    def trim(self) -> None:
        """Forget every event so far."""
        self.first_known = self._revision
        self.log.clear()

    # --- writes ---

    async def place_drain(
        self, node: str, request: DrainRequest, *, actor: Actor, if_revision: int | None
    ) -> DrainOutcome:
        self._check(actor, if_revision)
        info = self.node(node)
        roles = request.roles or ["*"]
        for role in roles:
            if role not in (*ROLES, "*"):
                raise InvalidRequest(f"{role!r} is not a role", field="roles")
        mode = _mode(request.mode)
        if not request.reason:
            raise InvalidRequest("say why", field="reason")
        if (request.expires_in or 0.0) > MAX_EXPIRY_SECONDS:
            raise InvalidRequest("more than ten years", field="expires_in")
        impact = self._impact(info.id)
        if not all(item.ok for item in impact) and not request.force:
            raise CapacityFloor("edge.example.org. would fall below its floor", impact=[i.model_dump() for i in impact])
        holder = request.holder or actor.name
        key = (info.id, roles[0], holder)
        old = self.drain_infos.get(key)
        same = old is not None and (old.mode, old.reason, old.roles) == (mode, request.reason, roles)
        changed = not same
        revision = self._revision + 1 if changed else self._revision
        drain = DrainInfo(
            node=info.id,
            roles=roles,
            mode=mode,
            holder=holder,
            actor=actor.name,
            reason=request.reason,
            created_at=NOW,
            starts_at=NOW,
            expires_at=None if request.indefinite else NOW + (request.expires_in or 14400.0),
            revision=revision,
            forced=request.force,
        )
        if changed and not request.dry_run:
            self.drain_infos[key] = drain
            self._commit("drain-placed", drain, actor)
        return DrainOutcome(
            revision=self._revision, changed=changed, dry_run=request.dry_run, drain=drain, impact=impact
        )

    async def release_drain(
        self, node: str, request: ReleaseRequest, *, actor: Actor, if_revision: int | None
    ) -> DrainOutcome:
        self._check(actor, if_revision)
        self.releases.append(request)
        info = self.node(node)
        for role in request.roles or ():
            if role not in ROLES:
                raise InvalidRequest(f"{role!r} is not a role", field="roles")
        found = {
            key: drain
            for key, drain in self.drain_infos.items()
            if key[0] == info.id
            and (request.all_holders or key[2] == (request.holder or actor.name))
            and (request.roles is None or key[1] in request.roles)
        }
        if not request.dry_run:
            for key, drain in found.items():
                del self.drain_infos[key]
                self._commit("drain-released", drain, actor, all_holders=request.all_holders)
        released = list(found.values())
        return DrainOutcome(
            revision=self._revision,
            changed=bool(found),
            dry_run=request.dry_run,
            drain=released[0] if released else None,
            released=released,
        )

    async def with_applied(self, outcome: DrainOutcome, *, wait_seconds: float) -> DrainOutcome:
        self.waits.append(wait_seconds)
        if self.lagging and wait_seconds > 0:
            try:
                async with asyncio.timeout(wait_seconds):
                    await self.caught_up.wait()
            except TimeoutError:
                pass
        applied = [AppliedBy(consumer=name, kind="dns", lag_ms=1.5) for name in self._applied()]
        pending = [PendingAt(consumer=name, kind="dns", applied_revision=0) for name in sorted(self.lagging)]
        return outcome.model_copy(update={"applied": applied, "pending": pending})

    async def register_node(
        self, node: str, request: NodeRequest, *, actor: Actor, if_revision: int | None
    ) -> NodeOutcome:
        self._check(actor, if_revision)
        old = self.node_infos.get(node)
        if old is not None and old.configured:
            raise NodeConflict(f"{node} is declared in the configuration")
        for role in request.roles:
            if role not in ROLES:
                raise InvalidRequest(f"{role!r} is not a role", field="roles")
        self._add_node(node, request.addresses, request.roles, configured=False, request=request)
        changed = self.node_infos[node] != old
        if changed:
            self._revision += 1
            self.emit(Event(revision=self._revision, at=NOW, type="node", node=node))
        return NodeOutcome(revision=self._revision, changed=changed, node=self.node_infos[node])

    async def remove_node(self, node: str, *, actor: Actor, if_revision: int | None) -> NodeOutcome:
        self._check(actor, if_revision)
        info = self.node(node)
        if info.configured:
            raise NodeConflict(f"{node} is declared in the configuration")
        del self.node_infos[info.id]
        self._revision += 1
        return NodeOutcome(revision=self._revision, changed=True, node=None)

    def report(self, node: str, request: ReportRequest) -> DesiredState:
        self._check_store()
        info = self.node(node)
        self.reports.append((info.id, request))
        return DesiredState(
            node=info.id, revision=self._revision, accepted=True, roles=dict.fromkeys(info.roles, "normal")
        )

    # --- reads ---

    @property
    def revision(self) -> int:
        return self._revision

    def nodes(self) -> list[NodeInfo]:
        if self.broken is not None:
            raise self.broken
        return list(self.node_infos.values())

    def node(self, node: str) -> NodeInfo:
        for info in self.node_infos.values():
            if info.id.lower() == node.lower():
                return info
        raise UnknownNode(f"no node is called {node!r}")

    def drains(self) -> list[DrainInfo]:
        return list(self.drain_infos.values())

    def pools(self) -> list[PoolInfo]:
        members = [
            PoolMember(
                node=info.id,
                addresses=info.addresses,
                weight=info.weight,
                mode="draining" if self._drained(info.id) else "normal",
                health="up",
                serving=not self._drained(info.id),
                reasons=["drained"] if self._drained(info.id) else [],
            )
            for info in self.node_infos.values()
        ]
        serving = [member for member in members if member.serving]
        return [
            PoolInfo(
                owner=owner,
                role="edge",
                match={},
                ttl=30,
                floor="1",
                max_answers=8,
                when_empty="nodata",
                tier="serving",
                serving=len(serving),
                total=len(members),
                floor_ok=len(serving) >= 1,
                answers=[address for member in serving for address in member.addresses],
                members=members,
            )
            for owner in ("edge.example.org.", "ingest.example.org.")
        ]

    def pool(self, owner: str) -> PoolInfo:
        for pool in self.pools():
            if pool.owner == owner:
                return pool
        raise UnknownPool(f"no pool is called {owner!r}")

    def status(self, node: str) -> NodeStatus:
        info = self.node(node)
        return NodeStatus(
            node=info.id, revision=self._revision, safe_to_stop=False, blockers=["edge: serving"], roles={}
        )

    def explain(self, name: str, rdtype: str, *, client: str | None) -> Explanation:
        if rdtype not in ("A", "AAAA"):
            raise InvalidRequest(f"{rdtype!r} is not a record type", field="type")
        return Explanation(
            name=name,
            type=rdtype,
            client=client,
            at=NOW,
            revision=self._revision,
            generation=self._revision + 1,
            answer=ExplainedAnswer(rcode="NXDOMAIN", flags=["QR", "AA"], answer=[], authority=[], additional=[]),
            steps=[],
            pools=[],
            workers=[],
            applied=[],
            pending=[],
            notes=[],
        )

    async def consumers(self) -> list[ConsumerInfo]:
        self._check_store()
        return [
            ConsumerInfo(kind="dns", id=name, applied_revision=0, lag_ms=None, behind=False, last_seen=NOW, live=True)
            for name in self.consumers_applied
        ]

    async def announce_consumer(self, consumer: str, request: ConsumerRequest) -> ConsumerOutcome:
        self._check_consumer(consumer)
        self.words.append((consumer, request))
        return ConsumerOutcome(
            id=consumer, kind="router", applied_revision=request.applied_revision, revision=self._revision, mark="m"
        )

    async def forget_consumer(self, consumer: str) -> ConsumerRemoval:
        self._check_consumer(consumer)
        self.words.append((consumer, None))
        return ConsumerRemoval(id=consumer, revision=self._revision)

    async def history(
        self, *, node: str | None, before: int | None, limit: int
    ) -> tuple[list[HistoryInfo], int | None]:
        self._check_store()
        found = [
            entry
            for entry in reversed(self.entries)
            if (node is None or entry.node == node) and (before is None or entry.revision < before)
        ]
        page = found[:limit]
        return page, page[-1].revision if len(found) > limit else None

    async def events(self, *, after: int | None) -> AsyncIterator[Event]:
        if after is not None and after < self.first_known:
            raise ChangesTrimmed("too long ago")
        follower: asyncio.Queue[Event | None] = asyncio.Queue()
        for event in self.log:
            if after is not None and event.revision is not None and event.revision > after:
                follower.put_nowait(event)
        self.followers.add(follower)
        try:
            while (event_or_end := await follower.get()) is not None:
                yield event_or_end
        finally:
            self.followers.discard(follower)

    def readiness(self) -> Readiness:
        problems = [] if self.ready else ["<no worker answers>"]
        return Readiness(ready=self.ready, generation=7, revision=self._revision, workers=2, problems=problems)

    # --- inside ---

    def _check(self, actor: Actor, if_revision: int | None) -> None:
        self._check_store()
        self.actors.append(actor)
        if if_revision is not None and if_revision != self._revision:
            raise RevisionMoved(f"the revision is {self._revision}, not {if_revision}")

    def _check_consumer(self, consumer: str) -> None:
        self._check_store()
        if consumer in self.consumers_applied:
            raise ConsumerConflict(f"{consumer} is the id of a consumer of the kind dns", field="id")

    def _check_store(self) -> None:
        if self.store_down:
            raise StoreUnavailable("the store cannot be reached")

    def _applied(self) -> list[str]:
        return [name for name in self.consumers_applied if name not in self.lagging]

    def _drained(self, node: str) -> bool:
        return any(key[0] == node for key in self.drain_infos)

    def _impact(self, node: str) -> list[Impact]:
        before = [info.id for info in self.node_infos.values() if not self._drained(info.id)]
        after = [name for name in before if name != node]
        pool = "edge.example.org."
        return [
            Impact(
                pool=pool, serving_before=len(before), serving_after=len(after), floor="1", ok=bool(after or not before)
            )
        ]

    def _commit(self, action: str, drain: DrainInfo, actor: Actor, *, all_holders: bool = False) -> None:
        self._revision += 1
        self.entries.append(
            HistoryInfo(
                revision=self._revision,
                at=NOW,
                actor=actor.name,
                action=action,
                node=drain.node,
                roles=drain.roles,
                holder=drain.holder,
                reason=drain.reason,
                forced=drain.forced,
                all_holders=all_holders,
                before=[],
                after=[],
            )
        )
        self.emit(Event(revision=self._revision, at=NOW, type=action, node=drain.node))

    def _add_node(
        self,
        node: str,
        addresses: list[str],
        roles: list[str],
        *,
        configured: bool,
        request: NodeRequest | None = None,
    ) -> None:
        self.node_infos[node] = NodeInfo(
            id=node,
            addresses=addresses,
            region=request.region if request else "eu",
            cluster=None,
            location=None,
            weight=request.weight if request else 100,
            labels=request.labels if request else {},
            monitor=request.monitor if request else "none",
            configured=configured,
            roles={role: RoleState(mode="normal", health="up", serving=True) for role in roles},
            names=[f"{node}.nodes.example.org."],
        )


def _mode(text: str) -> ModeName:
    if text == "draining":
        return "draining"
    if text == "maintenance":
        return "maintenance"
    raise InvalidRequest(f"{text!r} is not a mode", field="mode")
