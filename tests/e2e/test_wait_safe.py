"""`dnsd drain --wait safe` against a real server: it returns when caches and sessions are gone, and not before."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from dnsd.model.times import parse_instant
from tests.support.calls import http
from tests.support.servers import PATIENCE_SECONDS, Server, serving, wait_until

TTL_SECONDS = 2
NODE = "watched-1"
POOL = "storage.example.org"
MORE = f"""
[[node]]
id = "{NODE}"
addresses = ["192.0.2.91"]
roles = ["storage"]
monitor = "agent"

[[node]]
id = "other-1"
addresses = ["192.0.2.92"]
roles = ["storage"]

[[pool]]
name = "{POOL}."
role = "storage"
ttl = {TTL_SECONDS}
"""
_sequence = itertools.count(1)


def report(server: Server, viewers: int) -> None:
    """Say as the node's agent that it is up and how many viewers it has."""
    body = {
        "sequence": next(_sequence),
        "observed_at": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "health": {"storage": "up"},
        "sessions": {"storage": {"viewers": viewers, "inputs": 0, "jobs": 0}},
    }
    assert http(server, "POST", f"/v1/nodes/{NODE}/report", body)[0] == 200


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path, more=MORE) as server:
        report(server, 3)
        wait_until(lambda: "192.0.2.91" in server.addresses(POOL), "the node is answered")
        yield server


def waiting(server: Server, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "dnsd", "drain", NODE, "--reason", "kernel", "--wait", "safe", *more]
    env = {**os.environ, "DNSD_SERVER": server.url, "NO_COLOR": "1"}
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def status(server: Server) -> Any:
    return http(server, "GET", f"/v1/nodes/{NODE}/status")[1]


def is_drained(server: Server) -> bool:
    return bool(status(server)["roles"]["storage"]["mode"] != "normal")


def caches_are_clear(server: Server) -> bool:
    dns = status(server)["roles"]["storage"]["dns"]
    if dns["withdrawn_at"] is None:
        return False
    return dns["caches_clear_at"] is None or parse_instant(dns["caches_clear_at"]) < time.time()


def test_it_returns_only_after_caches_and_sessions_are_gone(watched: Server) -> None:
    """Viewers keep it waiting past the TTL; the first report of none, after caches have run out, ends it with 0."""
    began = time.monotonic()
    assert "192.0.2.91" in watched.addresses(POOL)  # from now on, a cache may have it
    process = waiting(watched, "--json")
    try:
        wait_until(lambda: is_drained(watched), "the drain is placed")
        for viewers in (2, 1):
            report(watched, viewers)
        wait_until(lambda: caches_are_clear(watched), "caches have run out")
        assert time.monotonic() - began >= TTL_SECONDS
        report(watched, 1)
        assert process.poll() is None
        assert status(watched)["blockers"] == ["storage: 1 viewers still connected"]
        asked = time.monotonic()
        report(watched, 0)
        output, errors = process.communicate(timeout=PATIENCE_SECONDS)
        assert time.monotonic() - asked < PATIENCE_SECONDS
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, errors) == (0, "")
    document = json.loads(output)
    assert (document["safe"], document["changed"]) == (True, True)
    assert document["status"]["safe_to_stop"] is True
    assert document["status"]["roles"]["storage"]["sessions"]["viewers"] == 0


def test_a_restart_of_the_server_meanwhile_is_survived(watched: Server) -> None:
    """The drain and the wait outlive the server; the operator reads that it was away and is back."""
    process = waiting(watched)
    try:
        wait_until(lambda: is_drained(watched), "the drain is placed")
        assert watched.stop() == 0
        assert process.stderr is not None
        lost = process.stderr.readline()  # the wait has noticed: only then is there something to survive
        watched.start()
        wait_until(lambda: caches_are_clear(watched), "caches have run out")
        assert process.poll() is None
        report(watched, 0)
        output, errors = process.communicate(timeout=PATIENCE_SECONDS)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, errors
    assert f"{NODE}: safe to stop, after " in output
    assert "the drain stands, asking again" in lost
    assert "the server answers again" in errors


def test_time_out_and_ctrl_c_leave_the_drain(watched: Server) -> None:
    """4 with what stands against it, 130 when interrupted; either way the node stays drained."""
    late = waiting(watched, "--timeout", "1s")
    _, errors = late.communicate(timeout=PATIENCE_SECONDS)
    assert late.returncode == 4
    assert "blocked: storage: " in errors
    assert is_drained(watched)

    process = waiting(watched)
    try:
        assert process.stdout is not None
        while "waiting: " not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE_SECONDS)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert f"the drain of {NODE} stands: release it with `dnsd undrain {NODE} --holder local`" in errors
    assert is_drained(watched)


def test_a_scheduled_drain_is_waited_for_through_its_start(watched: Server) -> None:
    """Before the start the node is not safe, however few its sessions; afterwards it becomes so."""
    report(watched, 0)
    starts_at = time.time() + 5.0  # by then the command has begun to wait, even on a busy machine
    text = datetime.fromtimestamp(starts_at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    process = waiting(watched, "--at", text)
    try:
        wait_until(lambda: is_drained(watched), "the drain has begun")
        assert process.poll() is None
        assert time.time() >= starts_at
        wait_until(lambda: caches_are_clear(watched), "caches have run out")
        report(watched, 0)
        output, errors = process.communicate(timeout=PATIENCE_SECONDS)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, errors) == (0, "")
    assert "waiting: storage: not drained" in output
