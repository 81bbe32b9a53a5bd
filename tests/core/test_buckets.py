"""Token buckets: their rate, their depth, and a table that stays as large as it is."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsd.core.buckets import WAYS, Buckets, Rate
from tests.support.dnsmessages import NOW


def taken(buckets: Buckets, rate: Rate, *, owner: int, begin: float, seconds: float, per_second: int) -> int:
    """Ask for tokens at an even pace; return how many there were."""
    asked = int(seconds * per_second)
    return sum(buckets.take(owner, rate, now=begin + number / per_second) for number in range(asked))


@pytest.mark.parametrize(
    ("per_second", "window", "asked", "expected"),
    [
        (10, 1.0, 1000, 10 + 10 * 5 - 1),
        (10, 3.0, 1000, 30 + 10 * 5 - 1),
        (10, 1.0, 10, 50),
        (0.5, 2.0, 100, 3),  # one at once, and one every 2 s
        (0.1, 1.0, 100, 1),
    ],
)
def test_a_bucket_gives_its_window_at_once_and_then_its_rate(
    per_second: float, window: float, asked: int, expected: int
) -> None:
    """In five seconds there is what the window holds and five seconds' worth, or all that was asked for."""
    rate = Rate(per_second, window_seconds=window)
    count = taken(Buckets(), rate, owner=1, begin=NOW, seconds=5, per_second=asked)
    assert abs(count - expected) <= 1


def test_a_bucket_fills_up_again() -> None:
    """After as long as its window it is as full as at first, and no fuller after longer."""
    buckets, rate = Buckets(), Rate(10, window_seconds=2.0)
    counts = [
        taken(buckets, rate, owner=1, begin=NOW + pause, seconds=0.001, per_second=1_000_000) for pause in (0, 2, 1000)
    ]
    assert counts == [20, 20, 20]


@given(owner=st.integers(-(2**63), 2**63 - 1), back=st.floats(0, 1e9))
def test_a_clock_that_is_set_back_locks_nobody_out(owner: int, back: float) -> None:
    """However far it is set back, an account has tokens again after its window and a second."""
    buckets, rate = Buckets(8), Rate(10, window_seconds=1.0)
    taken(buckets, rate, owner=owner, begin=NOW, seconds=1, per_second=100)
    buckets.take(owner, rate, now=NOW - back)
    assert buckets.take(owner, rate, now=NOW - back + 2.1)


def test_accounts_that_are_used_once_do_not_push_out_one_over_its_limit() -> None:
    """A million made-up accounts, among them one that floods: it gets its rate, and the table is no larger."""
    buckets, rate = Buckets(256), Rate(10, window_seconds=1.0)
    rng = random.Random(1)
    given_out = 0
    for number in range(200_000):
        now = NOW + number / 100_000
        buckets.take(rng.getrandbits(63), rate, now=now)
        if number % 20 == 0:
            given_out += buckets.take(7, rate, now=now)
    assert given_out <= 10 + 2 * 10 + 1
    assert len(buckets._owners) == len(buckets._paid_at) == 256


def test_a_full_set_gives_up_the_account_that_owes_least() -> None:
    """Of accounts that share their places, the new one takes that of the one that is furthest from its limit."""
    buckets, rate = Buckets(WAYS), Rate(1, window_seconds=10.0)
    for owner in range(WAYS):
        for _ in range(10 - owner):
            assert buckets.take(owner, rate, now=NOW)
    buckets.take(99, rate, now=NOW)
    assert [buckets.take(owner, rate, now=NOW) for owner in range(WAYS - 1)] == [False, True, True]
    assert sorted(buckets._owners) == [0, 1, 2, 99]
