"""The command as a process: exit statuses, signals, pipes, and what a start-up costs."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from aiohttp import web

from dnsd.api.client import WAIT_GRACE_SECONDS
from dnsd.api.schemas import DrainOutcome, PendingAt
from tests.cli.fakeserver import FakeServer, problem

DEADLINE_SECONDS = 30.0
START_SECONDS = 10.0  # for the interpreter, on a busy machine
DNSD = [sys.executable, "-m", "dnsd"]


def environment(url: str, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DNSD_")}
    return {**kept, "DNSD_SERVER": url, **more}


def dnsd(server: FakeServer, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*DNSD, *arguments],
        env=environment(server.url, **env),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=DEADLINE_SECONDS,
    )


async def silent(_: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    return web.Response()


def test_done_is_0_and_its_json_is_on_standard_output(server: FakeServer) -> None:
    """A drain that is placed exits with 0; a pipe gets JSON that reads back and no other byte."""
    result = dnsd(server, "drain", "edge-1", "--reason", "x", "--json", "--wait", "applied")
    assert (result.returncode, result.stderr) == (0, "")
    assert DrainOutcome.model_validate_json(result.stdout).changed


@pytest.mark.parametrize(
    ("kind", "status", "expected"),
    [
        ("store-unavailable", 503, 1),
        ("invalid-request", 400, 2),
        ("capacity-floor", 409, 3),
        ("node-conflict", 409, 5),
    ],
)
def test_a_refusal_is_the_status_of_the_process(server: FakeServer, kind: str, status: int, expected: int) -> None:
    """Each kind of refusal is the exit status that the help promises."""
    server.answer_next(problem(status, kind, "the reason"))
    result = dnsd(server, "undrain", "edge-1")
    assert (result.returncode, result.stdout, result.stderr.splitlines()[0]) == (
        expected,
        "",
        f"dnsd: the reason [{kind}]",
    )


def test_timed_out_waiting_is_4(server: FakeServer) -> None:
    """The server's answer while somebody is pending ends the wait with 4."""
    server.pending = [PendingAt(consumer="rtr1", kind="router", applied_revision=5)]
    result = dnsd(server, "drain", "edge-1", "--reason", "x", "--wait", "applied", "--timeout", "50ms")
    assert result.returncode == 4
    assert "the drain stands" in result.stderr


@pytest.mark.parametrize(
    ("command", "doubt"),
    [
        (
            ("drain", "edge-1", "--reason", "x", "--holder", "rack"),
            "the drain of edge-1 may stand: see `dnsd drains`, release it with `dnsd undrain edge-1 --holder rack`",
        ),
        (("undrain", "edge-1"), "the server may have released the drain of edge-1: see `dnsd drains`"),
    ],
    ids=["drain", "undrain"],
)
def test_a_wait_without_an_answer_is_4_and_in_time(server: FakeServer, command: tuple[str, ...], doubt: str) -> None:
    """A server that takes the write and says nothing ends the wait soon after its time, with 4 and in doubt."""
    server.answer_next(silent)
    started = time.monotonic()
    result = dnsd(server, *command, "--wait", "applied", "--timeout", "200ms")
    assert time.monotonic() - started < 0.2 + WAIT_GRACE_SECONDS + START_SECONDS
    assert (result.returncode, result.stdout) == (4, "")
    assert result.stderr == f"dnsd: timed out: {server.url} gave no answer in time; {doubt}\n"


def test_an_unreachable_server_is_1_in_two_lines(server: FakeServer) -> None:
    """A server that is not there is told with its address and what to do, without a traceback."""
    result = dnsd(server, "nodes", "--server", "http://127.0.0.1:1")
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        "dnsd: cannot reach http://127.0.0.1:1: Connection refused",
        "  hint: is it running? --server or DNSD_SERVER names another",
    ]


def test_an_answer_that_never_comes_is_1_and_in_doubt(server: FakeServer) -> None:
    """Where time runs out after a write was sent, the operator reads that it may stand."""
    server.answer_next(silent)
    result = dnsd(server, "drain", "edge-1", "--reason", "x", "--timeout", "1s")
    assert result.returncode == 1
    assert "no answer in time" in result.stderr
    assert "the drain of edge-1 may stand" in result.stderr


def test_an_answer_that_is_not_a_dnsd_servers_is_1(server: FakeServer) -> None:
    """A page from something else at that address is told as such."""
    server.answer_next(web.Response(text="<p>welcome</p>", content_type="text/html"))
    result = dnsd(server, "drains")
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert "text/html" in result.stderr


def test_ctrl_c_while_waiting_leaves_the_drain_and_says_so(server: FakeServer) -> None:
    """SIGINT ends the wait with 130; the operator reads that the drain stands and how to release it."""
    server.answer_next(silent)
    process = subprocess.Popen(
        [*DNSD, "drain", "edge-1", "--reason", "x", "--wait", "applied"],
        env=environment(server.url),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not server.requests and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=DEADLINE_SECONDS)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, output) == (130, "")
    assert errors == (
        "dnsd: interrupted; the drain of edge-1 may stand: see `dnsd drains`, release it with `dnsd undrain edge-1`\n"
    )


def test_a_reader_that_leaves_gets_no_traceback(server: FakeServer) -> None:
    """A closed pipe, as behind `head`, ends the command quietly."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        result = subprocess.run(
            [*DNSD, "nodes"],
            env=environment(server.url),
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            timeout=DEADLINE_SECONDS,
        )
    finally:
        os.close(writing)
    assert (result.returncode, result.stderr) == (1, "")


def test_an_output_without_utf8_gets_escapes(server: FakeServer) -> None:
    """A character that the output cannot carry is escaped rather than an error."""
    result = dnsd(server, "drain", "edge-1", "--reason", "x", PYTHONIOENCODING="latin-1")
    assert result.returncode == 0
    assert r"serving 4 \u2192 3" in result.stdout


def test_a_listing_loads_nothing_of_the_server(server: FakeServer) -> None:
    """A client's command in a pipe starts without the server, the configuration, the tables and the zone library."""
    result = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "dnsd", "drains"],
        env=environment(server.url),
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
    )
    loaded = set(re.findall(r"\| +([\w.]+)$", result.stderr, re.MULTILINE))
    assert result.returncode == 0
    assert "dnsd.api.client" in loaded
    heavy = re.compile(
        r"(rich|dns|admin|sqlite3|prometheus_client|dnsd\.(daemon|config|control|workers|stores|core))\b"
    )
    assert sorted(module for module in loaded if heavy.match(module)) == []


def test_help_needs_neither_http_nor_schemas(tmp_path: Path) -> None:
    """Help, completion and usage errors come without the libraries that only a call needs."""
    code = "import sys, dnsd.cli.main; print(sorted({'aiohttp', 'pydantic', 'rich', 'asyncio'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (0, "[]\n")
