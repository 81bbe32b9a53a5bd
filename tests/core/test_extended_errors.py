"""Extended DNS errors: what a client with EDNS is told of an answer that is not the usual one (RFC 8914)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from dnsd.core.engine import Engine
from dnsd.core.policy import AnswerPolicy
from dnsd.core.via import UDP, Via
from dnsd.model.drain import Drain, Mode
from dnsd.model.node import Monitor, Node
from dnsd.model.pool import PoolSpec, WhenEmpty
from tests.support.dnsmessages import NOW, PEER, query
from tests.support.fleets import drain, fleet_of, node, pool, put, snapshot_of
from tests.support.options import NSID, PADDING, TLS, ask, read

EDGE = "edge.example.org."
OTHER = "other.example.org."
EDGE_POOL = pool()
A, B = node("a", "192.0.2.10"), node("b", "192.0.2.11")
SILENT = node("a", "192.0.2.10", monitor=Monitor.AGENT)
INGEST = node("i", "192.0.2.20", roles=("ingest",))
SOA = "authority:\n  example.org. 60 SOA ns1.example.org. hostmaster.example.org. 1 7200 900 1209600 60"

DOWN = "EDE 0 pool: no node is known to be up"
DRAINED = "EDE 0 pool: every node is drained"
BORROWED = "EDE 0 pool: answered from another pool"
EMPTY = "EDE 0 pool: no node is left"
STALE = "EDE 3 from the last known state"


def one(address: str) -> str:
    return f"NOERROR aa\nanswer:\n  {EDGE} 30 A {address}"


def engine_of(
    nodes: Sequence[Node], drains: Sequence[Drain] = (), *, spec: PoolSpec = EDGE_POOL, stale: bool = False
) -> Engine:
    fleet = fleet_of(nodes, [spec, pool(OTHER, role="ingest")])
    fleet.apply([put(each, number) for number, each in enumerate(drains, start=1)], now=NOW)
    return Engine(snapshot_of(fleet), policy=AnswerPolicy(nsid="ns1", stale=stale))


@pytest.mark.parametrize(
    ("nodes", "drains", "spec", "text", "told"),
    [
        ([A], [], EDGE_POOL, one("192.0.2.10"), []),
        ([A, B], [drain("a")], EDGE_POOL, one("192.0.2.11"), []),
        ([SILENT], [], EDGE_POOL, one("192.0.2.10"), [DOWN]),
        ([A], [drain("a")], pool(when_empty=WhenEmpty.DRAINING), one("192.0.2.10"), [DRAINED]),
        (
            [A, INGEST],
            [drain("a")],
            pool(when_empty=WhenEmpty.POOL, fallback=OTHER),
            one("192.0.2.20"),
            [BORROWED],
        ),
        ([A], [drain("a")], EDGE_POOL, f"NOERROR aa\n{SOA}", [EMPTY]),
        ([A], [drain("a", mode=Mode.MAINTENANCE)], pool(when_empty=WhenEmpty.DRAINING), f"NOERROR aa\n{SOA}", [EMPTY]),
        ([], [], pool(when_empty=WhenEmpty.SERVFAIL), "SERVFAIL", [EMPTY]),
    ],
    ids=["serving", "some drained", "unhealthy", "draining", "another pool", "NODATA", "maintenance", "SERVFAIL"],
)
def test_a_pools_fallback_is_told(
    nodes: Sequence[Node], drains: Sequence[Drain], spec: PoolSpec, text: str, told: list[str]
) -> None:
    """RFC 8914 §4.1: no other code is of a pool, so that it is 0 with a text; an answer as ever has none."""
    got = ask(engine_of(nodes, drains, spec=spec), f"{EDGE} A")
    assert (got.text, got.options) == (text, told)
    got = ask(engine_of(nodes, drains, stale=True, spec=spec), f"{EDGE} A")
    assert (got.text, got.options) == (text, [*told, STALE])


def test_what_is_no_answer_of_a_pool_is_never_stale() -> None:
    """RFC 8914 §4.4: only what follows live state can be out of date: neither zone data nor a name's absence."""
    engine = engine_of([A], stale=True)
    for question in ("example.org. NS", "ns1.example.org. A", "no.example.org. A", f"{EDGE} TXT"):
        assert ask(engine, question).options == [], question
    assert ask(engine, f"{EDGE} ANY").options == [STALE]
    assert ask(engine, f"{EDGE} AAAA").options == [STALE]


