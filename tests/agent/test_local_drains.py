"""Drains that are asked for on the node: through the agent, with the control plane's answer."""

from __future__ import annotations

import json
from pathlib import Path

from tests.agent.agents import media, mode, running, status
from tests.support.servers import PATIENCE_SECONDS, Server, wait_until


def test_a_drain_returns_when_the_viewers_have_left(shared: Server, tmp_path: Path) -> None:
    """`--wait safe` waits while somebody watches, and the release brings the node back."""
    with media() as edge, running(tmp_path, "waits-1", [shared.url], more=edge.counted()) as agent:
        edge.come()
        command = agent.begin("drain", "--role", "edge", "--reason", "kernel", "--wait", "safe", "--timeout", "20s")
        wait_until(lambda: mode(shared, "waits-1") == "draining", "the node is drained")
        wait_until(
            lambda: "edge: 1 viewers still connected" in status(shared, "waits-1")["blockers"], "the viewer is counted"
        )
        assert command.poll() is None
        edge.leave()
        said = command.communicate(timeout=20)[0]
        assert (command.returncode, said.splitlines()[-1]) == (0, "waits-1: safe to stop")
        drains = status(shared, "waits-1")["roles"]["edge"]["drains"]
        assert [(each["holder"], each["reason"]) for each in drains] == [("agent:waits-1", "kernel")]
        assert agent.run("undrain", "--wait", "applied").returncode == 0
        assert mode(shared, "waits-1") == "normal"


def test_a_wait_that_is_too_long_leaves_the_drain(shared: Server, tmp_path: Path) -> None:
    """Exit status 4, with what stands in the way."""
    with media() as edge, running(tmp_path, "late-1", [shared.url], more=edge.counted()) as agent:
        edge.come()
        done = agent.run("drain", "--reason", "kernel", "--wait", "safe", "--timeout", "2s")
        assert done.returncode == 4
        assert "1 viewers still connected" in done.stderr
        assert mode(shared, "late-1") == "draining"


def test_the_capacity_guard_refuses_an_agent_too(shared: Server, tmp_path: Path) -> None:
    """The last node of a pool stays: exit status 3, and nothing is drained."""
    with running(tmp_path, "only-1", [shared.url], roles=("storage",)) as agent:
        done = agent.run("drain", "--reason", "kernel", "--json")
        assert (done.returncode, json.loads(done.stdout)["id"]) == (3, "capacity-floor")
        assert mode(shared, "only-1", "storage") == "normal"


def test_a_release_takes_nothing_from_others(shared: Server, tmp_path: Path) -> None:
    """What an operator holds stays when the agent releases its own."""
    with running(tmp_path, "held-1", [shared.url]) as agent:
        assert agent.run("drain", "--reason", "kernel").returncode == 0
        shared.cli("drain", "held-1", "--reason", "disk", "--holder", "ops")
        assert agent.run("undrain").returncode == 0
        assert [each["holder"] for each in status(shared, "held-1")["roles"]["edge"]["drains"]] == ["ops"]
        assert mode(shared, "held-1") == "draining"


def test_what_the_agent_has_drained_is_reported(shared: Server, tmp_path: Path) -> None:
    """`local_drains` has the role while it is drained, and not after."""

    def reported() -> list[str]:
        found: list[str] = json.loads(shared.get("/v1/nodes/told-1"))["local_drains"]
        return found

    with running(tmp_path, "told-1", [shared.url], roles=("edge", "ingest")) as agent:
        agent.run("drain", "--role", "ingest", "--reason", "kernel", "--mode", "maintenance")
        wait_until(lambda: reported() == ["ingest"], "the role is reported")
        assert mode(shared, "told-1", "ingest") == "maintenance"
        shared.cli("undrain", "told-1", "--all-holders")
        wait_until(lambda: reported() == [], "it is reported no more")


def test_a_command_without_an_agent_says_so(shared: Server, tmp_path: Path) -> None:
    """Exit status 1 and one line, when none has run and when the last was killed."""
    with running(tmp_path, "gone-1", [shared.url]) as agent:
        agent.end(9)
        done = agent.run("drain", "--reason", "kernel")
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert "no agent answers" in done.stderr


def test_a_drain_may_be_tried_for_days(shared: Server, tmp_path: Path) -> None:
    """No time is too long to be asked for."""
    with running(tmp_path, "days-1", [shared.url]) as agent:
        assert agent.run("drain", "--reason", "kernel", "--timeout", "2d").returncode == 0
        assert agent.run("undrain", "--timeout", "9999w").returncode == 0


def test_a_second_agent_does_not_start(shared: Server, tmp_path: Path) -> None:
    """It says who is in the way; one that was killed is not."""
    with running(tmp_path, "twin-1", [shared.url]) as agent:
        second = agent.begin()
        said = second.communicate(timeout=PATIENCE_SECONDS)[0]
        assert second.returncode == 1
        assert "another agent runs" in said
        assert (agent.folder / "agent.sock").stat().st_mode & 0o777 == 0o600
        agent.end(9)
        agent.start()
        agent.until_reporting()
