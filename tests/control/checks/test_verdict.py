"""The verdict on a target: how many results in a row it takes to change it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsd.control.checks.verdict import NOTHING_KNOWN, Verdict
from dnsd.model.report import Health

UP, DOWN, UNKNOWN = Health.UP, Health.DOWN, Health.UNKNOWN
RESULTS = st.lists(st.booleans(), max_size=40)
COUNTS = st.integers(1, 5)


def verdicts(results: list[bool], *, rise: int, fall: int) -> list[Verdict]:
    """Return the verdict after each result, that of nothing before them."""
    found = [NOTHING_KNOWN]
    for ok in results:
        found.append(found[-1].after(ok, rise=rise, fall=fall))
    return found


@pytest.mark.parametrize(
    ("results", "healths"),
    [
        ("+", [UP]),
        ("-", [UNKNOWN]),
        ("---", [UNKNOWN, UNKNOWN, DOWN]),
        ("--+", [UNKNOWN, UNKNOWN, UP]),
        ("+--+--", [UP] * 6),
        ("+---", [UP, UP, UP, DOWN]),
        ("---+", [UNKNOWN, UNKNOWN, DOWN, DOWN]),
        ("---++", [UNKNOWN, UNKNOWN, DOWN, DOWN, UP]),
        ("---+-+-+", [UNKNOWN, UNKNOWN, DOWN, DOWN, DOWN, DOWN, DOWN, DOWN]),
    ],
)
def test_it_takes_so_many_in_a_row(results: str, healths: list[Health]) -> None:
    """With 2 to rise and 3 to fall; the first success counts for all, and flapping moves nothing."""
    found = verdicts([each == "+" for each in results], rise=2, fall=3)
    assert [verdict.health for verdict in found[1:]] == healths


@given(results=RESULTS, rise=COUNTS, fall=COUNTS)
def test_a_verdict_changes_only_by_enough_in_a_row(results: list[bool], rise: int, fall: int) -> None:
    """Down comes of `fall` failures, up from down of `rise` successes, and from nothing of one."""
    found = verdicts(results, rise=rise, fall=fall)
    for place in range(len(results)):
        before, after = found[place].health, found[place + 1].health
        if before is after:
            continue
        assert after is not UNKNOWN
        needed = fall if after is DOWN else rise if before is DOWN else 1
        assert results[place + 1 - needed : place + 1] == [after is UP] * needed


@given(results=RESULTS, rise=COUNTS, fall=COUNTS)
def test_enough_in_a_row_always_change_it(results: list[bool], rise: int, fall: int) -> None:
    """Whatever was before: `fall` failures make it down, `rise` successes up."""
    assert verdicts([*results, *[False] * fall], rise=rise, fall=fall)[-1].health is DOWN
    assert verdicts([*results, *[True] * rise], rise=rise, fall=fall)[-1].health is UP


@given(results=RESULTS, rise=COUNTS, fall=COUNTS)
def test_it_counts_what_came_in_a_row(results: list[bool], rise: int, fall: int) -> None:
    """One of the two counts is 0, and the other is as long as the last run of results."""
    last = verdicts(results, rise=rise, fall=fall)[-1]
    run = 0
    while run < len(results) and results[-1 - run] == results[-1]:
        run += 1
    assert (last.successes, last.failures) == ((run, 0) if results and results[-1] else (0, run))
