"""A fleet in which there is everything that can be asked, and what of it is answered past the engine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dnsd.core.engine import Engine
from dnsd.core.fleet import Fleet, FleetSpec
from dnsd.core.records import Snapshot
from dnsd.core.via import UDP
from dnsd.model.drain import Drain
from dnsd.model.node import Node
from dnsd.model.pool import PoolSpec, PoolType, Service, WhenEmpty
from dnsd.model.state import FleetState
from tests.support.dnsmessages import NOW, PEER, query, zone_of
from tests.support.fleets import PER_NODE, node, pool
from tests.support.repeating import copy_of, essence, members, recalled

LONG = "x" * 63

ZONE = zone_of(
    f"""
    @         300 SOA ns1 hostmaster 1 7200 900 1209600 60
    @         NS    ns1
    @         MX    10 edge
    @         MX    20 mail
    ns1       A     192.0.2.1
    mail      A     192.0.2.2
    mail      AAAA  2001:db8::2
    txt       TXT   "text"
    alias     CNAME mail
    chain     CNAME alias
    away      CNAME www.example.net.
    gone      CNAME nothing
    loop      CNAME loop
    to-pool   CNAME edge
    to-wild   CNAME any.wild
    to-child  CNAME www.child
    deep.ent  A     192.0.2.3
    *.star    TXT   "any"
    below.star TXT  "below"
    tree      DNAME mail
    long      DNAME {LONG}.{LONG}.{LONG}.org.
    sub       NS    ns.sub
    ns.sub    A     192.0.2.4
    fleet-sub NS    edge
    child     NS    ns.child
    child     DS    1 8 2 {"00" * 32}
    ns.child  A     192.0.2.5
    edge      TXT   "beside the pool"
    https     HTTPS 1 mail
    unknown   TYPE97 \\# 1 61
    unknown   TYPE65 \\# 3 000100
    large     TXT   {" ".join(f'"{number:0>200}"' for number in range(5))}
    huge      TXT   {" ".join(f'"{number:0>200}"' for number in range(9))}
    """
)
CHILD = zone_of("www A 192.0.2.6\n@ TXT apex", apex="child.example.org.")
ISLAND = zone_of("www A 192.0.2.7", apex="islands.example.org.")  # nothing in the zone above leads there
ZONES = {zone.apex: zone for zone in (ZONE, CHILD, ISLAND)}

NODES = tuple(node("n" * (number + 1), f"192.0.2.{10 + number}", f"2001:db8::{10 + number}") for number in range(5))
LATER = node("later", "192.0.2.30", region="us")
SRV_POOL = {"type": PoolType.SRV, "service": Service(port=1935), "targets": PER_NODE}
POOLS = (
    pool(),
    pool("few.example.org.", max_answers=2),
    pool("*.wild.example.org."),
    pool("browsers.example.org.", https=Service(alpn=("h2",))),
    pool("_all._tcp.example.org.", **SRV_POOL),
    pool("_few._tcp.example.org.", max_answers=3, **SRV_POOL),
    pool("nobody.example.org.", match={"region": "mars"}),
    pool("fails.example.org.", match={"region": "mars"}, when_empty=WhenEmpty.SERVFAIL),
    pool("falls.example.org.", match={"region": "mars"}, when_empty=WhenEmpty.POOL, fallback="edge.example.org."),
    pool("us.example.org.", match={"region": "us"}),
    pool("drained.example.org.", match={"region": "us"}, when_empty=WhenEmpty.DRAINING),
)


def fleet_of(
    nodes: Iterable[Node] = (*NODES, LATER), pools: Sequence[PoolSpec] = POOLS, drains: Iterable[Drain] = ()
) -> Fleet:
    spec = FleetSpec(zones=ZONES, pools=tuple(pools), node_records=(PER_NODE,))
    state = FleetState(drains={each.key: each for each in drains})
    return Fleet(spec, {each.id: each for each in nodes}, state, now=NOW)


def snapshot_of(fleet: Fleet) -> Snapshot:
    return copy_of(Snapshot(1, fleet.revision, fleet.spec.zones, fleet.overlay))


def raised(failure: Exception) -> None:
    """Raise a fault of ours, which an engine would only note."""
    raise failure


def engine_of(snapshot: Snapshot) -> Engine:
    return Engine(copy_of(snapshot), on_failure=raised)


FLEET = snapshot_of(fleet_of())


SLOW = engine_of(FLEET)


def same(found: bytes | None, snapshot: Snapshot, packet: bytes, *, now: float = NOW) -> bool:
    """Say whether a response is what an engine would make of it."""
    of_pool = members(snapshot, packet)
    slow = SLOW if snapshot is FLEET else engine_of(snapshot)
    wanted = slow.respond(packet, now=now, via=UDP, peer=PEER)
    return essence(found, of_pool) == essence(wanted, of_pool)


# Which are given again.
LEARNED = [
    "mail.example.org. A",
    "mail.example.org. AAAA",
    "mail.example.org. MX",
    "mail.example.org. ANY",
    "example.org. SOA",
    "example.org. NS",
    "example.org. TYPE65",
    "txt.example.org. TXT",
    "alias.example.org. A",
    "chain.example.org. A",
    "chain.example.org. CNAME",
    "away.example.org. A",
    "loop.example.org. A",
    "to-child.example.org. A",
    "ent.example.org. A",
    "x.star.example.org. TXT",
    "y.x.star.example.org. TXT",
    "x.star.example.org. A",
    "*.star.example.org. TXT",
    "below.star.example.org. TXT",
    "sub.example.org. A",
    "www.sub.example.org. A",
    "ns.sub.example.org. A",
    "sub.example.org. DS",
    "child.example.org. DS",
    "child.example.org. TXT",
    "child.example.org. NS",
    "www.child.example.org. A",
    "https.example.org. HTTPS",
    "unknown.example.org. TYPE97",
    "unknown.example.org. TYPE65",
    "unknown.example.org. TYPE16705",
    "large.example.org. TXT",
    "huge.example.org. TXT",
    "tree.example.org. A",
    "missing.example.org. A",
    "missing.example.org. ANY",
    "missing.example.org. DS",
    "missing.child.example.org. A",
    "missing.ent.example.org. TYPE65",
    "missing.mail.example.org. A",
    "n.nodes.example.org. A",
    "missing.nodes.example.org. A",
    "nodes.example.org. A",
    "edge.example.org. A",
    "edge.example.org. AAAA",
    "edge.example.org. ANY",
    "edge.example.org. TXT",
    "edge.example.org. MX",
    "edge.example.org. DS",
    "below.edge.example.org. A",
    "few.example.org. A",
    "to-pool.example.org. A",
    "to-pool.example.org. TXT",
    "any.wild.example.org. A",
    "a.b.wild.example.org. AAAA",
    "any.wild.example.org. TXT",
    "to-wild.example.org. A",
    "wild.example.org. A",
    "browsers.example.org. AAAA",
    "_all._tcp.example.org. A",
    "nobody.example.org. A",
    "nobody.example.org. TXT",
    "fails.example.org. A",
    "fails.example.org. ANY",
    "fails.example.org. TXT",
    "falls.example.org. A",
    "us.example.org. A",
    "us.example.org. AAAA",
]

# What depends on more than is kept, or on the case of the name, or says nothing of any zone.
NEVER = [
    "x.tree.example.org. A",
    "x.tree.example.org. CNAME",
    f"{LONG}.{LONG}.long.example.org. A",
    "gone.example.org. A",
    "deep.missing.example.org. A",
    "example.org. MX",
    "www.fleet-sub.example.org. A",
    "browsers.example.org. HTTPS",
    "_few._tcp.example.org. SRV",
    "example.net. A",
    ". NS",
    "example.org. AXFR",
    "example.org. TKEY",
]

# Past the engine where all of it fits.
SERVICE = "_all._tcp.example.org. SRV"

STATIC, DENIED, POOLED, OTHER = (
    "mail.example.org. A",
    "missing.example.org. A",
    "edge.example.org. A",
    "us.example.org. A",
)
BESIDE, BELOW, MADE = "edge.example.org. TXT", "to-pool.example.org. A", "any.wild.example.org. A"


def asked(engine: Engine, *questions: str) -> list[bool]:
    """Say of each question whether it is answered past the engine."""
    return [recalled(engine, query(question)) is not None for question in questions]
