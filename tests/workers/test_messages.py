"""Sums of workers' counters."""

from __future__ import annotations

import dataclasses

from dnsd.workers.messages import Counters


def test_counters_add_up_by_transport_rcode_kind_and_outcome() -> None:
    """What only one of them has counts, and neither changes."""
    one = Counters(queries={("udp", 0): 1}, events={("cookies", "valid"): 2, ("cookies", "bad"): 1}, dropped=1)
    two = Counters(queries={("udp", 0): 4, ("tcp", 3): 1}, events={("cookies", "valid"): 3, ("tcp", "bad"): 7})
    total = one + two
    assert total.queries == {("udp", 0): 5, ("tcp", 3): 1}
    assert total.events == {("cookies", "valid"): 5, ("cookies", "bad"): 1, ("tcp", "bad"): 7}
    assert total.dropped == 1
    assert (one.events["cookies", "valid"], two.events["cookies", "valid"]) == (2, 3)


def test_every_number_adds_up() -> None:
    """None is left out of the sum, but for the number of a question, which belongs to one worker."""
    numbers = [each.name for each in dataclasses.fields(Counters) if each.type == "int" and each.name != "asked"]
    assert len(numbers) > 5
    one, two = (
        dataclasses.replace(Counters(), **{name: times * place for place, name in enumerate(numbers, 1)})  # type: ignore[arg-type]
        for times in (1, 10)
    )
    assert [getattr(one + two, name) for name in numbers] == [11 * place for place in range(1, len(numbers) + 1)]
