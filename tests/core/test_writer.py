"""How responses are made to fit: size limits, truncation, and compression."""

from __future__ import annotations

import dns.message
import dns.name
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dnsd.core.answer import Answer
from dnsd.core.constants import CNAME, MX, NS, SOA, SRV, TXT, A
from dnsd.core.engine import Engine
from dnsd.core.limits import MAX_POINTER_HOPS
from dnsd.core.message import parse_query
from dnsd.core.records import RRset
from dnsd.core.via import TCP, UDP, Via
from dnsd.core.writer import write_response
from tests.support.dnsmessages import NOW, ask, decode, engine_of, query, shown, zone_of

ADDRESSES = [f"192.0.2.{number}" for number in range(1, 101)]
HEAD = 12 + len(b"\x04pool\x07example\x03org\x00") + 4
OPT = 11
A_SIZE = 16


def respond(
    engine: Engine,
    question: str,
    *,
    via: Via = UDP,
    edns: int | None = None,
    udp_size: int = 1232,
) -> bytes:
    packet = query(question, edns=edns, udp_size=udp_size)
    response = engine.respond(packet, now=NOW, via=via, peer="")
    assert response is not None
    return response


@pytest.mark.parametrize(
    ("udp_size", "limit"), [(None, 512), (0, 512), (511, 512), (700, 700), (1232, 1232), (65535, 1232)]
)
def test_udp_response_is_truncated_one_record_above_its_limit(udp_size: int | None, limit: int) -> None:
    """The most addresses that fit are sent whole; one more makes an empty response with TC and the OPT."""
    opt_size = OPT if udp_size is not None else 0
    most = (limit - HEAD - opt_size) // A_SIZE
    fits, above = (
        respond(
            engine_of(zone_of(""), overlay={"pool.example.org.": ADDRESSES[:count]}),
            "pool.example.org. A",
            edns=None if udp_size is None else 0,
            udp_size=udp_size or 0,
        )
        for count in (most, most + 1)
    )
    assert len(decode(fits).answer) == most
    assert limit - A_SIZE < len(fits) <= limit
    assert shown(decode(above)) == "NOERROR aa tc"
    assert decode(above).edns == (-1 if udp_size is None else 0)
    assert len(above) == HEAD + opt_size


def test_exact_fit_is_not_truncated() -> None:
    """The limit itself may be reached: 1232 bytes are sent over UDP, and 1233 are not."""
    fixed = 12 + len(b"\x01t\x07example\x03org\x00") + 4 + 12 + OPT
    room = 1232 - fixed
    for size, rcode_line in ((room, "NOERROR aa"), (room + 1, "NOERROR aa tc")):
        strings = " ".join(f'"{"x" * min(255, left - 1)}"' for left in range(size, 0, -256))
        response = respond(engine_of(zone_of(f"t TXT {strings}")), "t.example.org. TXT", edns=0)
        assert shown(decode(response)).splitlines()[0] == rcode_line
    assert len(respond(engine_of(zone_of(f"t TXT {strings}")), "t.example.org. TXT", via=TCP, edns=0)) == 1233


def test_tcp_carries_what_udp_truncates() -> None:
    """Over TCP the limit is that of the length field, with EDNS or without."""
    engine = engine_of(zone_of(""), overlay={"pool.example.org.": ADDRESSES})
    assert len(ask(engine, "pool.example.org. A", via=TCP).answer) == 100
    assert len(ask(engine, "pool.example.org. A", via=TCP, edns=0).answer) == 100


def test_chain_without_room_for_its_end_is_truncated_as_a_whole() -> None:
    """Where a chain's last RRset does not fit, no alias is sent without what it leads to."""
    engine = engine_of(zone_of("alias CNAME pool"), overlay={"pool.example.org.": ADDRESSES})
    assert shown(ask(engine, "alias.example.org. A", edns=0)) == "NOERROR aa tc"


def test_optional_addresses_are_left_out_without_a_word() -> None:
    """Additional addresses that do not fit are dropped an RRset at a time, and TC stays clear."""
    big = "\n".join(f"big A {address}" for address in ADDRESSES)
    response = ask(engine_of(zone_of(f"m MX 1 big\nm MX 2 small\n{big}\nsmall A 192.0.2.200")), "m.example.org. MX")
    assert shown(response).splitlines()[0] == "NOERROR aa"
    assert [rrset.name.to_text() for rrset in response.additional] == ["small.example.org."]


def test_referral_without_room_for_its_in_domain_glue_is_truncated() -> None:
    """RFC 9471: TC is set where glue below the cut does not fit; glue of a sibling may be left out."""
    glue = "\n".join(f"ns.sub A {address}" for address in ADDRESSES)
    assert shown(ask(engine_of(zone_of(f"sub NS ns.sub\n{glue}")), "x.sub.example.org. A")) == "NOERROR tc"
    sibling = glue.replace("ns.sub", "ns.next")
    response = ask(engine_of(zone_of(f"sub NS ns.next\nnext NS ns.next\n{sibling}")), "x.sub.example.org. A")
    assert shown(response) == "NOERROR\nauthority:\n  sub.example.org. 300 NS ns.next.example.org."


