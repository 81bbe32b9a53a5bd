"""The router over HTTP: requests in, nodes out. It keeps no session: a signed token says where one is.

It knows nothing of where the view comes from.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from aiohttp import web

from dnsd.errors import InvalidRequest
from dnsd.model.drain import Mode
from dnsd.model.node import Node
from dnsd.router import problems, requests
from dnsd.router.catching import as_problems
from dnsd.router.errors import AllDrained, NoNode
from dnsd.router.metrics import Metrics
from dnsd.router.redirecting import with_url
from dnsd.router.requests import RouteRequest
from dnsd.router.selection import FALLBACK_DRAINING, FALLBACK_ROLE, KEPT, SOURCE, Choice, Router
from dnsd.router.settings import RoleSettings
from dnsd.router.source import Source
from dnsd.router.tokens import ExpiredToken, Session, Signer, digest_of, new_session_id

# Of a request: a key and some ids. Unit: bytes.
MAX_BODY_SIZE = 64 * 1024

# The outcome that a fallback to a URL is counted as.
FALLBACK_URL = "fallback-url"

_DEFAULT = RoleSettings()


class Service:
    """Answers requests.

    Args:
        roles: what holds for each; one that is not named has the default.
        signer: None: sessions get no tokens, and none are read.
    """

    def __init__(
        self,
        router: Router,
        source: Source,
        *,
        roles: Mapping[str, RoleSettings],
        signer: Signer | None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._router = router
        self._source = source
        self._roles = roles
        self._signer = signer
        self._clock = clock
        self._metrics = Metrics(
            router.view,
            is_up=lambda: source.up,
            heard_at=lambda: source.heard_at,
            acknowledged=lambda: source.acknowledged,
        )

    def app(self) -> web.Application:
        """Return the application."""
        app = web.Application(client_max_size=MAX_BODY_SIZE, middlewares=[as_problems])
        app.add_routes(
            [
                web.get("/route/{role}", self.route),
                web.post("/sessions", self.place),
                web.get("/livez", self.live),
                web.get("/readyz", self.ready),
                web.get("/metrics", self.metrics),
            ]
        )
        return app

    # --- nodes --------------------------------------------------------------------------------------------------

    async def route(self, request: web.Request) -> web.Response:
        """Answer GET /route/{role}: a node, as JSON or as a redirection."""
        asked = requests.of_query(request.match_info["role"], _single(request))
        choice = self._chosen(asked, redirects=self._redirects(asked))
        if isinstance(choice, web.Response):
            return choice
        also = self._also(asked, choice) if choice.reason == SOURCE else {}
        return self._answer(choice, asked, redirects=self._redirects(asked), **also)

    def _also(self, asked: RouteRequest, choice: Choice) -> dict[str, Any]:
        """Return where the stream of a key is, if not on the source: a key that came after a drain went elsewhere."""
        try:
            other = self._router.select(asked.role, key=asked.key, near=asked.near, exclude=asked.exclude).node.id
        except NoNode:
            return {"also": None}
        return {"also": None if other == choice.node.id or asked.key is None else other}

    async def place(self, request: web.Request) -> web.Response:
        """Answer POST /sessions: a node for a new session, or for one that comes back, and its token."""
        asked = requests.of_body(await request.read())
        choice = self._chosen(asked, redirects=False)
        if isinstance(choice, web.Response):
            return choice
        if choice.reason != KEPT:
            self._router.placed(choice)
            self._metrics.sessions.labels(asked.role).inc()
        session = self._session_on(choice, asked)
        token = None if self._signer is None else self._signer.sign(session)
        status = 200 if choice.reason == KEPT else 201
        return self._answer(choice, asked, redirects=False, status=status, session=session.id, token=token)

    def _session_on(self, choice: Choice, asked: RouteRequest) -> Session:
        """Return the session that the request is about as it is now, on the node that it got."""
        named, now = self._session_of(asked, lenient=True), int(self._clock())
        if named is None:
            return Session(choice.node.id, choice.role, new_session_id(), asked.kind, now, digest_of(asked.key))
        # A token that were renewed while its node is drained would hold the session there for ever.
        is_renewed = choice.reason != KEPT or choice.mode is Mode.NORMAL
        issued_at = now if is_renewed else named.issued_at
        return replace(named, node=choice.node.id, role=choice.role, issued_at=issued_at)

    def _chosen(self, asked: RouteRequest, *, redirects: bool) -> Choice | web.Response:
        """Return the node that a request gets, or the answer that there is none; either is counted."""
        try:
            choice = self._kept(asked)
            if choice is None or (redirects and not self._has_url(choice, asked)):
                choice = self._selected(asked, redirects=redirects)
        except NoNode as error:
            fallback = self._roles.get(asked.role, _DEFAULT).fallback_url
            if fallback is not None and isinstance(error, AllDrained):
                self._metrics.routes.labels(asked.role, FALLBACK_URL).inc()
                self._metrics.fallbacks.labels(asked.role, "url").inc()
                return self._to_fallback(asked, fallback, error)
            # A role that nobody knows is the client's word: it must not make a time series.
            is_known = asked.role in self._roles or asked.role in self._router.view.roles
            self._metrics.routes.labels(asked.role if is_known else "", error.id).inc()
            return problems.no_node(error, role=asked.role)
        self._metrics.routes.labels(asked.role, choice.reason).inc()
        if choice.reason in (FALLBACK_DRAINING, FALLBACK_ROLE):
            self._metrics.fallbacks.labels(asked.role, choice.reason.removeprefix("fallback-")).inc()
        return choice

    def _selected(self, asked: RouteRequest, *, redirects: bool) -> Choice:
        """Return the node of a new session: one that a client can be redirected to, where it is to be."""

        def select(exclude: frozenset[str]) -> Choice:
            return self._router.select(
                asked.role, key=asked.key, near=asked.near, exclude=exclude, purpose=asked.purpose
            )

        def all_without() -> frozenset[str]:
            role = self._roles.get(asked.role, _DEFAULT)
            groups = [self._router.view.roles.get(name or "") for name in (asked.role, role.policy.other_role)]
            members = [(group.role, each) for group in groups if group for each in group.everywhere.members.values()]
            return frozenset(each.id for name, each in members if self._url_of(each.node, name, asked) is None)

        if not redirects:
            return select(asked.exclude)
        return with_url(
            select, exclude=asked.exclude, has_url=lambda each: self._has_url(each, asked), all_without=all_without
        )

    def _has_url(self, choice: Choice, asked: RouteRequest) -> bool:
        """Say whether a client can be sent to it; where the role has no URL at all, that is not the node's fault."""
        is_without = self._roles.get(asked.role, _DEFAULT).url is None
        return is_without or self._url_of(choice.node, choice.role, asked) is not None

    def _url_of(self, node: Node, role: str, asked: RouteRequest) -> str | None:
        template = self._roles.get(role, _DEFAULT).url
        return None if template is None else template.url_of(node, role=role, key=asked.key or "")

    def _kept(self, asked: RouteRequest) -> Choice | None:
        """Return the node that a session is on, or a stream's, where it may be used still."""
        session = self._session_of(asked)
        node = asked.node if session is None else session.node
        if node is None or node in asked.exclude:
            return None
        # A session may have been placed in the role that its own fell back to.
        return self._router.keep(asked.role if session is None else session.role, node)

    def _session_of(self, asked: RouteRequest, *, lenient: bool = False) -> Session | None:
        """Return what the request's token says; None: it has none, or one that is too old or another session's.

        A key or a kind that the request leaves out is the session's own.

        Args:
            lenient: the token has been checked already.
        """
        if asked.session is None:
            return None
        if self._signer is None:
            raise InvalidRequest("this router has no secret, and reads no tokens", field="session")
        try:
            session = self._signer.read(asked.session, now=self._clock())
        except ExpiredToken:
            return None
        other = self._roles.get(asked.role, _DEFAULT).policy.other_role
        if session.role not in (asked.role, other) and not lenient:
            raise InvalidRequest(f"the token is for the role {session.role}", field="session")
        is_same = asked.key is None or digest_of(asked.key) == session.key
        return session if is_same and asked.kind in ("", session.kind) else None

    # --- answers ------------------------------------------------------------------------------------------------

    def _redirects(self, asked: RouteRequest) -> bool:
        return self._roles.get(asked.role, _DEFAULT).redirects if asked.redirect is None else asked.redirect

    def _answer(
        self, choice: Choice, asked: RouteRequest, *, redirects: bool, status: int = 200, **more: Any
    ) -> web.Response:
        url = self._url_of(choice.node, choice.role, asked)
        if redirects:
            if url is None:
                raise InvalidRequest(
                    f"the nodes of the role {choice.role} have no URL to redirect to", field="redirect"
                )
            return web.Response(status=307, headers={**problems.HEADERS, "Location": url})
        document = {
            "node": choice.node.id,
            "addresses": list(choice.node.addresses),
            "region": choice.node.region,
            "role": choice.role,
            "port": choice.node.ports.get(choice.role),
            "url": url,
            "mode": choice.mode.text,
            "health": choice.health.value,
            "reason": choice.reason,
            "revision": choice.revision,
            **more,
        }
        return _json(document, status=status)

    def _to_fallback(self, asked: RouteRequest, url: str, error: AllDrained) -> web.Response:
        if self._redirects(asked):
            return web.Response(status=307, headers={**problems.HEADERS, "Location": url})
        return _json(
            {
                "node": None, "addresses": [], "role": asked.role, "url": url, "reason": FALLBACK_URL,
                "detail": str(error), "revision": self._router.view.revision,
            }
        )  # fmt: skip

    # --- the router itself --------------------------------------------------------------------------------------

    async def live(self, _request: web.Request) -> web.Response:
        """Answer GET /livez."""
        return _json({"live": True})

    async def ready(self, _request: web.Request) -> web.Response:
        """Answer GET /readyz: 200 once the drains are loaded, also while what they come from is out of reach."""
        view, source = self._router.view, self._source
        reached = [] if source.up else [f"{source.label} is out of reach: the last known drains are obeyed"]
        document = {
            "ready": view.loaded,
            "revision": view.revision,
            "acknowledged": source.acknowledged,
            "nodes": view.size,
            "problems": reached if view.loaded else ["the drains are not loaded yet"],
        }
        return _json(document, status=200 if view.loaded else 503)

    async def metrics(self, _request: web.Request) -> web.Response:
        """Answer GET /metrics."""
        return web.Response(body=self._metrics.scrape(), headers={"Content-Type": "text/plain; version=0.0.4"})


def _single(request: web.Request) -> dict[str, str]:
    """Return the query's parameters, each of which may stand once."""
    for name in request.query:
        if len(request.query.getall(name)) > 1:
            raise InvalidRequest(f"{name} stands twice", field=name)
    return dict(request.query)


def _json(document: Mapping[str, Any], *, status: int = 200) -> web.Response:
    return web.Response(
        status=status,
        text=json.dumps(document, ensure_ascii=False),
        content_type="application/json",
        headers=problems.HEADERS,
    )
