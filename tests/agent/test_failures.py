"""What breaks: the agent, the control plane, the clock, the counts. Modes and answers stay as they were ordered."""

from __future__ import annotations

import hashlib
import json
import signal
from pathlib import Path

from tests.agent.agents import Agent, health, mode, running, status, without
from tests.support.calls import http
from tests.support.servers import Server, free_port, serving, wait_until

EDGE = "edge.example.org"
OWN = "192.0.2.99"
NO_SESSIONS = without("viewers", "inputs", "jobs")
HOOKS = f"""
{NO_SESSIONS}
[hooks]
drain = ["sh", "-c", "echo drain $DNSD_NODE $DNSD_ROLE $DNSD_MODE $DNSD_REASON >> hooks"]
safe = ["sh", "-c", "echo safe $DNSD_ROLE >> hooks"]
return = ["sh", "-c", "echo return $DNSD_ROLE $DNSD_MODE >> hooks"]
"""


def hooks(agent: Agent) -> list[str]:
    """Return what the hooks have written."""
    file = agent.folder / "hooks"
    return file.read_text().splitlines() if file.exists() else []


def test_a_killed_or_paused_agent_makes_its_node_stale_and_changes_no_mode(server: Server, tmp_path: Path) -> None:
    """Out of the answers while it is silent, back when it is heard; a drain of meanwhile stands."""
    with running(tmp_path, "edge-9", [server.url]) as agent:
        wait_until(lambda: OWN in server.addresses(EDGE), "the node is answered")
        agent.send(signal.SIGSTOP)
        wait_until(lambda: health(server, "edge-9") == "stale", "the silence is seen")
        wait_until(lambda: OWN not in server.addresses(EDGE), "it is left out")
        agent.send(signal.SIGCONT)
        wait_until(lambda: OWN in server.addresses(EDGE), "it is answered again")

        agent.end(signal.SIGKILL)
        server.cli("drain", "edge-9", "--reason", "disk")
        agent.start()
        agent.until_reporting()
        wait_until(lambda: health(server, "edge-9") == "up", "it is heard")
        assert mode(server, "edge-9") == "draining"
        assert OWN not in server.addresses(EDGE)
        assert server.addresses("edge-9.nodes.example.org") == {OWN}


def test_a_lost_control_plane_changes_nothing(server: Server, tmp_path: Path) -> None:
    """The last mode stands, no hook runs, and reports go on when the server is back; also for a restarted agent."""
    with running(tmp_path, "edge-9", [server.url], more=HOOKS) as agent:
        server.cli("drain", "edge-9", "--reason", "disk")
        wait_until(lambda: len(hooks(agent)) == 2, "the hooks have run")
        ran = hooks(agent)
        assert ran == ["drain edge-9 edge draining disk", "safe edge"]
        server.kill()
        agent.until_said("no server takes reports")
        agent.end(signal.SIGKILL)
        agent.start()
        agent.until_said("no server takes reports", times=2)
        state = agent.state()
        assert state is not None
        assert (state.connected, state.modes) == (False, {"edge": "draining"})
        failed = agent.run("drain", "--reason", "more", "--timeout", "500ms")
        assert failed.returncode == 1
        server.start()
        agent.until_said("takes reports\n", times=1)
        agent.until_reporting()
        assert (mode(server, "edge-9"), hooks(agent)) == ("draining", ran)
        server.cli("undrain", "edge-9")
        wait_until(lambda: hooks(agent) == [*ran, "return edge normal"], "the node has returned")


def test_another_server_is_tried_in_turn(shared: Server, tmp_path: Path) -> None:
    """One that is down is passed over at once."""
    with running(tmp_path, "turn-1", [f"http://127.0.0.1:{free_port()}", shared.url]) as agent:
        state = agent.state()
        assert state is not None
        assert state.server == shared.url
        assert "no server takes reports" not in agent.said()


def test_a_clock_that_is_wrong_does_no_harm(shared: Server, tmp_path: Path) -> None:
    """An agent whose clock was far ahead once, and that has lost its state, is heard all the same."""
    with running(tmp_path, "clock-1", [shared.url]) as agent:
        agent.end()
    (agent.folder / "state.json").unlink()
    ahead = {"sequence": 2**60, "observed_at": "2100-01-01T00:00:00Z", "health": {"edge": "up"}}
    assert http(shared, "POST", "/v1/nodes/clock-1/report", ahead)[1]["accepted"]
    wait_until(lambda: health(shared, "clock-1") == "stale", "that report is old, whatever it said")
    with running(tmp_path, "clock-1", [shared.url]) as again:
        wait_until(lambda: health(shared, "clock-1") == "up", "it is heard")
        state = again.state()
        assert state is not None
        assert state.sequence > 2**60
        assert "going on from there" in again.said()


