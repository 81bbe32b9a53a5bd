"""The page about abuse: its table of sizes is what the example answers."""

from __future__ import annotations

import re

import pytest

from dnsd.config.loading import load_settings
from dnsd.control.fleetbuilding import build_fleet
from dnsd.core.engine import Engine
from dnsd.core.ratelimit import Limiter, RateLimit
from dnsd.core.records import Snapshot
from dnsd.core.via import UDP
from dnsd.model.state import FleetState
from tests.docs.example import ROOT
from tests.support.dnsmessages import NOW, PEER, decode, engine_of, query, zone_of

OVER_THE_LIMIT = RateLimit(responses_per_second=0.001, window_seconds=1, slip=1)

# The largest there can be: the shortest question for records that just fit, at an apex of one letter.
LARGEST = zone_of("@ TXT " + " ".join(f'"{"x" * size}"' for size in (255, 255, 255, 255, 165)), apex="x.")


def example() -> Engine:
    """Return an engine that answers as `config.example.toml` does."""
    settings = load_settings(ROOT / "config.example.toml")
    fleet = build_fleet(settings, FleetState(), now=NOW)
    return Engine(Snapshot(1, 1, fleet.spec.zones, fleet.overlay), policy=settings.policy)


def sizes(engine: Engine, question: str) -> tuple[int, int]:
    """Return the bytes of a query that asks for large answers, and of its response."""
    packet = query(question, edns=0, udp_size=4096)
    response = engine.respond(packet, now=NOW, via=UDP, peer=PEER)
    assert response is not None
    decode(response)
    return len(packet), len(response)


def rows() -> dict[str, tuple[int, int]]:
    """Return the rows of the page's table: what is asked, and the bytes of its last question's query and response."""
    text = (ROOT / "docs/abuse.md").read_text().partition("\n| query |")[2].partition("\n\n")[0]
    found = re.findall(r"^\| `(\S+ \w+)`.* \| (\d+) \| (\d+) \| ([\d.]+) \|$", text, re.MULTILINE)
    for _, asked, answered, factor in found:
        assert f"{int(answered) / int(asked):.1f}" == factor
    return {question: (int(asked), int(answered)) for question, asked, answered, _ in found}


@pytest.mark.parametrize(("question", "expected"), rows().items())
def test_the_table_tells_the_sizes_of_answers(question: str, expected: tuple[int, int]) -> None:
    """Each row is the query that it names and its answer, as bytes of UDP; the last row is the largest there can be."""
    engine = engine_of(LARGEST) if question.startswith("x. ") else example()
    assert sizes(engine, question) == expected


def test_the_largest_answer_is_the_largest() -> None:
    """One byte more and it is truncated, however much room the client offers."""
    assert sizes(engine_of(LARGEST), "x. TXT")[1] == 1232
    text = LARGEST.nodes[LARGEST.apex].rrsets
    assert 16 in text
    more = zone_of("@ TXT " + " ".join(f'"{"x" * size}"' for size in (255, 255, 255, 255, 166)), apex="x.")
    asked, answered = sizes(engine_of(more), "x. TXT")
    assert answered <= asked


@pytest.mark.parametrize("question", ["example.com. A", "www.example.com. ANY", "example.org. AXFR"])
def test_a_refusal_is_the_question(question: str) -> None:
    """It has no records; without EDNS it is as large as its query, and with it has at most a few words more."""
    packet = query(question)
    response = example().respond(packet, now=NOW, via=UDP, peer=PEER)
    assert response is not None
    message = decode(response)
    assert (message.rcode(), message.answer, message.authority, message.additional) == (5, [], [], [])
    assert len(response) == len(packet)
    asked, answered = sizes(example(), question)
    assert answered - asked <= 32


@pytest.mark.parametrize("question", [question for question in rows() if not question.startswith("x. ")])
def test_over_the_limit_there_is_no_amplification(question: str) -> None:
    """What slips is at most as large as its query."""
    engine = example()
    engine.limiter = Limiter(OVER_THE_LIMIT)
    sizes(engine, question)
    asked, answered = sizes(engine, question)
    assert answered <= asked