def test_names_are_compressed_in_owners_and_in_old_types_only() -> None:
    """RFC 3597 §4: MX RDATA is compressed, SRV RDATA is not; owners always are."""
    mx = respond(engine_of(zone_of("m MX 10 m")), "m.example.org. MX")
    assert mx.endswith(b"\x00\x04\x00\x0a\xc0\x0c")
    srv = respond(engine_of(zone_of("m SRV 0 0 1 m")), "m.example.org. SRV")
    assert srv.endswith(b"\x01m\x07example\x03org\x00")
    denial = respond(engine_of(zone_of("")), "no.example.org. A")
    assert denial.count(b"\x07example") == 1


def test_dropped_rrset_leaves_no_pointer_into_it() -> None:
    """A name that was written only in an RRset that did not fit is written out again where it next stands."""
    parsed = parse_query(query("q.example.org. MX"))
    assert parsed is not None
    target = b"\x06target\x04next\x00"
    huge = RRset(TXT, 1, (b"\xff" + b"x" * 255, b"\xff" + b"y" * 255))
    answer = Answer(additional=[(target, huge), (target, RRset(A, 1, (b"\xc0\x00\x02\x01",)))])
    decoded = decode(write_response(parsed, answer, limit=512))
    assert shown(decoded) == "NOERROR\nadditional:\n  target.next. 1 A 192.0.2.1"


LABELS = st.sampled_from([b"a", b"b", b"C", b"x" * 63])
NAMES = st.lists(LABELS, max_size=3).map(
    lambda labels: b"".join(bytes([len(label)]) + label for label in labels) + b"\x00"
)
RDATAS = {
    NS: NAMES,
    CNAME: NAMES,
    MX: st.builds(bytes.__add__, st.binary(min_size=2, max_size=2), NAMES),
    SRV: st.builds(bytes.__add__, st.binary(min_size=6, max_size=6), NAMES),
    SOA: st.builds(lambda a, b, c: a + b + c, NAMES, NAMES, st.binary(min_size=20, max_size=20)),
    A: st.binary(min_size=4, max_size=4),
    65280: st.binary(max_size=300),
}
RRSETS = st.sampled_from(sorted(RDATAS)).flatmap(
    lambda rdtype: st.builds(
        RRset, st.just(rdtype), st.integers(0, 2**31 - 1), st.lists(RDATAS[rdtype], min_size=1, max_size=3).map(tuple)
    )
)
SECTIONS = st.lists(st.tuples(NAMES.map(bytes.lower), RRSETS), max_size=4)


@given(qname=NAMES, answer=SECTIONS, authority=SECTIONS, glue=SECTIONS, limit=st.integers(512, 4096))
@example(
    qname=b"\x01a\x00",
    answer=[(b"\x01a\x00", RRset(A, 0, (bytes(4),)))],
    authority=[],
    glue=[(b"\x01b\x00", RRset(A, 0, (bytes(4),)))],
    limit=512,
)
def test_decoding_gives_back_what_was_written(
    qname: bytes,
    answer: list[tuple[bytes, RRset]],
    authority: list[tuple[bytes, RRset]],
    glue: list[tuple[bytes, RRset]],
    limit: int,
) -> None:
    """Whatever the sections hold, dnspython reads the same records from the message, or it is truncated and empty."""
    question = dns.message.make_query(dns.name.from_wire(qname, 0)[0], "A", use_edns=0)
    parsed = parse_query(question.to_wire())
    assert parsed is not None
    wire = write_response(parsed, Answer(answer=answer, authority=authority, glue=glue), limit=limit)
    assert len(wire) <= limit
    message = dns.message.from_wire(wire, one_rr_per_rrset=True)
    sections = [message.answer, message.authority, message.additional]
    if message.flags & 0x0200:
        assert sections == [[], [], []]
        return
    read = [
        [
            (rrset.name.to_wire().lower(), int(rrset.rdtype), rrset.ttl, (rrset[0].to_wire() or b"").lower())  # type: ignore[union-attr]
            for rrset in section
        ]
        for section in sections
    ]
    assert read == [
        [(owner, rrset.rdtype, rrset.ttl, rdata.lower()) for owner, rrset in section for rdata in rrset.rdatas]
        for section in (answer, authority, glue)
    ]


def test_growing_names_do_not_make_endless_pointers() -> None:
    """No name needs more than `MAX_POINTER_HOPS` pointers, though each one adds a label to the one before."""
    parsed = parse_query(query("a.org. NS"))
    assert parsed is not None
    names = [b"\x01a" * (count + 1) + b"\x03org\x00" for count in range(40)]
    wire = write_response(parsed, Answer(answer=[(name, RRset(NS, 1, (name,))) for name in names]), limit=65535)
    assert len(decode(wire).answer) == 40
    assert max(_hops(wire, offset) for offset in range(12, len(wire) - 1) if wire[offset] == 0xC0) <= MAX_POINTER_HOPS


def _hops(wire: bytes, offset: int) -> int:
    """Count the pointers from one to the end of its name."""
    hops = 0
    while size := wire[offset]:
        if size == 0xC0:
            hops += 1
            offset = wire[offset + 1]
        else:
            offset += size + 1
    return hops
