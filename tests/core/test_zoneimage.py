"""The image of a zone: it is the tree of objects, in another form."""

from __future__ import annotations

import pickle
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnsd.core import zoneimage
from dnsd.core.constants import AAAA, CNAME, DNAME, DS, MX, NS, SOA, SRV, TXT, A
from dnsd.core.engine import Engine
from dnsd.core.names import from_text
from dnsd.core.records import RRset, Snapshot, Zone
from dnsd.core.via import Transport, Via
from dnsd.core.zonebuild import build_zone, zone_of
from dnsd.core.zoneimage import HEADER, DamagedImage, ZoneImage, count_records
from dnsd.core.zoneimage_build import build_image
from dnsd.sharedbytes import SharedBytes

APEX = from_text("example.")
SOA_RDATA = from_text("ns.example.") * 2 + bytes(16) + (60).to_bytes(4, "big")

RRsets = dict[tuple[bytes, int], RRset]

_labels = st.sampled_from(["a", "b", "*", "long-label", "c"])
_owners = st.lists(_labels, max_size=4).map(lambda labels: from_text(".".join([*labels, "example."])))
_hosts = _owners | st.just(from_text("elsewhere."))
_rdatas = {
    A: st.binary(min_size=4, max_size=4),
    AAAA: st.binary(min_size=16, max_size=16),
    NS: _hosts,
    CNAME: _hosts,
    DNAME: _hosts,
    MX: _hosts.map(lambda host: b"\0\x05" + host),
    SRV: _hosts.map(lambda host: bytes(6) + host),
    TXT: st.binary(max_size=40).map(lambda text: bytes([len(text)]) + text),
    DS: st.just(bytes(24)),
}


@st.composite
def rrsets_of_a_zone(draw: st.DrawFn) -> RRsets:
    """Any RRsets below an apex, whether or not they may stand together."""
    found: RRsets = {(APEX, SOA): RRset(SOA, 300, (SOA_RDATA,))}
    for owner, rdtype in draw(st.lists(st.tuples(_owners, st.sampled_from(sorted(_rdatas))), max_size=14)):
        most = 1 if rdtype in (CNAME, DNAME) else 4
        rdatas = draw(st.lists(_rdatas[rdtype], min_size=1, max_size=most, unique=True))
        found[owner, rdtype] = RRset(rdtype, draw(st.integers(0, 2**31 - 1)), tuple(rdatas))
    return found


def image_of(rrsets: RRsets) -> bytearray:
    types: dict[bytes, frozenset[int]] = {}
    for owner, rdtype in rrsets:
        types[owner] = types.get(owner, frozenset()) | {rdtype}
    return build_image(APEX, types, rrsets)


def as_image(rrsets: RRsets) -> Zone:
    return zone_of(APEX, ZoneImage(SharedBytes.of(image_of(rrsets)), verify=True))


@given(rrsets=rrsets_of_a_zone(), other=_hosts)
def test_an_image_is_the_mapping_that_it_was_made_of(rrsets: RRsets, other: bytes) -> None:
    """Names, nodes with cuts and occluders, the negative TTL and the number of records are those of the tree."""
    tree, zone = build_zone(APEX, rrsets), as_image(rrsets)
    assert dict(zone.nodes) == tree.nodes
    assert len(zone.nodes) == len(tree.nodes)
    assert zone.nodes.get(other) == tree.nodes.get(other)
    assert (other in zone.nodes) == (other in tree.nodes)
    assert replace(zone, nodes={}) == replace(tree, nodes={})
    assert count_records(zone) == count_records(tree)


@settings(deadline=None)
@given(
    rrsets=rrsets_of_a_zone(),
    questions=st.lists(st.tuples(_hosts, st.sampled_from([*_rdatas, SOA, 255])), min_size=1, max_size=8),
)
def test_answers_are_the_same_from_an_image(rrsets: RRsets, questions: list[tuple[bytes, int]]) -> None:
    """Whole responses agree byte by byte, first time and again."""
    tree, image = (Engine(Snapshot(1, 1, {APEX: zone}, {})) for zone in (build_zone(APEX, rrsets), as_image(rrsets)))
    for name, rdtype in questions * 2:
        packet = bytes([0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]) + name + rdtype.to_bytes(2, "big") + b"\0\1"
        via = Via(Transport.TCP)
        answers = [engine.respond(packet, now=1.0, via=via, peer="") for engine in (tree, image)]
        assert answers[0] == answers[1]
    assert (tree.failures, image.failures) == (0, 0)


