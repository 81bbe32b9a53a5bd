"""A store in this process's memory: for trying dnsd out, and for tests. Nothing of it survives the process.

It owns the data structures. All its methods run to their end without yielding to the event loop, but for the wait in
`changes`: that is what makes a commit atomic here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import islice

from dnsd.errors import ChangesTrimmed, RevisionConflict, StoreUnavailable
from dnsd.model.drain import Drain, DrainKey
from dnsd.model.node import Node
from dnsd.model.report import Report
from dnsd.model.state import Change, ChangeRecord, Consumer, Entity, FleetState, HistoryEntry
from dnsd.stores.base import CHANGES_KEPT, DEFAULT_HISTORY_PAGE
from dnsd.stores.following import Bell, follow
from dnsd.stores.rules import check_commit, check_history_limit, check_reports


class MemoryStore:
    """A `DrainStore` that forgets everything when it is closed.

    Args:
        changes_kept: entries of the change log that it keeps, 1 or more.
    """

    def __init__(self, *, changes_kept: int = CHANGES_KEPT) -> None:
        self._open = False
        self._revision = 0
        self._nodes: dict[str, Node] = {}
        self._drains: dict[DrainKey, Drain] = {}
        self._reports: dict[str, Report] = {}
        self._consumers: dict[str, Consumer] = {}
        self._log: deque[ChangeRecord] = deque(maxlen=changes_kept)
        self._history: list[HistoryEntry] = []
        self._bell = Bell()

    @property
    def label(self) -> str:
        """A short name for people."""
        return "memory"

    async def open(self) -> None:
        """Begin to accept calls."""
        self._open = True

    async def close(self) -> None:
        """Refuse calls from now on, and end those that wait for changes."""
        self._open = False
        self._bell.ring()

    async def load(self) -> FleetState:
        """Return a consistent cut of everything."""
        self._check_open()
        return FleetState(
            revision=self._revision, nodes=dict(self._nodes), drains=dict(self._drains), reports=dict(self._reports)
        )

    async def commit(
        self, *, expected_revision: int, changes: Sequence[Change], history: Sequence[HistoryEntry], at: float
    ) -> int:
        """Apply changes, log them and append history, all or nothing; see `DrainStore.commit`."""
        self._check_open()
        revision = check_commit(expected_revision=expected_revision, changes=changes, history=history)
        if expected_revision != self._revision:
            raise RevisionConflict(expected=expected_revision, actual=self._revision)
        for made, change in enumerate(changes, expected_revision + 1):
            self._apply(change)
            self._log.append(ChangeRecord(revision=made, at=at, change=change))
        self._history.extend(history)
        self._revision = revision
        self._bell.ring()
        return revision

    async def changes(self, *, after: int, limit: int = 1000, wait_seconds: float = 0.0) -> tuple[ChangeRecord, ...]:
        """Return the changes that follow a revision, in order; see `DrainStore.changes`."""

        async def read() -> tuple[ChangeRecord, ...]:
            return self._changes_after(after, limit)

        return await follow(read, self._bell, wait_seconds=wait_seconds)

    async def history(
        self, *, node: str | None = None, before: int | None = None, limit: int = DEFAULT_HISTORY_PAGE
    ) -> tuple[tuple[HistoryEntry, ...], int | None]:
        """Return a page of history, newest first; see `DrainStore.history`. The cursor counts entries from 1."""
        self._check_open()
        check_history_limit(limit)
        top = len(self._history) if before is None else max(0, min(before - 1, len(self._history)))
        found = (
            place for place in range(top, 0, -1) if node is None or self._history[place - 1].node == node
        )  # one more than asked for tells whether another page follows
        places = list(islice(found, limit + 1))
        page = places[:limit]
        return tuple(self._history[place - 1] for place in page), page[-1] if len(places) > limit else None

    async def put_reports(self, reports: Sequence[Report]) -> None:
        """Keep the last report of each node; see `DrainStore.put_reports`."""
        self._check_open()
        check_reports(reports)
        for report in reports:
            kept = self._reports.get(report.node)
            if kept is None or report.sequence > kept.sequence:
                self._reports[report.node] = report

    async def drop_report(self, node: str) -> None:
        """Forget a node's report."""
        self._check_open()
        self._reports.pop(node, None)

    async def heartbeat(self, consumer: Consumer) -> None:
        """Keep what a consumer says of itself."""
        self._check_open()
        self._consumers[consumer.id] = consumer

    async def forget_consumer(self, consumer: str) -> None:
        """Forget a consumer that has ended."""
        self._check_open()
        self._consumers.pop(consumer, None)

    async def consumers(self) -> tuple[Consumer, ...]:
        """Return every consumer that has said anything, by id."""
        self._check_open()
        return tuple(consumer for _, consumer in sorted(self._consumers.items()))

    def _check_open(self) -> None:
        if not self._open:
            raise StoreUnavailable(f"{self.label}: the store is not open")

    def _apply(self, change: Change) -> None:
        value = change.value
        if isinstance(value, Drain):
            self._drains[value.key] = value
        elif isinstance(value, Node):
            self._nodes[value.id] = value
        elif change.entity is Entity.DRAIN:
            self._drains.pop(DrainKey.of(change.key), None)
        else:
            self._nodes.pop(change.key, None)

    def _changes_after(self, after: int, limit: int) -> tuple[ChangeRecord, ...]:
        self._check_open()
        floor = self._log[0].revision - 1 if self._log else self._revision
        if not floor <= after <= self._revision:
            raise ChangesTrimmed(f"the change log holds what follows {floor} to {self._revision}, not {after}")
        return tuple(islice(self._log, after - floor, after - floor + limit))
