"""What the SQLite store reads and writes, each as one function of a connection.

It owns the statements and the transactions around them. It knows nothing of asyncio or threads; a function here
blocks until SQLite is done, and lets `sqlite3.Error` out.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from dnsd.errors import ChangesTrimmed, RevisionConflict, StoreDiverged, StoreUnavailable
from dnsd.model.drain import Drain
from dnsd.model.node import Node
from dnsd.model.report import Report
from dnsd.model.state import Change, ChangeRecord, Consumer, Entity, FleetState, HistoryEntry
from dnsd.stores.base import REPORTED_NODES_KEPT, Known
from dnsd.stores.claims import KeptSerial, SerialClaim, decided
from dnsd.stores.following import says_more
from dnsd.stores.rules import MAX_INTEGER, is_news

ValueT = TypeVar("ValueT")

_READERS: Mapping[Entity, Callable[[Mapping[str, Any]], Drain | Node]] = {
    Entity.DRAIN: Drain.from_json,
    Entity.NODE: Node.from_json,
}
_PUT = {
    Entity.DRAIN: "INSERT INTO drains VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
    Entity.NODE: "INSERT INTO nodes VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET value = excluded.value",
}
_REMOVE = {Entity.DRAIN: "DELETE FROM drains WHERE key = ?", Entity.NODE: "DELETE FROM nodes WHERE id = ?"}


def load(connection: sqlite3.Connection) -> FleetState:
    """Return a consistent cut of everything."""
    with _reading(connection):
        revision = _revision(connection)
        nodes = connection.execute("SELECT value FROM nodes").fetchall()
        drains = connection.execute("SELECT value FROM drains").fetchall()
        reports = connection.execute("SELECT value FROM reports").fetchall()
        mark = _mark(connection, revision)
    return FleetState(
        revision=revision,
        nodes={node.id: node for node in (_read(Node.from_json, text) for (text,) in nodes)},
        drains={drain.key: drain for drain in (_read(Drain.from_json, text) for (text,) in drains)},
        reports={report.node: report for report in _reports(reports)},
        mark=mark or "",
    )


def commit(
    connection: sqlite3.Connection,
    *,
    expected_revision: int,
    expected_mark: str,
    changes: Sequence[Change],
    history: Sequence[HistoryEntry],
    at: float,
    mark: str,
    skip_to: int | None,
    changes_kept: int,
) -> int:
    """Apply a commit that `check_commit` has passed, and return the new revision.

    Raises:
        RevisionConflict: the file is at another revision, or has another one of that number; nothing was written.
    """
    base = expected_revision if skip_to is None else skip_to
    revision = base + len(changes)
    with _writing(connection, durable=True):
        # The write lock is held from here on, so that no other process commits between the check and the write.
        actual = _revision(connection)
        another = expected_mark and _mark(connection, actual) not in (None, "", expected_mark)
        if actual != expected_revision or another:
            raise RevisionConflict(expected=expected_revision, actual=actual)
        for made, change in enumerate(changes, base + 1):
            _apply(connection, change, revision=made, at=at, mark=mark)
        connection.executemany(
            "INSERT INTO history (node, entry) VALUES (?, ?)",
            [(entry.node, json.dumps(entry.to_json())) for entry in history],
        )
        connection.execute("DELETE FROM changes WHERE revision <= ?", (revision - changes_kept,))
        connection.execute("UPDATE revision SET value = ?", (revision,))
    return revision


def changes_after(connection: sqlite3.Connection, *, after: int, mark: str, limit: int) -> tuple[ChangeRecord, ...]:
    """Return the changes that follow a revision.

    Raises:
        ChangesTrimmed: the log does not hold them.
        StoreDiverged: the file is not at that revision, or has another one of that number.
    """
    with _reading(connection):
        revision = _revision(connection)
        if after > revision:
            raise StoreDiverged(f"the file is at revision {revision}, before {after}")
        (first,) = connection.execute("SELECT min(revision) FROM changes").fetchone()
        floor = revision if first is None else first - 1
        if mark and after > floor and _mark(connection, after) not in ("", mark):
            raise StoreDiverged(f"the file has another revision {after}, or none of that number")
        if after == revision:  # what a follower that waits asks again and again
            return ()
        rows = connection.execute(
            "SELECT revision, at, entity, key, value, mark FROM changes WHERE revision > ? ORDER BY revision LIMIT ?",
            (after, limit),
        ).fetchall()
        if after < floor or [row[0] for row in rows] != list(range(after + 1, after + 1 + len(rows))) or not rows:
            raise ChangesTrimmed(f"the change log holds what follows {floor} to {revision}, not {after}")
    return tuple(
        ChangeRecord(revision=made, at=at, change=_change(entity, key, text), mark=mark)
        for made, at, entity, key, text, mark in rows
    )


def history(
    connection: sqlite3.Connection, *, node: str | None, before: int | None, limit: int
) -> tuple[tuple[HistoryEntry, ...], int | None]:
    """Return a page of history, newest first, and the cursor of the next page."""
    top = MAX_INTEGER if before is None else max(0, min(before, MAX_INTEGER))
    of_node, values = ("", (top,)) if node is None else ("AND node = ?", (top, node))
    rows = connection.execute(
        f"SELECT id, entry FROM history WHERE id < ? {of_node} ORDER BY id DESC LIMIT ?",  # noqa: S608 - one of the two texts above
        (*values, limit + 1),  # one more than asked for tells whether another page follows
    ).fetchall()
    page = rows[:limit]
    return tuple(_read(HistoryEntry.from_json, text) for _, text in page), page[-1][0] if len(rows) > limit else None


def put_reports(connection: sqlite3.Connection, reports: Sequence[Report]) -> None:
    """Keep each report whose sequence is higher than the kept one's."""
    with _writing(connection, durable=False):
        for report in reports:
            kept = connection.execute(
                "INSERT INTO reports VALUES (?, ?, ?) ON CONFLICT (node) DO UPDATE"
                " SET sequence = excluded.sequence, value = excluded.value WHERE excluded.sequence > reports.sequence",
                (report.node, report.sequence, json.dumps(report.to_json())),
            )
            if kept.rowcount:
                connection.execute("INSERT INTO reported (node) VALUES (?)", (report.node,))
        connection.execute("DELETE FROM reported WHERE number <= ?", (_place(connection) - REPORTED_NODES_KEPT,))


