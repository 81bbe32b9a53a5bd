"""What the admin interface asks of the service behind it.

It speaks in the models of `dnsd.api.schemas` and knows nothing of HTTP. Where an answer needs the fleet's state, the
service raises the errors of `dnsd.errors`, and `admin.problems` gives each its status.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from dnsd.api.schemas import (
    ConsumerInfo,
    ConsumerOutcome,
    ConsumerRemoval,
    ConsumerRequest,
    DesiredState,
    DrainInfo,
    DrainOutcome,
    DrainRequest,
    Event,
    Explanation,
    HistoryInfo,
    NodeInfo,
    NodeOutcome,
    NodeRequest,
    NodeStatus,
    PoolInfo,
    Readiness,
    ReleaseRequest,
    ReportRequest,
)
from dnsd.control.actor import Actor


class Backend(Protocol):
    """The control plane as the admin interface sees it.

    Every coroutine may raise `StoreUnavailable`. Writes raise `InvalidRequest` for values that make no sense,
    `UnknownNode`, and `RevisionMoved` where `if_revision` is not the current revision (None: no condition).
    """

    @property
    def revision(self) -> int:
        """The revision that answers are made of."""

    async def place_drain(
        self, node: str, request: DrainRequest, *, actor: Actor, if_revision: int | None
    ) -> DrainOutcome:
        """Place or change the holder's drain.

        Raises:
            CapacityFloor: a pool would fall below its floor, and the request does not force it.
        """

    async def release_drain(
        self, node: str, request: ReleaseRequest, *, actor: Actor, if_revision: int | None
    ) -> DrainOutcome:
        """Release the holder's drains of a node, or those of all holders."""

    async def with_applied(self, outcome: DrainOutcome, *, wait_seconds: float) -> DrainOutcome:
        """Return the outcome with who has applied its revision and who has not.

        Args:
            wait_seconds: the longest to wait for every live consumer; 0: answer at once.
        """

    async def register_node(
        self, node: str, request: NodeRequest, *, actor: Actor, if_revision: int | None
    ) -> NodeOutcome:
        """Register or replace a node.

        Raises:
            NodeConflict: the configuration declares it, or something else has its name.
        """

    async def remove_node(self, node: str, *, actor: Actor, if_revision: int | None) -> NodeOutcome:
        """Remove a registered node.

        Raises:
            NodeConflict: the configuration declares it.
        """

    def report(self, node: str, request: ReportRequest) -> DesiredState:
        """Take an agent's report."""

    async def announce_consumer(self, consumer: str, request: ConsumerRequest) -> ConsumerOutcome:
        """Take a router's word of how far it has come.

        Raises:
            ConsumerConflict: the id belongs to something else.
            TooManyConsumers: it would be one router too many.
        """

    async def forget_consumer(self, consumer: str) -> ConsumerRemoval:
        """Take a router's goodbye; harmless for one that is not known.

        Raises:
            ConsumerConflict: the id belongs to something else.
        """

    def nodes(self) -> list[NodeInfo]:
        """Return every node."""

    def node(self, node: str) -> NodeInfo:
        """Return one node.

        Raises:
            UnknownNode: there is none with that id.
        """

    def drains(self) -> list[DrainInfo]:
        """Return the drains that are scheduled or active."""

    def pools(self) -> list[PoolInfo]:
        """Return every pool."""

    def pool(self, owner: str) -> PoolInfo:
        """Return one pool.

        Args:
            owner: fully qualified, in lower case, with its final dot.

        Raises:
            UnknownPool: there is none with that owner.
        """

    def status(self, node: str) -> NodeStatus:
        """Return how far a node's drain has come.

        Raises:
            UnknownNode: there is none with that id.
        """

    def explain(self, name: str, rdtype: str, *, client: str | None) -> Explanation:
        """Return what a query would be answered now, and why.

        Args:
            name, rdtype: as people write them.
            client: address of who asks; None: anybody.

        Raises:
            InvalidRequest: one of them is not what it should be.
        """

    async def consumers(self) -> list[ConsumerInfo]:
        """Return every consumer."""

    async def history(
        self, *, node: str | None, before: int | None, limit: int
    ) -> tuple[list[HistoryInfo], int | None]:
        """Return a page of history, newest first, and the cursor of the next page or None.

        Args:
            node: only entries of this node.
            before: the cursor that the previous page returned; None: from the newest.
            limit: entries, 1 to `MAX_HISTORY_PAGE`.
        """

    def events(self, *, after: int | None) -> AsyncIterator[Event]:
        """Follow what happens; the subscription is in place when the first step first waits.

        What waits for a follower that is slow is bounded: the iteration ends where it would be more.

        Args:
            after: the revision to resume behind; None: from now on.

        Raises:
            ChangesTrimmed: what came after that revision is no longer known.
        """

    def readiness(self) -> Readiness:
        """Say whether the server answers as it should."""
