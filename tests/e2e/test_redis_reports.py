"""What an agent reports to one server, every server knows."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.support.redis import redis_server
from tests.support.redis_fleet import POOL, call, drain, redis_fleet
from tests.support.servers import Server, wait_until

NODE, ADDRESS = "agent-1", "192.0.2.62"


def report(server: Server, sequence: int, *, health: str, viewers: int) -> None:
    """Send a report to one server, as the node's agent would."""
    body = {
        "sequence": sequence,
        "observed_at": datetime.now(UTC).isoformat(),
        "health": {"edge": health},
        "sessions": {"edge": {"viewers": viewers, "inputs": 0, "jobs": 0}},
    }
    reply = call(server, "POST", f"/v1/nodes/{NODE}/report", body)
    assert reply.status == 200, reply
    assert reply.document["accepted"] is True


def status(server: Server) -> Any:
    """Return how far a server sees the node's drain."""
    return call(server, "GET", f"/v1/nodes/{NODE}/status").document["roles"]["edge"]


def viewers(server: Server) -> int | None:
    """Return the viewers that a server knows of; None: it has no report."""
    sessions = status(server)["sessions"]
    count: int | None = None if sessions is None else sessions["viewers"]
    return count


def named(server: Server) -> bool:
    """Say whether a server's pool names the node."""
    return ADDRESS in server.addresses(POOL)


def test_a_report_to_one_server_reaches_all(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """Sessions and health, in and out of the pool, although the other server never hears from the agent."""
    node = {"addresses": [ADDRESS], "roles": ["edge"], "region": "us"}
    with (
        redis_server(tmp_path / "redis") as redis,
        redis_fleet(tmp_path, redis.url, fleet={"edge-1": (["192.0.2.101"], ["edge"], "eu")}) as (first, second),
    ):
        assert call(first, "PUT", f"/v1/nodes/{NODE}", node).status == 200
        wait_until(lambda: call(second, "GET", f"/v1/nodes/{NODE}").status == 200, "the other server knows the node")
        assert not named(second)

        report(first, 1, health="up", viewers=3)
        known = [wait_until(lambda: viewers(second) == 3, "the other server knows of its sessions")]
        assert status(second)["sessions"]["fresh"] is True
        wait_until(lambda: named(first) and named(second), "both servers name the node")

        began = time.monotonic()
        report(first, 2, health="down", viewers=2)
        wait_until(lambda: not named(second), "the other server names it no more")
        known.append(time.monotonic() - began)
        assert not named(first)
        assert viewers(second) == 2

        # The same the other way round, and with a drain: the last session ends, and both servers know it.
        report(second, 3, health="up", viewers=1)
        assert drain(first, NODE, force=True).status == 200
        wait_until(lambda: viewers(first) == 1, "the first server knows of its sessions")
        assert any("1" in each for each in status(first)["blockers"])
        report(second, 4, health="up", viewers=0)
        wait_until(lambda: viewers(first) == 0, "the first server knows that they have ended")
        record_property("figure", f"known at the other server after {max(known):.2f} s at most")
        for server in (first, second):
            assert "Traceback" not in server.said(), server.said()
