"""The client library: one method per call of the HTTP interface, for the command line, agents and others' programs.

It knows nothing of the command line, and never retries a write on its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Generic, Self, TypeVar

from dnsd.api.address import DEFAULT_SERVER, path_of
from dnsd.api.errors import ClientError, UnexpectedAnswer
from dnsd.api.events import FIRST_PAUSE_SECONDS, SILENCE_TIMEOUT_SECONDS, EventReader, ReceivedEvent
from dnsd.api.exchange import REQUEST_TIMEOUT_SECONDS, Exchange, Query
from dnsd.api.limits import MAX_WAIT_SECONDS
from dnsd.api.schemas import (
    Answer,
    AppliedBy,
    ConsumerInfo,
    ConsumerOutcome,
    ConsumerRemoval,
    ConsumerRequest,
    DesiredState,
    DrainInfo,
    DrainOutcome,
    DrainRequest,
    Explanation,
    HistoryInfo,
    NodeInfo,
    NodeOutcome,
    NodeRequest,
    NodeStatus,
    Page,
    PoolInfo,
    ReleaseRequest,
    ReportRequest,
)

# Beyond the time that a server was asked to wait, for the way there and back. Unit: seconds.
WAIT_GRACE_SECONDS = 1.0

# Between looks at the consumers while the client waits itself. Unit: seconds.
POLL_SECONDS = 0.5

# Entries per request while all of a history is read. Unit: entries.
HISTORY_PAGE_SIZE = 1000

ItemT = TypeVar("ItemT", bound=Answer)


@dataclass(frozen=True, slots=True)
class Listing(Generic[ItemT]):
    """A list as it was read, page by page.

    Args:
        revisions: of the state that each page is of; None: a page that names none.
    """

    items: list[ItemT]
    revisions: list[int | None]


class Client:
    """A client of one server; use it as an asynchronous context manager.

    Every method raises `ServerUnreachable`, `ApiError` or `UnexpectedAnswer` (`dnsd.api.errors`), and ValueError for
    a node id or an owner that cannot stand in a URL.

    Args:
        server: http or https URL, with or without a path.
        token: bearer token; None: send none.
        timeout_seconds: for each request that is not asked to wait.

    Raises:
        ValueError: the URL or the token cannot be used.
    """

    def __init__(
        self,
        server: str = DEFAULT_SERVER,
        *,
        token: str | None = None,
        timeout_seconds: float = REQUEST_TIMEOUT_SECONDS,
    ) -> None:
        self._exchange = Exchange(server, token=token, timeout_seconds=timeout_seconds)

    async def __aenter__(self) -> Self:
        await self._exchange.__aenter__()
        return self

    async def __aexit__(self, *details: object) -> None:
        await self._exchange.__aexit__(*details)

    @property
    def server(self) -> str:
        """The server's URL."""
        return self._exchange.server

    # --- inventory ----------------------------------------------------------------------------------------------

    async def nodes(self) -> Page[NodeInfo]:
        """Return the inventory, all its pages joined."""
        return await self._all(path_of("nodes"), page=Page[NodeInfo])

    async def list_nodes(self) -> Listing[NodeInfo]:
        """Return the inventory, and of which revision it is."""
        return await self._listing(path_of("nodes"), page=Page[NodeInfo])

    async def node(self, node: str) -> NodeInfo:
        """Return one node."""
        return await self._exchange.ask("GET", path_of("nodes", node), answer=NodeInfo)

    async def register(self, node: str, request: NodeRequest, *, if_match: int | None = None) -> NodeOutcome:
        """Register or replace a node.

        Args:
            if_match: the revision that the caller decided on; None: any.
        """
        return await self._exchange.ask(
            "PUT", path_of("nodes", node), answer=NodeOutcome, body=request, headers=_precondition(if_match)
        )

    async def remove(self, node: str, *, if_match: int | None = None) -> NodeOutcome:
        """Remove a registered node; `if_match` as in `register`."""
        return await self._exchange.ask(
            "DELETE", path_of("nodes", node), answer=NodeOutcome, headers=_precondition(if_match)
        )

    async def report(self, node: str, request: ReportRequest) -> DesiredState:
        """Send an agent's report and return what the node is to do."""
        return await self._exchange.ask("POST", path_of("nodes", node, "report"), answer=DesiredState, body=request)

    # --- drains -------------------------------------------------------------------------------------------------

    async def place_drain(
        self, node: str, request: DrainRequest, *, wait_seconds: float | None = None, if_match: int | None = None
    ) -> DrainOutcome:
        """Place or change the caller's drain of a node.

        Args:
            wait_seconds: how long to wait for every live consumer to apply it; those that had not by then are the
                answer's `pending`. None: return as soon as the write is accepted. An answer that has not come
                `WAIT_GRACE_SECONDS` later is `NoAnswerInTime`, and the write may stand.
            if_match: the revision that the caller decided on; None: any.
        """
        return await self._write_drain("PUT", node, body=request, wait_seconds=wait_seconds, if_match=if_match)

    async def release_drain(
        self,
        node: str,
        request: ReleaseRequest | None = None,
        *,
        wait_seconds: float | None = None,
        if_match: int | None = None,
    ) -> DrainOutcome:
        """Release drains of a node.

        Args:
            request: None: the caller's own, of every role.
            wait_seconds, if_match: as in `place_drain`.
        """
        query = _release_query(request or ReleaseRequest())
        return await self._write_drain("DELETE", node, query=query, wait_seconds=wait_seconds, if_match=if_match)

    async def _write_drain(
        self,
        method: str,
        node: str,
        *,
        wait_seconds: float | None,
        if_match: int | None,
        query: Query = (),
        body: DrainRequest | None = None,
    ) -> DrainOutcome:
        timeout_seconds = None
        deadline = time.monotonic() + (wait_seconds or 0.0)
        if wait_seconds is not None:
            server_seconds = min(wait_seconds, MAX_WAIT_SECONDS)
            query = [*query, ("wait", "applied"), ("timeout", f"{server_seconds:.3f}".rstrip("0").rstrip("."))]
            timeout_seconds = server_seconds + WAIT_GRACE_SECONDS
        outcome = await self._exchange.ask(
            method,
            path_of("nodes", node, "drain"),
            answer=DrainOutcome,
            query=query,
            body=body,
            headers=_precondition(if_match),
            timeout_seconds=timeout_seconds,
        )
        return await self.until_applied(outcome, wait_seconds=deadline - time.monotonic())

    async def until_applied(
        self,
        outcome: DrainOutcome,
        *,
        wait_seconds: float,
        progress: Callable[[DrainOutcome], None] = lambda outcome: None,
    ) -> DrainOutcome:
        """Wait until every consumer that is pending has applied an accepted change, or the time is over.

        Args:
            progress: told of each look at the consumers.
        """
        deadline = time.monotonic() + wait_seconds
        while outcome.pending and time.monotonic() < deadline:
            # The write stands: a failure to look must not cost the caller its answer, which goes on saying `pending`.
            with contextlib.suppress(ClientError, TimeoutError):
                async with asyncio.timeout(deadline - time.monotonic() + WAIT_GRACE_SECONDS):
                    outcome = _progressed(outcome, await self.consumers())
            progress(outcome)
            if outcome.pending:
                await asyncio.sleep(min(POLL_SECONDS, max(deadline - time.monotonic(), 0.0)))
        return outcome

    async def drains(self) -> Page[DrainInfo]:
        """Return the drains that stand, scheduled ones included, all pages joined."""
        return await self._all(path_of("drains"), page=Page[DrainInfo])

    async def list_drains(self) -> Listing[DrainInfo]:
        """Return the drains that stand, and of which revision they are."""
        return await self._listing(path_of("drains"), page=Page[DrainInfo])

    async def status(self, node: str) -> NodeStatus:
        """Return how far the drains of a node have come."""
        return await self._exchange.ask("GET", path_of("nodes", node, "status"), answer=NodeStatus)

    # --- pools, consumers, history, events ----------------------------------------------------------------------

    async def pools(self) -> Page[PoolInfo]:
        """Return every pool, all pages joined."""
        return await self._all(path_of("pools"), page=Page[PoolInfo])

    async def pool(self, owner: str) -> PoolInfo:
        """Return the pool of an owner name."""
        return await self._exchange.ask("GET", path_of("pools", owner), answer=PoolInfo)

    async def explain(self, name: str, rdtype: str = "A", *, client: str | None = None) -> Explanation:
        """Return what a query would be answered now, and why.

        Args:
            name: a domain name; the final dot may be missing.
            client: the IP address of who would ask; None: anybody.
        """
        query = [("name", name), ("type", rdtype)]
        if client is not None:
            query.append(("client", client))
        return await self._exchange.ask("GET", path_of("explain"), answer=Explanation, query=query)

    async def consumers(self) -> Page[ConsumerInfo]:
        """Return who applies drain state, all pages joined."""
        return await self._all(path_of("consumers"), page=Page[ConsumerInfo])

    async def announce_consumer(
        self, consumer: str, request: ConsumerRequest, *, timeout_seconds: float | None = None
    ) -> ConsumerOutcome:
        """Say that a router lives, and how far it has come; `timeout_seconds` as in `Exchange.ask`."""
        return await self._exchange.ask(
            "PUT", path_of("consumers", consumer), answer=ConsumerOutcome, body=request, timeout_seconds=timeout_seconds
        )

    async def forget_consumer(self, consumer: str, *, timeout_seconds: float | None = None) -> ConsumerRemoval:
        """Say that a router has ended, so that nobody waits for it; harmless for one that is not known."""
        return await self._exchange.ask(
            "DELETE", path_of("consumers", consumer), answer=ConsumerRemoval, timeout_seconds=timeout_seconds
        )

    async def history_page(
        self, *, node: str | None = None, cursor: str | None = None, limit: int | None = None
    ) -> Page[HistoryInfo]:
        """Return one page of history, newest first.

        Args:
            node: only entries of this node.
            cursor: the previous page's `next`; None: the first page.
            limit: the most entries; None: the server's default.
        """
        wanted = {"node": node, "cursor": cursor, "limit": None if limit is None else str(limit)}
        query = [(name, value) for name, value in wanted.items() if value is not None]
        return await self._exchange.ask("GET", path_of("history"), answer=Page[HistoryInfo], query=query)

    async def history(self, *, node: str | None = None) -> AsyncGenerator[HistoryInfo]:
        """Yield all of history, newest first, asking for pages as they are needed; `node` as in `history_page`."""
        query = [("limit", str(HISTORY_PAGE_SIZE))]
        if node is not None:
            query.append(("node", node))
        async for page, _ in self._pages(path_of("history"), page=Page[HistoryInfo], query=query):
            for entry in page.items:
                yield entry

    def events(
        self,
        *,
        last_id: str = "",
        silence_seconds: float = SILENCE_TIMEOUT_SECONDS,
        first_pause_seconds: float = FIRST_PAUSE_SECONDS,
    ) -> AsyncGenerator[ReceivedEvent]:
        """Yield the server's events as they come, without end.

        A broken connection is made again and resumed after the last event that came.

        Args:
            last_id: resume after the event with this id; empty: from now on.
            silence_seconds: a connection that says nothing for so long is taken as broken.
            first_pause_seconds: before the first attempt to connect again; it doubles with each failure.
        """
        reader = EventReader(
            self._exchange, last_id=last_id, silence_seconds=silence_seconds, first_pause_seconds=first_pause_seconds
        )
        return reader.read()

    async def _pages(
        self, path: str, *, page: type[Page[ItemT]], query: Query = ()
    ) -> AsyncGenerator[tuple[Page[ItemT], int | None]]:
        seen: set[str] = set()
        cursor: list[tuple[str, str]] = []
        while True:
            answer, revision = await self._exchange.ask_at("GET", path, answer=page, query=[*query, *cursor])
            yield answer, revision
            if answer.next is None:
                return
            if answer.next in seen:
                raise UnexpectedAnswer(path, status=200, reason="its pages go round in a circle")
            seen.add(answer.next)
            cursor = [("cursor", answer.next)]

    async def _all(self, path: str, *, page: type[Page[ItemT]]) -> Page[ItemT]:
        return page(items=(await self._listing(path, page=page)).items, next=None)

    async def _listing(self, path: str, *, page: type[Page[ItemT]]) -> Listing[ItemT]:
        found: Listing[ItemT] = Listing([], [])
        async for answer, revision in self._pages(path, page=page):
            found.items.extend(answer.items)
            found.revisions.append(revision)
        return found