def reports_after(
    connection: sqlite3.Connection, place: int, *, known: Known | None = None
) -> tuple[tuple[Report, ...], int]:
    """Return the last report of each node that has reported since a place (-1: ever), and the present place.

    Args:
        known: see `DrainStore.reports`.
    """
    with _reading(connection):
        now = _place(connection)
        if place == now:
            return (), now
        (first,) = connection.execute("SELECT min(number) FROM reported").fetchone()
        kept = first is not None and first - 1 <= place < now
        since = "WHERE node IN (SELECT node FROM reported WHERE number > ?)" if kept else ""
        values = (place,) if kept else ()
        rows = connection.execute(f"SELECT node, sequence, value FROM reports {since}", values).fetchall()  # noqa: S608 - as above
    return _reports([(text,) for node, sequence, text in rows if is_news(node, sequence, known)]), now


def drop_report(connection: sqlite3.Connection, node: str) -> None:
    """Forget a node's report."""
    with _writing(connection, durable=False):
        connection.execute("DELETE FROM reports WHERE node = ?", (node,))


def claim_serials(connection: sqlite3.Connection, claims: Sequence[SerialClaim]) -> tuple[int, ...]:
    """Give zones their serials, on the disk when this returns."""
    given = []
    with _writing(connection, durable=True):
        for claim in claims:
            row = connection.execute("SELECT serial, digest FROM serials WHERE zone = ?", (claim.zone,)).fetchone()
            before = None if row is None else KeptSerial(*row)
            kept = decided(claim, before)
            if kept != before:
                connection.execute("INSERT OR REPLACE INTO serials VALUES (?, ?, ?)", (claim.zone, *kept))
            given.append(kept.serial)
    return tuple(given)


