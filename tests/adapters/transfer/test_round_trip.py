"""Whatever a zone and its changes are, what dnspython makes of a transfer is the zone."""

from __future__ import annotations

import time
from dataclasses import dataclass

import dns.message
import dns.name
import dns.rdatatype
import dns.xfr
import dns.zone
from hypothesis import given
from hypothesis import strategies as st

from dnsd.adapters.transfer.answering import TransferResponder
from dnsd.config.transfer import TransferKey
from dnsd.core.constants import TXT, A
from dnsd.core.zoneversion import ZoneRecord
from tests.adapters.transfer.world import (
    ALGORITHMS,
    APEX,
    FIRST_SERIAL,
    Versions,
    contents,
    expected,
    key,
    keyring_of,
    record,
    secondary,
    serial_of,
    settings,
    signed,
)

_UNKNOWN = 65280
NS_RECORD = record("example.org. 300 NS ns1.example.org.")
_labels = st.one_of(
    st.sampled_from([b"a", b"A", b"b", b"*", b"x" * 63]), st.binary(min_size=1, max_size=12), st.just(b"\x07example")
)
# An owner stands in one case in a version and in another one, maybe, in the next.
_owners = (
    st.lists(_labels, max_size=4)
    .map(lambda labels: b"".join(bytes([len(each)]) + each for each in labels) + APEX)
    .filter(lambda name: len(name) <= 255)
)
_rdatas = {
    A: st.binary(min_size=4, max_size=4),
    TXT: st.one_of(st.binary(max_size=255), st.just(b"y" * 255)).map(lambda text: bytes([len(text)]) + text),
    _UNKNOWN: st.binary(max_size=600),
}
_ttls = st.sampled_from([0, 60, 2**31 - 1])

# (folded owner, type) → TTL, owner as written, data
RRsets = dict[tuple[bytes, int], tuple[int, bytes, frozenset[bytes]]]


@st.composite
def rrsets(draw: st.DrawFn) -> RRsets:
    """Draw the RRsets of a zone, without its SOA."""
    found: RRsets = {}
    for owner in draw(st.lists(_owners, max_size=12)):
        kind = draw(st.sampled_from([A, TXT, _UNKNOWN]))
        found[owner.lower(), kind] = draw(_ttls), owner, draw(st.frozensets(_rdatas[kind], min_size=1, max_size=4))
    return found


@st.composite
def changed(draw: st.DrawFn, before: RRsets) -> RRsets:
    """Draw what some RRsets become: some go, some come, some have other data or another TTL."""
    kept = {each: before[each] for each in before if draw(st.integers(0, 3))}
    for each in list(kept):
        if draw(st.integers(0, 3)) == 0:
            ttl, owner, rdatas = kept[each]
            more = draw(st.frozensets(_rdatas[each[1]], max_size=2))
            kept[each] = draw(st.sampled_from([ttl, 60])), owner, more or rdatas
    return {**kept, **draw(rrsets())}


def records_of(found: RRsets) -> list[ZoneRecord]:
    """Return the records of RRsets, and the NS that every zone has."""
    return [NS_RECORD] + [
        ZoneRecord(owner, kind, ttl, rdata) for (_, kind), (ttl, owner, all_) in found.items() for rdata in all_
    ]


@dataclass(slots=True)
class History:
    """A zone that changed, and how it was at first."""

    versions: Versions
    first: list[ZoneRecord]


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Draw a zone and up to four changes of it."""
    now = draw(rrsets())
    serial = draw(st.sampled_from([FIRST_SERIAL, 0, 2**32 - 2]))
    history = History(Versions(records_of(now), serial=serial), records_of(now))
    for _ in range(draw(st.integers(0, 4))):
        after = draw(changed(now))
        gone, come = set(records_of(now)), set(records_of(after))
        # An RRset whose owner is written in another case differs as well; it is of the same name all the same.
        history.versions.change(
            removed=[each for each in records_of(now) if each not in come],
            added=[each for each in records_of(after) if each not in gone],
            step=draw(st.sampled_from([1, 1000])),
        )
        now = after
    return history


def inbound(responder: TransferResponder, zone: dns.zone.Zone, of: TransferKey | None) -> str:
    """Bring a zone up to date as a secondary does: by IXFR where it has a serial, else by AXFR.

    Returns:
        What the request is counted as.
    """
    query, serial = dns.xfr.make_query(zone)
    if of is not None:
        signed(query, of)
    kind = dns.rdatatype.AXFR if serial is None else dns.rdatatype.IXFR
    reply = responder.answer(query.to_wire(), peer="127.0.0.1", over_tcp=True)
    assert reply is not None
    context = None
    with dns.xfr.Inbound(zone, kind, serial) as machine:
        for message in filter(None, reply.messages):
            response = dns.message.from_wire(
                message,
                keyring=False if of is None else keyring_of(of),
                request_mac=query.mac or b"",
                xfr=True,
                origin=zone.from_wire_origin(),
                tsig_ctx=context,
                multi=True,
                one_rr_per_rrset=serial is not None,
            )
            context = response.tsig_ctx
            done = machine.process_message(response)
        assert done
    return reply.outcome.result


@given(
    history=histories(),
    of=st.one_of(st.none(), st.sampled_from([key(algorithm=algorithm) for algorithm in ALGORITHMS])),
)
def test_what_a_secondary_has_is_what_there_is(history: History, of: TransferKey | None) -> None:
    """A secondary with any former version, and one with none, have exactly the records of the current one."""
    versions = history.versions
    responder = TransferResponder(versions, settings(secondary(signs=of)), clock=time.time)
    fresh = dns.zone.Zone(dns.name.from_text("example.org."), relativize=False)
    assert inbound(responder, fresh, of) == "axfr"
    assert (serial_of(fresh), contents(fresh)) == (versions.serial, expected(versions.held()))

    serial = versions.history[0][0] if versions.history else versions.serial
    first = Versions(history.first, serial=serial)
    former = dns.zone.Zone(dns.name.from_text("example.org."), relativize=False)
    inbound(TransferResponder(first, settings(secondary(signs=of)), clock=time.time), former, of)
    assert contents(former) == expected(history.first)
    assert inbound(responder, former, of) in ("ixfr", "ixfr_as_axfr", "soa")
    assert (serial_of(former), contents(former)) == (versions.serial, expected(versions.held()))
