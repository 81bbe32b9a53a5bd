"""Responses that are given again, within bounds: those of a limiter, of memory, and where the fast path has a fault."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import pytest

from dnsd.core import fastpath
from dnsd.core.engine import Engine
from dnsd.core.fastpath import FastPath
from dnsd.core.names import from_text
from dnsd.core.ratelimit import Limiter, RateLimit
from dnsd.core.records import Delta
from dnsd.core.via import UDP
from tests.core.fastpaths import (
    BELOW,
    BESIDE,
    DENIED,
    FLEET,
    LEARNED,
    NEVER,
    POOLED,
    SERVICE,
    STATIC,
    asked,
    engine_of,
)
from tests.support.dnsmessages import NOW, PEER, query
from tests.support.repeating import apply, copy_of, essence, members, recalled, serve, with_junk

# --- limits -------------------------------------------------------------------------------------------------------

LIMIT = RateLimit(responses_per_second=4, window_seconds=1.0, allow=("198.51.100.0/24",))


@pytest.mark.parametrize("limit", [LIMIT, replace(LIMIT, total_per_second=9), replace(LIMIT, slip=1, ipv4_prefix=32)])
def test_a_limit_lets_the_same_go_either_way(limit: RateLimit) -> None:
    """Who gets an answer, a short one, or none does not depend on what was learned, and is counted alike."""
    slow, fast = engine_of(FLEET), engine_of(FLEET)
    packets = [query(question, edns=edns) for question in (*LEARNED, *NEVER) for edns in (None, 0)]
    packets.append(query(SERVICE, edns=0))
    for packet in packets:  # learned before there is a limit
        slow.respond(packet, now=NOW, via=UDP, peer=PEER)
        serve(fast, packet)
    slow.limiter, fast.limiter = Limiter(limit), Limiter(limit)
    for number in range(1500):
        packet, peer = packets[number * 7 % len(packets)], ("192.0.2.1", "192.0.2.2", "198.51.100.1", "::1")[number % 4]
        now = NOW + number / 400
        said = slow.respond(packet, now=now, via=UDP, peer=peer)
        found = serve(fast, packet, now=now, peer=peer)
        of_pool = members(FLEET, packet)
        if said is not None and len(said) < len(packet):
            of_pool = None
        assert essence(found, of_pool) == essence(said, of_pool)
    assert fast.events == slow.events
    assert fast.counts == slow.counts
    assert {outcome for _, outcome in fast.events} >= {"slipped"}


def test_within_a_limit_nothing_is_made_again() -> None:
    """What says no more than was asked for is let go as it was learned; what says more takes the long way."""
    engine = engine_of(FLEET)
    mail, denied, https = (query(each) for each in (STATIC, DENIED, "https.example.org. HTTPS"))
    for packet in (mail, denied, https):
        serve(engine, packet)
    engine.limiter = Limiter(LIMIT)
    for packet in (mail, denied):
        assert [recalled(engine, packet, peer="192.0.2.1") is not None for _ in range(6)] == [True] * 4 + [False] * 2
        assert recalled(engine, packet, peer="198.51.100.1") is not None
    assert recalled(engine, https) is None
    assert not engine.events


# --- memory -------------------------------------------------------------------------------------------------------


def _opt(packet: bytes, number: int) -> bytes:
    return packet[:-8] + (512 + number).to_bytes(2, "big") + packet[-6:]


def _letters(packet: bytes, number: int) -> bytes:
    """Return it with other letters of either case as the type, and as the size and flags of the OPT."""
    cases = [bytes([(0x41 if number >> bit & 1 else 0x61) + (number >> 6) % 20]) for bit in range(6)]
    place = packet.index(b"\0", 12) + 1
    packet = packet[:place] + cases[0] + cases[1] + packet[place + 2 :]
    return packet[:-8] + cases[2] + cases[3] + packet[-6:-4] + cases[4] + cases[5] + packet[-2:]


TRAFFIC = {
    "junk": lambda number: with_junk(query(STATIC), number),
    "sizes": lambda number: _opt(query(STATIC, edns=0), number),
    "pools": lambda number: _opt(query("few.example.org. A", edns=0), number),
    "letters": lambda number: _letters(query(STATIC, edns=0), number),
    "letters of a pool that fails": lambda number: _letters(query("fails.example.org. ANY", edns=0), number),
    "wildcard": lambda number: query(f"{number}.star.example.org. TXT"),
    "pools of a wildcard": lambda number: query(f"{number}.wild.example.org. A"),
    "denials": lambda number: _opt(query("x" * (1 + number % 60) + ".example.org. A", edns=0), number // 60),
    "denials elsewhere": lambda number: query(f"x.{number}.star.example.org. A"),
}


@pytest.mark.parametrize("make", TRAFFIC.values(), ids=TRAFFIC)
def test_memory_is_bounded_whatever_is_asked(make: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many questions there are, no more is kept than there is room for, or not much."""
    room = 200_000
    monkeypatch.setattr(fastpath, "MAX_KEPT_BYTES", room)
    engine = engine_of(FLEET)
    packets = [make(number) for number in range(1200)]  # type: ignore[operator]
    serve(engine, packets[0])
    tracemalloc.start()
    try:
        for packet in packets:
            for _ in range(3):
                assert serve(engine, packet) is not None
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert max(held, peak) < 2 * room


