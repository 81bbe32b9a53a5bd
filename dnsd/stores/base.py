"""The protocol that every store of drain state keeps.

A store holds a fleet's state under one counter, the revision, and takes a commit only if the caller decided it on
the current revision (compare-and-set). It knows nothing of pools, guards, permissions or DNS.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from dnsd.model.check import CheckedBy, Results
from dnsd.model.node import Node
from dnsd.model.report import Report
from dnsd.model.state import Change, ChangeRecord, Consumer, FleetState, HistoryEntry
from dnsd.stores.claims import SerialClaim

# Changes that a store keeps for followers that lag; whoever lags more reloads. Unit: entries.
CHANGES_KEPT = 10_000

# Places in the order of reports that a store keeps for followers; whoever lags more gets every report. Unit: batches.
REPORTS_KEPT = 1_000

# The same where each node of a batch has its own place: every batch of a second for a minute, at a thousand reports in
# each. With fewer than one batch, each look would lead to every report. Unit: nodes.
REPORTED_NODES_KEPT = 65_536

# The most entries of history in one page, and the default. Unit: entries.
MAX_HISTORY_PAGE = 1000
DEFAULT_HISTORY_PAGE = 100


Known = Callable[[str], int | None]


class DrainStore(Protocol):
    """A store of drain state.

    Every method may raise `StoreUnavailable`, as all do before `open` and after `close`. A commit that was
    confirmed survives whatever the store promises: for SQLite a crash of the machine, for memory nothing. Reports
    and heartbeats survive a restart of the process where commits survive at all.

    Instants are kept to the millisecond. A caller that is cancelled during a write leaves it to its end: it lands as a
    whole or not at all, and `load` tells which.
    """

    @property
    def label(self) -> str:
        """A short name for people, without any password: `memory`, `sqlite /var/lib/dnsd/state.db`."""

    @property
    def remote(self) -> bool:
        """Say whether it lives elsewhere, so that it can be out of reach while the server is well."""

    async def open(self) -> None:
        """Connect and prepare; called once, before anything else.

        Raises:
            StoreRefused: it is there and not usable; one line that says what is wrong and what to do.
            StoreUnavailable: the same, of what may pass. A remote store goes on trying until it is closed.
        """

    async def close(self) -> None:
        """Finish what was begun and let go of everything; callers that wait for changes get `StoreUnavailable`."""

    async def load(self) -> FleetState:
        """Return a consistent cut of everything: revision, nodes, drains and reports."""

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
        restores: tuple[int, str] | None = None,
    ) -> int:
        """Apply changes, log them and append history, all or nothing.

        Each change makes one revision: the first `expected_revision + 1`, and so on; a drain's own `revision`
        and a history entry's are already set so by the caller. Removing what is not there is a change like any other.

        Args:
            expected_revision: the revision that the changes were decided on.
            changes: one or more; none is enough where numbers are skipped.
            history: appended as they are.
            at: the instant of acceptance that the change log records.
            expected_mark: by which the caller knows the expected revision; empty: it is not compared.
            mark: kept with each of the revisions it makes; see `FleetState`.
            skip_to: the revision that the first change follows instead of `expected_revision`; not a lower one. No
                number up to it is used again, and the change log has a gap there.
            restores: revision and mark of the state of which it writes back what the store has lost. A store that
                others follow remembers it, for those of them whose place its change log no longer holds.

        Returns:
            The new revision.

        Raises:
            RevisionConflict: the store is at another revision, or has another one of that number; nothing was written.
            ValueError: the commit does not agree with itself (no change, a value under another's key, a revision
                that is not the one it makes, a configured node); nothing was written.
            StoreUnavailable: nothing was acknowledged; whether it was written is unknown.
        """

    async def confirm(self, *, revision: int, mark: str = "") -> None:
        """Make a revision, and all before it, as lasting as the store is told to make them.

        Whoever tells a caller that what he asks for stands has it confirmed first, also where he found it so.

        Args:
            mark: by which the caller knows the revision; empty: it is not compared.

        Raises:
            NotReplicated: it is on fewer machines than it should be.
            StoreUnavailable: it may be lost yet, or is lost already.
        """

    async def changes(
        self, *, after: int, mark: str = "", limit: int = 1000, wait_seconds: float = 0.0
    ) -> tuple[ChangeRecord, ...]:
        """Return the changes that follow a revision, in order.

        Args:
            after: the last revision that the caller has.
            mark: by which the caller knows that revision; empty: it is not compared.
            limit: 1 or more.
            wait_seconds: where there is none yet, how long to wait for the first one.

        Returns:
            Up to `limit` records, the first with revision `after + 1`; empty where none came in time.

        Raises:
            StoreDiverged: the store is not at that revision yet, or has come past it another way, as after it was
                replaced by an older copy.
            ChangesTrimmed: the log no longer reaches back that far, or has a gap there: load again.
        """

    async def history(
        self, *, node: str | None = None, before: int | None = None, limit: int = DEFAULT_HISTORY_PAGE
    ) -> tuple[tuple[HistoryEntry, ...], int | None]:
        """Return a page of history, newest first.

        Args:
            node: only entries of this node, its id as it was written.
            before: the cursor that the previous page returned; None: from the newest.
            limit: 1 to `MAX_HISTORY_PAGE`.

        Returns:
            The entries, and the cursor of the next page or None at the end. A cursor is an integer that means
            nothing to callers; it stays true while new entries arrive.

        Raises:
            ValueError: the limit is out of its range.
        """

    async def put_reports(self, reports: Sequence[Report]) -> None:
        """Keep the last report of each node; one whose sequence is not higher than the kept one's is dropped.

        Reports make no revision and no history. A failure may leave a part of them written, each one whole: keeping
        all of them again does no harm.

        Raises:
            ValueError: a sequence below 0 or above 2**63 - 1; nothing was written.
        """

    async def drop_report(self, node: str) -> None:
        """Forget a node's report, as when the node is removed."""

    async def reports(
        self, *, after: str | None = None, wait_seconds: float = 0.0, known: Known | None = None
    ) -> tuple[tuple[Report, ...], str]:
        """Return what nodes have reported since a place in the order of `put_reports`, each node's last word.

        Args:
            after: the place that the previous call returned; None: before the first one.
            wait_seconds: where there is nothing new, how long to wait for it.
            known: gives the sequence of the last report that the caller has of a node, None where it has none. Most
                are the caller's own, and need not be read: a store may leave out what is not newer. It is asked from
                any thread.

        Returns:
            The reports, and the place to go on from. A place that is no longer known leads to every report.
        """

    async def tell_configured(self, nodes: Sequence[Node], *, server: str, at: float) -> None:
        """Tell programs that read the store which nodes a server's configuration declares; the last word counts.

        A store that none but dnsd reads has nobody to tell. A dnsd server never reads it back.

        Args:
            server: the id of the server that tells it.
            at: instant.
        """

    async def configured(self) -> tuple[Node, ...] | None:
        """Return the nodes that `tell_configured` told last, for a router.

        None: nobody has told of any yet, the store has lost it, or it is one that tells nobody.
        """

    async def tell_checked(self, results: Results, *, server: str, at: float) -> None:
        """Have programs that read the store find what a server's checks have found, and nothing else of that server.

        Where the store has just that already, nothing is written; so whoever repeats it puts right what the store has
        lost. A store that none but dnsd reads has nobody to tell. A dnsd server never reads it back.

        Args:
            results: all that is known; an object that its caller never changes. Empty: the server tells of nothing.
            server: the id of the server that tells it.
            at: instant.
        """

    async def checked(self) -> Mapping[str, CheckedBy]:
        """Return what servers tell of their checks, by server, for a router; also of those that have died since.

        One whose word cannot be read, or is not whole at this moment, is left out.
        """

    async def claim_serials(self, claims: Sequence[SerialClaim]) -> tuple[int, ...]:
        """Give zones their serials, by the rule of `dnsd.stores.claims`, and keep the last of each.

        One claim is one step that no other comes between. What was given survives what a commit survives; it makes no
        revision and no history.

        Returns:
            A serial for each claim, in their order.
        """

    async def heartbeat(self, consumer: Consumer) -> bool:
        """Keep what a consumer says of itself: its last word, even where it has applied less than before.

        Returns:
            Whether the store knew it before. One that had said something already is told so that what consumers have
            said was lost.
        """

    async def heartbeats(self, consumers: Sequence[Consumer]) -> None:
        """Keep what several consumers say of themselves, as `heartbeat` does of one, in one step."""

    async def forget_consumer(self, consumer: str) -> None:
        """Forget a consumer that has ended in order, so that nobody waits for it; harmless for an unknown one.

        What it has told of its checks is forgotten with it.
        """

    async def consumers(
        self, *, unlike: tuple[Consumer, ...] | None = None, wait_seconds: float = 0.0
    ) -> tuple[Consumer, ...]:
        """Return every consumer that has said anything, the silent ones included, by id.

        One that says it has applied a revision of another mark than the store's has applied 0.

        Args:
            unlike: what the caller has.
            wait_seconds: while they are just those, and have applied just that, how long to wait for one to say more.
                A mere sign of life ends no wait.
        """
