"""Sums of workers' counters."""

from __future__ import annotations

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
