"""The SQLite store and the file it is given: created, refused, kept as it is."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dnsd.errors import StoreUnavailable
from dnsd.stores.claims import SerialClaim
from dnsd.stores.schema import APPLICATION_ID, SCHEMA_VERSION
from dnsd.stores.sqlite import SqliteStore
from tests.stores.samples import a_report, put_drain

NOBODY = 65534


async def refusal(path: Path) -> str:
    """Open a store that must be refused, and return its one line."""
    store = SqliteStore(path, busy_timeout_seconds=0.1)
    with pytest.raises(StoreUnavailable) as caught:
        await store.open()
    says = str(caught.value)
    assert says.startswith(f"sqlite {path}: ")
    assert "\n" not in says
    return says


async def written(path: Path) -> None:
    """Leave a store with one commit at the path."""
    store = SqliteStore(path)
    await store.open()
    await put_drain(store, 0)
    await store.close()


def permit(path: Path, mode: int) -> None:
    path.chmod(mode)


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Be a user whom permissions bind: root is bound by none."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    """A folder that every user may enter, as pytest's own may not be."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
        folder.chmod(0o755)


async def test_the_folder_is_created(tmp_path: Path) -> None:
    """The file's folder, and the ones above it, are made where they are missing."""
    path = tmp_path / "var" / "lib" / "state.db"
    await written(path)
    assert path.is_file()


async def test_the_schema_says_whose_and_which_it_is(tmp_path: Path) -> None:
    """The file carries our application id, the schema's version, and the write-ahead log."""
    path = tmp_path / "state.db"
    await written(path)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        found = [
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("application_id", "user_version", "journal_mode")
        ]
    assert found == [APPLICATION_ID, SCHEMA_VERSION, "wal"]


async def test_a_commit_is_synchronised_and_a_report_need_not_be(tmp_path: Path) -> None:
    """SQLite waits for the disk at each commit of drain state (FULL, 2), and not for a report (NORMAL, 1)."""
    store = SqliteStore(tmp_path / "state.db")
    await store.open()
    levels = []
    for write in (put_drain(store, 0), store.put_reports([a_report(sequence=1)]), put_drain(store, 1)):
        await write
        levels.append(await store._run(lambda connection: connection.execute("PRAGMA synchronous").fetchone()[0]))
    await store.close()
    assert levels == [2, 1, 2]


async def test_a_file_from_before_there_were_serials_gets_them_and_keeps_all_else(tmp_path: Path) -> None:
    """Drains, history and what is reported are as they were, and serials are given from now on."""
    path = tmp_path / "state.db"
    store = SqliteStore(path)
    await store.open()
    await put_drain(store, 0)
    await store.put_reports([a_report(sequence=1)])
    before = await store.load(), await store.history(), await store.changes(after=0)
    await store.close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE serials")
        connection.execute("PRAGMA user_version = 2")
    claim = SerialClaim(zone="example.org.", digest="aa", at_least=8, first=8)
    for _ in range(2):
        store = SqliteStore(path)
        await store.open()
        assert (await store.load(), await store.history(), await store.changes(after=0)) == before
        assert await store.claim_serials([claim]) == (8,)
        await store.close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone()[0] == SCHEMA_VERSION


async def test_a_newer_schema_is_refused_untouched(tmp_path: Path) -> None:
    """A file of a newer version is named as such, and not one byte of it changes."""
    path = tmp_path / "state.db"
    await written(path)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    before = path.read_bytes()
    assert f"newer dnsd (schema {SCHEMA_VERSION + 1}" in await refusal(path)
    assert path.read_bytes() == before


async def test_another_programs_database_is_refused_untouched(tmp_path: Path) -> None:
    """A SQLite file with somebody else's tables is left alone."""
    path = tmp_path / "other.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE songs (title TEXT)")
    before = path.read_bytes()
    assert "another program's database" in await refusal(path)
    assert path.read_bytes() == before


async def test_a_file_that_is_no_database_is_refused_untouched(tmp_path: Path) -> None:
    """A text file is named as no database, and stays as it is."""
    path = tmp_path / "notes.txt"
    path.write_text("drain edge-1 tomorrow\n" * 100)
    assert "not a SQLite database" in await refusal(path)
    assert path.read_text() == "drain edge-1 tomorrow\n" * 100


async def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    """A file whose first page is overwritten behind its header is refused, not taken for an empty store."""
    path = tmp_path / "state.db"
    await written(path)
    content = bytearray(path.read_bytes())
    content[100:4096] = b"\xa5" * 3996
    path.write_bytes(content)
    assert "damaged" in await refusal(path)


async def test_a_folder_is_no_file(tmp_path: Path) -> None:
    """A path that is a folder is refused."""
    assert "cannot be opened" in await refusal(tmp_path)


async def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    """A path below a file is refused, with the system's reason."""
    (tmp_path / "file").touch()
    assert "cannot create its folder" in await refusal(tmp_path / "file" / "state.db")


async def test_a_folder_without_permission(shared_folder: Path) -> None:
    """A folder in which this user may not write is refused, whether the file's or the one to make it in."""
    permit(shared_folder, 0o555)
    with as_nobody():
        assert "this user may write" in await refusal(shared_folder / "state.db")
        assert "Permission denied" in await refusal(shared_folder / "new" / "state.db")


async def test_a_read_only_file_is_refused_at_once(shared_folder: Path) -> None:
    """A file that this user may only read is refused when opened, not at the first drain."""
    path = shared_folder / "state.db"
    await written(path)
    permit(path, 0o444)
    permit(shared_folder, 0o555)
    with as_nobody():
        assert "read-only" in await refusal(path)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM history",
        "UPDATE history SET entry = '{}'",
        "INSERT OR REPLACE INTO history (id, node, entry) VALUES (1, 'edge-1', '{}')",
    ],
)
async def test_history_cannot_be_rewritten(tmp_path: Path, statement: str) -> None:
    """Whoever opens the file with another tool is stopped from changing history by the file itself."""
    path = tmp_path / "state.db"
    await written(path)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        before = connection.execute("SELECT * FROM history").fetchall()
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            connection.execute(statement)
        assert connection.execute("SELECT * FROM history").fetchall() == before


async def test_a_row_that_cannot_be_read_is_not_passed_over(tmp_path: Path) -> None:
    """A drain that this version does not understand fails the load: it is not silently left out."""
    path = tmp_path / "state.db"
    await written(path)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE drains SET value = json_set(value, '$.mode', 'asleep')")
        connection.commit()
    store = SqliteStore(path)
    await store.open()
    with pytest.raises(StoreUnavailable, match="asleep"):
        await store.load()
    await store.close()


async def test_a_store_may_be_opened_again_after_a_refusal(tmp_path: Path) -> None:
    """Once what was wrong is put right, the same store opens."""
    path = tmp_path / "state.db"
    path.write_text("not a database" * 10)
    store = SqliteStore(path)
    with pytest.raises(StoreUnavailable):
        await store.open()
    path.unlink()
    await store.open()
    assert await put_drain(store, 0) == 1
    await store.close()


@pytest.mark.parametrize("replaced", [False, True])
async def test_a_file_that_was_removed_or_replaced_is_not_written_on(tmp_path: Path, *, replaced: bool) -> None:
    """Nothing is acknowledged into a file that a restart would not find."""
    path = tmp_path / "state.db"
    store = SqliteStore(path)
    await store.open()
    try:
        await put_drain(store, 0)
        path.unlink()
        if replaced:
            path.write_bytes(b"")
        with pytest.raises(StoreUnavailable, match="removed or replaced"):
            await put_drain(store, 1)
    finally:
        await store.close()
