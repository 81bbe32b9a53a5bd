"""Freshness on a clock that is held while the store is out of reach: against a countdown, through several outages."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsd.core.engine import Engine
from dnsd.core.fleet import Fleet, FleetSpec
from dnsd.model.freshness import GRAINS, Hold
from dnsd.model.node import Monitor
from dnsd.model.report import Report
from dnsd.model.state import FleetState
from tests.support.fleets import NOW, PER_NODE, ZONES, addresses_in, ask, node, pool, snapshot_of

STALE_AFTER = 6
EDGE = "edge.example.org."
WATCHED = node("a", "192.0.2.10", monitor=Monitor.AGENT)
BESIDE = node("b", "192.0.2.11")


def report_at(seconds: float) -> Report:
    """Return the report of a node that is up, received so many seconds from the beginning."""
    instant = NOW + seconds
    return Report(node="a", sequence=1, observed_at=instant, received_at=instant, health={"edge": True})


def fleet_at(seconds: float = 0.0) -> Fleet:
    """Return a fleet of a watched node that has reported, and of one that is taken as healthy."""
    spec = FleetSpec(zones=ZONES, pools=(pool(),), node_records=(PER_NODE,), stale_after_seconds=STALE_AFTER)
    state = FleetState(reports={"a": report_at(seconds)})
    return Fleet(spec, {"a": WATCHED, "b": BESIDE}, state, now=NOW + seconds)


def serves(fleet: Fleet) -> bool:
    """Say whether the pool answers with the watched node."""
    return "192.0.2.10" in addresses_in(ask(Engine(snapshot_of(fleet)), EDGE))


def hold(fleet: Fleet, *instants: float) -> None:
    """Lose the store and have it back in turn, at so many seconds from the beginning."""
    for place, seconds in enumerate(instants):
        fleet.tick(now=NOW + seconds)
        fleet.hold_freshness(now=NOW + seconds, held=place % 2 == 0)


# --- by hand ----------------------------------------------------------------------------------------------------


def test_a_second_outage_soon_after_the_first_makes_no_report_stale() -> None:
    """Lost for eight seconds, back for a third of one, lost again: the node stays, and has the rest of its grace."""
    fleet = fleet_at()
    hold(fleet, 1, 9, 9.3)
    assert serves(fleet)
    fleet.tick(now=NOW + 3600)
    assert serves(fleet)
    hold_ends = 3600.3
    fleet.hold_freshness(now=NOW + hold_ends, held=False)
    fleet.tick(now=NOW + hold_ends + 5.6)
    assert serves(fleet)
    fleet.tick(now=NOW + hold_ends + 5.8)
    assert not serves(fleet)


def test_outages_one_after_the_other_leave_a_silent_node_one_grace() -> None:
    """However many there are: what counts is for how long the store was there to be heard over."""
    fleet = fleet_at()
    hold(fleet, 1, 9, 10, 19, 20, 29, 30, 39, 40, 49)
    fleet.tick(now=NOW + 50.9)
    assert serves(fleet)  # four of six seconds are gone by the end of the last one
    fleet.tick(now=NOW + 51)
    assert not serves(fleet)


def test_a_node_that_was_heard_between_two_outages_gets_a_full_interval_after_the_second() -> None:
    """Only the silent one goes on with what was left."""
    fleet = fleet_at()
    hold(fleet, 1, 9)
    fleet.report(report_at(11), now=NOW + 11)
    hold(fleet, 14, 100)
    fleet.tick(now=NOW + 105.9)
    assert serves(fleet)
    fleet.tick(now=NOW + 106)
    assert not serves(fleet)


def test_what_was_stale_before_the_first_outage_stays_so_through_the_second() -> None:
    """No outage makes an old report young."""
    fleet = fleet_at()
    hold(fleet, 6, 8, 8.3)
    assert not serves(fleet)
    hold(fleet, 9, 9.1)
    assert not serves(fleet)


def test_a_grace_that_was_over_is_not_begun_anew_by_the_next_outage() -> None:
    """The node went out between the two; it stays out."""
    fleet = fleet_at()
    hold(fleet, 1, 9)
    fleet.tick(now=NOW + 15)
    assert not serves(fleet)
    hold(fleet, 15.5, 20)
    assert not serves(fleet)


@pytest.mark.parametrize("instants", [(1, 100), (1, 9, 9.3, 100), (1, 9, 9.3)])
def test_a_clock_that_is_set_back_ends_no_grace(instants: tuple[float, ...]) -> None:
    """By two seconds or by fifty, in an outage and after it: who was in stays in, for one interval at most."""
    for seconds in (2, 50, 99.5):
        fleet = fleet_at()
        hold(fleet, *instants)
        fleet.tick(now=NOW + 100)
        fleet.tick(now=NOW + 100 - seconds)
        assert serves(fleet)
        fleet.hold_freshness(now=NOW + 100 - seconds, held=False)
        fleet.tick(now=NOW + 100 - seconds + STALE_AFTER)
        assert not serves(fleet)


def test_a_node_that_is_heard_while_the_clock_is_set_back_serves_when_it_is_right_again() -> None:
    """It was stale by a second, and by the clock set back it is not: each report of it brings it back all the same."""
    fleet = fleet_at()
    fleet.tick(now=NOW + STALE_AFTER + 1)
    assert not serves(fleet)
    fleet.report(report_at(STALE_AFTER - 1), now=NOW + STALE_AFTER - 1)
    fleet.tick(now=NOW + STALE_AFTER + 0.5)  # before anybody has noticed
    assert serves(fleet)


def test_a_store_that_is_lost_while_the_clock_is_set_back_holds_nobody_out() -> None:
    """Who was stale and is not by that clock is back with the hold, and stays: its next reports say nothing new."""
    fleet = fleet_at()
    fleet.tick(now=NOW + STALE_AFTER + 1)
    fleet.hold_freshness(now=NOW + STALE_AFTER - 1, held=True)
    fleet.report(report_at(STALE_AFTER), now=NOW + STALE_AFTER)
    assert serves(fleet)
    fleet.hold_freshness(now=NOW + STALE_AFTER + 5, held=False)
    fleet.tick(now=NOW + STALE_AFTER + 5)
    assert serves(fleet)


def test_another_interval_counts_from_the_next_look_on() -> None:
    """A reload that makes it shorter or longer does so for what is left of a grace as well."""
    stale = Hold(NOW + 1).ended(NOW + 9).begun_again(NOW + 11, stale_after=STALE_AFTER).ended(NOW + 20)
    for stale_after, left in ((5, 3), (6, 4), (9, 7)):
        assert stale.stale_at(report_at(0), stale_after=stale_after) == NOW + 20 + left
    assert stale.stale_at(report_at(0), stale_after=2) <= NOW + 11


def test_few_holds_are_kept_however_often_the_store_comes_and_goes() -> None:
    """A thousand times a hundredth of a second: a silent node is out after its interval, less a grain of it."""
    held, now = Hold(NOW), NOW
    for _ in range(1000):
        now += 0.01
        held = held.ended(now - 0.005).begun_again(now, stale_after=STALE_AFTER)
        assert len(held.earlier) <= GRAINS + 1
    over = held.ended(now)
    silent, heard = report_at(0), report_at(9)
    assert held.stale_at(silent, stale_after=STALE_AFTER) == float("inf")
    assert over.stale_at(silent, stale_after=STALE_AFTER) == pytest.approx(now + 4, abs=STALE_AFTER / GRAINS)
    assert over.stale_at(heard, stale_after=STALE_AFTER) == now + STALE_AFTER


# --- against a countdown ----------------------------------------------------------------------------------------


@dataclass
class Countdown:
    """A report's time as a person would count it, second by second.

    Args:
        own: seconds until it would be stale had nothing ever been held.
        left: seconds until it is.
    """

    own: int = STALE_AFTER
    left: int = STALE_AFTER
    young: bool = False  # when the hold began it was fresh by itself

    def begin(self) -> None:
        self.young = self.own > 0

    def end(self) -> None:
        if self.left > 0 and self.young:
            self.left = max(self.own, STALE_AFTER)

    def second(self, *, held: bool) -> None:
        self.own -= 1
        if not held:
            self.left -= 1


_steps = st.lists(st.tuples(st.integers(0, 9), st.sampled_from((False, False, False, True))), min_size=3, max_size=12)


@given(_steps)
def test_a_report_is_fresh_for_as_long_as_a_countdown_says(steps: list[tuple[int, bool]]) -> None:
    """Through holds of any length and distance, with reports in between: at each second it is as counted."""
    fleet, counted, now = fleet_at(), Countdown(), NOW
    for place, (seconds, reports) in enumerate(steps):
        held = place % 2 == 1
        fleet.hold_freshness(now=now, held=held)
        if place:
            (counted.begin if held else counted.end)()
        if reports:
            fleet.report(report_at(now - NOW), now=now)
            counted = Countdown(young=held)
        for _ in range(seconds):
            now += 1
            fleet.tick(now=now)
            counted.second(held=held)
            assert fleet.health_of(WATCHED, "edge", now=now).serves == (counted.left > 0)
            assert fleet.members_of(EDGE)[0].health.serves == (counted.left > 0)
