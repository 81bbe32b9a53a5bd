"""Looking at a node: what is counted, and that what cannot be read is unknown and never zero."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from dnsd.agent.commands import MAX_OUTPUT_SIZE, run_command
from dnsd.agent.probes import Observation, Observer, Unreadable, found_at
from dnsd.agent.settings import HealthCheck, SessionSource
from dnsd.agent.tcp_table import count_established
from tests.support.servers import free_port

# How long one that answers may take to on a busy machine, and how long one that may hang is given.
ANSWERS_SECONDS, HANGS_SECONDS = 10.0, 0.3

TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 2 1 0 20 4 30 10 -1
   2: 0100007F:C350 0100007F:1F90 01 00000000:00000000 00:00000000 00000000     0        0 3 1 0 20 4 30 10 -1
   3: 0100007F:1F90 0100007F:C351 06 00000000:00000000 00:00000000 00000000     0        0 0 1 0 20 4 30 10 -1
   4: 0100007F:1F90 0100007F:C352 08 00000000:00000000 00:00000000 00000000     0        0 4 1 0 20 4 30 10 -1
"""
TABLE_6 = """\
  sl  local_address                         remote_address                        st tx_queue rx_queue
   0: 00000000000000000000000001000000:1F90 00000000000000000000000001000000:D431 01 00000000:00000000
"""


def source(**fields: object) -> SessionSource:
    """Return a source of viewers of the role edge."""
    return SessionSource(**{"role": "edge", "kind": "viewers", "timeout_seconds": ANSWERS_SECONDS, **fields})  # type: ignore[arg-type]


async def look(
    *sources: SessionSource, health: tuple[HealthCheck, ...] = (), limit: float = 2 * ANSWERS_SECONDS
) -> Observation:
    return await Observer(sources, health, limit_seconds=limit).observe()


async def viewers(*sources: SessionSource, limit: float = 2 * ANSWERS_SECONDS) -> int | None:
    seen = await look(*sources, limit=limit)
    assert (seen.sessions["edge"]["viewers"] is None) == bool(seen.faults)
    return seen.sessions["edge"]["viewers"]


# --- connections ----------------------------------------------------------------------------------------------------


def test_only_established_connections_to_the_port_count(tmp_path: Path) -> None:
    """Listeners, closed ones, half-closed ones and the clients' own ends are no sessions; IPv6 ones are."""
    (tmp_path / "tcp").write_text(TABLE)
    (tmp_path / "tcp6").write_text(TABLE_6)
    assert count_established([8080, 443], proc_net=tmp_path) == {8080: 2, 443: 0}


async def test_held_connections_are_counted_on_both_protocols() -> None:
    """Three viewers of a real server are three, and two when one has left."""
    port = free_port()
    with contextlib.ExitStack() as stack:
        ends = []
        for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            listener = stack.enter_context(socket.create_server((host, port), family=family))
            for _ in range(2 if family is socket.AF_INET else 1):
                viewer = stack.enter_context(socket.create_connection((host, port)))
                ends.append((viewer, stack.enter_context(listener.accept()[0])))
        assert await viewers(source(ports=frozenset({port}))) == 3
        for end in ends[0]:
            end.close()
        assert await viewers(source(ports=frozenset({port}))) == 2


async def test_a_health_check_is_no_session() -> None:
    """A port that is both counted and checked has none but its viewers, look after look."""
    port = free_port()
    listener = socket.create_server(("127.0.0.1", port))
    with listener:
        check = HealthCheck(role="edge", timeout_seconds=ANSWERS_SECONDS, tcp=("127.0.0.1", port))
        for _ in range(5):
            seen = await look(source(ports=frozenset({port})), health=(check,))
            assert (seen.health, seen.sessions["edge"]["viewers"]) == ({"edge": True}, 0)


# --- commands -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "count"),
    [
        ("echo 7", 7),
        ("printf ' 12 \\n'", 12),
        ("echo 0", 0),
        ("echo 3; sleep 30 & exit 0", 3),  # what it leaves running is not waited for
        ("sleep 30", None),
        ("echo 5; sleep 30", None),
        ("echo 5; exit 1", None),
        ("kill -9 $$", None),
        ("echo", None),
        ("echo -1", None),
        ("echo 1.5", None),
        ("echo 1 2", None),
        ("echo many", None),
        ("echo 99999999999999999999", None),
        ("yes 1", None),
    ],
)
async def test_a_command_counts_or_the_count_is_unknown(script: str, count: int | None) -> None:
    """One number and an exit status of 0; whatever hangs, fails or prints something else is unknown."""
    seconds = HANGS_SECONDS if count is None else ANSWERS_SECONDS
    assert await viewers(source(command=("sh", "-c", script), timeout_seconds=seconds)) == count


