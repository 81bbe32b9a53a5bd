"""What the agent thinks, without any socket, file or clock."""

from __future__ import annotations

import logging
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsd.agent.effects import AskAgain, Effect, RunHook, Say
from dnsd.agent.machine import Machine, Phase
from dnsd.agent.memory import Memory
from dnsd.agent.pacing import LONGEST_PAUSE_INTERVALS
from dnsd.agent.probes import Observation
from dnsd.api.schemas import DesiredState, ModeName

NOW = 1_800_000_000.0
SERVER = "http://ns1.example.org:8053"


def machine(memory: Memory | None = None, *, hooks: Iterable[str] = (), at: float = NOW) -> Machine:
    """Return an agent of the node edge-1 with the roles edge and ingest, joined."""
    made = Machine("edge-1", memory or Memory(), started_at=at, hooks=tuple(hooks))
    list(made.joined(("edge", "ingest"), monitor="agent", wanted=()))
    return made


def desired(
    edge: ModeName = "normal",
    ingest: ModeName = "normal",
    *,
    revision: int = 1,
    accepted: bool = True,
    last: int | None = None,
) -> DesiredState:
    """Return an answer to a report."""
    roles: dict[str, ModeName] = {"edge": edge, "ingest": ingest}
    return DesiredState(node="edge-1", revision=revision, accepted=accepted, roles=roles, last_sequence=last)


def hear(agent: Machine, answer: DesiredState) -> list[Effect]:
    """Send a report and take the answer."""
    agent.report(Observation(), at=NOW)
    return list(agent.answered(answer, server=SERVER))


def hooks_of(effects: Iterable[Effect]) -> list[tuple[str, str, str]]:
    """Return the hooks among effects."""
    return [(each.event, each.role, each.mode) for each in effects if isinstance(each, RunHook)]


# --- reports --------------------------------------------------------------------------------------------------------


def test_sequences_rise_and_begin_at_the_clock() -> None:
    """Without a memory the first number is the time in milliseconds, and each report has one more."""
    agent = machine()
    assert [agent.report(Observation(), at=NOW).sequence for _ in range(3)] == [int(NOW * 1000) + n for n in (1, 2, 3)]


def test_a_clock_that_was_set_back_lowers_no_sequence() -> None:
    """With a memory the numbers go on from there, whatever the clock says."""
    memory = Memory()
    before = machine(memory).report(Observation(), at=NOW).sequence
    assert machine(memory, at=5.0).report(Observation(), at=5.0).sequence > before


@given(st.floats(-1e12, 1e15))
def test_no_clock_makes_a_report_that_cannot_be_sent(at: float) -> None:
    """However wrong the clock is, the sequence is one that every store can hold."""
    assert 0 <= machine(at=at).report(Observation(), at=NOW).sequence <= 2**63 - 1


def test_an_agent_without_its_state_goes_on_from_where_the_server_is() -> None:
    """A report that was dropped for its number is sent again at once, above the last that the server has had."""
    agent = machine(at=5.0)
    effects = hear(agent, desired(accepted=False, last=9_000_000))
    assert any(isinstance(each, AskAgain) for each in effects)
    assert agent.report(Observation(), at=NOW).sequence == 9_000_001


def test_a_second_agent_of_the_node_is_told_of() -> None:
    """A report that is overtaken after others were taken is an error in the log, once."""
    agent = machine()
    hear(agent, desired(last=1))
    told = [each for _ in range(2) for each in hear(agent, desired(accepted=False, last=agent.sequence + 9))]
    errors = [each.text for each in told if isinstance(each, Say) and each.level == logging.ERROR]
    assert errors == ["a report was overtaken by another: does a second agent report for edge-1?"]


def test_a_role_without_a_check_is_up_and_a_count_that_is_unknown_stays_so() -> None:
    """Health is up where nothing says otherwise; None is sent as no number, and never as zero."""
    seen = Observation(health={"ingest": False}, sessions={"edge": {"viewers": None, "inputs": 0, "jobs": 2}})
    report = machine().report(seen, at=NOW)
    assert report.health == {"edge": "up", "ingest": "down"}
    sent = report.model_dump(mode="json", exclude_none=True)
    assert sent["sessions"] == {"edge": {"inputs": 0, "jobs": 2}}


# --- modes and hooks ------------------------------------------------------------------------------------------------


