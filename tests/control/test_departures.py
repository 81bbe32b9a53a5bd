"""What is owed to caches: withdrawals that wait, that overlap, as measured, and those of a server before this one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnsd.control.answerlog import AnswerLog
from dnsd.control.progress import RESOLVER_SLACK_SECONDS, Departure, DepartureLog
from dnsd.core.fleet_change import Withdrawal
from dnsd.core.names import from_text
from dnsd.core.records import Overlay, ZoneNode
from dnsd.core.trace import Answered, Trace
from dnsd.workers.tally import CLOCK_SET_SECONDS, Tally
from tests.control.rig import Clock

EDGE = "edge.example.org."
NEVER = Answered(float("inf"), float("-inf"), 0)


def made() -> tuple[DepartureLog, Clock]:
    clock = Clock()
    return DepartureLog(clock=lambda: clock.wall, steady=lambda: clock.steady), clock


def left(log: DepartureLog, *, ttl_before: int | None = None) -> float | None:
    return log.departure("a", "edge", ttl_before=ttl_before).seconds_left


def test_a_withdrawal_waits_for_its_own_generation() -> None:
    """An acknowledgement of an earlier generation lets go of nothing."""
    log, clock = made()
    log.withdraw([Withdrawal("a", "edge", 30)], generation=5)
    log.applied(4)
    assert log.departure("a", "edge", ttl_before=None) == Departure(
        withdrawn_at=None, max_ttl=30, caches_clear_at=None, seconds_left=None
    )
    log.applied(7)
    assert log.departure("a", "edge", ttl_before=None) == Departure(
        withdrawn_at=clock.wall,
        max_ttl=30,
        caches_clear_at=clock.wall + 30 + RESOLVER_SLACK_SECONDS,
        seconds_left=30 + RESOLVER_SLACK_SECONDS,
    )


def test_of_withdrawals_that_overlap_the_last_to_run_out_counts() -> None:
    """A long TTL from before outlasts a short one of now; once it is over, it is forgotten."""
    log, clock = made()
    log.withdraw([Withdrawal("a", "edge", 300)], generation=1)
    log.applied(1)
    clock.advance(100)
    log.withdraw([Withdrawal("a", "edge", 5)], generation=2)
    log.applied(2)
    assert left(log) == 200 + RESOLVER_SLACK_SECONDS
    clock.advance(200 + RESOLVER_SLACK_SECONDS)
    log.withdraw([Withdrawal("a", "edge", 5)], generation=3)
    log.applied(3)
    assert log.departure("a", "edge", ttl_before=None).max_ttl == 5
    assert left(log) == 5 + RESOLVER_SLACK_SECONDS


def test_two_pools_at_once_and_one_after_the_other_count_with_the_larger_ttl() -> None:
    """Withdrawals that still wait are one, with the largest TTL and the last generation."""
    log, _ = made()
    log.withdraw([Withdrawal("a", "edge", 60), Withdrawal("a", "edge", 10)], generation=1)
    log.withdraw([Withdrawal("a", "edge", 20)], generation=2)
    log.applied(1)
    assert left(log) is None
    log.applied(2)
    assert left(log) == 60 + RESOLVER_SLACK_SECONDS


def test_a_server_before_this_one_counts_until_the_take_over() -> None:
    """Also where a shorter withdrawal of this server's own is over before."""
    log, clock = made()
    clock.advance(10)
    log.begin()
    assert left(log, ttl_before=300) == 300 + RESOLVER_SLACK_SECONDS
    log.withdraw([Withdrawal("a", "edge", 1)], generation=2)
    log.applied(2)
    assert left(log, ttl_before=300) == 300 + RESOLVER_SLACK_SECONDS
    assert log.departure("a", "edge", ttl_before=300).caches_clear_at == clock.wall + 300 + RESOLVER_SLACK_SECONDS
    clock.advance(300 + RESOLVER_SLACK_SECONDS)
    assert left(log, ttl_before=300) == 0
    assert left(log) == 0


def test_a_clock_that_is_set_moves_no_bound() -> None:
    """What is left runs on the steady clock alone."""
    log, clock = made()
    log.withdraw([Withdrawal("a", "edge", 30)], generation=1)
    log.applied(1)
    for step in (3600.0, -7200.0):
        clock.set_by(step)
        assert left(log) == 30 + RESOLVER_SLACK_SECONDS


