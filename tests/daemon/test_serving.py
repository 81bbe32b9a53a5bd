"""The whole server where something is in its way: at the start, and while it runs."""

from __future__ import annotations

import itertools
import json
import resource
import socket
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.redis import redis_server
from tests.support.servers import PATIENCE_SECONDS, Server, alive, serving, wait_until

EDGE = "edge.example.org"


_reasons = itertools.count()


def drain(server: Server, node: str) -> tuple[int, dict[str, Any]]:
    """Place a drain, with another reason each time so that it is written; return the status and the document."""
    request = urllib.request.Request(
        f"{server.url}/v1/nodes/{node}/drain?wait=applied",
        data=json.dumps({"reason": f"kernel {next(_reasons)}"}).encode(),
        method="PUT",
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, json.load(refusal)


def ended(server: Server) -> tuple[int, list[str], list[psutil.Process]]:
    """Wait for a server that cannot start; return its status, what it said, and what still runs of it."""
    server.start(ready=False)
    assert server.process is not None
    family: set[psutil.Process] = set()
    while server.process.poll() is None:
        try:
            family.update(server.family())
        except psutil.NoSuchProcess:
            break
    status = server.process.wait(PATIENCE_SECONDS)
    return status, server.said().splitlines(), [each for each in family if alive(each)]


def test_a_store_that_cannot_be_opened_is_one_line_and_status_1(tmp_path: Path) -> None:
    """A file that is no database: what is wrong and what to do, no traceback, nothing left running."""
    server = Server(tmp_path)
    (tmp_path / "state.db").write_text("this is no database, but long enough to be read as the header of one. " * 20)
    try:
        status, said, left = ended(server)
    finally:
        server.close()
    assert (status, len(said), left) == (1, 1, [])
    assert said[0].startswith("dnsd: sqlite ")
    assert "not a SQLite database" in said[0]


def test_an_admin_address_in_use_ends_the_server_and_its_workers(tmp_path: Path) -> None:
    """The workers had started already: they end with it, and the last line names the address."""
    server = Server(tmp_path, store="memory")
    with socket.create_server(("127.0.0.1", server.admin_port)):
        try:
            status, said, left = ended(server)
        finally:
            server.close()
    assert (status, left) == (1, [])
    assert said[-1].startswith("dnsd: ")
    assert str(server.admin_port) in said[-1]
    assert not any("Traceback" in line for line in said)


@pytest.mark.parametrize("before", [None, '{"kind":"dns","applied":7,"seen_at":"2026-01-01T00:00:00.000Z"}'])
def test_a_start_that_fails_leaves_nobody_to_wait_for(tmp_path: Path, before: str | None) -> None:
    """What it had announced is taken back, but not where another server may be there under its id."""
    with redis_server(tmp_path / "redis") as redis:
        if before is not None:
            redis.cli("set", "{dnsd}:schema", "1")
            redis.cli("hset", "{dnsd}:consumers", "ns1", before)
        server = Server(tmp_path, store=redis.url)
        with socket.create_server(("127.0.0.1", server.admin_port)):
            try:
                status, _, left = ended(server)
            finally:
                server.close()
        assert (status, left) == (1, [])
        assert redis.cli("hkeys", "{dnsd}:consumers") == ("" if before is None else "ns1")


def test_a_start_that_cannot_load_leaves_nobody_to_wait_for(tmp_path: Path) -> None:
    """It was announced before it found a drain that it cannot read."""
    with redis_server(tmp_path / "redis") as redis:
        redis.cli("set", "{dnsd}:schema", "1")
        redis.cli("hset", "{dnsd}:drains", "edge-1/*/ops", "no drain")
        server = Server(tmp_path, store=redis.url)
        try:
            status, said, left = ended(server)
        finally:
            server.close()
        assert (status, left) == (1, [])
        assert "it holds a value that this dnsd cannot read" in said[-1]
        assert redis.cli("hkeys", "{dnsd}:consumers") == ""


def test_a_full_disk_refuses_writes_and_nothing_else(tmp_path: Path) -> None:
    """503 as problem+json, answers go on, the outage shows; with room again, writes go on by themselves."""
    with serving(tmp_path) as server:
        assert drain(server, "edge-1")[0] in (200, 202)
        assert server.process is not None
        pid = server.process.pid
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        # No file of the server may grow beyond what the write-ahead log is now: to SQLite, the disk is full.
        size = (tmp_path / "state.db-wal").stat().st_size
        assert size > server.log.stat().st_size
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))
        wait_until(lambda: drain(server, "ingest-1")[0] == 503, "writes are refused")
        status, problem = drain(server, "ingest-1")
        assert (status, problem["id"]) == (503, "store-unavailable")
        assert server.addresses(EDGE) == {"192.0.2.12", "192.0.2.13"}
        assert server.is_ready()
        wait_until(lambda: "dnsd_store_up 0.0" in server.get("/metrics"), "the outage shows")
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))
        wait_until(lambda: drain(server, "ingest-1")[0] in (200, 202), "writes go on")
        wait_until(lambda: server.addresses("ingest.example.org") == {"192.0.2.22"}, "the answers follow")
        wait_until(lambda: "dnsd_store_up 1.0" in server.get("/metrics"), "the end of the outage shows")
        assert server.said().count("the store is unavailable") == 1
