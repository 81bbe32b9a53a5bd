"""The embedded store: one SQLite file, which several processes of one machine may share.

It owns the connection, the one thread that uses it, and the words for SQLite's errors. What is read and written stands
in `sqlite_statements`, the layout in `schema`. The event loop never waits for the disk.
"""

from __future__ import annotations

import asyncio
import functools
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from dnsd.errors import StoreUnavailable
from dnsd.model.check import CheckedBy, Results
from dnsd.model.node import Node
from dnsd.model.report import Report
from dnsd.model.state import Change, ChangeRecord, Consumer, FleetState, HistoryEntry
from dnsd.stores import schema, sqlite_statements
from dnsd.stores.base import CHANGES_KEPT, DEFAULT_HISTORY_PAGE, Known
from dnsd.stores.claims import SerialClaim
from dnsd.stores.following import Bell, follow, says_more
from dnsd.stores.rules import check_commit, check_history_limit, check_reports

# How long a write waits for another process that writes; then it fails. A write takes milliseconds. Unit: seconds.
BUSY_TIMEOUT_SECONDS = 3.0

# How often a caller that waits looks for writes of other processes. Unit: seconds.
POLL_SECONDS = 0.05
POLL_REPORTS_SECONDS = 0.5

# Reports that are written in one go; a drain that comes meanwhile waits for no more than those. Unit: reports.
REPORTS_AT_ONCE = 100

ResultT = TypeVar("ResultT")

_WORDS = {
    sqlite3.SQLITE_FULL: "the disk is full: free some space",
    sqlite3.SQLITE_READONLY: "the file or its folder is read-only for this user: change its owner or permissions",
    sqlite3.SQLITE_CANTOPEN: "the file cannot be opened: check that this user may write to it and to its folder",
    sqlite3.SQLITE_PERM: "the file cannot be opened: check that this user may write to it and to its folder",
    sqlite3.SQLITE_NOTADB: "the file is not a SQLite database: move it away, or choose another path",
    sqlite3.SQLITE_CORRUPT: "the file is damaged: restore it from a backup, or move it away",
    sqlite3.SQLITE_BUSY: "another process holds the file's write lock: see which one, and try again",
    sqlite3.SQLITE_IOERR: "reading or writing the file failed: check the disk and its free space",
}


