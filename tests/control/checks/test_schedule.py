"""When targets are tried: each in its interval, spread out, and never two tries of one at once."""

from __future__ import annotations

import itertools
from collections import Counter
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from dnsd.control.checks.schedule import FIRST_SPREAD_SECONDS, Schedule
from dnsd.model.check import CheckType, Probe, Target

INTERVAL = 10.0
PROBE = Probe(type=CheckType.TCP, port=80, interval_seconds=INTERVAL, jitter=0.1)


def target(number: int) -> Target:
    return Target(f"192.0.2.{number}" if number < 256 else f"10.0.{number // 256}.{number % 256}", PROBE)


def played(schedule: Schedule, *, until: float) -> list[tuple[float, Target]]:
    """Return who is tried when, where each try takes no time."""
    found = []
    while (due := schedule.next_due) is not None and due <= until:
        taken = schedule.take(due)
        assert taken is not None
        found.append((due, taken[0]))
        schedule.tried(taken[0], began=due)
    return found


def full(count: int, seed: int = 1) -> Schedule:
    schedule = Schedule(Random(seed))
    for number in range(count):
        schedule.add(target(number), now=0.0)
    return schedule


@given(seed=st.integers(0, 1000))
def test_each_is_tried_soon_and_then_once_in_an_interval(seed: int) -> None:
    """The first try within a second, the second up to an interval and a quarter later, the others with jitter."""
    tries = [due for due, _ in played(full(1, seed), until=100.0)]
    assert tries[0] <= FIRST_SPREAD_SECONDS
    gaps = [after - before for before, after in itertools.pairwise(tries)]
    assert 0.25 * INTERVAL <= gaps[0] <= 1.25 * INTERVAL
    assert all(0.9 * INTERVAL <= gap <= 1.1 * INTERVAL for gap in gaps[1:])


def test_the_tries_of_many_are_spread_over_the_interval() -> None:
    """Of a thousand, no tenth of an interval has much more than its part, once all had a second try."""
    tries = played(full(1000), until=4 * INTERVAL)
    slots = Counter(int(due / (INTERVAL / 10)) for due, _ in tries if 2 * INTERVAL <= due < 3 * INTERVAL)
    assert len(slots) == 10
    assert all(60 <= count <= 140 for count in slots.values())


def test_one_that_is_there_is_not_taken_in_twice() -> None:
    """However many ask for it, it is tried once in an interval."""
    schedule = full(1)
    for _ in range(10):
        schedule.add(target(0), now=0.0)
    assert len(played(schedule, until=FIRST_SPREAD_SECONDS)) == 1


def test_one_under_way_is_not_due_until_it_has_ended() -> None:
    """A try that takes long is not joined by another one."""
    schedule = full(1)
    assert schedule.take(FIRST_SPREAD_SECONDS) is not None
    assert schedule.next_due is None
    assert schedule.take(1000.0) is None
    schedule.tried(target(0), began=0.5)
    assert schedule.next_due is not None


def test_what_is_removed_is_not_tried_again() -> None:
    """Neither one that waits, nor one that is being tried."""
    schedule = full(2)
    taken = schedule.take(FIRST_SPREAD_SECONDS)
    assert taken is not None
    for number in range(2):
        schedule.remove(target(number))
    schedule.tried(taken[0], began=0.5)
    assert (schedule.next_due, len(schedule)) == (None, 0)


def test_one_that_comes_back_while_it_is_tried_waits_once() -> None:
    """Removed and added again by a reload in the middle of a try: the try's end makes no second entry."""
    schedule = full(1)
    schedule.take(FIRST_SPREAD_SECONDS)
    schedule.remove(target(0))
    schedule.add(target(0), now=1.0)
    schedule.tried(target(0), began=0.5)
    assert schedule.take(1000.0) is not None
    assert schedule.take(1000.0) is None
