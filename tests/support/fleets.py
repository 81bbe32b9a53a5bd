"""Fleets for tests: random ones for properties, small ones by hand, and what a client of DNS sees of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import ip_address

import dns.message
import dns.rdatatype
from hypothesis import strategies as st

from dnsd.core.engine import Engine
from dnsd.core.fleet import Fleet, FleetSpec
from dnsd.core.names import from_text
from dnsd.core.records import Snapshot
from dnsd.core.via import TCP
from dnsd.model.drain import ALL_ROLES, Drain, Mode
from dnsd.model.node import Monitor, Node
from dnsd.model.pool import Floor, NodeRecordSpec, PoolSpec, WhenEmpty
from dnsd.model.report import Report
from dnsd.model.state import Change, ChangeRecord, Entity, FleetState
from tests.support.dnsmessages import zone_of

NOW = 1_700_000_000.0
ROLES = ("ingest", "edge")
REGIONS = ("eu", "us")
ZONE = zone_of(
    """
    @ SOA ns1 hostmaster 1 7200 900 1209600 60
    @ NS ns1
    ns1 A 192.0.2.1
    """
)
ZONES = {ZONE.apex: ZONE}
PER_NODE = NodeRecordSpec(template="{id}.nodes.example.org.")


def node(name: str, *addresses: str, **fields: object) -> Node:
    """Return an edge node that is taken as healthy, unless fields say otherwise."""
    given: dict[str, object] = {"roles": ("edge",), "monitor": Monitor.NONE, "region": "eu", **fields}
    return Node(id=name, addresses=addresses or ("192.0.2.10",), **given)  # type: ignore[arg-type]


def pool(owner: str = "edge.example.org.", **fields: object) -> PoolSpec:
    """Return a pool of the role edge, unless fields say otherwise."""
    return PoolSpec(owner=owner, **{"role": "edge", **fields})  # type: ignore[arg-type]


def drain(name: str, **fields: object) -> Drain:
    """Return a drain of all roles by `ops`, in force and without end, unless fields say otherwise."""
    given: dict[str, object] = {
        "role": ALL_ROLES,
        "holder": "ops",
        "mode": Mode.DRAINING,
        "reason": "test",
        "actor": "alice",
        "created_at": NOW,
        "starts_at": NOW,
        "expires_at": None,
        **fields,
    }
    return Drain(node=name, **given)  # type: ignore[arg-type]


def fleet_of(
    nodes: Iterable[Node], pools: Sequence[PoolSpec], drains: Iterable[Drain] = (), *, now: float = NOW
) -> Fleet:
    """Return a fleet of configured nodes."""
    spec = FleetSpec(zones=ZONES, pools=tuple(pools), node_records=(PER_NODE,))
    state = FleetState(drains={each.key: each for each in drains})
    return Fleet(spec, {each.id: each for each in nodes}, state, now=now)


def put(value: Drain | Node, revision: int, *, at: float = NOW) -> ChangeRecord:
    """Return the change that places a drain or registers a node."""
    if isinstance(value, Drain):
        return ChangeRecord(revision, at, Change(Entity.DRAIN, value.key.text, value))
    return ChangeRecord(revision, at, Change(Entity.NODE, value.id, value))


def gone(value: Drain | Node, revision: int, *, at: float = NOW) -> ChangeRecord:
    """Return the change that releases a drain or removes a node."""
    entity, key = (Entity.DRAIN, value.key.text) if isinstance(value, Drain) else (Entity.NODE, value.id)
    return ChangeRecord(revision, at, Change(entity, key, None))


def snapshot_of(fleet: Fleet, *, generation: int = 1) -> Snapshot:
    """Return what a worker would answer from."""
    return Snapshot(generation, fleet.revision, fleet.spec.zones, dict(fleet.overlay))


def ask(engine: Engine, name: str, rdtype: str = "A") -> dns.message.Message:
    """Ask over TCP, so that nothing is truncated, and read the response with dnspython."""
    query = dns.message.make_query(name, rdtype)
    response = engine.respond(query.to_wire(), now=NOW, via=TCP, peer="")
    assert response is not None
    return dns.message.from_wire(response)


def addresses_in(response: dns.message.Message) -> list[str]:
    """Return the addresses of an answer section, in order."""
    families = (dns.rdatatype.A, dns.rdatatype.AAAA)
    return [rdata.address for rrset in response.answer if rrset.rdtype in families for rdata in rrset]


def answered(fleet: Fleet, name: str, *, times: int = 1) -> set[str]:
    """Return every address, canonical, that `times` questions of each family for a name are answered with."""
    engine = Engine(snapshot_of(fleet))
    found: set[str] = set()
    for rdtype in ("A", "AAAA") * times:
        found.update(addresses_in(ask(engine, name, rdtype)))
    return {str(ip_address(address)) for address in found}


def overlay_name(text: str) -> bytes:
    """Return a name as the overlay's key."""
    return from_text(text)