class SqliteStore:
    """A `DrainStore` in a file. An acknowledged commit survives a crash of the machine.

    Reports and heartbeats survive a crash of the process; a crash of the machine may lose the last of them.

    A caller that is cancelled during a write leaves it to its end: it lands as a whole or not at all, and which of
    the two is for the caller to find out, with `load`.

    Args:
        path: the file; it and its folder are created where they are missing.
        changes_kept: entries of the change log that it keeps, 1 or more.
        busy_timeout_seconds: how long a write waits for another process that writes.
        poll_seconds: how often a caller that waits looks for commits of other processes.
    """

    def __init__(
        self,
        path: Path,
        *,
        changes_kept: int = CHANGES_KEPT,
        busy_timeout_seconds: float = BUSY_TIMEOUT_SECONDS,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self._path = path
        self._changes_kept = changes_kept
        self._busy_timeout_seconds = busy_timeout_seconds
        self._poll_seconds = poll_seconds
        self._executor: ThreadPoolExecutor | None = None
        self._connection: sqlite3.Connection | None = None  # touched by the executor's thread only
        self._opened_file: tuple[int, int] | None = None  # as `_file` gave it
        self._bell = Bell()
        self._progressed = Bell()  # rings for what consumers say, but not for mere signs of life

    @property
    def label(self) -> str:
        """A short name for people: `sqlite /var/lib/dnsd/state.db`."""
        return f"sqlite {self._path}"

    @property
    def remote(self) -> bool:
        """It is a file of this machine."""
        return False

    async def open(self) -> None:
        """Open the file, and create or migrate its tables.

        Raises:
            StoreUnavailable: with one line that says what is wrong and what to do; it is closed again then.
        """
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="dnsd-sqlite")
        try:
            await asyncio.get_running_loop().run_in_executor(self._executor, self._connect)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Finish what was begun, close the file and end the thread; those who wait get `StoreUnavailable`."""
        executor, self._executor = self._executor, None
        if executor is None:
            return
        self._bell.ring()
        self._progressed.ring()
        try:
            await asyncio.get_running_loop().run_in_executor(executor, self._disconnect)
        finally:
            executor.shutdown(wait=False)  # the thread is idle by now, and ends

    async def load(self) -> FleetState:
        """Return a consistent cut of everything."""
        return await self._run(sqlite_statements.load)

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
        check_commit(expected_revision=expected_revision, changes=changes, history=history, skip_to=skip_to)
        loop = asyncio.get_running_loop()

        def job(connection: sqlite3.Connection) -> int:
            revision = sqlite_statements.commit(
                connection,
                expected_revision=expected_revision,
                expected_mark=expected_mark,
                changes=changes,
                history=history,
                at=at,
                mark=mark,
                skip_to=skip_to,
                changes_kept=self._changes_kept,
            )
            # From here rather than after the await: a cancelled caller must not leave followers asleep.
            loop.call_soon_threadsafe(self._bell.ring)
            return revision

        return await self._run(job)

    async def confirm(self, *, revision: int, mark: str = "") -> None:
        """A commit can be read only once it is on the disk: there is nothing to wait for."""
        if self._executor is None:
            raise self._not_open()

    async def changes(
        self, *, after: int, mark: str = "", limit: int = 1000, wait_seconds: float = 0.0
    ) -> tuple[ChangeRecord, ...]:
        """Return the changes that follow a revision, in order; see `DrainStore.changes`."""
        job = functools.partial(sqlite_statements.changes_after, after=after, mark=mark, limit=limit)

        async def read() -> tuple[ChangeRecord, ...]:
            return await self._run(job)

        return await follow(read, self._bell, wait_seconds=wait_seconds, poll_seconds=self._poll_seconds)

    async def history(
        self, *, node: str | None = None, before: int | None = None, limit: int = DEFAULT_HISTORY_PAGE
    ) -> tuple[tuple[HistoryEntry, ...], int | None]:
        """Return a page of history, newest first; see `DrainStore.history`."""
        check_history_limit(limit)
        return await self._run(functools.partial(sqlite_statements.history, node=node, before=before, limit=limit))

    async def put_reports(self, reports: Sequence[Report]) -> None:
        """Keep the last report of each node; see `DrainStore.put_reports`."""
        check_reports(reports)
        # Whoever is cancelled leaves it to its end.
        await asyncio.shield(asyncio.ensure_future(self._put_in_turns(reports)))

    async def _put_in_turns(self, reports: Sequence[Report]) -> None:
        for start in range(0, len(reports), REPORTS_AT_ONCE):
            some = reports[start : start + REPORTS_AT_ONCE]
            await self._run(functools.partial(sqlite_statements.put_reports, reports=some))

    async def drop_report(self, node: str) -> None:
        """Forget a node's report."""
        await self._run(functools.partial(sqlite_statements.drop_report, node=node))

    async def reports(
        self, *, after: str | None = None, wait_seconds: float = 0.0, known: Known | None = None
    ) -> tuple[tuple[Report, ...], str]:
        """Return what nodes have reported since a place; see `DrainStore.reports`."""
        begin = -1 if after is None else int(after)
        job = functools.partial(sqlite_statements.reports_after, place=begin, known=known)

        async def read() -> tuple[tuple[Report, ...], int]:
            return await self._run(job)

        found, place = await follow(
            read,
            self._bell,
            wait_seconds=wait_seconds,
            poll_seconds=POLL_REPORTS_SECONDS,
            news=lambda each: each[0] or (known is not None and each[1] != begin),
        )
        return found, str(place)

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
        return await self._run(functools.partial(sqlite_statements.claim_serials, claims=claims))

    async def heartbeat(self, consumer: Consumer) -> bool:
        """Keep what a consumer says of itself; say whether it was known."""
        (known,) = await self._telling(functools.partial(sqlite_statements.put_consumers, consumers=(consumer,)))
        return known

    async def heartbeats(self, consumers: Sequence[Consumer]) -> None:
        """Keep what several consumers say of themselves."""
        await self._telling(functools.partial(sqlite_statements.put_consumers, consumers=consumers))

    async def forget_consumer(self, consumer: str) -> None:
        """Forget a consumer that has ended."""
        await self._telling(functools.partial(sqlite_statements.forget_consumer, consumer=consumer))

    async def consumers(
        self, *, unlike: tuple[Consumer, ...] | None = None, wait_seconds: float = 0.0
    ) -> tuple[Consumer, ...]:
        """Return every consumer that has said anything, by id."""

        async def read() -> tuple[Consumer, ...]:
            return await self._run(sqlite_statements.consumers)

        return await follow(
            read,
            self._progressed,
            wait_seconds=wait_seconds,
            poll_seconds=self._poll_seconds,
            news=lambda found: says_more(found, unlike),
        )

    async def _telling(self, write: Callable[[sqlite3.Connection], tuple[ResultT, bool]]) -> ResultT:
        """Write about a consumer, and wake those who wait for more of them where it says more than before."""
        loop = asyncio.get_running_loop()

        def job(connection: sqlite3.Connection) -> ResultT:
            result, is_news = write(connection)
            if is_news:  # from here rather than after the await, as with commits
                loop.call_soon_threadsafe(self._progressed.ring)
            return result

        return await self._run(job)

    async def _run(self, job: Callable[[sqlite3.Connection], ResultT]) -> ResultT:
        """Run a job on the store's thread, after those before it."""
        if self._executor is None:
            raise self._not_open()
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._guarded, job)

    def _guarded(self, job: Callable[[sqlite3.Connection], ResultT]) -> ResultT:
        if self._connection is None:
            raise self._not_open()
        # SQLite would go on in a file that no longer has a name, and what it acknowledged would be gone with it.
        if self._file() != self._opened_file:
            raise StoreUnavailable(f"{self.label}: the file was removed or replaced: restart the server")
        try:
            return job(self._connection)
        except sqlite3.Error as error:
            raise self._unavailable(error) from error

    def _connect(self) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # Autocommit: transactions are begun and ended in so many words.
            self._connection = sqlite3.connect(self._path, isolation_level=None, timeout=self._busy_timeout_seconds)
            schema.prepare(self._connection, label=self.label, busy_timeout_seconds=self._busy_timeout_seconds)
            self._opened_file = self._file()
        except sqlite3.Error as error:
            raise self._unavailable(error) from error
        except OSError as error:
            raise StoreUnavailable(f"{self.label}: cannot create its folder: {error.strerror or error}") from error

    def _file(self) -> tuple[int, int] | None:
        """Return which file stands under the path now, None where there is none."""
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            connection.close()
        except sqlite3.Error as error:
            raise self._unavailable(error) from error

    def _not_open(self) -> StoreUnavailable:
        return StoreUnavailable(f"{self.label}: the store is not open")

    def _unavailable(self, error: sqlite3.Error) -> StoreUnavailable:
        # The extended codes keep the primary one in their low byte; errors of the Python module have none.
        code = getattr(error, "sqlite_errorcode", None)
        words = None if code is None else _WORDS.get(code & 0xFF)
        return StoreUnavailable(f"{self.label}: {words} ({error})" if words else f"{self.label}: {error}")
