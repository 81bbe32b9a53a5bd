"""What is noted of a pool's answers, and what is not."""

from __future__ import annotations

import pickle

import pytest

from dnsd.core.engine import Engine
from dnsd.core.lookup import look_up
from dnsd.core.names import from_text
from dnsd.core.records import Snapshot, ZoneNode
from dnsd.core.trace import Answered, Trace
from tests.support.dnsmessages import NOW, addresses, ask, snapshot_of, zone_of

EDGE = from_text("edge.example.org.")
ZONE = zone_of(
    """
    @     NS    ns1
    ns1   A     192.0.2.53
    alias CNAME edge
    mx    MX    10 edge
    """
)
TXT = zone_of('edge 300 TXT "beside the pool"').nodes[EDGE].rrsets[16]


def traced(*, changes_at: dict[int, float] | None = None) -> tuple[Snapshot, Trace]:
    snapshot = snapshot_of(ZONE)
    trace = Trace()
    rrsets = {**addresses("192.0.2.1", "2001:db8::1", ttl=30), 16: TXT}
    snapshot.overlay[EDGE] = ZoneNode(rrsets=rrsets, changes_at=changes_at, trace=trace)
    return snapshot, trace


@pytest.mark.parametrize(
    "question",
    [
        "edge.example.org. A",
        "edge.example.org. AAAA",
        "edge.example.org. ANY",
        "alias.example.org. A",
        "mx.example.org. MX",
    ],
)
def test_every_answer_that_names_nodes_is_noted(question: str) -> None:
    """By its own name, through an alias, and as an additional record."""
    snapshot, trace = traced()
    ask(Engine(snapshot), question)
    assert (trace.last_at, trace.until, trace.max_ttl) == (NOW, NOW + 30, 30)


def test_answers_that_name_no_node_are_not_noted() -> None:
    """Another type at the same name, NODATA, and a look-up that is for nobody."""
    snapshot, trace = traced()
    for question in ("edge.example.org. TXT", "edge.example.org. MX", "alias.example.org. CNAME"):
        ask(Engine(snapshot), question)
    look_up(snapshot, EDGE, 1)
    assert trace.told(NOW) == Answered(float("inf"), float("-inf"), 0)


def test_a_ttl_that_was_counted_down_is_noted_as_it_was_sent() -> None:
    """Five seconds before the change, caches hold it for five seconds."""
    snapshot, trace = traced(changes_at={1: NOW + 5})
    ask(Engine(snapshot), "edge.example.org. A")
    assert trace.told(NOW + 2) == Answered(2.0, 3.0, 5)


def test_a_shorter_ttl_does_not_hide_a_longer_one_before_it() -> None:
    """The last answer is the last one, and what is left is of the longest."""
    trace = Trace()
    trace.note(30, NOW)
    trace.note(2, NOW + 10)
    assert trace.told(NOW + 11) == Answered(1.0, 19.0, 30)


def test_a_trace_is_no_part_of_what_a_node_is_and_does_not_travel() -> None:
    """Two nodes that differ in nothing else are equal; a pickled one has been answered by nobody."""
    snapshot, trace = traced()
    trace.note(30, NOW)
    node = snapshot.overlay[EDGE]
    copy = pickle.loads(pickle.dumps(node))
    assert copy == node
    assert copy.trace is not None
    assert copy.trace.told(NOW) == Answered(float("inf"), float("-inf"), 0)
