"""SQLite across processes: killed, racing, following each other, out of disk."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from dnsd.errors import StoreUnavailable
from dnsd.model.state import FleetState
from dnsd.stores.sqlite import SqliteStore
from tests.stores.samples import put_drain

ROOT = Path(__file__).parents[2]
DEADLINE_SECONDS = 30.0


@contextlib.contextmanager
def child(deed: str, path: Path, number: int = 0) -> Iterator[subprocess.Popen[str]]:
    """Run a deed of `tests.stores.child`; whatever happens, it is gone afterwards."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.stores.child", deed, str(path), str(number)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=DEADLINE_SECONDS)


@contextlib.asynccontextmanager
async def opened(path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(path)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def lines_until_killed(process: subprocess.Popen[str], *, count: int) -> list[str]:
    """Return what a process said: `count` lines, then whatever else it had said when SIGKILL came."""
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(count)]
    process.kill()
    return lines + process.stdout.readlines()


def names_in(folder: Path) -> list[str]:
    return [entry.name for entry in folder.iterdir()]


async def fill(store: SqliteStore) -> tuple[int, StoreUnavailable]:
    """Commit until the store refuses; return the last acknowledged revision and the refusal."""
    revision = 0
    try:
        while True:
            revision = await put_drain(store, revision, node=f"edge-{revision}")
    except StoreUnavailable as error:
        return revision, error


async def test_kill_9_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """After three SIGKILLs in the middle of writing, each acknowledged commit is there with its history."""
    path = tmp_path / "state.db"
    acknowledged = 0
    for _ in range(3):
        with child("commit", path) as process:
            said = [int(line) for line in lines_until_killed(process, count=25) if line.endswith("\n")]
        assert said == list(range(said[0], said[0] + len(said)))
        acknowledged = said[-1]

        async with opened(path) as store:
            state, log = await store.load(), await store.changes(after=0)
            entries, _ = await store.history(limit=1000)
        # One commit may have landed whose acknowledgement was never printed.
        assert state.revision in (acknowledged, acknowledged + 1)
        assert [record.revision for record in log] == list(range(1, state.revision + 1))
        assert [entry.revision for entry in reversed(entries)] == list(range(1, state.revision + 1))
        assert {key.node for key in state.drains} == {f"edge-{number}" for number in range(7)}
    assert acknowledged >= 75


async def test_two_processes_never_take_one_revision(tmp_path: Path) -> None:
    """Two processes that open one new file at once and race win 60 different revisions between them."""
    path = tmp_path / "state.db"
    with child("race", path, 30) as one, child("race", path, 30) as two:
        outputs = [process.communicate(timeout=DEADLINE_SECONDS)[0] for process in (one, two)]
        assert (one.returncode, two.returncode) == (0, 0)
    won = [int(line) for output in outputs for line in output.split()]
    assert sorted(won) == list(range(1, 61))
    async with opened(path) as store:
        assert (await store.load()).revision == 60


async def test_two_processes_never_get_one_serial_for_two_contents(tmp_path: Path) -> None:
    """Each has content of its own and some that both have, on one new file: a serial stands for one of them."""
    path = tmp_path / "state.db"
    with child("claim", path, 60) as one, child("claim", path, 60) as two:
        outputs = [process.communicate(timeout=DEADLINE_SECONDS)[0] for process in (one, two)]
        assert (one.returncode, two.returncode) == (0, 0)
    given = [tuple(line.split()) for output in outputs for line in output.splitlines()]
    assert len(given) == 120
    assert len({serial for serial, _ in given}) == len(set(given))
    for output in outputs:
        serials = [int(line.split()[0]) for line in output.splitlines()]
        assert serials == sorted(serials)


async def test_a_wait_notices_another_process(tmp_path: Path) -> None:
    """A follower gets the commit of another process soon, without one of its own."""
    path = tmp_path / "state.db"
    async with opened(path) as store:
        waiting = asyncio.create_task(store.changes(after=0, wait_seconds=DEADLINE_SECONDS))
        begun = time.monotonic()
        with child("race", path, 1) as process:
            records = await waiting
            assert time.monotonic() - begun < DEADLINE_SECONDS / 2
            process.wait(timeout=DEADLINE_SECONDS)
    assert [record.revision for record in records] == [1]


async def test_a_disk_that_refuses_to_grow_acknowledges_nothing(tmp_path: Path) -> None:
    """At a limit on file size the commit fails with one line; what was acknowledged before stays, and no more."""
    path = tmp_path / "state.db"
    with child("full", path) as process:
        output, _ = process.communicate(timeout=DEADLINE_SECONDS)
        assert process.returncode == 0
    revision, says = output.splitlines()
    assert int(revision) > 5
    assert says.startswith(f"sqlite {path}: ")
    assert "disk" in says
    async with opened(path) as store:
        assert (await store.load()).revision == int(revision)
        assert len((await store.history(limit=1000))[0]) == int(revision)
        assert await put_drain(store, int(revision)) == int(revision) + 1


async def test_a_full_file_refuses_and_recovers(tmp_path: Path) -> None:
    """SQLITE_FULL is StoreUnavailable that says so; nothing of the commit stays; with room again, writes go on."""
    async with opened(tmp_path / "state.db") as store:

        def limit(connection: sqlite3.Connection, pages: int) -> None:
            connection.execute(f"PRAGMA max_page_count = {pages}")

        await store._run(lambda connection: limit(connection, 1))
        revision, refused = await fill(store)
        assert "the disk is full" in str(refused)
        state = await store.load()
        assert state.revision == revision == len((await store.history(limit=1000))[0]) == len(state.drains)

        await store._run(lambda connection: limit(connection, 1_000_000))
        assert await put_drain(store, revision) == revision + 1


async def test_a_lock_that_is_held_too_long_fails_the_write_alone(tmp_path: Path) -> None:
    """While another process holds the write lock, a write fails in its time and reads go on; then writes do too."""
    store = SqliteStore(tmp_path / "state.db", busy_timeout_seconds=0.05)
    await store.open()
    other = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="write lock"):
            await put_drain(store, 0)
        assert await store.load() == FleetState()
        other.execute("ROLLBACK")
        assert await put_drain(store, 0) == 1
    finally:
        other.close()
        await store.close()


async def test_the_event_loop_does_not_wait_for_the_disk(tmp_path: Path) -> None:
    """While a write waits for a lock, other tasks run."""
    store = SqliteStore(tmp_path / "state.db")
    await store.open()
    other = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        write = asyncio.create_task(put_drain(store, 0))
        for _ in range(100):  # each turn of the loop would hang if the write blocked it
            await asyncio.sleep(0)
        assert not write.done()
        other.execute("ROLLBACK")
        assert await write == 1
    finally:
        other.close()
        await store.close()


async def test_close_leaves_no_thread_and_no_log(tmp_path: Path) -> None:
    """After close the store's thread ends, and the state is one file that can be copied."""
    async with opened(tmp_path / "state.db") as store:
        await put_drain(store, 0)
        threads = [thread for thread in threading.enumerate() if thread.name.startswith("dnsd-sqlite")]
        assert len(threads) == 1
    threads[0].join(timeout=DEADLINE_SECONDS)
    assert not threads[0].is_alive()
    assert names_in(tmp_path) == ["state.db"]
