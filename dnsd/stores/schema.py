"""The tables of the SQLite store, their version, and the refusal of files that are not this store's.

It owns the layout. It knows nothing of threads, nor of what the rows mean.
"""

from __future__ import annotations

import sqlite3
import time

from dnsd.errors import StoreRefused

# In the file's header, so that another program's database is told from ours: "dnsd" in ASCII.
APPLICATION_ID = 0x646E7364

# How often the switch to the write-ahead log is tried again while another process opens the same new file:
# SQLite does not call its busy handler there. Unit: seconds.
_RETRY_SECONDS = 0.01

_APPEND_ONLY = "BEGIN SELECT RAISE(ABORT, 'history is append-only'); END"

_VERSION_1 = (
    "CREATE TABLE revision (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), value INTEGER NOT NULL)",
    "INSERT INTO revision VALUES (1, 0)",
    "CREATE TABLE nodes (id TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    # The key is node/role/holder; a role of * means all of them.
    "CREATE TABLE drains (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE reports (node TEXT PRIMARY KEY, sequence INTEGER NOT NULL, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE consumers (id TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    # A value of NULL: removed.
    "CREATE TABLE changes (revision INTEGER PRIMARY KEY, at REAL NOT NULL, entity TEXT, key TEXT, value TEXT)",
    # AUTOINCREMENT: a number is never used twice, so that a cursor stays true.
    "CREATE TABLE history (id INTEGER PRIMARY KEY AUTOINCREMENT, node TEXT NOT NULL, entry TEXT NOT NULL)",
    "CREATE INDEX history_of_node ON history (node, id)",
    f"CREATE TRIGGER history_keeps_entries BEFORE DELETE ON history {_APPEND_ONLY}",
    f"CREATE TRIGGER history_keeps_words BEFORE UPDATE ON history {_APPEND_ONLY}",
    # INSERT OR REPLACE deletes without the trigger on DELETE.
    "CREATE TRIGGER history_keeps_ids BEFORE INSERT ON history WHEN NEW.id IN (SELECT id FROM history) " + _APPEND_ONLY,  # noqa: S608 - two constants
)

_VERSION_2 = (
    "ALTER TABLE changes ADD COLUMN mark TEXT NOT NULL DEFAULT ''",
    # Which node reported, in order; AUTOINCREMENT: a number is never used twice, so that a place stays true.
    "CREATE TABLE reported (number INTEGER PRIMARY KEY AUTOINCREMENT, node TEXT NOT NULL)",
)

_VERSION_3 = (
    # The last serial of each zone that was handed out, and for which content.
    "CREATE TABLE serials (zone TEXT PRIMARY KEY, serial INTEGER NOT NULL, digest TEXT NOT NULL) WITHOUT ROWID",
)

# What leads from each version to the next one, in order; a new version appends its statements.
MIGRATIONS: tuple[tuple[str, ...], ...] = (_VERSION_1, _VERSION_2, _VERSION_3)

SCHEMA_VERSION = len(MIGRATIONS)


def prepare(connection: sqlite3.Connection, *, label: str, busy_timeout_seconds: float) -> None:
    """Bring a file to this version's schema, or refuse it without writing to it.

    Args:
        connection: in autocommit mode, with its busy timeout set.
        label: what messages call the store.
        busy_timeout_seconds: how long to wait for another process that opens the same file.

    Raises:
        StoreRefused: a newer schema, another program's database, or a file system without shared memory.
        sqlite3.Error: the file cannot be read or written.
    """
    _version(connection, label)  # before anything that writes to the file
    _use_write_ahead_log(connection, label, busy_timeout_seconds)
    # Taking the write lock also finds out now, rather than at the first drain, that the file is read-only.
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = _version(connection, label)  # again: another process may have been first
        for statements in MIGRATIONS[version:]:
            for statement in statements:
                connection.execute(statement)
        if version < SCHEMA_VERSION:
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _version(connection: sqlite3.Connection, label: str) -> int:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    application = int(connection.execute("PRAGMA application_id").fetchone()[0])
    tables = int(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
    if version == 0 and application == 0 and tables == 0:
        return 0
    if application != APPLICATION_ID:
        raise StoreRefused(f"{label}: the file is another program's database: choose another path")
    if version > SCHEMA_VERSION:
        raise StoreRefused(
            f"{label}: the file was written by a newer dnsd (schema {version}, this one knows {SCHEMA_VERSION}):"
            " run that version, or choose another path"
        )
    return version


def _use_write_ahead_log(connection: sqlite3.Connection, label: str, busy_timeout_seconds: float) -> None:
    deadline = time.monotonic() + busy_timeout_seconds
    while True:
        try:
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            break
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                raise
            time.sleep(_RETRY_SECONDS)
    if mode != "wal":
        raise StoreRefused(
            f"{label}: the file system does not offer the shared memory that SQLite's write-ahead log needs:"
            " choose a path on a local disk"
        )
