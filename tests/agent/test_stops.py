"""How an agent ends: told, told twice, at its deadline, announced or not."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

from dnsd.model.times import parse_instant
from tests.agent.agents import drains_on_stop, health, mode, running, status, watched, without
from tests.support.servers import Server, wait_until

NO_SESSIONS = without("viewers", "inputs", "jobs")


def node(server: Server, name: str) -> bool:
    """Say whether a node's agent has left, as it said."""
    left: bool = json.loads(server.get(f"/v1/nodes/{name}"))["left"]
    return left


def test_a_stop_drains_and_waits_for_the_viewers(shared: Server, tmp_path: Path) -> None:
    """SIGTERM: drained, ended when the last has left; the next start changes no mode."""
    with watched(tmp_path, "stop-1", shared, deadline="20s") as (agent, edge):
        agent.send(signal.SIGTERM)
        wait_until(
            lambda: "edge: 1 viewers still connected" in status(shared, "stop-1")["blockers"],
            "it is drained, and counts",
        )
        wait_until(lambda: mode(shared, "stop-1") == "draining", "it is drained")
        assert agent.process is not None
        assert agent.process.poll() is None
        edge.leave()
        assert agent.wait() == 0
        assert node(shared, "stop-1")
        agent.start()
        agent.until_reporting()
        assert (mode(shared, "stop-1"), node(shared, "stop-1")) == ("draining", False)
        assert "ended without saying so" not in agent.said()


def test_a_stop_ends_at_its_deadline(shared: Server, tmp_path: Path) -> None:
    """Exit status 4, and the drain stands."""
    with watched(tmp_path, "stop-2", shared, deadline="2s") as (agent, _):
        assert agent.end() == 4
        assert mode(shared, "stop-2") == "draining"


def test_a_stop_that_the_guard_refuses_waits_for_its_deadline(shared: Server, tmp_path: Path) -> None:
    """The refusal is said once, and the node is not drained against it."""
    agent_more = drains_on_stop("2s")
    with running(tmp_path, "stop-3", [shared.url], agent_more=agent_more, roles=("storage",)) as agent:
        assert agent.end() == 4
        assert agent.said().count("not drained yet") == 1
        assert mode(shared, "stop-3", "storage") == "normal"


def drains(server: Server, name: str) -> Any:
    """Return the drains of a node's role edge."""
    return status(server, name)["roles"]["edge"]["drains"]


def test_a_release_while_the_agent_waits_is_answered_by_another_drain(shared: Server, tmp_path: Path) -> None:
    """Whoever has released it: the node is about to end, and serves nobody until then."""
    with watched(tmp_path, "stop-5", shared, deadline="60s") as (agent, edge):
        agent.send(signal.SIGTERM)
        agent.until_said("edge: draining (was normal)")
        shared.cli("undrain", "stop-5", "--all-holders")
        agent.until_said("edge normal again before the end, released or expired: draining again")
        agent.until_said("edge: draining (was normal)", times=2)
        assert [each["holder"] for each in drains(shared, "stop-5")] == ["agent:stop-5"]
        edge.leave()
        assert agent.wait() == 0


def test_the_drain_of_a_stop_outlasts_its_deadline(shared: Server, tmp_path: Path) -> None:
    """Whatever the server's default is; one of the agent's own that has no end keeps having none."""
    with watched(tmp_path, "stop-6", shared, deadline="2d") as (agent, edge):
        agent.send(signal.SIGTERM)
        wait_until(lambda: mode(shared, "stop-6") == "draining" and lasts(shared, "stop-6") > 2 * 86400, "it lasts")
        edge.leave()
        assert agent.wait() == 0
    agent_more = drains_on_stop("2d")
    with running(tmp_path, "stop-7", [shared.url], agent_more=agent_more, more=NO_SESSIONS) as agent:
        assert agent.run("drain", "--reason", "kernel", "--indefinite").returncode == 0
        assert agent.end() == 0
        assert [each["expires_at"] for each in drains(shared, "stop-7")] == [None]


def lasts(server: Server, name: str) -> float:
    """Return for how long the first drain of a node's role edge was placed, in seconds."""
    first = drains(server, name)[0]
    return parse_instant(first["expires_at"]) - parse_instant(first["created_at"])


def test_a_second_signal_ends_at_once(shared: Server, tmp_path: Path) -> None:
    """Whatever is waited for is given up."""
    with watched(tmp_path, "stop-4", shared, deadline="60s") as (agent, _):
        agent.send(signal.SIGTERM)
        agent.until_said("told to stop")
        assert agent.end() == 4
        assert "told again: ending at once" in agent.said()


def test_an_announced_restart_is_told_from_a_crash(shared: Server, tmp_path: Path) -> None:
    """The server's log, the node's document and the agent's own log say which it was."""
    with running(tmp_path, "ends-1", [shared.url]) as agent:
        assert agent.end() == 0
        assert node(shared, "ends-1")
        assert "ends-1: its agent leaves, as it says" in shared.said()
        agent.start()
        agent.until_reporting()
        assert "ends-1: its agent is back after" in shared.said()
        assert "ended without saying so" not in agent.said()

        agent.end(signal.SIGKILL)
        wait_until(lambda: health(shared, "ends-1") == "stale", "the silence is seen")
        assert not node(shared, "ends-1")
        agent.start()
        agent.until_reporting()
        assert "ends-1: its agent is heard again after" in shared.said()
        assert "ended without saying so" in agent.said()
