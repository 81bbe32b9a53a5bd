"""Over random zones and fleets: what a mirror says has changed leads from the old records to the new ones."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnsd.core.fleet import Fleet, FleetSpec
from dnsd.core.laid import Laid
from dnsd.core.names import from_text
from dnsd.core.records import RRset, Zone, ZoneNode
from dnsd.core.serials import with_serial
from dnsd.core.zonebuild import build_zone
from dnsd.core.zonecontent import laid_over, records_of, soa_at
from dnsd.core.zonedigest import digest_of, digest_text, followed
from dnsd.core.zoneimage import ZoneImage
from dnsd.core.zonemirror import Mirror, Step
from dnsd.core.zoneversion import ZoneRecord
from dnsd.model.drain import Drain
from dnsd.model.node import Node
from dnsd.model.pool import PoolSpec
from dnsd.model.state import FleetState
from tests.support.dnsmessages import records_of as rrsets_of
from tests.support.dnsmessages import zone_of
from tests.support.fleets import NOW, PER_NODE, drains, gone, node, nodes, pool, pool_sets, put
from tests.support.images import image_of

APEX, CHILD = from_text("example.org."), from_text("nodes.example.org.")
LINES = (
    "@ NS ns1",
    "@ NS ns2",
    "@ 60 NS ns1",
    "www A 192.0.2.80",
    "www A 192.0.2.81",
    "pool0 TXT text",
    "n0.nodes TXT text",
    "sub NS ns.sub",
    "ns.sub A 192.0.2.53",
    "* MX 10 pool0",
)
SOA = "@ {} SOA ns1 hostmaster {} 7200 900 1209600 60"


@st.composite
def zones(draw: st.DrawFn) -> dict[bytes, Zone]:
    """Draw a zone, sometimes with a child zone, where per-node names are."""
    soa = SOA.format(draw(st.sampled_from([60, 300])), draw(st.integers(1, 3)))
    rrsets = rrsets_of("\n".join([soa, *draw(st.lists(st.sampled_from(LINES), unique=True))]), "example.org.")
    zone = image_of(APEX, rrsets) if draw(st.booleans()) else build_zone(APEX, rrsets)
    child = {CHILD: zone_of("@ NS ns1", apex="nodes.example.org.")} if draw(st.integers(0, 3)) == 0 else {}
    return {APEX: zone, **child}


NAMES = [from_text(f"{letter}.example.org.") for letter in "abcd"]
NODES = st.sampled_from([ZoneNode(), ZoneNode(cut=True), ZoneNode(fails=True)])
STEPS = st.one_of(
    st.sampled_from(["n0", "n1", "n2"]).flatmap(drains),
    st.sampled_from(["n0", "n1", "n2"]).flatmap(nodes),
    st.integers(1, 40),
    zones(),
)


def everything(mirror: Mirror) -> list[ZoneRecord]:
    return [soa_at(mirror.zone, 0), *records_of(mirror.zone, mirror.laid)]


class Follower:
    """Mirrors of all zones of a fleet, and what was in them at each step."""

    def __init__(self, zones: dict[bytes, Zone], pools: tuple[PoolSpec, ...], fleet_nodes: Iterable[Node]) -> None:
        self.pools = pools
        self.configured = {each.id: each for each in fleet_nodes}
        self.now = NOW
        self.zones = zones
        self.fleet = self._fleet(FleetState())
        self.mirrors = {apex: Mirror.of(zone, laid) for apex, (zone, laid) in self._targets().items()}
        self.seen: list[tuple[Mirror, list[ZoneRecord]]] = []

    def _fleet(self, state: FleetState) -> Fleet:
        spec = FleetSpec(zones=self.zones, pools=self.pools, node_records=(PER_NODE,))
        return Fleet(spec, self.configured, state, now=self.now)

    def _targets(self) -> dict[bytes, tuple[Zone, Laid]]:
        laid = laid_over(self.zones, self.fleet.overlay)
        return {apex: (zone, laid[apex]) for apex, zone in self.zones.items()}

    def change(self, change: object) -> None:
        """Do one step, and compare what each mirror says of it with all records."""
        self.seen += [(mirror, everything(mirror)) for mirror in self.mirrors.values()]
        revision = self.fleet.revision + 1
        if isinstance(change, dict):
            self.zones = change
            self.fleet = self._fleet(self.fleet.state)
            for apex, (zone, laid) in self._targets().items():
                before = self.mirrors.get(apex) or Mirror.of(zone, laid)
                self._compare(before, before.become(zone, laid))
            self.mirrors = {apex: self.mirrors[apex] for apex in self.zones}
            return
        if isinstance(change, int):
            self.now += change
            done = self.fleet.tick(now=self.now)
        else:
            assert isinstance(change, Node | Drain)
            there = isinstance(change, Node) and change.id in self.fleet.nodes
            done = self.fleet.apply([(gone if there else put)(change, revision)], now=self.now)
        overlay = self.fleet.overlay
        for apex, (zone, laid) in self._targets().items():
            mirror = self.mirrors[apex]
            names = [name for name in (*done.put, *done.removed) if name in laid or name in mirror.laid]
            self._compare(mirror, mirror.stepped({name: overlay.get(name) for name in names}))
            assert sorted(records_of(zone, laid)) == sorted(records_of(zone, self.mirrors[apex].laid))

    def _compare(self, before: Mirror, step: Step | None) -> None:
        after = before if step is None else step.mirror
        self.mirrors[after.zone.apex] = after
        was, becomes = everything(before), everything(after)
        assert len(becomes) == len(set(becomes))
        assert after.digest == digest_of(becomes)
        assert (before.digest == after.digest) == (set(was) == set(becomes))
        if step is None:
            assert set(was) == set(becomes)
        elif not step.whole:
            assert set(step.removed) <= set(was)
            assert set(step.added).isdisjoint(was)
            assert set(becomes[1:]) == (set(was[1:]) - set(step.removed)) | set(step.added)

    def check_earlier(self) -> None:
        """What was handed on earlier is as it was."""
        for mirror, records in self.seen:
            assert everything(mirror) == records


@settings(deadline=None, max_examples=80)
@given(
    zones=zones(), pools=pool_sets(), given_nodes=st.tuples(nodes("n0"), nodes("n1")), steps=st.lists(STEPS, max_size=6)
)
def test_differences_lead_from_one_content_to_the_next(
    zones: dict[bytes, Zone], pools: tuple[PoolSpec, ...], given_nodes: tuple[Node, ...], steps: list[object]
) -> None:
    """Applied to the records before, they give the records after; the digest is the one of these; nothing old moves."""
    follower = Follower(zones, pools, given_nodes)
    for step in steps:
        follower.change(step)
    follower.check_earlier()


@given(
    st.dictionaries(st.sampled_from(NAMES), NODES),
    st.lists(st.dictionaries(st.sampled_from(NAMES), st.none() | NODES, max_size=3), max_size=6),
    st.integers(0, 4),
)
def test_a_table_is_what_a_dictionary_is(
    nodes: dict[bytes, ZoneNode], changes: list[dict[bytes, ZoneNode | None]], apart: int
) -> None:
    """With whatever changes, and however many it keeps apart; those before it stay as they were."""
    tables: list[tuple[Laid, dict[bytes, ZoneNode]]] = [(Laid(dict(nodes)), nodes)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dnsd.core.laid.MAX_APART", apart)
        for change in changes:
            table, expected = tables[-1]
            merged = {**expected, **change}
            tables.append((table.followed(change), {name: node for name, node in merged.items() if node is not None}))
    for table, expected in tables:
        assert dict(table) == expected
        assert len(table) == len(expected) == len(list(table))
        assert [table.get(name) for name in NAMES] == [expected.get(name) for name in NAMES]
        assert [name in table for name in NAMES] == [name in expected for name in NAMES]


RECORDS = st.lists(
    st.builds(
        ZoneRecord,
        st.sampled_from([APEX, CHILD]),
        st.integers(1, 3),
        st.integers(0, 2),
        st.binary(max_size=2),
    ),
    unique=True,
    max_size=6,
)


@given(RECORDS, RECORDS)
def test_a_digest_is_of_what_there_is_in_any_order(one: list[ZoneRecord], other: list[ZoneRecord]) -> None:
    """It follows what comes and goes, and is another one for other records."""
    assert digest_of(reversed(one)) == digest_of(one)
    removed, added = set(one) - set(other), set(other) - set(one)
    assert followed(digest_of(one), removed=removed, added=added) == digest_of(other)
    assert (digest_of(one) == digest_of(other)) == (set(one) == set(other))
    assert len(digest_text(digest_of(one))) == 64


def test_the_serial_of_the_file_is_no_content() -> None:
    """An SOA whose serial alone is another one leaves the digest; any other field of it does not."""
    texts = [SOA.format(300, serial) for serial in (1, 2)] + [SOA.format(299, 1)]
    one, two, other = (Mirror.of(build_zone(APEX, rrsets_of(text, "example.org.")), Laid({})) for text in texts)
    assert one.digest == two.digest != other.digest
    step = one.become(other.zone, Laid({}))
    assert (step.removed, step.added, step.whole) == ((), (), False)
    assert step.mirror.digest == other.digest


def test_where_a_large_zone_has_another_file_the_differences_are_not_told() -> None:
    """They might be as many as the records; that it is the same content is told."""
    texts = ["www A 192.0.2.80", "www A 192.0.2.81"]
    one, two = ({**rrsets_of(SOA.format(300, 1), "example.org."), **rrsets_of(text, "example.org.")} for text in texts)
    mirror = Mirror.of(image_of(APEX, one), Laid({}))
    assert mirror.become(image_of(APEX, two), Laid({})).whole
    assert not mirror.become(image_of(APEX, one), Laid({})).whole


def test_a_step_costs_what_changes_and_makes_no_node_of_a_large_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pool that changes in a zone of thousands looks at its own name; going through all of it keeps no node."""
    hosts = {(from_text(f"host{number}.example.org."), 1): RRset(1, 60, (bytes(4),)) for number in range(5000)}
    soa = zone_of("@ NS ns1").soa
    zone = image_of(APEX, {(APEX, 6): RRset(6, 300, (with_serial(soa.rdatas[0], 1),)), **hosts})
    edge, spec = from_text("edge.example.org."), FleetSpec(zones={APEX: zone}, pools=(pool(),))
    empty, filled = (
        Fleet(spec, {each.id: each for each in members}, FleetState(), now=NOW).overlay for members in ([], [node("a")])
    )
    asked: list[bytes] = []
    get = ZoneImage.get

    def counted(image: ZoneImage, name: bytes, default: object = None) -> object:
        asked.append(name)
        return get(image, name, default)

    monkeypatch.setattr(ZoneImage, "get", counted)
    mirror = Mirror.of(zone, laid_over({APEX: zone}, empty)[APEX])
    assert len(list(records_of(zone, mirror.laid))) == 5000 + 1  # the empty pool's placeholder
    assert set(asked) <= {APEX}  # for the SOA
    asked.clear()
    step = mirror.stepped({edge: filled[edge]})
    assert step is not None
    assert [record.owner for record in step.added] == [edge]
    assert set(asked) <= {APEX, edge}