def test_a_damaged_state_is_no_reason_not_to_run(shared: Server, tmp_path: Path) -> None:
    """The agent says so and begins anew."""
    (tmp_path / "damaged-1").mkdir()
    (tmp_path / "damaged-1" / "state.json").write_text("{")
    with running(tmp_path, "damaged-1", [shared.url]) as agent:
        assert "is damaged: beginning anew" in agent.said()


def test_a_count_that_cannot_be_read_is_never_zero(shared: Server, tmp_path: Path) -> None:
    """A command that hangs keeps a drained node from being safe to stop, and holds up no report."""
    counted = '[[sessions]]\nrole = "edge"\nkind = "viewers"\ncommand = ["sleep", "60"]\n'
    counted += without("inputs", "jobs")
    with running(tmp_path, "hangs-1", [shared.url], more=counted) as agent:
        assert agent.run("drain", "--reason", "kernel").returncode == 0
        wait_until(
            lambda: status(shared, "hangs-1")["blockers"] == ["edge: the number of viewers is not known"],
            "that is all that stands in the way",
        )

        def is_told() -> bool:
            sessions = status(shared, "hangs-1")["roles"]["edge"]["sessions"]
            assert sessions["viewers"] is None
            return (sessions["inputs"], sessions["fresh"]) == (0, True)

        wait_until(is_told, "all the same it is fresh, and what can be counted is told")


def test_a_hook_that_hangs_holds_up_no_report(shared: Server, tmp_path: Path) -> None:
    """The node stays fresh, and is not safe to stop before the hook's time is over."""
    slow = '[hooks]\ndrain = ["sleep", "60"]\ntimeout = "1500ms"\n'
    with running(tmp_path, "hook-1", [shared.url], more=NO_SESSIONS + slow) as agent:
        shared.cli("drain", "hook-1", "--reason", "disk")
        agent.until_said("hook drain of edge: begins")
        before = status(shared, "hook-1")
        agent.until_said("hook drain of edge: it did not end in time and was killed")
        assert any("hook-1 (agent) has not applied revision" in each for each in before["blockers"])
        wait_until(lambda: status(shared, "hook-1")["safe_to_stop"], "it may be stopped")
        assert "stale" not in shared.get("/v1/nodes/hook-1")


def test_a_node_that_is_removed_is_registered_again(shared: Server, tmp_path: Path) -> None:
    """And stays drained, since its drains have stayed."""
    with running(tmp_path, "again-1", [shared.url]):
        shared.cli("drain", "again-1", "--reason", "disk")
        assert http(shared, "DELETE", "/v1/nodes/again-1")[0] == 200
        wait_until(
            lambda: "again-1" in [each["id"] for each in shared.cli("nodes")["items"]], "the agent has registered it"
        )
        assert mode(shared, "again-1") == "draining"


def test_a_node_of_the_inventory_is_confirmed(shared: Server, tmp_path: Path) -> None:
    """Without `[node]` nothing is registered; one that nobody watches is told of."""
    with running(tmp_path, "edge-1", [shared.url], roles=None) as agent:
        agent.until_said('edge-1 has monitor = "none"')
    unknown = Agent(tmp_path, "nobody-1", [shared.url], roles=None)
    unknown.start()
    try:
        unknown.until_said("no server takes reports: there is no node")
    finally:
        unknown.close()


def test_a_token_speaks_for_its_node_alone(tmp_path: Path) -> None:
    """With another node's token an agent registers, reports and drains nothing; with its own it does, as itself."""
    secrets = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("own", "other")}
    tokens = "\n".join(
        f'[[admin.token]]\nname = "{name}-agent"\nscope = "agent"\nnode = "{node}"\nsha256 = "{secrets[name]}"'
        for name, node in (("own", "edge-9"), ("other", "edge-8"))
    )
    with serving(tmp_path, workers=1, store="memory", admin_more=tokens) as server:
        (tmp_path / "token").write_text("other\n")
        more = f'token_file = "{tmp_path / "token"}"'
        agent = Agent(tmp_path, "edge-9", [server.url], agent_more=more)
        agent.start()
        try:
            agent.until_said("[not-allowed]")
            assert agent.run("drain", "--reason", "kernel").returncode == 1
            agent.end()
            (tmp_path / "token").write_text("own\n")
            agent.start()
            agent.until_reporting()
            done = agent.run("drain", "--reason", "kernel", "--json")
            assert done.returncode == 0
            assert json.loads(done.stdout)["drain"]["holder"] == "own-agent"
        finally:
            agent.close()
