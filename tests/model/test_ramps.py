"""Ramps: what share a node has at an instant, and what is a ramp and what a drain."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsd.model.drain import RAMP_STEPS, Drain, Mode, Ramp, effective_mode, ramp_of
from tests.support.fleets import NOW, drain

RAMP = drain("a", mode=Mode.NORMAL, expires_at=NOW + 90)


@pytest.mark.parametrize(
    ("seconds", "share"),
    [(-1, 1.0), (0, 0.1), (9.9, 0.1), (10, 0.2), (45, 0.5), (79.9, 0.8), (80, 0.9), (89.9, 0.9), (90, 1.0), (900, 1.0)],
)
def test_a_share_rises_a_tenth_at_a_time(seconds: float, share: float) -> None:
    """From a tenth at the start to all at the end; before and after, a ramp caps nothing."""
    assert RAMP.share(NOW + seconds) == pytest.approx(share)


@given(st.integers(1, 86_400_000), st.lists(st.floats(0, 1), min_size=2, max_size=2))
def test_a_share_is_never_zero_and_never_falls(milliseconds: int, places: list[float]) -> None:
    """Whatever the ramp's length; and it changes at its step instants alone."""
    ramp = drain("a", mode=Mode.NORMAL, expires_at=NOW + milliseconds / 1000)
    early, late = (NOW + place * milliseconds / 1000 for place in sorted(places))
    assert 0 < ramp.share(early) <= ramp.share(late) <= 1
    if not any(early < instant <= late for instant in ramp.step_instants):
        assert ramp.share(early) == ramp.share(late)
    assert len(ramp.step_instants) == RAMP_STEPS - 1


def test_a_ramp_orders_nothing() -> None:
    """Readers of the strongest mode see `normal`; another's drain stays in force above it."""
    assert effective_mode([RAMP], role="edge", now=NOW) is Mode.NORMAL
    assert effective_mode([RAMP, drain("a", holder="os-update")], role="edge", now=NOW) is Mode.DRAINING
    assert not RAMP.overdue(NOW + 80, after=1)
    assert drain("a").step_instants == ()
    assert drain("a").share(NOW) == 1.0


def test_the_least_share_of_several_counts() -> None:
    """For the role in question, and until the last of them has ended."""
    slow = drain("a", holder="b", role="edge", mode=Mode.NORMAL, expires_at=NOW + 900)
    both: list[Drain] = [RAMP, slow]
    assert ramp_of(both, role="edge", now=NOW + 50) == Ramp(0.1, NOW + 900)
    assert ramp_of(both, role="ingest", now=NOW + 50) == Ramp(0.6, NOW + 90)
    assert ramp_of(both, role=None, now=NOW + 50) == Ramp(0.1, NOW + 900)
    assert ramp_of(both, role="ingest", now=NOW + 90) is None
    assert ramp_of([drain("a")], role="edge", now=NOW) is None


@pytest.mark.parametrize(
    ("seconds", "overdue"),
    [(0, False), (99.9, False), (100, True), (150, True), (200, False)],
)
def test_a_drain_is_overdue_from_its_warning_age_to_its_end(seconds: float, *, overdue: bool) -> None:
    """The age counts from when it took effect; one that is over, or has not begun, is not overdue."""
    placed = drain("a", created_at=NOW - 1000, starts_at=NOW, expires_at=NOW + 200)
    assert placed.overdue(NOW + seconds, after=100) is overdue
