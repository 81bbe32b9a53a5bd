"""An experiment is made again where the machine stood still, and only there."""

from __future__ import annotations

import pytest

from tests.support.standstill import TRIES, without_standstill


def test_what_fails_while_the_machine_stands_still_is_tried_again() -> None:
    """Its result is that of the first try that succeeds."""

    def experiment(number: int) -> int:
        if number < 2:
            raise AssertionError("it stood still")
        return number

    assert without_standstill(experiment, most_seconds=0.0) == 2


@pytest.mark.parametrize(("most_seconds", "tries"), [(600.0, 1), (0.0, TRIES)])
def test_what_fails_on_an_even_machine_or_too_often_fails(most_seconds: float, tries: int) -> None:
    """The failure is the experiment's own."""
    numbers: list[int] = []

    def experiment(number: int) -> None:
        numbers.append(number)
        raise AssertionError("it is so")

    with pytest.raises(AssertionError, match="it is so"):
        without_standstill(experiment, most_seconds=most_seconds)
    assert numbers == list(range(tries))