def withdrawn(
    *told: Answered, ttl: int = 30, lost_ago: float | None = None, passed: float = 1000.0
) -> tuple[DepartureLog, Clock]:
    """Return the log of a node that left a pool in this moment, of which workers told as they let go of it.

    Args:
        passed: seconds since this server began to answer.
    """
    log, clock = made()
    clock.advance(passed)
    answers = AnswerLog()
    log.withdraw([Withdrawal("a", "edge", ttl, EDGE)], generation=2)
    if lost_ago is not None:
        answers.lose(steady=clock.steady - lost_ago)
    for each in told:
        answers.tell(2, {from_text(EDGE): each}, steady=clock.steady)
    log.applied(2, answers)
    return log, clock


def measured(*told: Answered, ttl: int = 30, lost_ago: float | None = None) -> tuple[Departure, Clock]:
    """Return the departure from a pool that workers told of as they let go of the node."""
    log, clock = withdrawn(*told, ttl=ttl, lost_ago=lost_ago)
    return log.departure("a", "edge", ttl_before=ttl), clock


def test_the_last_answer_of_all_workers_counts_and_not_the_moment_of_the_drain() -> None:
    """One answered 20 s ago, the other 25 s ago with what is left of a longer TTL; a third one never."""
    found, clock = measured(Answered(20.0, 10.0, 30), Answered(25.0, 12.0, 37), NEVER, ttl=60)
    assert found == Departure(
        withdrawn_at=clock.wall,
        max_ttl=37,
        caches_clear_at=clock.wall + 12 + RESOLVER_SLACK_SECONDS,
        seconds_left=12 + RESOLVER_SLACK_SECONDS,
        last_named_at=clock.wall - 20,
    )


def test_a_pool_that_nobody_asked_leaves_nothing_in_caches() -> None:
    """The node may go at once; the TTL is the one that would have counted."""
    found, clock = measured(NEVER, NEVER)
    assert found == Departure(
        withdrawn_at=clock.wall, max_ttl=30, caches_clear_at=clock.wall, seconds_left=0.0, last_named_at=None
    )


def test_answers_that_have_run_out_long_ago_leave_nothing_either() -> None:
    """The instant at which caches were clear lies before the drain."""
    found, clock = measured(Answered(100.0, -70.0, 30))
    assert (found.seconds_left, found.last_named_at) == (0.0, clock.wall - 100)
    assert found.caches_clear_at == clock.wall - 70 + RESOLVER_SLACK_SECONDS


def test_where_no_worker_told_the_whole_ttl_counts_from_the_application() -> None:
    """As for a node that left a pool whose answer stayed the same."""
    found, _ = measured()
    assert (found.seconds_left, found.max_ttl, found.last_named_at) == (30 + RESOLVER_SLACK_SECONDS, 30, None)


def test_a_worker_that_died_may_have_answered_until_then() -> None:
    """The others told of less; long after its death it counts no more."""
    assert measured(NEVER, lost_ago=10.0)[0].seconds_left == 20 + RESOLVER_SLACK_SECONDS
    assert measured(Answered(5.0, 25.0, 30), lost_ago=10.0)[0].seconds_left == 25 + RESOLVER_SLACK_SECONDS
    assert measured(NEVER, lost_ago=30 + RESOLVER_SLACK_SECONDS)[0].seconds_left == 0


def taken_over(*, passed: float) -> tuple[DepartureLog, Clock]:
    """Return the log of a server that takes another's place in this moment."""
    log, clock = made()
    clock.advance(passed)
    log.begin()
    return log, clock


@pytest.mark.parametrize(
    "bound",
    [
        pytest.param(lambda passed: withdrawn(ttl=5, passed=passed), id="nobody told"),
        pytest.param(lambda passed: withdrawn(Answered(0.0, 5.0, 5), ttl=5, passed=passed), id="measured"),
        pytest.param(lambda passed: withdrawn(NEVER, ttl=5, lost_ago=0.0, passed=passed), id="a worker died"),
        pytest.param(lambda passed: taken_over(passed=passed), id="an earlier server"),
    ],
)
def test_a_resolver_that_counts_in_whole_seconds_answers_for_the_rest_of_its_last_one(
    bound: Callable[[float], tuple[DepartureLog, Clock]],
) -> None:
    """Whatever a bound rests on, it outlasts a TTL of 5 s that such a resolver stretches to almost 6 s."""
    for eighths in range(8):
        log, clock = bound(100 + eighths / 8)
        named_at, last_second = clock.steady, int(clock.steady) + 5
        held_for = 0.0
        while int(clock.steady) <= last_second:
            held_for = clock.steady - named_at
            assert left(log, ttl_before=5), f"a cache still answers after {held_for} s"
            clock.advance(1 / 8)
        assert held_for == 6 - (eighths + 1) / 8
        clock.advance(named_at + 5 + RESOLVER_SLACK_SECONDS - clock.steady)
        assert left(log, ttl_before=5) == 0


