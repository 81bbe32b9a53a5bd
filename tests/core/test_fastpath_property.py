"""Random zones, fleets, questions and generations: what is given again is what would be made anew."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dnsd.core.engine import Engine
from dnsd.core.fleet import Fleet, FleetSpec
from dnsd.core.names import from_text
from dnsd.core.records import Delta, Overlay, RRset, Snapshot, Zone
from dnsd.core.via import UDP
from dnsd.core.zonebuild import build_zone
from dnsd.model.drain import Drain
from dnsd.model.node import Node
from dnsd.model.pool import PoolSpec
from dnsd.model.state import FleetState
from tests.support.dnsmessages import NOW, PEER, query, records_of
from tests.support.fleets import PER_NODE, drains, gone, nodes, pool_sets, put
from tests.support.repeating import apply, copy_of, essence, members, recalled

APEX, CHILD = "example.org.", "a.example.org."

# What an owner may have; each has one of them, or nothing.
CHOICES = {
    owner: [None, "A 192.0.2.1", "A 192.0.2.2", "TXT text", "CNAME b", "CNAME pool0", "CNAME x.y", *more]
    for owner, more in {
        "a": ["NS ns.a", "DNAME b", "MX 10 pool0"],
        "b": ["NS pool1", "DNAME a", "SRV 0 0 1 b"],
        "*": ["MX 10 a"],
        "a.b": ["TYPE65 \\# 3 000100"],
        "*.b": [],
        "b.a": [],
        "ns.a": [],
        "nodes": [],
        "n0.nodes": ["TYPE97 \\# 1 61"],
    }.items()
}
SOA = "@ 300 SOA ns hostmaster 1 7200 900 1209600 60"
LINES = {
    (owner, text): records_of(f"{owner} {text}", APEX) for owner, texts in CHOICES.items() for text in texts if text
}
APEX_SOA, CHILD_ZONE = (
    records_of(SOA, APEX),
    build_zone(b"\1a\7example\3org\0", records_of(f"{SOA}\n* A 192.0.2.3", CHILD)),
)

NAMES = st.sampled_from(
    [
        *(
            "a",
            "b",
            "c",
            "*",
            "a.b",
            "b.b",
            "c.b",
            "b.a",
            "c.a",
            "ns.a",
            "x.y",
            "nodes",
            "n0.nodes",
            "n1.nodes",
            "zz.nodes",
        ),
        *("pool0", "pool1", "pool2", "x.pool0", "@"),
    ]
).map(lambda name: APEX if name == "@" else f"{name}.{APEX}")
TYPES = st.sampled_from(["A", "A", "A", "AAAA", "TXT", "MX", "NS", "DS", "SOA", "ANY", "CNAME", "TYPE65", "TYPE97"])
WAYS = st.sampled_from(
    [{}, {"edns": 0}, {"edns": 0, "dnssec_ok": True}, {"edns": 0, "udp_size": 0x4161}, {"edns": 0, "udp_size": 512}]
)


@dataclass(frozen=True)
class Ask:
    """A packet that is sent twice.

    Args:
        cases: which letters of the name change their case the second time.
        change: place and new byte of the packet, the second time; None: none.
    """

    packet: bytes
    cases: int
    change: tuple[int, int] | None

    @property
    def again(self) -> bytes:
        packet = bytearray(self.packet)
        for place in range(12, packet.index(b"\0", 12)):
            if self.cases >> place % 16 & 1 and chr(packet[place]).isalpha():
                packet[place] ^= 0x20
        if self.change is not None:
            packet[self.change[0] % len(packet)] = self.change[1]
        return bytes(packet)


ASKS = st.builds(
    lambda name, rdtype, way, cases, change: Ask(query(f"{name} {rdtype}", **way), cases, change),
    NAMES,
    TYPES,
    WAYS,
    st.one_of(st.just(0), st.integers(0, 0xFFFF)),
    st.one_of(st.none(), st.none(), st.tuples(st.integers(2, 60), st.integers(0, 255))),
)
ZONES = st.fixed_dictionaries({owner: st.sampled_from(texts) for owner, texts in CHOICES.items()})
NUMBERED = st.dictionaries(st.sampled_from([APEX, CHILD]), st.integers(0, 2**32 - 1), min_size=1)
CHANGES = st.one_of(
    NUMBERED,
    st.sampled_from(["n0", "n1", "n2", "other"]).flatmap(drains),
    st.sampled_from(["n0", "n3"]).flatmap(nodes),
    st.integers(1, 70),
    ZONES,
    st.booleans(),
)


def zone_of(chosen: dict[str, str | None]) -> Zone:
    rrsets: dict[tuple[bytes, int], RRset] = dict(APEX_SOA)
    for owner, text in chosen.items():
        if text is not None:
            rrsets |= LINES[owner, text]
    return build_zone(b"\7example\3org\0", rrsets)


class Plane:
    """A control plane, the engine of its worker, and one that answers everything the long way."""

    def __init__(self, zone: Zone, pools: tuple[PoolSpec, ...], fleet_nodes: list[Node]) -> None:
        self.pools = pools
        self.zones = {zone.apex: zone, CHILD_ZONE.apex: CHILD_ZONE}
        self.configured = {each.id: each for each in fleet_nodes}
        self.now = NOW
        self.fleet = self._fleet(FleetState())
        self.generation = 1
        self.serials: dict[bytes, int] = {}
        self.fast = Engine(copy_of(self.snapshot), on_failure=_raise)
        self.slow = Engine(copy_of(self.snapshot), on_failure=_raise)
        self.seen: Counter[str] = Counter()

    def _fleet(self, state: FleetState) -> Fleet:
        spec = FleetSpec(zones=self.zones, pools=self.pools, node_records=(PER_NODE,))
        return Fleet(spec, self.configured, state, now=self.now)

    @property
    def snapshot(self) -> Snapshot:
        overlay, serials = dict(self.fleet.overlay), dict(self.serials)
        return Snapshot(self.generation, self.fleet.revision, self.zones, overlay, serials)

    def change(self, change: object) -> None:
        """Do one step, and hand the generation that comes of it to the worker."""
        revision = self.fleet.revision + 1
        zones: dict[bytes, Zone] | None = None
        removed_zones: tuple[bytes, ...] = ()
        serials: dict[bytes, int] = {}
        placed: Overlay = {}
        removed: Collection[bytes] = ()
        if isinstance(change, Drain):
            there = change.key in {each.key for each in self.fleet.orders_of(change.node)}
            step = self.fleet.apply([gone(change, revision) if there else put(change, revision)], now=self.now)
            placed, removed = step.put, step.removed
        elif isinstance(change, Node):
            there = change.id in self.fleet.nodes
            step = self.fleet.apply([gone(change, revision) if there else put(change, revision)], now=self.now)
            placed, removed = step.put, step.removed
        elif isinstance(change, bool):
            zone = self.zones.pop(CHILD_ZONE.apex, None)
            removed_zones = () if zone is None else (CHILD_ZONE.apex,)
            if zone is None:
                self.zones[CHILD_ZONE.apex] = CHILD_ZONE
                zones = {CHILD_ZONE.apex: CHILD_ZONE}
            placed, removed = self._reload()
        elif isinstance(change, int):
            self.now += change
            step = self.fleet.tick(now=self.now)
            placed, removed = step.put, step.removed
        elif isinstance(change, dict) and change.keys() & {APEX, CHILD}:
            serials = {from_text(apex): serial for apex, serial in change.items()}
            self.serials |= serials
        else:
            assert isinstance(change, dict)
            zone = zone_of(change)
            zones = {zone.apex: zone}
            self.zones = {**self.zones, **zones}
            placed, removed = self._reload()
        self.generation += 1
        apply(self.fast, Delta(self.generation, revision, placed, tuple(removed), zones, removed_zones, serials))
        self.slow = Engine(copy_of(self.snapshot), on_failure=_raise)

    def _reload(self) -> tuple[Overlay, set[bytes]]:
        before = self.fleet.overlay
        self.fleet = self._fleet(self.fleet.state)
        after = self.fleet.overlay
        return {name: node for name, node in after.items() if before.get(name) != node}, before.keys() - after.keys()

    def ask(self, packet: bytes) -> None:
        """Hold what is known against what is made; what is not known is made, and may be known from then on."""
        wanted = self.slow.respond(packet, now=self.now, via=UDP, peer=PEER)
        of_pool = members(self.slow.snapshot, packet)
        found = recalled(self.fast, packet, now=self.now)
        self.seen["asked"] += 1
        self.seen["recalled"] += found is not None
        if found is None:
            self.fast.respond(packet, now=self.now, via=UDP, peer=PEER)
            return
        assert essence(found, of_pool) == essence(wanted, of_pool)


def _raise(failure: Exception) -> None:
    raise failure


def test_what_is_given_again_is_what_would_be_made() -> None:
    """Whatever zones, pools, changes and packets there are; and most of what comes again is given again."""
    again: Counter[str] = Counter()

    @settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        zone=ZONES,
        pools=pool_sets(),
        fleet_nodes=st.tuples(nodes("n0"), nodes("n1"), nodes("n2")),
        asks=st.lists(ASKS, min_size=4, max_size=10),
        changes=st.lists(CHANGES, max_size=4),
    )
    def run(
        zone: dict[str, str | None],
        pools: tuple[PoolSpec, ...],
        fleet_nodes: tuple[Node, ...],
        asks: list[Ask],
        changes: list[object],
    ) -> None:
        plane = Plane(zone_of(zone), pools, list(fleet_nodes))
        for change in [None, *changes]:
            if change is not None:
                plane.change(change)
            for ask in asks:
                plane.ask(ask.packet)
            plane.seen.clear()
            for ask in asks:
                plane.ask(ask.again)
                plane.ask(ask.packet)
            again.update(plane.seen)

    run()
    assert again["recalled"] > again["asked"] * 0.5, again
