"""How an agent ends: told, told twice, at its deadline, announced or not."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from tests.agent.agents import health, media, mode, running, status
from tests.support.servers import Server, wait_until

DRAINS = 'drain_on_stop = true\nstop_deadline = "{}"\n'


def node(server: Server, name: str) -> bool:
    """Say whether a node's agent has left, as it said."""
    left: bool = json.loads(server.get(f"/v1/nodes/{name}"))["left"]
    return left


def test_a_stop_drains_and_waits_for_the_viewers(shared: Server, tmp_path: Path) -> None:
    """SIGTERM: drained, ended when the last has left; the next start changes no mode."""
    agent_more = DRAINS.format("20s")
    with (
        media() as edge,
        running(tmp_path, "stop-1", [shared.url], agent_more=agent_more, more=edge.counted()) as agent,
    ):
        edge.come()
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
    agent_more = DRAINS.format("500ms")
    with (
        media() as edge,
        running(tmp_path, "stop-2", [shared.url], agent_more=agent_more, more=edge.counted()) as agent,
    ):
        edge.come()
        assert agent.end() == 4
        assert mode(shared, "stop-2") == "draining"


def test_a_stop_that_the_guard_refuses_waits_for_its_deadline(shared: Server, tmp_path: Path) -> None:
    """The refusal is said once, and the node is not drained against it."""
    agent_more = DRAINS.format("500ms")
    with running(tmp_path, "stop-3", [shared.url], agent_more=agent_more, roles=("storage",)) as agent:
        assert agent.end() == 4
        assert agent.said().count("not drained yet") == 1
        assert mode(shared, "stop-3", "storage") == "normal"


def test_a_second_signal_ends_at_once(shared: Server, tmp_path: Path) -> None:
    """Whatever is waited for is given up."""
    agent_more = DRAINS.format("60s")
    with (
        media() as edge,
        running(tmp_path, "stop-4", [shared.url], agent_more=agent_more, more=edge.counted()) as agent,
    ):
        edge.come()
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
