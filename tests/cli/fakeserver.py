"""A small server that speaks the HTTP contract from memory, in a thread of its own, and remembers what it was asked.

It is a fake, not a mock: it holds a fleet, and what is written is what is read afterwards. What a test wants to go
wrong is scripted with `answer_next`.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web
from pydantic import BaseModel

from dnsd.api.schemas import (
    AppliedBy,
    ConsumerInfo,
    DesiredState,
    DrainInfo,
    DrainOutcome,
    DrainRequest,
    Explanation,
    HistoryInfo,
    Impact,
    NodeInfo,
    NodeOutcome,
    NodeRequest,
    NodeStatus,
    PendingAt,
    PoolInfo,
    PoolMember,
    ProblemDetail,
    RampInfo,
    ReportRequest,
    RoleState,
    RoleStatus,
    SessionProgress,
)

START = 1_769_860_800.0  # 2026-01-31T12:00:00Z
HOUR = 3600.0
POOL = "edge.example.org."

Tier = Literal["serving", "unhealthy", "draining", "pool", "nodata", "servfail"]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Recorded:
    """A request as it came."""

    method: str
    path: str  # as sent, still encoded
    query: list[tuple[str, str]]
    headers: dict[str, str]
    body: Any


class Refused(Exception):
    """A refusal, as the document that tells of it."""

    def __init__(self, status: int, kind: str, detail: str, **members: Any) -> None:
        super().__init__(detail)
        self.problem = problem(status, kind, detail, **members)


def problem(status: int, kind: str, detail: str, **members: Any) -> ProblemDetail:
    return ProblemDetail(type=f"/problems/{kind}", title=kind, status=status, detail=detail, id=kind, **members)


def problem_response(document: ProblemDetail) -> web.Response:
    body = document.model_dump_json(exclude_none=True)
    return web.Response(text=body, status=document.status, content_type="application/problem+json")


def json_response(document: BaseModel, *, status: int = 200) -> web.Response:
    return web.Response(text=document.model_dump_json(), status=status, content_type="application/json")


def edge_node(number: int) -> NodeInfo:
    return NodeInfo(
        id=f"edge-{number}",
        addresses=[f"192.0.2.{10 + number}", f"2001:db8::{number}"],
        region="eu",
        cluster=None,
        location=None,
        weight=100,
        labels={},
        monitor="none",
        configured=True,
        roles={"edge": RoleState(mode="normal", health="up", serving=True)},
        names=[f"edge-{number}.nodes.example.org."],
    )


def explanation(name: str, rdtype: str, *, client: str | None) -> Explanation:
    common: dict[str, Any] = {"role": "edge", "match": {"region": "eu"}, "ttl": 30, "max_answers": 8}
    node: dict[str, Any] = {"addresses": [], "matches": True, "reported_at": None, "drains": [], "weight": 100}
    nodes = [
        {**node, "node": "edge-1", "answered": True, "reasons": ["up"], "mode": "normal", "health": "up", "ramp": None}
        | {"share": 1.0, "drain_breaks_floor": True},
        {**node, "node": "edge-2", "answered": False, "reasons": ["drained by ops\x1b", "up"], "mode": "draining"}
        | {"health": "up", "ramp": None, "share": None, "drain_breaks_floor": None},
    ]
    pool = {**common, "owner": POOL, "when_empty": "nodata", "tier": "serving", "text": "answered from 1 node"}
    pool |= {"floor": "1", "floor_ok": True, "serving": 1, "total": 2, "nodes": nodes, "nodes_left_out": 7}
    step = {"name": POOL, "zone": "example.org.", "source": "pool", "outcome": "data", "wildcard": None}
    return Explanation.model_validate(
        {
            "name": name,
            "type": rdtype,
            "client": client,
            "at": START,
            "revision": 6,
            "generation": 9,
            "answer": {
                "rcode": "NOERROR",
                "flags": ["QR", "AA"],
                "authority": [],
                "additional": [],
                "answer": [f"{POOL} 30 IN A 192.0.2.11"],
            },
            "steps": [{**step, "target": None, "pool": POOL, "node": None, "text": "a pool"}],
            "pools": [pool],
            "workers": [{"pid": 1, "generation": 9, "applied": True}, {"pid": 2, "generation": 8, "applied": False}],
            "applied": [AppliedBy(consumer="ns1", kind="dns", lag_ms=3.2)],
            "pending": [PendingAt(consumer="rtr1", kind="router", applied_revision=5)],
            "notes": ["the client makes no difference"],
        }
    )


@dataclass(frozen=True)
class Look:
    """What a node's status says at one look.

    Args:
        caches_seconds: until caches are clear; None: not known.
        viewers: as reported; None: sessions are not known.
        pending: a router has not applied the drain.
    """

    blockers: tuple[str, ...] = ()
    caches_seconds: float | None = None
    viewers: int | None = None
    pending: bool = False


LATE_ROUTER = PendingAt(consumer="rtr1", kind="router", applied_revision=5)


@dataclass
class FakeServer:
    """The fleet, and what was asked of it."""

    nodes: dict[str, NodeInfo] = field(default_factory=lambda: {f"edge-{n}": edge_node(n) for n in range(1, 5)})
    drains: list[DrainInfo] = field(default_factory=list)
    history: list[HistoryInfo] = field(default_factory=list)
    ramps: dict[str, RampInfo] = field(default_factory=dict)  # node → its return in steps
    pending: list[PendingAt] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)  # secondaries that have never answered
    looks_until_applied: int | None = None  # so many lists of consumers still show `pending` as late; None: all do
    tier: Tier = "serving"  # where the pool's answers come from
    fail_lists: int = 0  # so many lists are refused for want of a store
    floor: int = 2
    revision: int = 6
    page_size: int = 1000
    token: str | None = None
    course: deque[Look] = field(default_factory=deque)  # what each look at a status finds; the last one stays
    requests: list[Recorded] = field(default_factory=list)
    url: str = ""
    _script: deque[Handler] = field(default_factory=deque)

    def answer_next(self, *handlers: Handler | web.Response | ProblemDetail) -> None:
        """Answer the next requests so, instead of from the fleet."""
        self._script.extend(_as_handler(handler) for handler in handlers)

    @property
    def last(self) -> Recorded:
        return self.requests[-1]

    @contextmanager
    def running(self) -> Iterator[FakeServer]:
        """Serve on a free port of 127.0.0.1 until the block ends."""
        loop = asyncio.new_event_loop()
        runner = web.AppRunner(self._app(), shutdown_timeout=0.1, handler_cancellation=True)
        loop.run_until_complete(runner.setup())
        site = web.TCPSite(runner, "127.0.0.1", 0)
        loop.run_until_complete(site.start())
        self.url = "http://{}:{}".format(*runner.addresses[0][:2])
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        try:
            yield self
        finally:
            asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(10)
            loop.close()

    def _app(self) -> web.Application:
        app = web.Application(middlewares=[self._around])
        app.router.add_get("/v1/nodes", self._list(self.all_nodes))
        app.router.add_get("/v1/drains", self._list(lambda: self.drains))
        app.router.add_get("/v1/pools", self._list(lambda: [self._pool()]))
        app.router.add_get("/v1/consumers", self._list(self._consumers))
        app.router.add_get("/v1/history", self._history)
        app.router.add_get("/v1/explain", self._explain)
        app.router.add_get("/v1/pools/{owner}", self._get_pool)
        app.router.add_get("/v1/nodes/{node}", self._get_node)
        app.router.add_put("/v1/nodes/{node}", self._register)
        app.router.add_delete("/v1/nodes/{node}", self._remove)
        app.router.add_post("/v1/nodes/{node}/report", self._report)
        app.router.add_get("/v1/nodes/{node}/status", self._status)
        app.router.add_put("/v1/nodes/{node}/drain", self._place)
        app.router.add_delete("/v1/nodes/{node}/drain", self._release)
        app.router.add_route("*", "/{rest:.*}", self._nothing)
        return app

    @web.middleware
    async def _around(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        text = await request.text()
        body = json.loads(text) if text else None
        query = list(request.query.items())
        self.requests.append(
            Recorded(request.method, request.raw_path.partition("?")[0], query, dict(request.headers), body)
        )
        if self._script:
            return await self._script.popleft()(request)
        try:
            if self.token is not None and request.headers.get("Authorization") != f"Bearer {self.token}":
                raise Refused(401, "unauthenticated", "a valid token is needed")
            return await handler(request)
        except Refused as refused:
            return problem_response(refused.problem)

    # --- lists --------------------------------------------------------------------------------------------------

    def _list(self, items: Callable[[], Iterable[BaseModel]]) -> Handler:
        async def handler(request: web.Request) -> web.Response:
            if self.fail_lists:
                self.fail_lists -= 1
                raise Refused(503, "store-unavailable", "the store is down")
            return self._page(request, list(items()))

        return handler

    def _page(self, request: web.Request, items: list[BaseModel]) -> web.Response:
        start = int(request.query.get("cursor", "0"))
        size = min(self.page_size, int(request.query.get("limit", "1000")))
        end = start + size
        following = str(end) if end < len(items) else None
        shown = [item.model_dump(mode="json") for item in items[start:end]]
        return web.json_response({"items": shown, "next": following})

    async def _history(self, request: web.Request) -> web.Response:
        node = request.query.get("node")
        return self._page(request, [entry for entry in self.history if node in (None, entry.node)])

    def _consumers(self) -> list[BaseModel]:
        caught_up = self.looks_until_applied == 0
        if self.looks_until_applied:
            self.looks_until_applied -= 1
        late = [
            ConsumerInfo(
                kind=row.kind,
                id=row.consumer,
                applied_revision=self.revision if caught_up else row.applied_revision,
                lag_ms=None,
                behind=not caught_up,
                last_seen=START,
                live=True,
            )
            for row in self.pending
        ]
        ours = ConsumerInfo(
            kind="dns", id="ns1", applied_revision=self.revision, lag_ms=3.2, behind=False, last_seen=START, live=True
        )
        unseen = [
            ConsumerInfo(
                kind="secondary", id=name, applied_revision=0, lag_ms=None, behind=True, last_seen=None, live=False
            )
            for name in self.unseen
        ]
        return [ours, *late, *unseen]

    # --- one thing ----------------------------------------------------------------------------------------------

    async def _get_node(self, request: web.Request) -> web.Response:
        return json_response(self._known(request))

    async def _get_pool(self, request: web.Request) -> web.Response:
        if request.match_info["owner"] != POOL:
            raise Refused(404, "unknown-pool", "no such pool")
        return json_response(self._pool())

    async def _explain(self, request: web.Request) -> web.Response:
        return json_response(
            explanation(request.query["name"], request.query["type"], client=request.query.get("client"))
        )

    async def _register(self, request: web.Request) -> web.Response:
        body = NodeRequest.model_validate_json(await request.text())
        roles = {role: RoleState(mode="normal", health="unknown", serving=False) for role in body.roles}
        details = body.model_dump(exclude={"roles"})
        node = NodeInfo(id=request.match_info["node"], roles=roles, configured=False, names=[], **details)
        self.nodes[node.id] = node
        self.revision += 1
        return json_response(NodeOutcome(revision=self.revision, changed=True, node=node))

    async def _remove(self, request: web.Request) -> web.Response:
        node = self.nodes.pop(self._known(request).id)
        self.revision += 1
        return json_response(NodeOutcome(revision=self.revision, changed=True, node=node))

    async def _report(self, request: web.Request) -> web.Response:
        node = self._known(request)
        ReportRequest.model_validate_json(await request.text())
        modes = {role: state.mode for role, state in node.roles.items()}
        return json_response(DesiredState(node=node.id, revision=self.revision, accepted=True, roles=modes))

    async def _status(self, request: web.Request) -> web.Response:
        node = self._known(request)
        if self.course:
            return json_response(
                self._look(node.id, self.course[0] if len(self.course) == 1 else self.course.popleft())
            )
        drains = [drain for drain in self.drains if drain.node == node.id]
        blockers = [f"{row.consumer} has not applied revision {self.revision}" for row in self.pending]
        role = RoleStatus(
            mode=drains[0].mode if drains else "normal",
            ramp=self.ramps.get(node.id),
            drains=drains,
            dns={"withdrawn_at": START, "max_ttl": 30, "caches_clear_at": START + 30.0},
            applied=[AppliedBy(consumer="ns1", kind="dns", lag_ms=3.2)],
            pending=self.pending,
            sessions=None,
            safe_to_stop=not blockers,
            blockers=blockers,
        )
        caveats = ["sessions are not known: monitor is none"]
        return json_response(
            NodeStatus(
                node=node.id,
                revision=self.revision,
                safe_to_stop=not blockers,
                blockers=[f"edge: {blocker}" for blocker in blockers],
                caveats=caveats,
                roles={"edge": role},
            )
        )

    def _look(self, node: str, look: Look) -> NodeStatus:
        now = time.time()
        sessions = None
        if look.viewers is not None:
            sessions = SessionProgress(viewers=look.viewers, inputs=0, jobs=None, observed_at=now, fresh=True)
        drains = [drain for drain in self.drains if drain.node == node]
        role = RoleStatus(
            mode="draining",
            drains=drains,
            dns={
                "withdrawn_at": now,
                "max_ttl": 30,
                "caches_clear_at": None if look.caches_seconds is None else now + look.caches_seconds,
            },
            applied=[AppliedBy(consumer="ns1", kind="dns", lag_ms=3.2)],
            pending=[LATE_ROUTER] if look.pending else [],
            sessions=sessions,
            safe_to_stop=not look.blockers,
            blockers=list(look.blockers),
        )
        return NodeStatus(
            node=node,
            revision=self.revision,
            safe_to_stop=not look.blockers,
            blockers=[f"edge: {blocker}" for blocker in look.blockers],
            caveats=[] if sessions is not None else ["sessions are not known: monitor is none"],
            roles={"edge": role},
        )

    # --- drains -------------------------------------------------------------------------------------------------

    async def _place(self, request: web.Request) -> web.Response:
        node = self._known(request)
        body = DrainRequest.model_validate_json(await request.text())
        if body.roles and set(body.roles) - set(node.roles):
            raise Refused(400, "invalid-request", f"roles: {body.roles} are not all roles of {node.id}", field="roles")
        self._check_precondition(request)
        before = self._serving()
        out = {drain.node for drain in self.drains} | {node.id}
        after = sum(1 for other in self.nodes if other not in out)
        impact = [
            Impact(
                pool=POOL,
                serving_before=before,
                serving_after=after,
                floor=str(self.floor),
                ok=after >= self.floor,
            )
        ]
        if after < self.floor and not body.force:
            raise Refused(409, "capacity-floor", f"{POOL} would fall below its floor of {self.floor}", impact=impact)
        drain = DrainInfo(
            node=node.id,
            roles=body.roles or ["*"],
            mode=body.mode,
            holder=body.holder or "ops",
            actor="local",
            reason=body.reason,
            created_at=START,
            starts_at=body.starts_at or START,
            expires_at=_expiry(body),
            revision=self.revision + 1,
            forced=body.force,
            state="scheduled" if body.starts_at else "active",
        )
        repeated = any(
            (old.node, old.holder, old.roles) == (drain.node, drain.holder, drain.roles) for old in self.drains
        )
        if not body.dry_run and not repeated:
            self.revision += 1
            self.drains.append(drain)
            self._remember("drain-placed", drain)
        return self._outcome(drain=drain, impact=impact, changed=not repeated, dry_run=body.dry_run)

    async def _release(self, request: web.Request) -> web.Response:
        node = self._known(request)
        holder = request.query.get("holder", "ops")
        everybody = request.query.get("all_holders") == "true"
        gone = [drain for drain in self.drains if drain.node == node.id and (everybody or drain.holder == holder)]
        self.drains = [drain for drain in self.drains if drain not in gone]
        if gone:
            self.revision += 1
            self._remember("drain-released", gone[0])
        return self._outcome(drain=gone[0] if gone else None, released=gone, changed=bool(gone))

    def _outcome(
        self, *, drain: DrainInfo | None, changed: bool = True, dry_run: bool = False, **more: Any
    ) -> web.Response:
        applied = [] if dry_run else [AppliedBy(consumer="ns1", kind="dns", lag_ms=3.2)]
        pending = [] if dry_run else self.pending
        outcome = DrainOutcome(
            revision=self.revision,
            changed=changed and not dry_run,
            dry_run=dry_run,
            drain=drain,
            applied=applied,
            pending=pending,
            **more,
        )
        return json_response(outcome, status=202 if pending else 200)

    async def _nothing(self, request: web.Request) -> web.Response:
        raise Refused(404, "not-found", f"nothing at {request.path}")

    def all_nodes(self) -> Iterable[NodeInfo]:
        return [self._with_ramp(node) for node in self.nodes.values()]

    def _with_ramp(self, node: NodeInfo) -> NodeInfo:
        ramp = self.ramps.get(node.id)
        roles = {role: state.model_copy(update={"ramp": ramp}) for role, state in node.roles.items()}
        return node.model_copy(update={"roles": roles})

    # --- the fleet ----------------------------------------------------------------------------------------------

    def _known(self, request: web.Request) -> NodeInfo:
        node = self.nodes.get(request.match_info["node"])
        if node is None:
            raise Refused(404, "unknown-node", f"there is no node {request.match_info['node']!r}")
        return node

    def _check_precondition(self, request: web.Request) -> None:
        if request.headers.get("If-Match", f'"{self.revision}"') != f'"{self.revision}"':
            raise Refused(412, "revision-moved", f"the revision is {self.revision}", revision=self.revision)

    def _serving(self) -> int:
        out = {drain.node for drain in self.drains}
        return sum(1 for node in self.nodes if node not in out)

    def _pool(self) -> PoolInfo:
        out = {drain.node: drain for drain in self.drains}
        members = [
            PoolMember(
                node=node.id,
                addresses=node.addresses,
                weight=node.weight,
                mode=out[node.id].mode if node.id in out else "normal",
                health="up",
                serving=node.id not in out,
                reasons=[f"{out[node.id].mode} for {out[node.id].holder}"] if node.id in out else [],
                ramp=self.ramps.get(node.id),
            )
            for node in self.nodes.values()
        ]
        serving = [member for member in members if member.serving]
        return PoolInfo(
            owner=POOL,
            role="edge",
            match={"region": "eu"},
            ttl=30,
            floor=str(self.floor),
            max_answers=8,
            when_empty="pool:backup.example.org.",
            tier=self.tier,
            serving=len(serving),
            total=len(members),
            floor_ok=len(serving) >= self.floor,
            answers=[address for member in serving for address in member.addresses],
            members=members,
        )

    def _remember(self, action: str, drain: DrainInfo) -> None:
        entry = HistoryInfo(
            revision=self.revision,
            at=START,
            actor="local",
            action=action,
            node=drain.node,
            roles=drain.roles,
            holder=drain.holder,
            reason=drain.reason,
            forced=drain.forced,
            all_holders=False,
            before=[],
            after=[drain.model_dump(mode="json")] if action == "drain-placed" else [],
        )
        self.history.insert(0, entry)


def _expiry(body: DrainRequest) -> float | None:
    if body.indefinite:
        return None
    return body.expires_at or START + (body.expires_in or 4 * HOUR)


def _as_handler(answer: Handler | web.Response | ProblemDetail) -> Handler:
    if callable(answer):
        return answer

    async def handler(_: web.Request) -> web.StreamResponse:
        return problem_response(answer) if isinstance(answer, ProblemDetail) else answer

    return handler
