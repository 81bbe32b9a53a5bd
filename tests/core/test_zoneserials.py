"""The serial that secondaries have a zone at, as resolvers and secondaries see it in ordinary answers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dnsd.core.engine import Engine
from dnsd.core.names import from_text
from dnsd.core.records import Delta, Snapshot, Zone
from dnsd.core.via import Transport
from dnsd.core.zonebuild import build_zone
from tests.support.dnsmessages import block, decode, query, records_of, shown, snapshot_of
from tests.support.fleets import drain as drain_of
from tests.support.fleets import fleet_of, node, pool, put
from tests.support.fleets import snapshot_of as snapshot_of_fleet
from tests.support.images import image_of
from tests.support.repeating import apply, copy_of, recalled, serve

APEX = from_text("example.org.")
TEXT = """
    @ 300 SOA ns1 hostmaster 1 7200 900 1209600 60
    @ 300 NS ns1
    ns1 A 192.0.2.1
    alias CNAME x.other.example.
"""


def tree() -> Zone:
    return build_zone(APEX, records_of(TEXT, "example.org."))


def image() -> Zone:
    return image_of(APEX, records_of(TEXT, "example.org."))


@pytest.fixture(params=[tree, image])
def engine(request: pytest.FixtureRequest) -> Engine:
    """An engine over a small zone with a pool, as objects and as an image, and over another zone."""
    make: Callable[[], Zone] = request.param
    other = build_zone(from_text("other.example."), records_of("@ SOA a b 5 5 5 5 5", "other.example."))
    snapshot = snapshot_of(make(), other, overlay={"edge.example.org.": ["192.0.2.10"]})
    return Engine(copy_of(snapshot))


def ask(engine: Engine, question: str) -> str:
    response = serve(engine, query(question))
    assert response is not None
    return shown(decode(response))


def numbered(engine: Engine, **serials: int) -> None:
    """Give zones serials, as a worker gets them."""
    names = {"org": APEX, "other": from_text("other.example.")}
    generation = engine.snapshot.generation + 1
    apply(engine, Delta(generation, 1, serials={names[key]: serial for key, serial in serials.items()}))


def test_answers_show_the_serial_and_nothing_else_changes(engine: Engine) -> None:
    """In an answer to a question for the SOA, with its own TTL, and in denials, with theirs."""
    before = [ask(engine, question) for question in ("edge.example.org. A", "example.org. NS")]
    numbered(engine, org=1_800_000_000)
    assert ask(engine, "example.org. SOA") == block(
        """
        NOERROR aa
        answer:
          example.org. 300 SOA ns1.example.org. hostmaster.example.org. 1800000000 7200 900 1209600 60
        """
    )
    denied = block(
        """
        authority:
          example.org. 60 SOA ns1.example.org. hostmaster.example.org. 1800000000 7200 900 1209600 60
        """
    )
    assert ask(engine, "no.example.org. A") == f"NXDOMAIN aa\n{denied}"
    assert ask(engine, "ns1.example.org. TXT") == f"NOERROR aa\n{denied}"
    assert ask(engine, "edge.example.org. TXT") == f"NOERROR aa\n{denied}"
    # Of a zone without a serial of its own: the zone file's.
    assert " a. b. " not in ask(engine, "alias.example.org. A")
    assert "a.other.example. b.other.example. 5 5 5 5 5" in ask(engine, "alias.example.org. A")
    assert [ask(engine, question) for question in ("edge.example.org. A", "example.org. NS")] == before


def test_what_was_learned_with_an_older_serial_is_forgotten_and_nothing_else(engine: Engine) -> None:
    """Over UDP, again and again: every SOA is of now, and answers without one are still given again."""
    with_soa = ["example.org. SOA", "no.example.org. A", "ns1.example.org. TXT", "edge.example.org. TXT"]
    others = ["ns1.example.org. A", "example.org. NS", "other.example. A", "x.other.example. TXT"]
    numbered(engine, org=7, other=1)
    kept = engine.fast._kept
    for serial in (8, 9, 10):
        for question in (*with_soa, *others) * 2:
            ask(engine, question)
        assert all(recalled(engine, query(question)) for question in (*with_soa, *others))
        numbered(engine, org=serial)
        assert not any(recalled(engine, query(question)) for question in with_soa)
        assert all(recalled(engine, query(question)) for question in others)
        assert all(f" hostmaster.example.org. {serial} " in ask(engine, question) for question in with_soa)
    numbered(engine, org=11, other=2)
    for question in others[:2]:
        assert recalled(engine, query(question))
    # What is forgotten is paid back: else a worker would begin anew ever more often.
    cost = engine.fast._kept
    for question in with_soa:
        ask(engine, question)
    numbered(engine, org=12)
    assert engine.fast._kept == cost > kept


def test_a_pool_that_becomes_empty_has_the_serial_in_its_denials() -> None:
    """Its NODATA is forgotten with the pool or with the serial, whichever comes; both leave the other right."""
    fleet = fleet_of([node("a")], [pool()])
    engine = Engine(copy_of(snapshot_of_fleet(fleet)))
    numbered(engine, org=5)
    change = fleet.apply([put(drain_of("a"), 1)], now=1_700_000_000.0)
    apply(engine, Delta(3, 1, put=change.put))
    for serial in (6, 7):
        for _ in range(2):
            assert f" {serial - 1} 7200 " in ask(engine, "edge.example.org. A")
        numbered(engine, org=serial)
    assert " 7 7200 " in ask(engine, "edge.example.org. A")


def test_a_new_worker_has_the_serials_as_well() -> None:
    """They are in the snapshot that deltas have led to, also those of zones that are gone for now."""
    snapshot = snapshot_of(tree())
    zone = snapshot.zones[APEX]
    for delta in (
        Delta(2, 1, serials={APEX: 5}),
        Delta(3, 1, removed_zones=(APEX,)),
        Delta(4, 1, zones={APEX: zone}),
    ):
        snapshot = snapshot.advanced(delta)
    engine = Engine(copy_of(snapshot))
    assert " 5 7200 " in ask(engine, "example.org. SOA")


def test_a_pool_at_the_apex_leaves_the_serial_as_it_is() -> None:
    """Whether the pool or the serial came first."""
    snapshot = snapshot_of(tree(), overlay={"example.org.": ["192.0.2.10"]})
    engine = Engine(copy_of(Snapshot(1, 1, snapshot.zones, snapshot.overlay, {APEX: 5})))
    assert " 5 7200 " in ask(engine, "example.org. SOA")
    apply(engine, Delta(2, 1, put={APEX: snapshot.overlay[APEX]}))
    assert " 5 7200 " in ask(engine, "example.org. SOA")
    assert engine.counts[Transport.UDP][0] == 2


def test_without_serials_nothing_is_noted_and_nothing_is_made_anew() -> None:
    """Where there are no transfers, a denial has the very RDATA of the zone file, and no index grows."""
    engine = Engine(copy_of(snapshot_of(tree())))
    for question in ("no.example.org. A", "example.org. SOA", "ns1.example.org. TXT"):
        ask(engine, question)
    assert not engine.fast._denials_of
    assert not engine.fast._denying
    assert engine.fast._of_pool == {}
