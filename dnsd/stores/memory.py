"""A store in this process's memory: for trying dnsd out, and for tests. Nothing of it survives the process.

It owns the data structures. All its methods run to their end without yielding to the event loop, but for those that
wait for news: that is what makes a commit atomic here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice

from dnsd.errors import ChangesTrimmed, RevisionConflict, StoreDiverged, StoreUnavailable
from dnsd.model.check import CheckedBy, Results
from dnsd.model.drain import Drain, DrainKey
from dnsd.model.node import Node
from dnsd.model.report import Report
from dnsd.model.state import Change, ChangeRecord, Consumer, Entity, FleetState, HistoryEntry
from dnsd.stores.base import CHANGES_KEPT, DEFAULT_HISTORY_PAGE, REPORTED_NODES_KEPT, Known
from dnsd.stores.claims import KeptSerial, SerialClaim, decided
from dnsd.stores.following import Bell, follow, says_more
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
        self._marks: dict[int, str] = {}  # of what the log held before the last gap
        self._history: list[HistoryEntry] = []
        self._reported: deque[tuple[int, str]] = deque(maxlen=REPORTED_NODES_KEPT)  # number, node
        self._reports_counted = 0
        self._serials: dict[str, KeptSerial] = {}
        self._bell = Bell()
        self._progressed = Bell()  # rings for what consumers say, but not for mere signs of life

    @property
    def label(self) -> str:
        """A short name for people."""
        return "memory"

    @property
    def remote(self) -> bool:
        """It lives in this process."""
        return False

    async def open(self) -> None:
        """Begin to accept calls."""
        self._open = True

    async def close(self) -> None:
        """Refuse calls from now on, and end those that wait for changes."""
        self._open = False
        self._bell.ring()
        self._progressed.ring()

    async def load(self) -> FleetState:
        """Return a consistent cut of everything."""
        self._check_open()
        return FleetState(
            revision=self._revision,
            nodes=dict(self._nodes),
            drains=dict(self._drains),
            reports=dict(self._reports),
            mark=self._mark,
        )

    async def commit(
        self,
        *,
        expected_revision: int,
        changes: Sequence[Change],
        history: Sequence[HistoryEntry],
        at: float,
        expected_mark: str = "",
        mark: str = "",
        skip_to: int | None = None,
        restores: tuple[int, str] | None = None,  # nobody comes back to it from elsewhere
    ) -> int:
        """Apply changes, log them and append history, all or nothing; see `DrainStore.commit`."""
        self._check_open()
        revision = check_commit(expected_revision=expected_revision, changes=changes, history=history, skip_to=skip_to)
        agrees = not (expected_mark and self._mark) or expected_mark == self._mark
        if expected_revision != self._revision or not agrees:
            raise RevisionConflict(expected=expected_revision, actual=self._revision)
        if skip_to is not None:
            self._marks = {record.revision: record.mark for record in self._log}
            self._log.clear()
        for made, change in enumerate(changes, revision - len(changes) + 1):
            self._apply(change)
            self._log.append(ChangeRecord(revision=made, at=at, change=change, mark=mark))
        self._history.extend(history)
        self._revision = revision
        self._bell.ring()
        return revision

    async def confirm(self, *, revision: int, mark: str = "") -> None:
        """Nothing here is more lasting than anything else."""
        self._check_open()

    async def changes(
        self, *, after: int, mark: str = "", limit: int = 1000, wait_seconds: float = 0.0
    ) -> tuple[ChangeRecord, ...]:
        """Return the changes that follow a revision, in order; see `DrainStore.changes`."""

        async def read() -> tuple[ChangeRecord, ...]:
            return self._changes_after(after, mark, limit)

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
                self._reports_counted += 1
                self._reported.append((self._reports_counted, report.node))
        self._bell.ring()

    async def drop_report(self, node: str) -> None:
        """Forget a node's report."""
        self._check_open()
        self._reports.pop(node, None)

    async def reports(
        self, *, after: str | None = None, wait_seconds: float = 0.0, known: Known | None = None
    ) -> tuple[tuple[Report, ...], str]:
        """Return what nodes have reported since a place; see `DrainStore.reports`. A place counts reports."""
        place = -1 if after is None else int(after)

        async def read() -> tuple[Report, ...]:
            return self._reports_after(place)

        found = await follow(read, self._bell, wait_seconds=wait_seconds)
        return found, str(self._reports_counted)

    async def tell_configured(self, nodes: Sequence[Node], *, server: str, at: float) -> None:
        """Nobody but dnsd reads this store."""

    async def configured(self) -> tuple[Node, ...] | None:
        """Nobody is told of them."""
        return None

    async def tell_checked(self, results: Results, *, server: str, at: float) -> None:
        """Nobody but dnsd reads this store."""

    async def checked(self) -> Mapping[str, CheckedBy]:
        """Nobody is told of checks."""
        return {}

    async def claim_serials(self, claims: Sequence[SerialClaim]) -> tuple[int, ...]:
        """Give zones their serials; see `DrainStore.claim_serials`."""
        self._check_open()
        given = []
        for claim in claims:
            kept = self._serials[claim.zone] = decided(claim, self._serials.get(claim.zone))
            given.append(kept.serial)
        return tuple(given)

    async def heartbeat(self, consumer: Consumer) -> bool:
        """Keep what a consumer says of itself; say whether it was known."""
        self._check_open()
        before = self._consumers.get(consumer.id)
        self._consumers[consumer.id] = consumer
        if before is None or says_more((consumer,), (before,)):
            self._progressed.ring()
        return before is not None

    async def heartbeats(self, consumers: Sequence[Consumer]) -> None:
        """Keep what several consumers say of themselves."""
        for each in consumers:
            await self.heartbeat(each)

    async def forget_consumer(self, consumer: str) -> None:
        """Forget a consumer that has ended."""
        self._check_open()
        if self._consumers.pop(consumer, None) is not None:
            self._progressed.ring()

    async def consumers(
        self, *, unlike: tuple[Consumer, ...] | None = None, wait_seconds: float = 0.0
    ) -> tuple[Consumer, ...]:
        """Return every consumer that has said anything, by id."""

        async def read() -> tuple[Consumer, ...]:
            self._check_open()
            return tuple(self._judged(consumer) for _, consumer in sorted(self._consumers.items()))

        return await follow(
            read, self._progressed, wait_seconds=wait_seconds, news=lambda found: says_more(found, unlike)
        )

    @property
    def _mark(self) -> str:
        """The mark of the present revision; empty where it is not known."""
        return self._log[-1].mark if self._log else ""

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

    def _changes_after(self, after: int, mark: str, limit: int) -> tuple[ChangeRecord, ...]:
        self._check_open()
        floor = self._log[0].revision - 1 if self._log else self._revision
        if after > self._revision:
            raise StoreDiverged(f"the store is at revision {self._revision}, before {after}")
        if mark and self._another(after, mark, floor):
            raise StoreDiverged(f"the store has another revision {after}, or none of that number")
        if after < floor:
            raise ChangesTrimmed(f"the change log holds what follows {floor} to {self._revision}, not {after}")
        return tuple(islice(self._log, after - floor, after - floor + limit))

    def _judged(self, consumer: Consumer) -> Consumer:
        """Return a consumer; one that has applied a revision of another history has applied nothing."""
        if not consumer.mark:
            return consumer
        floor = self._log[0].revision - 1 if self._log else self._revision
        if floor < consumer.applied <= self._revision:
            mark = self._log[consumer.applied - floor - 1].mark
        else:
            mark = self._marks.get(consumer.applied, "")
        agrees = consumer.applied <= self._revision and mark in ("", consumer.mark)
        return consumer if agrees else replace(consumer, applied=0)

    def _another(self, revision: int, mark: str, floor: int) -> bool:
        """Say whether a revision that somebody knows by a mark is not the one of this store."""
        if revision > floor:
            return self._log[revision - floor - 1].mark not in ("", mark)
        first = min(self._marks, default=floor + 1)
        return revision >= first and self._marks.get(revision) not in ("", mark)

    def _reports_after(self, place: int) -> tuple[Report, ...]:
        self._check_open()
        floor = self._reported[0][0] - 1 if self._reported else self._reports_counted
        if not floor <= place <= self._reports_counted:
            return tuple(self._reports.values())
        # Places rise one by one: only the last ones are looked at.
        since = islice(reversed(self._reported), self._reports_counted - place)
        nodes = dict.fromkeys(node for _, node in reversed(tuple(since)))
        return tuple(self._reports[node] for node in nodes if node in self._reports)
