"""SRV, SVCB and HTTPS data byte for byte, read by an independent decoder; and records that are put together."""

from __future__ import annotations

import copy
import pickle
import re
from ipaddress import ip_address

import dns.rdata
import dns.rdataclass
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsd.core.constants import HTTPS, SRV, A
from dnsd.core.names import ROOT, from_text
from dnsd.core.records import Rotation, RRset
from dnsd.core.sampling import Weighted
from dnsd.core.selection import Member
from dnsd.core.services import hints, service_rdata, srv_rdata, srv_weights
from dnsd.core.spread import Composed, one_after_the_other, spread
from dnsd.model.drain import Mode
from dnsd.model.pool import Service
from dnsd.model.report import Health
from tests.support.fleets import node

TARGET = from_text("edge-1.nodes.example.org.")


def read(rdtype: int, rdata: bytes) -> str:
    """Return what dnspython reads, which must make the same bytes of it again."""
    kind = dns.rdatatype.RdataType.make(rdtype)
    found = dns.rdata.from_wire(dns.rdataclass.IN, kind, rdata, 0, len(rdata))
    assert found.to_wire() == rdata
    assert dns.rdata.from_text(dns.rdataclass.IN, kind, found.to_text()) == found
    return found.to_text()


def packed(*texts: str) -> list[bytes]:
    return [ip_address(text).packed for text in texts]


def test_srv_data_is_priority_weight_port_and_target() -> None:
    """RFC 2782, the format."""
    rdata = srv_rdata(priority=10, weight=65535, port=1935, target=TARGET)
    assert read(SRV, rdata) == "10 65535 1935 edge-1.nodes.example.org."


@pytest.mark.parametrize(
    ("service", "port", "target", "addresses", "text"),
    [
        (Service(), None, ROOT, [], "1 ."),
        (Service(alpn=("h2", "h3")), None, ROOT, [], '1 . alpn="h2,h3"'),
        (
            *(Service(alpn=("h2",), default_alpn=False), 443, TARGET, ["::1", "192.0.2.1"]),
            '1 edge-1.nodes.example.org. alpn="h2" no-default-alpn port="443" ipv4hint="192.0.2.1" ipv6hint="::1"',
        ),
        (Service(), None, ROOT, ["2001:db8::1"], '1 . ipv6hint="2001:db8::1"'),
        (Service(), 443, ROOT, ["192.0.2.2", "192.0.2.1"], '1 . port="443" ipv4hint="192.0.2.2,192.0.2.1"'),
    ],
)
def test_service_data_in_presentation_format(
    service: Service, port: int | None, target: bytes, addresses: list[str], text: str
) -> None:
    """RFC 9460 §2.2: keys rise, a family without an address has no hint."""
    rdata = service_rdata(service, priority=1, target=target, port=port) + hints(packed(*addresses))
    assert read(HTTPS, rdata) == text


@given(
    st.lists(st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=20), unique=True),
    st.none() | st.integers(1, 65535),
    st.lists(st.ip_addresses().map(lambda address: address.packed), max_size=6, unique=True),
)
def test_any_service_data_is_read_as_it_was_meant(alpn: list[str], port: int | None, addresses: list[bytes]) -> None:
    """Whatever protocols, port and addresses there are, a decoder finds them again."""
    rdata = service_rdata(Service(alpn=tuple(alpn)), priority=7, target=TARGET, port=port) + hints(addresses)
    text = read(HTTPS, rdata)
    assert (f'alpn="{",".join(alpn)}"' in text) is bool(alpn)
    assert (f'port="{port}"' in text) is (port is not None)
    hinted = [each for hint in re.findall(r'hint="(.*?)"', text) for each in hint.split(",")]
    by_family = sorted(addresses, key=len)  # sorting is stable
    assert [ip_address(each).packed for each in hinted] == by_family


def members(*parts: tuple[int, float]) -> list[Member]:
    return [Member(node("n", weight=weight), Mode.NORMAL, Health.UP, share) for weight, share in parts]


@pytest.mark.parametrize(
    ("parts", "weights"),
    [
        ([(100, 1.0), (50, 1.0)], [100, 50]),
        ([(65_535, 1.0), (1, 1.0)], [65_535, 1]),
        ([(1_000_000, 1.0), (500_000, 1.0), (1, 1.0)], [65_535, 32_767, 1]),
        ([(100, 1.0), (100, 0.3)], [1000, 300]),
        ([(1, 1.0), (1, 0.1)], [10, 1]),
        ([(60_000, 1.0), (60_000, 0.5)], [65_535, 32_767]),
        ([], []),
    ],
)
def test_srv_weights_are_in_proportion_and_never_nothing(parts: list[tuple[int, float]], weights: list[int]) -> None:
    """As configured where two bytes hold them and nobody is on a ramp; a record of weight 0 would hardly be used."""
    assert srv_weights(members(*parts)) == weights


def two_parts() -> Composed:
    first = spread(A, 30, [Weighted(b"aaaa", 1), Weighted(b"bbbb", 1)], max_answers=8)
    second = spread(A, 30, [Weighted(letter * 4, 1) for letter in (b"c", b"d", b"e")], max_answers=1)
    return Composed(A, 30, (first, second), one_after_the_other)


def test_a_composed_answer_has_the_next_turn_of_each_part() -> None:
    """The first part rotates, of the second each answer holds one; in a while all are seen."""
    composed = two_parts()
    picked = [composed.pick().rdatas for _ in range(12)]
    assert [rdatas[0] for rdatas in picked[:4]] == [b"aaaa", b"bbbb"] * 2
    assert {rdatas[2:] for rdatas in picked} == {(b"cccc",), (b"dddd",), (b"eeee",)}
    assert composed.rdatas == (b"aaaa", b"bbbb", b"cccc", b"dddd", b"eeee")
    assert picked[0] == RRset(A, 30, picked[0]).rdatas


def test_copies_of_composed_records_take_turns_of_their_own() -> None:
    """A copy, and one that went to a worker, are equal to it and leave its turn as it is."""
    composed = two_parts()
    expected = [two_parts().pick().rdatas, composed.rdatas]
    for other in (copy.copy(composed), pickle.loads(pickle.dumps(composed))):
        assert other == composed
        assert hash(other) == hash(composed)
        other.pick()
    assert [composed.pick().rdatas, composed.rdatas] == expected
    assert composed != Rotation((RRset(A, 30, (b"aaaa",)),))