def test_after_all_was_forgotten_it_is_learned_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked all the time is known nearly all the time, whatever else is asked."""
    monkeypatch.setattr(fastpath, "MAX_KEPT_BYTES", 100_000)
    engine = engine_of(FLEET)
    known = 0
    for number in range(1000):
        engine.respond(query(f"{number}.star.example.org. TXT"), now=NOW, via=UDP, peer=PEER)
        known += recalled(engine, query(STATIC)) is not None
        serve(engine, query(STATIC))
    assert known > 950


def test_what_is_known_is_not_learned_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limiter may send what is known the long way, time and again: nothing else is forgotten for it."""
    monkeypatch.setattr(fastpath, "MAX_KEPT_BYTES", 20_000)
    engine = engine_of(FLEET)
    for question in (STATIC, *[POOLED, DENIED, BELOW] * 100):
        engine.respond(query(question), now=NOW, via=UDP, peer=PEER)
    assert asked(engine, STATIC, POOLED, DENIED, BELOW) == [True] * 4


def test_a_pool_that_changes_for_ever_costs_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it takes along is room for others: nothing else is forgotten for it."""
    monkeypatch.setattr(fastpath, "MAX_KEPT_BYTES", 20_000)
    engine = engine_of(FLEET)
    edge = from_text("edge.example.org.")
    serve(engine, query(STATIC))
    for generation in range(100):
        for question in (POOLED, BELOW, BESIDE):
            serve(engine, query(question))
        apply(engine, Delta(generation + 2, 1, put={edge: FLEET.overlay[edge]}))
    assert asked(engine, STATIC, POOLED) == [True, False]


def test_a_fault_of_ours_is_counted_and_everything_forgotten() -> None:
    """The engine goes on without what it had learned."""
    told: list[Exception] = []
    engine = Engine(copy_of(FLEET), on_failure=told.append)
    serve(engine, query(STATIC))
    failure = RuntimeError("a fault")
    engine.fast_path_failed(failure)
    assert (engine.failures, told) == (1, [failure])
    assert asked(engine, STATIC) == [False]


def test_a_fault_in_learning_costs_nobody_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is counted, and the response goes out as it was made."""
    told: list[Exception] = []
    engine = Engine(copy_of(FLEET), on_failure=told.append)
    wanted = engine_of(FLEET).respond(query(STATIC), now=NOW, via=UDP, peer=PEER)
    monkeypatch.setattr(FastPath, "learn", lambda *_, now: 1 // 0)
    assert engine.respond(query(STATIC), now=NOW, via=UDP, peer=PEER) == wanted
    assert (engine.failures, len(told)) == (1, 1)
