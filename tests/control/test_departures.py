"""What is owed to caches: withdrawals that wait, that overlap, and those of a server before this one."""

from __future__ import annotations

from dnsd.control.progress import Departure, DepartureLog
from dnsd.core.fleet_change import Withdrawal
from tests.control.rig import Clock


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
        withdrawn_at=clock.wall, max_ttl=30, caches_clear_at=clock.wall + 30, seconds_left=30.0
    )


def test_of_withdrawals_that_overlap_the_last_to_run_out_counts() -> None:
    """A long TTL from before outlasts a short one of now; once it is over, it is forgotten."""
    log, clock = made()
    log.withdraw([Withdrawal("a", "edge", 300)], generation=1)
    log.applied(1)
    clock.advance(100)
    log.withdraw([Withdrawal("a", "edge", 5)], generation=2)
    log.applied(2)
    assert left(log) == 200
    clock.advance(200)
    log.withdraw([Withdrawal("a", "edge", 5)], generation=3)
    log.applied(3)
    assert log.departure("a", "edge", ttl_before=None).max_ttl == 5
    assert left(log) == 5


def test_two_pools_at_once_and_one_after_the_other_count_with_the_larger_ttl() -> None:
    """Withdrawals that still wait are one, with the largest TTL and the last generation."""
    log, _ = made()
    log.withdraw([Withdrawal("a", "edge", 60), Withdrawal("a", "edge", 10)], generation=1)
    log.withdraw([Withdrawal("a", "edge", 20)], generation=2)
    log.applied(1)
    assert left(log) is None
    log.applied(2)
    assert left(log) == 60


def test_a_server_before_this_one_counts_until_the_take_over() -> None:
    """Also where a shorter withdrawal of this server's own is over before."""
    log, clock = made()
    clock.advance(10)
    log.begin()
    assert left(log, ttl_before=300) == 300
    log.withdraw([Withdrawal("a", "edge", 1)], generation=2)
    log.applied(2)
    assert left(log, ttl_before=300) == 300
    clock.advance(300)
    assert left(log, ttl_before=300) == 0


def test_a_clock_that_is_set_moves_no_bound() -> None:
    """What is left runs on the steady clock alone."""
    log, clock = made()
    log.withdraw([Withdrawal("a", "edge", 30)], generation=1)
    log.applied(1)
    for step in (3600.0, -7200.0):
        clock.set_by(step)
        assert left(log) == 30
