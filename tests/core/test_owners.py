"""Where names of the fleet may stand, and what a zone's tree looks like once it is built."""

from __future__ import annotations

import pytest

from dnsd.core.constants import AAAA, NS, TXT, A
from dnsd.core.names import from_text, to_text
from dnsd.core.owners import closest_zone, merged_node, overlay_ancestors, why_not_overlay
from dnsd.core.records import RRset, ZoneNode
from dnsd.core.zonebuild import build_zone
from tests.support.dnsmessages import addresses, records_of, zone_of

ZONE = zone_of(
    """
    @              NS    ns1
    ns1            A     192.0.2.53
    v6             AAAA  2001:db8::1
    both           A     192.0.2.1
    both           AAAA  2001:db8::1
    text           TXT   "t"
    alias          CNAME ns1
    sub            NS    ns.sub
    ns.sub         A     192.0.2.2
    deeper.sub     NS    ns.sub
    x.deeper.sub   A     192.0.2.3
    tree           DNAME ns1
    hidden.tree    TXT   "t"
    a.b.c          TXT   "t"
    """
)
CHILD = zone_of("@ NS ns", apex="child.sub.example.org.")
ZONES = {zone.apex: zone for zone in (ZONE, CHILD)}

ALLOWED = ["new", "text", "@", "b.c", "x.ns1", "*", "x.child.sub", "child.sub"]
REFUSED = {
    "ns1": ("clash", "ns1.example.org. has A records in the zone example.org. already"),
    "v6": ("clash", "v6.example.org. has AAAA records in the zone example.org. already"),
    "both": ("clash", "both.example.org. has A and AAAA records in the zone example.org. already"),
    "alias": ("clash", "alias.example.org. has CNAME records in the zone example.org. already"),
    "tree": ("clash", "tree.example.org. has DNAME records in the zone example.org. already"),
    "sub": ("occluded", "because sub.example.org. is delegated"),
    "new.sub": ("occluded", "because sub.example.org. is delegated"),
    "ns.sub": ("occluded", "because sub.example.org. is delegated"),
    "new.x.deeper.sub": ("occluded", "because sub.example.org. is delegated"),
    "new.tree": ("occluded", "because tree.example.org. has a DNAME"),
    "hidden.tree": ("occluded", "because tree.example.org. has a DNAME"),
}


def _full(name: str) -> bytes:
    return from_text("example.org." if name == "@" else f"{name}.example.org.")


@pytest.mark.parametrize("name", ALLOWED)
def test_name_can_carry_addresses_of_the_fleet(name: str) -> None:
    """New names, and names with other types only, the apex included, may be pools."""
    assert why_not_overlay(ZONES, _full(name)) is None


@pytest.mark.parametrize(("name", "expected"), REFUSED.items())
def test_name_that_cannot_carry_addresses_is_refused_with_the_reason(name: str, expected: tuple[str, str]) -> None:
    """The reason has a stable id, and its sentence names the owner and what stands in the way."""
    reason = why_not_overlay(ZONES, _full(name))
    assert reason is not None
    assert reason[0] == expected[0]
    assert expected[1] in reason[1]
    assert f"{name}.example.org." in reason[1]


def test_name_outside_every_zone_is_refused() -> None:
    """A name that no apex is above has the id `outside-zones`."""
    assert why_not_overlay(ZONES, from_text("pool.example.com.")) == (
        "outside-zones",
        "pool.example.com. is in none of the zones",
    )


def test_closest_zone_is_the_longest_apex() -> None:
    """The apex itself belongs to its zone, and a name outside to none."""
    assert closest_zone(ZONES, from_text("a.child.sub.example.org.")) is CHILD
    assert closest_zone(ZONES, CHILD.apex) is CHILD
    assert closest_zone(ZONES, from_text("sub.example.org.")) is ZONE
    assert closest_zone(ZONES, from_text("org.")) is None


def test_overlay_ancestors_are_the_missing_names_up_to_the_zone() -> None:
    """Names that the zone has, and the apex, need no empty non-terminal of the fleet."""
    owner = from_text("x.y.b.c.example.org.")
    assert [to_text(name) for name in overlay_ancestors(ZONES, owner)] == ["y.b.c.example.org."]
    assert list(overlay_ancestors(ZONES, ZONE.apex)) == []
    assert list(overlay_ancestors(ZONES, from_text("pool.example.com."))) == []


def test_merged_node_keeps_what_the_zone_has_and_the_zone_keeps_its_node() -> None:
    """The fleet's RRsets join those of the zone file in a new node."""
    name = from_text("text.example.org.")
    dynamic = addresses("192.0.2.1", "2001:db8::1")
    node = merged_node(ZONES, name, dynamic, fails=True)
    assert node == ZoneNode(rrsets={**ZONE.nodes[name].rrsets, **dynamic}, fails=True)
    assert set(node.rrsets) == {A, AAAA, TXT}
    assert set(ZONE.nodes[name].rrsets) == {TXT}


def test_zone_has_its_empty_non_terminals_cuts_and_occluded_names() -> None:
    """Every name up to the apex exists; the topmost cut or DNAME above a name is what hides it."""
    seen = {
        to_text(name).removesuffix("example.org."): (
            len(node.rrsets),
            node.cut,
            to_text(node.occluded_by) if node.occluded_by else None,
        )
        for name, node in ZONE.nodes.items()
    }
    sub, tree = "sub.example.org.", "tree.example.org."
    assert seen == {
        "": (2, False, None),
        "ns1.": (1, False, None),
        "v6.": (1, False, None),
        "both.": (2, False, None),
        "text.": (1, False, None),
        "alias.": (1, False, None),
        "sub.": (1, True, None),
        "ns.sub.": (1, False, sub),
        "deeper.sub.": (1, True, sub),
        "x.deeper.sub.": (1, False, sub),
        "tree.": (1, False, None),
        "hidden.tree.": (1, False, tree),
        "a.b.c.": (1, False, None),
        "b.c.": (0, False, None),
        "c.": (0, False, None),
    }


@pytest.mark.parametrize(("ttl", "minimum", "expected"), [(300, 60, 60), (30, 60, 30)])
def test_negative_ttl_is_the_lesser_of_the_two(ttl: int, minimum: int, expected: int) -> None:
    """RFC 2308 §5: the SOA's own TTL or its MINIMUM, whichever is less."""
    assert zone_of(f"@ {ttl} SOA ns1 hostmaster 1 2 3 4 {minimum}").negative_ttl == expected


def test_zone_without_soa_is_refused() -> None:
    """A zone that could not answer a negative question is not made."""
    with pytest.raises(ValueError, match="one SOA"):
        build_zone(from_text("example.org."), records_of("@ NS ns1", "example.org."))


def test_owner_outside_the_zone_is_refused() -> None:
    """An RRset that no question could find is a fault of the caller."""
    records = records_of("@ SOA ns1 hostmaster 1 2 3 4 5", "example.org.")
    records[from_text("example.com."), NS] = RRset(NS, 1, (b"\x00",))
    with pytest.raises(ValueError, match=r"example\.com\. is outside example\.org\."):
        build_zone(from_text("example.org."), records)
