"""What must hold of every packet, whatever is in it: the one place that all campaigns and the corpus are checked by.

A packet goes through the parser, the reader of options and four engines, each with a policy and a transport of its own.
A fault of ours raises out of here.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import dns.edns
import dns.flags
import dns.message
from dnslib import DNSRecord

from dnsd.core.constants import (
    AA,
    CLASSIC_UDP_SIZE,
    FORMERR,
    HEADER_SIZE,
    MAX_MESSAGE_SIZE,
    NOTIMP,
    OPTION_COOKIE,
    OPTION_EXTENDED_ERROR,
    OPTION_KEEPALIVE,
    OPTION_NSID,
    OPTION_PADDING,
    QR,
    RD,
    TC,
)
from dnsd.core.cookies import CLIENT_SIZE, WHOLE_SIZE, is_well_formed
from dnsd.core.edns import Edns
from dnsd.core.engine import Engine
from dnsd.core.limits import MAX_UDP_SIZE
from dnsd.core.message import OPCODE_MASK, Query, Salvage, parse_query, salvage
from dnsd.core.options import OptionReader
from dnsd.core.policy import AnswerPolicy
from dnsd.core.records import Snapshot
from dnsd.core.via import TCP, UDP, Transport, Via
from dnsd.errors import MessageError
from tests.support.dnsmessages import NOW, PEER, snapshot_of, zone_of

SECRETS = (bytes(range(16)), bytes(range(16, 32)))
TELLING = AnswerPolicy(
    nsid="a-server-with-a-name", version_text="dnsd", id_text="ns1", cookies=True, cookie_secrets=SECRETS
)
STRICT = AnswerPolicy(cookies=True, cookie_secrets=SECRETS, require_cookies=True, stale=True)

# Sizes of TXT records around the limits of UDP. Unit: bytes.
SIZES = (300, 400, 500, 700, 1000, 1100, 1200, 1400)


def world() -> Snapshot:
    """Return what the engines answer from: every kind of answer, small and large."""
    texts = "\n".join(f"t{size} TXT " + " ".join(f'"{"x" * 99}"' for _ in range(size // 100)) for size in SIZES)
    records = textwrap.dedent(
        f"""
        @        NS    ns1
        @        NS    ns.sub
        @        MX    10 edge
        ns1      A     192.0.2.53
        alias    CNAME edge
        a1       CNAME a2
        a2       CNAME far.example.net.
        loop     CNAME pool
        pool     CNAME loop
        tree     DNAME sub
        long     DNAME {".".join(["l" * 50] * 4)}.example.org.
        near     DNAME new
        *.new    A     192.0.2.80
        sub      NS    ns.sub
        sub      DS    1 13 2 {"00" * 32}
        ns.sub   A     192.0.2.54
        *.w      MX    10 edge
        a.b.deep TXT   "x"
        _s._tcp  SRV   0 0 1 edge
        svc      SVCB  1 edge alpn=h2
        svc2     SVCB  0 svc
        """
    )
    zone = zone_of(records + texts)
    other = zone_of("@ NS ns1.example.org.\nfar CNAME edge.example.org.", apex="example.net.")
    overlay = {"edge.example.org.": ["192.0.2.1", "192.0.2.2", "2001:db8::1"], "n1.nodes.example.org.": ["192.0.2.9"]}
    return snapshot_of(zone, other, overlay=overlay, failing=["down.example.org."])


@dataclass(frozen=True, slots=True)
class Way:
    """An engine, and what packets come to it over."""

    engine: Engine
    via: Via


class Checker:
    """Checks packets, one after another."""

    def __init__(self) -> None:
        snapshot = world()
        self.ways = (
            Way(Engine(snapshot, on_failure=_raise), UDP),
            Way(Engine(snapshot, policy=TELLING, on_failure=_raise), UDP),
            Way(Engine(snapshot, policy=STRICT, on_failure=_raise), UDP),
            Way(Engine(snapshot, policy=TELLING, on_failure=_raise), Via(Transport.TLS, idle_seconds=10.0)),
            Way(Engine(snapshot, on_failure=_raise), TCP),
        )
        self.readers = (OptionReader(TELLING), OptionReader(AnswerPolicy()))

    def check(self, packet: bytes) -> tuple[bytes, ...]:
        """Check everything that is said of a packet.

        Returns:
            The header of each response, without its ID; empty where there was none.
        """
        query = self._parsed(packet)
        found = salvage(packet) if len(packet) >= HEADER_SIZE else None
        if found is not None:
            assert found.question in packet
            self._read_options(packet, query, found)
        seen: set[bytes] = set()
        heads = []
        for way in self.ways:
            response = way.engine.respond(packet, now=NOW, via=way.via, peer=PEER)
            assert way.engine.failures == 0
            heads.append(response[2:HEADER_SIZE] if response is not None else b"")
            if response is None:
                assert found is None or found.flags & QR
                continue
            assert found is not None
            assert not found.flags & QR
            edns = found.edns if query is None else query.edns
            signed = query is not None and query.tsig is not None
            assert len(response) <= _limit(edns, way.via), way.via
            _check_header(packet, response, query, found)
            if response not in seen:
                seen.add(response)
                # What is itself a response gets none: two servers cannot be made to talk to each other.
                assert way.engine.respond(response, now=NOW, via=way.via, peer=PEER) is None
                _check_options(edns, response, way, signed=signed)
        return tuple(heads)

    def _parsed(self, packet: bytes) -> Query | None:
        try:
            query = parse_query(packet)
        except MessageError as refusal:
            _expect(refusal, FORMERR, NOTIMP)
            return None
        if query is None:
            assert len(packet) < HEADER_SIZE or packet[2] & 0x80
            return None
        assert packet.startswith(query.question, HEADER_SIZE)
        assert query.question[:-4].lower() == query.qname
        assert query.opcode == 0
        return query

    def _read_options(self, packet: bytes, query: Query | None, found: Salvage) -> None:
        if query is not None:
            assert query.edns == found.edns
        if found.edns is None or found.edns.version != 0:
            return
        assert found.edns.options in packet
        for reader in self.readers:
            try:
                reader.read(found.edns.options, via=TCP, peer=PEER, now=NOW)
            except MessageError as refusal:
                _expect(refusal, FORMERR)


def _expect(refusal: MessageError, *rcodes: int) -> None:
    assert refusal.rcode in rcodes


def _limit(edns: Edns | None, via: Via) -> int:
    if via.is_stream:
        return MAX_MESSAGE_SIZE
    return CLASSIC_UDP_SIZE if edns is None else min(max(edns.udp_size, CLASSIC_UDP_SIZE), MAX_UDP_SIZE)


def _check_header(packet: bytes, response: bytes, query: Query | None, found: Salvage) -> None:
    assert response[:2] == packet[:2]
    flags = int.from_bytes(response[2:4], "big")
    sent = int.from_bytes(packet[2:4], "big")
    assert flags & QR
    assert flags & OPCODE_MASK == sent & OPCODE_MASK
    assert not flags & ~(QR | OPCODE_MASK | AA | TC | RD | 0x0F)
    assert not flags & RD & ~sent
    question = found.question if query is None else query.question
    assert response[4:6] == bool(question).to_bytes(2, "big")
    assert response.startswith(question, HEADER_SIZE)
    if query is None:
        assert not flags & (AA | TC)
        assert response[6:10] == bytes(4)


def _check_options(edns: Edns | None, response: bytes, way: Way, *, signed: bool) -> None:
    """Two decoders read it, and its OPT says nothing that was not asked for, but for extended errors."""
    message = _decoded(response, signed=signed)
    assert (message.edns >= 0) is (edns is not None)
    asked = dict(_options(edns))
    said = [int(option.otype) for option in message.options]
    assert len(said) == len(set(said))
    policy, via = way.engine.policy, way.via
    allowed = {OPTION_EXTENDED_ERROR} if edns is not None else set()
    allowed |= {OPTION_NSID} if policy.nsid and OPTION_NSID in asked else set()
    allowed |= {OPTION_COOKIE} if policy.cookie_secrets and OPTION_COOKIE in asked else set()
    allowed |= {OPTION_KEEPALIVE} if via.idle_seconds and asked.get(OPTION_KEEPALIVE) == b"" else set()
    allowed |= {OPTION_PADDING} if via.is_encrypted and OPTION_PADDING in asked else set()
    assert set(said) <= allowed
    cookie = asked.get(OPTION_COOKIE, b"")
    if OPTION_COOKIE in said:
        (answered,) = [option.to_wire() for option in message.options if option.otype == OPTION_COOKIE]
        assert is_well_formed(cookie)
        assert answered is not None
        assert (len(answered), answered[:CLIENT_SIZE]) == (WHOLE_SIZE, cookie[:CLIENT_SIZE])


def _decoded(response: bytes, *, signed: bool) -> dns.message.Message:
    """Decode a response with dnspython and with dnslib, which must see the same in it.

    dnslib takes labels for UTF-8 and refuses others; where a question has such a label, dnspython is alone. It is so
    too where a response is signed, with a key of nobody, which dnspython is told not to look for.
    """
    message = dns.message.from_wire(response, keyring=False, one_rr_per_rrset=True)
    if signed or not all(_is_utf8(label) for question in message.question for label in question.name.labels):
        return message
    other = DNSRecord.parse(response)
    assert (message.id, message.flags) == (other.header.id, other.header.bitmap)
    for ours, theirs in ((message.answer, other.rr), (message.authority, other.auth)):
        assert [_folded(rrset.name.labels) for rrset in ours] == [_folded((*rr.rname.label, b"")) for rr in theirs]
        assert [(int(rrset.rdtype), rrset.ttl) for rrset in ours] == [(rr.rtype, rr.ttl) for rr in theirs]
    assert len(message.additional) + (message.edns >= 0) == len(other.ar)
    return message


def _folded(labels: Sequence[bytes]) -> list[bytes]:
    return [label.lower() for label in labels]


def _is_utf8(label: bytes) -> bool:
    try:
        label.decode()
    except UnicodeDecodeError:
        return False
    return True


def _options(edns: Edns | None) -> list[tuple[int, bytes]]:
    """Return the options of a query, the first of each kind last, so that it is the one that counts."""
    if edns is None or edns.version != 0:
        return []
    found, offset, data = [], 0, edns.options
    while offset < len(data):
        size = int.from_bytes(data[offset + 2 : offset + 4], "big")
        found.append((int.from_bytes(data[offset : offset + 2], "big"), data[offset + 4 : offset + 4 + size]))
        offset += 4 + size
    return found[::-1]


def _raise(failure: Exception) -> None:
    raise failure
