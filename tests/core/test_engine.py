"""The engine as transports see it: it always answers or stays silent, counts, and never raises."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from dnsd.core.engine import Engine
from dnsd.core.message import parse_query
from dnsd.core.records import Snapshot
from dnsd.core.via import TCP, UDP, Transport, Via
from dnsd.errors import MessageError
from tests.support.broken import Broken
from tests.support.dnsmessages import NOW, ask, decode, engine_of, query, shown, snapshot_of, zone_of

ZONE = zone_of(
    """
    @      NS    ns1
    @      TXT   "a text of some length, so that not everything fits into few bytes"
    ns1    A     192.0.2.53
    alias  CNAME edge
    tree   DNAME sub
    sub    NS    ns.sub
    ns.sub A     192.0.2.54
    *.w    MX    10 edge
    """
)
SNAPSHOT = snapshot_of(ZONE, overlay={"edge.example.org.": ["192.0.2.1", "2001:db8::1"]})


def _broken_snapshot() -> Snapshot:
    zone = zone_of("good A 192.0.2.1\nbad A 192.0.2.2")
    zone.nodes[b"\x03bad" + zone.apex].rrsets = {1: Broken()}
    return snapshot_of(zone)


def test_fault_of_ours_is_servfail_and_told() -> None:
    """An exception becomes SERVFAIL with question and OPT, is counted and handed on, and the next query is fine."""
    failures: list[Exception] = []
    engine = Engine(_broken_snapshot(), on_failure=failures.append)
    response = ask(engine, "bad.example.org. A", edns=0)
    assert shown(response) == "SERVFAIL"
    assert (len(response.question), response.edns) == (1, 0)
    assert [str(failure) for failure in failures] == ["broken"]
    assert engine.failures == 1
    assert engine.counts[Transport.UDP][2] == 1
    assert shown(ask(engine, "good.example.org. A")).startswith("NOERROR aa")


def test_fault_of_ours_needs_no_listener() -> None:
    """Without a callback the fault is counted all the same."""
    engine = Engine(_broken_snapshot())
    assert shown(ask(engine, "bad.example.org. A")) == "SERVFAIL"
    assert engine.failures == 1


def test_responses_are_counted_by_transport_and_rcode() -> None:
    """Each response counts once, under what it came over and the RCODE that it carries."""
    engine = Engine(SNAPSHOT)
    for via, question in (
        (UDP, "edge.example.org. A"),
        (UDP, "no.example.org. A"),
        (TCP, "edge.example.org. A"),
        (TCP, "edge.example.com. A"),
        (TCP, "edge.example.org. MAILA"),
    ):
        ask(engine, question, via=via)
    assert engine.respond(b"short", now=NOW, via=TCP, peer="") is None
    counted = {
        (transport.name, rcode): count
        for transport in Transport
        for rcode, count in enumerate(engine.counts[transport])
        if count
    }
    assert counted == {("UDP", 0): 1, ("UDP", 3): 1, ("TCP", 0): 1, ("TCP", 5): 1, ("TCP", 4): 1}
    assert (engine.dropped, engine.failures) == (1, 0)


def _check(engine: Engine, packet: bytes, via: Via) -> None:
    response = engine.respond(packet, now=NOW, via=via, peer="")
    if response is None:
        assert len(packet) < 12 or packet[2] & 0x80
        return
    decode(response)
    assert response[:2] == packet[:2]
    assert response[2] & 0x80
    if via is UDP:
        assert len(response) <= 1232
    # A response is never answered: two servers cannot be made to talk to each other.
    assert engine.respond(response, now=NOW, via=via, peer="") is None


@given(packet=st.binary(max_size=200), via=st.sampled_from((UDP, TCP)))
def test_random_bytes_never_raise(packet: bytes, via: Via) -> None:
    """Any bytes get silence, or a message that both decoders read, no larger than the limit."""
    _check(engine_of(ZONE), packet, via)


def _mutants(seed: int) -> bytes:
    rng = random.Random(seed)
    name = rng.choice(["edge", "alias", "a.tree", "x.sub", "b.w", "no", "@"]).replace("@", "")
    question = f"{name}.example.org." if name else "example.org."
    rdtype = rng.choice(["A", "AAAA", "MX", "NS", "SOA", "ANY", "DS", "TXT"])
    packet = bytearray(
        query(f"{question} {rdtype}", edns=rng.choice([None, 0, 1]), udp_size=rng.choice([0, 600, 4096]))
    )
    for _ in range(rng.randrange(4)):
        at = rng.randrange(2, len(packet))
        change = rng.randrange(3)
        if change == 0:
            packet[at] = rng.randrange(256)
        elif change == 1:
            del packet[at]
        else:
            packet.insert(at, rng.randrange(256))
    return bytes(packet)


@given(seed=st.integers(0, 2**32), via=st.sampled_from((UDP, TCP)))
def test_queries_with_flipped_missing_and_added_bytes_never_raise(seed: int, via: Via) -> None:
    """Queries that are nearly right get a readable message or silence, and no fault of ours."""
    engine = Engine(SNAPSHOT, on_failure=_raise)
    _check(engine, _mutants(seed), via)
    assert engine.failures == 0


def _raise(failure: Exception) -> None:
    raise failure


@given(packet=st.binary(min_size=12, max_size=80))
def test_parsing_raises_nothing_but_message_errors(packet: bytes) -> None:
    """The parser itself returns or refuses: an IndexError would be counted as a fault of ours."""
    rcode = None
    try:
        parsed = parse_query(packet)
    except MessageError as refusal:
        parsed, rcode = None, refusal.rcode
    assert rcode in (None, 1, 4)
    assert parsed is None or packet[12:].startswith(parsed.question)