def put_consumers(connection: sqlite3.Connection, consumers: Sequence[Consumer]) -> tuple[list[bool], bool]:
    """Keep what consumers say of themselves; say who was known, and whether any says more than before."""
    known, is_news = [], False
    with _writing(connection, durable=False):
        for consumer in consumers:
            row = connection.execute("SELECT value FROM consumers WHERE id = ?", (consumer.id,)).fetchone()
            connection.execute(
                "INSERT INTO consumers VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET value = excluded.value",
                (consumer.id, json.dumps(dataclasses.asdict(consumer))),
            )
            known.append(row is not None)
            is_news = is_news or row is None or _says_more(consumer, row[0])
    return known, is_news


def forget_consumer(connection: sqlite3.Connection, consumer: str) -> tuple[None, bool]:
    """Forget a consumer; say whether it was there."""
    with _writing(connection, durable=False):
        gone = connection.execute("DELETE FROM consumers WHERE id = ?", (consumer,)).rowcount
    return None, gone > 0


def consumers(connection: sqlite3.Connection) -> tuple[Consumer, ...]:
    """Return every consumer, by id; one that has applied a revision of another history has applied nothing."""
    with _reading(connection):
        rows = connection.execute("SELECT value FROM consumers ORDER BY id").fetchall()
        found = [_consumer(text) for (text,) in rows]
        present = _revision(connection)
        marks = {each: _mark(connection, each) for each in {one.applied for one in found if one.mark}}
    return tuple(
        each
        if not each.mark or (each.applied <= present and marks[each.applied] in (None, "", each.mark))
        else dataclasses.replace(each, applied=0)
        for each in found
    )


def _says_more(consumer: Consumer, text: str) -> bool:
    try:
        return says_more((consumer,), (_consumer(text),))
    except StoreUnavailable:  # it could not be read, and has just been replaced
        return True


def _consumer(text: str) -> Consumer:
    return _read(lambda data: Consumer(**data), text)


@contextlib.contextmanager
def _reading(connection: sqlite3.Connection) -> Iterator[None]:
    """Let several statements read the same cut, whatever other processes commit meanwhile."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")


@contextlib.contextmanager
def _writing(connection: sqlite3.Connection, *, durable: bool) -> Iterator[None]:
    """Hold the write lock, then commit; on any error nothing of it stays.

    Args:
        durable: wait until the log is on the disk. Without, a crash of the machine (not of this process) may lose
            the write, and nothing that was durable before it.
    """
    connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite rolls back by itself on some errors, such as a full disk
            connection.execute("ROLLBACK")
        raise


def _revision(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT value FROM revision").fetchone()[0])


def _mark(connection: sqlite3.Connection, revision: int) -> str | None:
    """Return a revision's mark; None: the change log does not hold the revision."""
    row = connection.execute("SELECT mark FROM changes WHERE revision = ?", (revision,)).fetchone()
    return None if row is None else str(row[0])


def _place(connection: sqlite3.Connection) -> int:
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'reported'").fetchone()
    return 0 if row is None else int(row[0])


def _reports(rows: Sequence[tuple[str]]) -> tuple[Report, ...]:
    return tuple(_read(Report.from_json, text) for (text,) in rows)


def _apply(connection: sqlite3.Connection, change: Change, *, revision: int, at: float, mark: str) -> None:
    text = None if change.value is None else json.dumps(change.value.to_json())
    if text is None:
        connection.execute(_REMOVE[change.entity], (change.key,))
    else:
        connection.execute(_PUT[change.entity], (change.key, text))
    connection.execute(
        "INSERT INTO changes VALUES (?, ?, ?, ?, ?, ?)",
        (revision, at, change.entity.value, change.key, text, mark),
    )


def _change(entity_text: str, key: str, text: str | None) -> Change:
    entity = Entity(entity_text)
    return Change(entity=entity, key=key, value=None if text is None else _read(_READERS[entity], text))


def _read(from_json: Callable[[Mapping[str, Any]], ValueT], text: str) -> ValueT:
    try:
        return from_json(json.loads(text))
    except (ValueError, KeyError, TypeError) as error:
        raise StoreUnavailable(f"the SQLite store holds a row that this dnsd cannot read ({error!r})") from error