# --- random fleets ----------------------------------------------------------------------------------------------

_V4 = st.integers(10, 17).map(lambda last: f"192.0.2.{last}")
_V6 = st.integers(10, 17).map(lambda last: f"2001:db8::{last}")
_INSTANTS = st.integers(-50, 50).map(lambda seconds: NOW + seconds)


@st.composite
def nodes(draw: st.DrawFn, name: str) -> Node:
    """Draw a node; addresses are few, so that nodes share some."""
    return Node(
        id=name,
        addresses=tuple(draw(st.lists(st.one_of(_V4, _V6), min_size=1, max_size=3, unique=True))),
        roles=tuple(draw(st.lists(st.sampled_from(ROLES), min_size=1, unique=True))),
        region=draw(st.sampled_from((*REGIONS, None))),
        weight=draw(st.sampled_from((0, 1, 50, 100))),
        monitor=draw(st.sampled_from((Monitor.NONE, Monitor.AGENT))),
    )


@st.composite
def drains(draw: st.DrawFn, name: str) -> Drain:
    """Draw a drain or a ramp: scheduled, in force, or expired."""
    starts_at = draw(_INSTANTS)
    mode = draw(st.sampled_from(Mode))
    ends = st.integers(1, 60).map(lambda seconds: starts_at + seconds)
    return drain(
        name,
        role=draw(st.sampled_from((*ROLES, ALL_ROLES))),
        holder=draw(st.sampled_from(("ops", "os-update"))),
        mode=mode,
        starts_at=starts_at,
        expires_at=draw(ends if mode is Mode.NORMAL else st.one_of(st.none(), ends)),
    )


@st.composite
def reports(draw: st.DrawFn, name: str) -> Report:
    """Draw a report that may be stale or silent about a role."""
    health = draw(st.dictionaries(st.sampled_from(ROLES), st.booleans()))
    return Report(node=name, sequence=1, observed_at=NOW, received_at=draw(_INSTANTS), health=health)


@st.composite
def pool_sets(draw: st.DrawFn) -> tuple[PoolSpec, ...]:
    """Draw pools; one that falls back does so to one drawn before it, so that none is its own fallback."""
    found: list[PoolSpec] = []
    for index in range(draw(st.integers(1, 4))):
        when_empty = draw(st.sampled_from(WhenEmpty))
        fallback = draw(st.sampled_from(found)).owner if found and when_empty is WhenEmpty.POOL else None
        if fallback is None and when_empty is WhenEmpty.POOL:
            when_empty = WhenEmpty.NODATA
        found.append(
            PoolSpec(
                owner=f"pool{index}.example.org.",
                role=draw(st.sampled_from(ROLES)),
                match=draw(st.sampled_from(({}, {"region": "eu"}, {"region": "us"}))),
                floor=Floor(count=0),
                max_answers=draw(st.sampled_from((1, 2, 8))),
                when_empty=when_empty,
                fallback=fallback,
            )
        )
    return tuple(found)