def test_an_alias_tells_of_the_pool_behind_it() -> None:
    """The last name of a chain counts."""
    engine = engine_of([SILENT], spec=pool("*.example.org."))
    assert ask(engine, "any.example.org. A").options == [DOWN]


@pytest.mark.parametrize(
    ("question", "text", "told"),
    [
        ("example.org. AXFR", "REFUSED", ["EDE 18 no zone transfers"]),
        ("example.org. IXFR", "REFUSED", ["EDE 18 no zone transfers"]),
        ("edge.example.org. AXFR", "NOTAUTH", []),
        ("example.com. A", "REFUSED", ["EDE 20"]),
        ("example.com. DS", "REFUSED", ["EDE 20"]),
        (". NS", "REFUSED", ["EDE 20"]),
        ("version.bind. CH TXT", "REFUSED", []),
        ("example.org. TKEY", "NOTIMP", []),
    ],
)
def test_a_refusal_is_told(question: str, text: str, told: list[str]) -> None:
    """RFC 8914 §4.19, §4.21: transfers are Prohibited; for a name outside every zone we are Not Authoritative."""
    got = ask(engine_of([A]), question)
    assert (got.text, got.options) == (text, told)


@pytest.mark.parametrize("question", [f"{EDGE} A", "example.com. A", "example.org. AXFR"])
def test_without_edns_nothing_is_told(question: str) -> None:
    """RFC 6891 §6.1.1: no OPT in the query, none in the response."""
    wire = engine_of([SILENT], stale=True).respond(query(question), now=NOW, via=UDP, peer=PEER)
    assert wire is not None
    assert read(wire).options is None


def test_errors_stand_between_options_and_padding() -> None:
    """The response has all of them, and padding is last (RFC 7830 §3)."""
    got = ask(engine_of([SILENT], stale=True), f"{EDGE} A", (PADDING, b""), (NSID, b""), via=TLS)
    assert (got.options or [])[:-1] == ["NSID ns1", DOWN, STALE]
    assert (got.options or [])[-1].startswith("PADDING ")
    assert len(got.wire) == 468


@pytest.mark.parametrize(("nodes", "room"), [(25, True), (26, True), (27, False), (29, False)])
def test_errors_leave_before_any_record_does(nodes: int, room: bool) -> None:
    """RFC 8914 §3: where there is no room for both, the answer is whole and the error is not there."""
    many = [node(f"n{number}", f"192.0.2.{number}", monitor=Monitor.AGENT) for number in range(1, nodes + 1)]
    got = ask(engine_of(many, spec=pool(max_answers=100)), f"{EDGE} A", udp_size=512)
    assert got.text.startswith("NOERROR aa\nanswer:")
    assert got.text.count(EDGE) == nodes
    assert got.options == ([DOWN] if room else [])
    assert len(got.wire) <= 512


def test_a_truncated_answer_tells_too() -> None:
    """There is room in it, since it has no records."""
    many = [node(f"n{number}", f"192.0.2.{number}", monitor=Monitor.AGENT) for number in range(1, 60)]
    got = ask(engine_of(many, spec=pool(max_answers=100)), f"{EDGE} A", udp_size=512)
    assert (got.text, got.options) == ("NOERROR aa tc", [DOWN])


def test_a_change_of_tier_alone_reaches_the_workers() -> None:
    """The same addresses for another reason are another overlay node: what is told changes with them."""
    fleet = fleet_of([A], [pool(when_empty=WhenEmpty.DRAINING)])
    engine = Engine(snapshot_of(fleet))
    assert ask(engine, f"{EDGE} A").options == []
    change = fleet.apply([put(drain("a"), 1)], now=NOW)
    assert not change.empty
    engine.swap(snapshot_of(fleet))
    assert ask(engine, f"{EDGE} A").options == [DRAINED]


@pytest.mark.parametrize("via", [UDP, TLS, Via(TLS.transport)])
def test_every_transport_tells(via: Via) -> None:
    """What is told does not depend on how it was asked."""
    assert ask(engine_of([SILENT]), f"{EDGE} A", via=via).options == [DOWN]