def test_what_is_told_of_another_generation_is_not_taken() -> None:
    """Each withdrawal counts by the generation that made it, and what all have applied is forgotten."""
    answers = AnswerLog()
    for generation in (2, 3):
        answers.tell(generation, {from_text(EDGE): NEVER}, steady=0.0)
    answers.forget(2)
    assert answers.heard(from_text(EDGE), 2) is None
    assert answers.heard(from_text(EDGE), 3) is not None


@dataclass
class Run:
    """Two workers that answer for one pool, and the truth about what resolvers may hold."""

    clock: Clock = field(default_factory=Clock)
    answers: AnswerLog = field(default_factory=AnswerLog)
    generation: int = 1
    named: bool = True
    held_until: float = float("-inf")  # on the steady clock

    def __post_init__(self) -> None:
        self.log = DepartureLog(clock=lambda: self.clock.wall, steady=lambda: self.clock.steady)
        self.workers = [self.worker(), self.worker()]

    def worker(self) -> tuple[Tally, Overlay]:
        tally = Tally(clock=lambda: self.clock.wall, steady=lambda: self.clock.steady)
        return tally, {from_text(EDGE): ZoneNode(trace=Trace())}

    def set_clock(self, seconds: float) -> None:
        """Set the wall clock; there and back between two looks of a worker, a second apart, goes unnoticed."""
        for tally, overlay in self.workers:
            offset = self.clock.wall + seconds - self.clock.steady
            if abs(offset - tally._offset) <= CLOCK_SET_SECONDS:
                tally.watch_clock(overlay)
        self.clock.set_by(seconds)

    def take(self, kind: str, value: int) -> None:
        place = value % 2
        tally, overlay = self.workers[place]
        if kind == "answer":
            trace = overlay[from_text(EDGE)].trace
            assert trace is not None
            ttl = 1 + value // 2
            trace.note(ttl, self.clock.wall)
            if self.named:
                self.held_until = max(self.held_until, self.clock.steady + ttl + RESOLVER_SLACK_SECONDS)
        elif kind == "wait":
            self.clock.advance(value / 4)
        elif kind == "set":
            self.set_clock(value * 50 - 700)
        elif kind == "die":
            self.answers.lose(steady=self.clock.steady)
            self.workers[place] = self.worker()
        else:
            self.generation += 1
            if kind == "drain or release":
                self.log.withdraw([Withdrawal("a", "edge", 15, EDGE)] if self.named else [], generation=self.generation)
                self.named = not self.named
            for tally, overlay in self.workers:
                before = dict(overlay)
                overlay[from_text(EDGE)] = ZoneNode(trace=Trace())
                told = tally.hand_on(before, overlay)
                self.answers.tell(self.generation, told, steady=self.clock.steady)
            self.log.applied(self.generation, self.answers)
            self.answers.forget(self.generation)


KINDS = st.sampled_from(("answer", "answer", "wait", "wait", "set", "die", "drain or release", "other change"))


@given(st.lists(st.tuples(KINDS, st.integers(0, 28)), max_size=40))
@settings(max_examples=300, deadline=None)
def test_nobody_holds_what_is_said_to_be_clear(steps: list[tuple[str, int]]) -> None:
    """Whatever workers answer, with TTLs up to the pool's, die, and whatever becomes of the wall clock."""
    run = Run()
    for step in steps:
        run.take(*step)
        if not run.named:
            found = left(run.log)
            assert found is not None
            assert run.clock.steady + found >= run.held_until


def test_what_other_programs_hand_on_is_not_measured() -> None:
    """Whatever workers tell, a withdrawal counts with the whole TTL, and what these programs may keep comes on top."""
    log, clock = made()
    log.answered_elsewhere(kept_seconds=40)
    answers = AnswerLog()
    answers.tell(1, {from_text(EDGE): Answered(25.0, 5.0, 30)}, steady=clock.steady)
    log.withdraw([Withdrawal("a", "edge", 30, EDGE)], generation=1)
    log.applied(1, answers)
    found = log.departure("a", "edge", ttl_before=None)
    assert found.seconds_left == 30 + RESOLVER_SLACK_SECONDS + 40
    assert found.last_named_at is None
    other, _ = made()
    other.answered_elsewhere(kept_seconds=0)
    assert left(other, ttl_before=30) == 30 + RESOLVER_SLACK_SECONDS
    other.answered_elsewhere(kept_seconds=40)
    assert left(other, ttl_before=30) == 30 + RESOLVER_SLACK_SECONDS + 40