def test_hooks_run_for_what_has_changed_and_nothing_else() -> None:
    """Drain and return, for the role whose mode has changed; an answer without news runs none."""
    agent = machine(hooks=("drain", "return"))
    assert hooks_of(hear(agent, desired())) == []
    assert hooks_of(hear(agent, desired("draining", revision=2))) == [("drain", "edge", "draining")]
    assert hooks_of(hear(agent, desired("draining", revision=2))) == []
    assert hooks_of(hear(agent, desired("maintenance", revision=3))) == [("drain", "edge", "maintenance")]
    assert hooks_of(hear(agent, desired(revision=4))) == [("return", "edge", "normal")]


def test_a_revision_is_applied_when_its_hooks_have_ended() -> None:
    """Until then the agent reports the one before."""
    agent = machine(hooks=("drain",))
    hear(agent, desired(revision=1))
    hook = RunHook("drain", "edge", "draining")
    assert hook in hear(agent, desired("draining", revision=2))
    assert agent.report(Observation(), at=NOW).applied_revision == 1
    list(agent.hook_ended(hook))
    assert agent.report(Observation(), at=NOW).applied_revision == 2


def test_a_hook_that_a_death_has_cut_off_runs_again() -> None:
    """What the memory does not have as ended is run at the next start; what it has is not."""
    memory = Memory()
    first = machine(memory, hooks=("drain",))
    hear(first, desired("draining", "draining"))
    list(first.hook_ended(RunHook("drain", "ingest", "draining")))
    again = hear(machine(memory, hooks=("drain",)), desired("draining", "draining"))
    assert hooks_of(again) == [("drain", "edge", "draining")]


def test_a_lost_control_plane_changes_no_mode() -> None:
    """The last mode stands, the log has one line, and one when a server is back."""
    agent = machine(hooks=("drain", "return"))
    hear(agent, desired("draining"))
    said = [each for _ in range(5) for each in agent.lost("refused")]
    assert [type(each) for each in said] == [Say]
    assert (agent.phase, agent.memory.modes["edge"]) == (Phase.LOST, "draining")
    back = hear(agent, desired("draining"))
    assert back == [Say(logging.INFO, f"{SERVER} takes reports")]
    assert agent.phase is Phase.REPORTING


def test_an_older_revision_is_believed_when_it_is_said_thrice() -> None:
    """A server that lags behind changes no mode; a store that has begun anew is believed in the end."""
    agent = machine()
    hear(agent, desired("draining", revision=7))
    modes = []
    for _ in range(3):
        hear(agent, desired("normal", revision=2))
        modes.append(agent.memory.modes["edge"])
    assert modes == ["draining", "draining", "normal"]
    assert agent.applied_revision == 2


def test_a_role_that_is_taken_away_is_forgotten() -> None:
    """It is reported no more, and no hook runs for it."""
    agent = machine(hooks=("return",))
    hear(agent, desired("draining"))
    without = DesiredState(node="edge-1", revision=2, accepted=True, roles={"ingest": "normal"})
    assert hooks_of(hear(agent, without)) == []
    assert list(agent.report(Observation(), at=NOW).health) == ["ingest"]


# --- pauses ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_pauses_double_up_to_a_limit_with_jitter(chance: float) -> None:
    """A failing agent asks less and less often, but never later than the limit."""
    agent = machine()
    assert agent.pause(1.0, chance=chance) == pytest.approx(0.9 + 0.2 * chance)
    pauses = []
    for _ in range(40):
        list(agent.lost("refused"))
        pauses.append(agent.pause(1.0, chance=chance))
    assert pauses == sorted(pauses)
    assert pauses[0] >= 0.5
    assert pauses[-1] == pytest.approx(LONGEST_PAUSE_INTERVALS * (0.5 + 0.5 * chance))


def test_what_the_agent_has_drained_is_forgotten_when_it_is_over_and_not_before() -> None:
    """An answer that was under way when the drain was placed takes nothing away; the return does, by whomever."""
    agent = machine()
    hear(agent, desired())
    agent.memory.local_drains.add("*")
    hear(agent, desired())
    hear(agent, desired("draining", "draining", revision=2))
    hear(agent, desired("normal", "draining", revision=3))
    assert agent.report(Observation(), at=NOW).local_drains == ["edge", "ingest"]
    hear(agent, desired(revision=4))
    assert agent.report(Observation(), at=NOW).local_drains == []
