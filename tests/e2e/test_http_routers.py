"""Routers that follow a server over HTTP, its store being a file: a drain waits for them as for any other consumer."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.router.processes import RouterProcess, by_server
from tests.support.redis import redis_server
from tests.support.redis_fleet import redis_fleet
from tests.support.servers import PATIENCE_SECONDS, Server, serving, started, wait_until

REASON = ("--reason", "a test")


@contextlib.contextmanager
def routers(folder: Path, server: Server, count: int) -> Iterator[list[RouterProcess]]:
    """Run routers `router-1`, `router-2`… that follow a server."""
    names = [f"router-{number}" for number in range(1, count + 1)]
    each = [RouterProcess(folder / name, source=by_server(server.url), id=name) for name in names]
    with contextlib.ExitStack() as stack:
        for router in each:
            stack.enter_context(started(router))
        yield each


def send(router: RouterProcess, number: signal.Signals) -> None:
    """Send a router's process a signal."""
    assert router.process is not None
    router.process.send_signal(number)


def applied(outcome: Any) -> set[str]:
    """Return who has applied a drain; nobody is pending."""
    assert outcome["pending"] == []
    return {each["consumer"] for each in outcome["applied"]}


def consumer(server: Server, name: str) -> Any:
    """Return what a server lists of a consumer; None: it knows none of the name."""
    return next((each for each in server.cli("consumers")["items"] if each["id"] == name), None)


def silence(server: Server, *, hours: float) -> None:
    """Have a server that is down find, at its start, that nobody was heard for a while."""
    with contextlib.closing(sqlite3.connect(server.folder / "state.db")) as connection:
        shift = "json_set(value, '$.seen_at', json_extract(value, '$.seen_at') - ?)"
        connection.execute(f"UPDATE consumers SET value = {shift}", (hours * 3600,))
        connection.commit()


def test_a_drain_waits_for_routers_that_follow_a_server(tmp_path: Path) -> None:
    """For one that is held up until it goes on, for one that was killed until it is silent, for none that has left."""
    (tmp_path / "ns1").mkdir()
    with serving(tmp_path / "ns1", workers=1) as server, routers(tmp_path, server, 2) as (first, second):
        outcome = server.cli("drain", "edge-1", *REASON, "--wait", "applied", "--timeout", "60s")
        assert applied(outcome) == {"ns1", "router-1", "router-2"}
        metric = f'dnsd_router_revision{{stage="acknowledged"}} {float(outcome["revision"])}'
        wait_until(lambda: metric in first.get("/metrics").document, "the router knows what it has acknowledged")
        assert {router.node(str(key)) for router in (first, second) for key in range(20)} == {"edge-2", "edge-3"}

        send(second, signal.SIGSTOP)
        late = server.run("drain", "edge-2", *REASON, "--force", "--wait", "applied", "--timeout", "500ms")
        assert late.returncode == 4
        assert "pending: router-2 (router)" in late.stderr
        order = (
            "drain",
            "edge-2",
            "--mode",
            "maintenance",
            *REASON,
            "--force",
            "--wait",
            "applied",
            "--timeout",
            "60s",
        )
        command = [sys.executable, "-m", "dnsd", *order, "--server", server.url]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as waiting:
            wait_until(lambda: '"maintenance"' in server.get("/v1/drains"), "the drain is changed")
            look = consumer(server, "router-2")
            assert (look["live"], look["behind"], waiting.poll()) == (True, True, None)
            send(second, signal.SIGCONT)
            said, _ = waiting.communicate(timeout=PATIENCE_SECONDS)
        assert (waiting.returncode, "applied by router-2 (router)" in said) == (0, True), said
        assert second.nodes(20) == {"edge-3"}

        first.close()
        outcome = server.cli("drain", "ingest-1", *REASON, "--wait", "applied", "--timeout", "60s")
        assert applied(outcome) == {"ns1", "router-2"}
        assert consumer(server, "router-1")["live"] is False
        assert "router-1 (router) is silent since" in str(server.cli("status", "ingest-1")["blockers"])
        first.start()
        wait_until(lambda: not consumer(server, "router-1")["behind"], "the router that came back has applied it")
        assert "router-1" not in str(server.cli("status", "ingest-1")["blockers"])

        send(second, signal.SIGSTOP)
        server.kill()
        silence(server, hours=1)
        server.start()
        late = server.run("drain", "ingest-2", *REASON, "--force", "--wait", "applied", "--timeout", "500ms")
        assert (late.returncode, "router-2 (router)" in late.stderr) == (4, True), late
        send(second, signal.SIGCONT)
        wait_until(lambda: not consumer(server, "router-2")["behind"], "the router is heard again, and has applied it")

        assert second.stop() == 0
        assert consumer(server, "router-2") is None
        outcome = server.cli("drain", "ingest-1", "--reason", "another", "--wait", "applied", "--timeout", "60s")
        assert applied(outcome) == {"ns1", "router-1"}
        a_start_among_drains(server, second)


def a_start_among_drains(server: Server, router: RouterProcess) -> None:
    """Start a router while drains come and go: once one is acknowledged, the router does not name the node."""
    router.launch()
    answers = 0
    while answers < 20:
        drained = server.run("drain", "edge-3", *REASON, "--force", "--wait", "applied", "--timeout", "60s")
        assert drained.returncode == 0, drained
        if router.answers() and (answer := router.get("/route/edge")).status != 503:
            raise AssertionError(f"it names a node, and all are drained: {answer}")
        answers += router.is_ready()
        assert server.run("undrain", "edge-3").returncode == 0


def test_servers_that_share_a_redis_wait_for_a_router_of_one_of_them(tmp_path: Path) -> None:
    """Through whichever the drain is placed; when its server ends, the router acknowledges to the next one."""
    with redis_server(tmp_path / "redis") as redis, redis_fleet(tmp_path, redis.url) as (ns1, ns2):
        router = RouterProcess(tmp_path / "router", source=by_server(ns1.url, ns2.url))
        with started(router):
            for server in (ns1, ns2):
                outcome = server.cli("drain", "edge-1", "--reason", server.url, "--wait", "applied", "--timeout", "60s")
                assert applied(outcome) == {"ns1", "ns2", "router-1"}
                assert "edge-1" not in router.nodes()
            assert ns1.stop() == 0
            outcome = ns2.cli("drain", "edge-2", *REASON, "--wait", "applied", "--timeout", "60s")
            assert applied(outcome) == {"ns2", "router-1"}
            assert not {"edge-1", "edge-2"} & router.nodes()
            assert router.stop() == 0
        assert consumer(ns2, "router-1") is None