async def test_a_program_that_is_not_there_counts_nothing() -> None:
    """The count is unknown, and the reason names the program."""
    seen = await look(source(command=("/nowhere/count",)))
    assert seen.sessions["edge"]["viewers"] is None
    assert seen.faults == {
        "number of viewers of edge": "/nowhere/count: it cannot be started: No such file or directory"
    }


async def test_a_program_that_prints_without_end_is_cut_off() -> None:
    """It runs to its own end, and what is kept of it is bounded."""
    done = await run_command(["sh", "-c", "yes | head -c 1000000"], timeout_seconds=5.0)
    assert (done.status, len(done.output)) == (0, MAX_OUTPUT_SIZE)


async def test_a_program_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    """Nothing that it has started is left behind."""
    lock = tmp_path / "lock"
    script = f"import fcntl, os, time; f = open({str(lock)!r}, 'w'); fcntl.flock(f, 2); os.fork(); time.sleep(60)"
    done = await run_command([sys.executable, "-c", script], timeout_seconds=0.5)
    assert done.status is None
    check = await run_command(["flock", str(lock), "true"], timeout_seconds=5.0)
    assert check.status == 0


# --- documents ------------------------------------------------------------------------------------------------------


@pytest.fixture
async def stats() -> AsyncIterator[str]:
    """A media server's page of statistics, and others that are of no use."""

    async def good(_: web.Request) -> web.Response:
        return web.json_response({"streams": [{"viewers": 4}, {"viewers": 5}], "jobs": {"running": 2}, "none": None})

    async def broken(_: web.Request) -> web.Response:
        return web.Response(text="<html>")

    async def failing(_: web.Request) -> web.Response:
        return web.json_response({"viewers": 1}, status=500)

    async def hanging(_: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    app = web.Application()
    pages = {"/good": good, "/broken": broken, "/failing": failing, "/hanging": hanging}
    for path, page in pages.items():
        app.router.add_get(path, page)
    app.router.add_get("/moved", _moved)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield f"http://127.0.0.1:{port}"
    await runner.cleanup()


async def _moved(_: web.Request) -> web.Response:
    raise web.HTTPFound("/good")


@pytest.mark.parametrize(
    ("page", "path", "count"),
    [
        ("/good", "streams.1.viewers", 5),
        ("/good", "streams", 2),
        ("/good", "jobs.running", 2),
        ("/good", "none", None),
        ("/good", "jobs", None),
        ("/good", "streams.7.viewers", None),
        ("/good", "nothing", None),
        ("/broken", "viewers", None),
        ("/failing", "viewers", None),
        ("/hanging", "viewers", None),
        ("/moved", "streams", None),
        ("/absent", "viewers", None),
    ],
)
async def test_a_page_counts_or_the_count_is_unknown(stats: str, page: str, path: str, count: int | None) -> None:
    """A number at the path, or a list's length; anything else is unknown."""
    seconds = HANGS_SECONDS if count is None else ANSWERS_SECONDS
    url = source(url=stats + page, path=tuple(path.split(".")), timeout_seconds=seconds)
    assert await viewers(url) == count


async def test_a_page_that_nobody_serves_is_unknown() -> None:
    """A media server that is down has not zero viewers."""
    assert await viewers(source(url=f"http://127.0.0.1:{free_port()}/stats")) is None


@pytest.mark.parametrize("text", ["true", "-1", "1.0", '"3"', "null", "{}", str(2**63)])
def test_what_is_no_count_is_none(text: str) -> None:
    """Only whole numbers from 0 that a store can hold are counts."""
    with pytest.raises(Unreadable):
        found_at(json.loads(text), ())


# --- together -------------------------------------------------------------------------------------------------------


async def test_counts_of_a_kind_are_added_and_one_unknown_makes_all_so() -> None:
    """Other kinds and roles are not touched by one that is unknown."""
    echo = [source(command=("echo", text)) for text in ("2", "3")]
    echo.append(source(kind="inputs"))
    assert (await look(*echo)).sessions == {"edge": {"viewers": 5, "inputs": 0, "jobs": None}}
    jobs = source(role="processing", kind="jobs", command=("echo", "1"))
    seen = await look(*echo, source(command=("false",)), jobs)
    assert seen.sessions == {
        "edge": {"viewers": None, "inputs": 0, "jobs": None},
        "processing": {"viewers": None, "inputs": None, "jobs": 1},
    }


async def test_a_kind_that_nothing_counts_is_unknown() -> None:
    """Only an entry that says that there are none makes it 0, and the lack of one is no fault of the node."""
    seen = await look(source(), source(kind="jobs"))
    assert (seen.sessions, seen.faults) == ({"edge": {"viewers": 0, "inputs": None, "jobs": 0}}, {})


async def test_all_of_a_roles_checks_must_hold(stats: str) -> None:
    """One that fails takes the role down, and the reason is told."""
    good = HealthCheck(role="edge", timeout_seconds=ANSWERS_SECONDS, url=f"{stats}/good")
    bad = HealthCheck(role="edge", timeout_seconds=ANSWERS_SECONDS, command=("false",))
    assert (await look(health=(good,))).health == {"edge": True}
    seen = await look(
        health=(good, bad, HealthCheck(role="ingest", timeout_seconds=ANSWERS_SECONDS, command=("true",)))
    )
    assert (seen.health, seen.faults) == (
        {"edge": False, "ingest": True},
        {"health of edge": "it ended with 1"},
    )


async def test_a_port_that_is_closed_or_a_page_that_fails_is_down(stats: str) -> None:
    """TCP and HTTP checks say why they do not hold."""
    closed = HealthCheck(role="edge", timeout_seconds=ANSWERS_SECONDS, tcp=("127.0.0.1", free_port()))
    failing = HealthCheck(role="ingest", timeout_seconds=ANSWERS_SECONDS, url=f"{stats}/failing")
    assert (await look(health=(closed, failing))).health == {"edge": False, "ingest": False}


# --- what no probe should do ----------------------------------------------------------------------------------------


async def test_a_name_that_cannot_be_looked_up_is_down() -> None:
    """It takes its role down, with a reason, and nothing else."""
    bad = HealthCheck(role="edge", timeout_seconds=ANSWERS_SECONDS, tcp=("media..local", 443))
    seen = await look(source(command=("echo", "2")), health=(bad,))
    assert (seen.health, seen.sessions["edge"]["viewers"]) == ({"edge": False}, 2)
    assert seen.faults["health of edge"].startswith("media..local port 443: ")


async def test_a_probe_that_fails_in_a_way_nobody_thought_of_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """The count is unknown and the role is down; the look goes on."""

    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("dnsd.agent.probes.run_command", broken)
    check = HealthCheck(role="ingest", timeout_seconds=ANSWERS_SECONDS, command=("true",))
    seen = await look(source(command=("echo", "2")), source(kind="jobs"), health=(check,))
    assert (seen.sessions["edge"], seen.health) == ({"viewers": None, "inputs": None, "jobs": 0}, {"ingest": False})
    assert set(seen.faults.values()) == {"can't start new thread"}


async def test_a_program_without_a_descriptor_left_is_not_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """That is said of it, as of a program that is not there."""

    def none_left(*_: object) -> tuple[int, int]:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("os.pipe2", none_left)
    assert (
        await run_command(["true"], timeout_seconds=ANSWERS_SECONDS)
    ).problem == "it cannot be started: Too many open files"


async def test_a_program_that_outlives_its_killing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that hangs in the kernel holds up no look."""
    begun: list[asyncio.subprocess.Process] = []
    begin, kill = asyncio.create_subprocess_exec, os.killpg

    async def noted(*words: str, **options: Any) -> asyncio.subprocess.Process:
        begun.append(await begin(*words, **options))
        return begun[-1]

    monkeypatch.setattr("asyncio.create_subprocess_exec", noted)
    monkeypatch.setattr("os.killpg", lambda *_: None)
    done = await run_command(["sleep", "60"], timeout_seconds=0.1)
    assert (done.status, begun[0].returncode) == (None, None)
    kill(begun[0].pid, signal.SIGKILL)
    await begun[0].wait()