@given(rrsets=rrsets_of_a_zone())
def test_the_same_zone_makes_the_same_image(rrsets: RRsets) -> None:
    """Bytes are equal where the zones are, and images compare by them."""
    assert image_of(rrsets) == image_of(rrsets)
    assert as_image(rrsets) == as_image(rrsets)
    other = {**rrsets, (APEX, SOA): RRset(SOA, 301, (SOA_RDATA,))}
    assert as_image(rrsets) != as_image(other)


@given(place=st.integers(0), change=st.integers(1, 255), compared=st.integers(1, 4096))
def test_images_differ_by_any_byte(place: int, change: int, compared: int) -> None:
    """However much is compared at a time, a copy is equal, and what has another byte behind the header is not."""
    image = image_of(small_rrsets())
    other = bytearray(image)
    other[HEADER.size + place % (len(image) - HEADER.size)] ^= change
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zoneimage, "COMPARED_SIZE", compared)
        first, copy, different = (ZoneImage(SharedBytes.of(each)) for each in (image, image, other))
        assert first == copy
        assert first != different


def small_rrsets() -> RRsets:
    hosts = {(from_text(f"host{number}.example."), A): RRset(A, 60, (bytes(4),)) for number in range(30)}
    return {(APEX, SOA): RRset(SOA, 300, (SOA_RDATA,)), **hosts}


def test_nodes_that_were_asked_for_are_kept_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that was asked for is there at once the next time; no more than so many are kept."""
    monkeypatch.setattr(zoneimage, "MAX_KEPT_NODES", 8)
    nodes = as_image(small_rrsets()).nodes
    assert isinstance(nodes, ZoneImage)
    assert nodes[APEX] is nodes[APEX]
    for number in range(30):
        assert nodes[from_text(f"host{number}.example.")].rrsets.keys() == {A}
        assert len(nodes._kept) <= 8


def test_a_missing_name_is_a_missing_key() -> None:
    """It is no node by any way of asking."""
    nodes = as_image(small_rrsets()).nodes
    missing = from_text("host99.example.")
    assert nodes.get(missing) is None
    assert missing not in nodes
    with pytest.raises(KeyError):
        nodes[missing]


@given(place=st.integers(0), change=st.integers(1, 255))
def test_a_byte_that_differs_is_found(place: int, change: int) -> None:
    """Where it is verified, an image with any other byte is refused."""
    image = image_of(small_rrsets())
    image[place % len(image)] ^= change
    with pytest.raises(DamagedImage):
        ZoneImage(SharedBytes.of(image), verify=True)


@given(size=st.integers(1, 2000))
def test_a_part_of_an_image_is_refused(size: int) -> None:
    """Whether or not it is verified, an image that is cut or longer than it says is refused."""
    image = image_of(small_rrsets())
    with pytest.raises(DamagedImage):
        ZoneImage(SharedBytes.of(image[: min(size, len(image) - 1)]))
    with pytest.raises(DamagedImage):
        ZoneImage(SharedBytes.of(image + bytes(size)))


@pytest.mark.parametrize("rrsets", [{}, {(APEX, SOA): RRset(SOA, 1, (SOA_RDATA, SOA_RDATA[:-1] + b"1"))}])
def test_an_image_needs_one_soa(rrsets: RRsets) -> None:
    """A zone without one SOA record at its apex is none."""
    with pytest.raises(ValueError, match="SOA"):
        image_of(rrsets)


def test_an_owner_outside_the_zone_is_refused() -> None:
    """Such an owner would be found by nobody."""
    rrsets = {**small_rrsets(), (from_text("www.other."), A): RRset(A, 60, (bytes(4),))}
    with pytest.raises(ValueError, match="outside"):
        image_of(rrsets)


def test_an_image_can_be_pickled_whole() -> None:
    """Outside a channel of workers it goes as its bytes."""
    zone = as_image(small_rrsets())
    assert pickle.loads(pickle.dumps(zone)) == zone
