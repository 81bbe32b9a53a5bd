"""How pools and per-node names count beside the zone's own: as data, as encloser, as empty non-terminal."""

from __future__ import annotations

import pytest

from dnsd.core.engine import Engine
from dnsd.core.names import from_text
from dnsd.core.records import Delta, ZoneNode
from dnsd.core.via import UDP
from tests.support.dnsmessages import NOW, addresses, ask, block, engine_of, query, shown, snapshot_of, zone_of

ZONE = zone_of(
    """
    @     NS    ns1
    ns1   A     192.0.2.53
    edge  TXT   "beside the pool"
    *     A     192.0.2.99
    alias CNAME edge
    mx    MX    10 edge
    *.w   CNAME edge
    """
)
OVERLAY = {
    "edge.example.org.": ["192.0.2.1", "2001:db8::1", "192.0.2.2"],
    "four.example.org.": ["192.0.2.4"],
    "none.example.org.": [],
    "edge-1.nodes.eu.example.org.": ["192.0.2.1"],
    "*.play.example.org.": ["192.0.2.8"],
    "example.org.": ["192.0.2.3"],
}
SOA = "example.org. 60 SOA ns1.example.org. hostmaster.example.org. 1 7200 900 1209600 60"
NODATA = f"NOERROR aa\nauthority:\n  {SOA}"
EDGE = """\
  edge.example.org. 30 A 192.0.2.1
  edge.example.org. 30 A 192.0.2.2"""

CASES = {
    "a pool's IPv4": ("edge.example.org. A", f"NOERROR aa\nanswer:\n{EDGE}"),
    "a pool's IPv6": ("edge.example.org. AAAA", "NOERROR aa\nanswer:\n  edge.example.org. 30 AAAA 2001:db8::1"),
    "a pool of IPv4 alone is NODATA for IPv6": ("four.example.org. AAAA", NODATA),
    "an empty pool is NODATA": ("none.example.org. A", NODATA),
    "ANY of an empty pool": ("none.example.org. ANY", NODATA),
    "what the zone has at a pool's name": (
        "edge.example.org. TXT",
        'NOERROR aa\nanswer:\n  edge.example.org. 300 TXT "beside the pool"',
    ),
    "a pool at the apex": ("example.org. A", "NOERROR aa\nanswer:\n  example.org. 30 A 192.0.2.3"),
    "a pool at the apex leaves the SOA": (
        "example.org. SOA",
        "NOERROR aa\nanswer:\n  " + SOA.replace(" 60 SOA", " 300 SOA"),
    ),
    "a per-node name": (
        "edge-1.nodes.eu.example.org. A",
        "NOERROR aa\nanswer:\n  edge-1.nodes.eu.example.org. 30 A 192.0.2.1",
    ),
    "the names above a per-node name exist": ("nodes.eu.example.org. A", NODATA),
    "they exist up to the apex": ("eu.example.org. A", NODATA),
    "they hide the zone's wildcard": (
        "edge-2.nodes.eu.example.org. A",
        f"NXDOMAIN aa\nauthority:\n  {SOA}",
    ),
    "a pool hides the zone's wildcard": ("below.edge.example.org. A", f"NXDOMAIN aa\nauthority:\n  {SOA}"),
    "the zone's wildcard elsewhere": ("x.example.org. A", "NOERROR aa\nanswer:\n  x.example.org. 300 A 192.0.2.99"),
    "a wildcard pool": (
        "match-7.play.example.org. A",
        "NOERROR aa\nanswer:\n  match-7.play.example.org. 30 A 192.0.2.8",
    ),
    "an alias of a pool": (
        "alias.example.org. A",
        f"NOERROR aa\nanswer:\n  alias.example.org. 300 CNAME edge.example.org.\n{EDGE}",
    ),
    "a wildcard alias of a pool": (
        "x.w.example.org. A",
        f"NOERROR aa\nanswer:\n  x.w.example.org. 300 CNAME edge.example.org.\n{EDGE}",
    ),
    "a mail exchange that is a pool": (
        "mx.example.org. MX",
        f"""\
NOERROR aa
answer:
  mx.example.org. 300 MX 10 edge.example.org.
additional:
{EDGE}
  edge.example.org. 30 AAAA 2001:db8::1""",
    ),
}


@pytest.mark.parametrize(("question", "expected"), CASES.values(), ids=CASES)
def test_fleet_name_in_presentation_format(question: str, expected: str) -> None:
    """Each question about a name of the fleet, or near one, gets exactly the sections of its case."""
    assert shown(ask(engine_of(ZONE, overlay=OVERLAY), question)) == expected


@pytest.mark.parametrize("rdtype", ["A", "AAAA", "ANY"])
def test_failing_pool_is_servfail_for_addresses(rdtype: str) -> None:
    """A pool whose `when_empty` is servfail says so for address questions, and tells nothing else."""
    assert shown(ask(engine_of(ZONE, failing=["edge.example.org."]), f"edge.example.org. {rdtype}")) == "SERVFAIL"


def test_failing_pool_still_has_its_other_types() -> None:
    """Only its addresses fail: a TXT record at the same name is answered, another type is NODATA."""
    engine = engine_of(ZONE, failing=["edge.example.org."])
    assert shown(ask(engine, "edge.example.org. TXT")) == CASES["what the zone has at a pool's name"][1]
    assert shown(ask(engine, "edge.example.org. MX")) == NODATA


def test_each_answer_takes_one_turn_of_a_pool() -> None:
    """Successive answers show a pool's variants in order, none skipped, by whatever name it is reached."""
    snapshot = snapshot_of(ZONE)
    rrsets = addresses("192.0.2.1", "192.0.2.2", "192.0.2.3", turns=3)
    snapshot.overlay[from_text("edge.example.org.")] = ZoneNode(rrsets=rrsets)
    engine = Engine(snapshot)
    questions = ["edge.example.org. A", "alias.example.org. A", "mx.example.org. MX", "edge.example.org. ANY"]
    firsts = [
        next(line.split()[-1] for line in shown(ask(engine, question)).splitlines() if " A " in line)
        for question in questions
    ]
    assert firsts == ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.1"]


def test_swapped_snapshot_answers_from_the_next_packet_on() -> None:
    """A delta that removes a pool makes its name answer as the zone does."""
    snapshot = snapshot_of(ZONE, overlay=dict(OVERLAY))
    engine = Engine(snapshot)
    assert shown(ask(engine, "four.example.org. A")).endswith(" 30 A 192.0.2.4")
    engine.swap(snapshot.advanced(Delta(2, 2, removed=(from_text("four.example.org."),))))
    assert shown(ask(engine, "four.example.org. A")) == block(
        """
        NOERROR aa
        answer:
          four.example.org. 300 A 192.0.2.99
        """
    )


def test_question_in_mixed_case_finds_a_pool() -> None:
    """The bytes of the question come back as sent, and the pool's records point at them."""
    packet = query("EDGE.Example.ORG. A")
    response = engine_of(ZONE, overlay=OVERLAY).respond(packet, now=NOW, via=UDP, peer="")
    assert response is not None
    assert response[12 : len(packet)] == packet[12:]
    assert response[len(packet) : len(packet) + 2] == b"\xc0\x0c"