def _precondition(revision: int | None) -> dict[str, str]:
    return {} if revision is None else {"If-Match": f'"{revision}"'}


def _progressed(outcome: DrainOutcome, consumers: Page[ConsumerInfo]) -> DrainOutcome:
    """Move the pending consumers that have applied the revision by now; one that is not live is not waited for."""
    live = {consumer.id: consumer for consumer in consumers.items if consumer.live}
    applied, pending = list(outcome.applied), []
    for late in outcome.pending:
        now = live.get(late.consumer)
        if now is not None and now.applied_revision < outcome.revision:
            pending.append(late.model_copy(update={"applied_revision": now.applied_revision}))
        elif now is not None:
            # Its lag speaks of the last change that it has applied, which may be a later one.
            lag_ms = now.lag_ms if now.applied_revision == outcome.revision else None
            applied.append(AppliedBy(consumer=now.id, kind=now.kind, lag_ms=lag_ms))
    return outcome.model_copy(update={"applied": applied, "pending": pending})


def _release_query(request: ReleaseRequest) -> list[tuple[str, str]]:
    query = [("role", role) for role in request.roles or ()]
    if request.holder is not None:
        query.append(("holder", request.holder))
    if request.ramp is not None:
        query.append(("ramp", f"{request.ramp:.3f}".rstrip("0").rstrip(".")))
    query += [(name, "true") for name in ("all_holders", "dry_run") if getattr(request, name)]
    return query
