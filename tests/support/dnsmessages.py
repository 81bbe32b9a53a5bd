"""DNS cases in presentation format: zones from text, questions, and responses read by two independent decoders."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from ipaddress import ip_address

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.zonefile
from dnslib import DNSRecord

from dnsd.core.engine import Engine
from dnsd.core.names import from_text
from dnsd.core.owners import merged_node, overlay_ancestors
from dnsd.core.records import Answerable, Overlay, Rotation, RRset, Snapshot, Zone, ZoneNode
from dnsd.core.via import UDP, Via
from dnsd.core.zonebuild import build_zone

DEFAULT_TTL_SECONDS = 300
DEFAULT_POOL_TTL_SECONDS = 30
NOW = 1_700_000_000.0
PEER = "198.51.100.7"


def records_of(text: str, origin: str) -> dict[tuple[bytes, int], RRset]:
    """Read records, one a line as `owner [ttl] type rdata`, into RRsets by folded owner and type."""
    rrsets = dns.zonefile.read_rrsets(
        textwrap.dedent(text),
        origin=dns.name.from_text(origin),
        relativize=False,
        default_ttl=DEFAULT_TTL_SECONDS,
        rdclass=dns.rdataclass.IN,
    )
    return {
        (folded(rrset.name), int(rrset.rdtype)): RRset(
            int(rrset.rdtype), rrset.ttl, tuple(rdata.to_wire() or b"" for rdata in rrset)
        )
        for rrset in rrsets
    }


def zone_of(text: str, *, apex: str = "example.org.") -> Zone:
    """Make a zone of text; one without an SOA line gets one with a negative TTL of 60 seconds."""
    rrsets = records_of(text, apex)
    if not any(rdtype == dns.rdatatype.SOA for _, rdtype in rrsets):
        rrsets |= records_of(f"@ {DEFAULT_TTL_SECONDS} SOA ns1 hostmaster 1 7200 900 1209600 60", apex)
    return build_zone(from_text(apex), rrsets)


def folded(name: dns.name.Name) -> bytes:
    """Return a name as the core keeps it."""
    return name.to_wire().lower()  # type: ignore[union-attr]


def addresses(*texts: str, ttl: int = DEFAULT_POOL_TTL_SECONDS, turns: int = 1) -> dict[int, Answerable]:
    """Return the A and AAAA RRsets of a pool; with `turns` above 1, each rotates through so many orders."""
    rrsets: dict[int, Answerable] = {}
    for version, rdtype in ((4, 1), (6, 28)):
        packed = tuple(ip_address(text).packed for text in texts if ip_address(text).version == version)
        if packed:
            rrsets[rdtype] = Rotation(tuple(RRset(rdtype, ttl, packed[turn:] + packed[:turn]) for turn in range(turns)))
    return rrsets


def snapshot_of(
    *zones: Zone, overlay: Mapping[str, Sequence[str]] | None = None, failing: Sequence[str] = ()
) -> Snapshot:
    """Make a snapshot of zones and of owners with addresses of the fleet.

    Args:
        overlay: addresses by owner; none: an empty pool.
        failing: owners of empty pools that answer SERVFAIL.
    """
    by_apex = {zone.apex: zone for zone in zones}
    nodes: Overlay = {}
    for text, members in {**(overlay or {}), **dict.fromkeys(failing, ())}.items():
        owner = from_text(text)
        for name in overlay_ancestors(by_apex, owner):
            nodes.setdefault(name, ZoneNode())
        nodes[owner] = merged_node(by_apex, owner, addresses(*members), fails=text in failing)
    return Snapshot(generation=1, revision=1, zones=by_apex, overlay=nodes)


def engine_of(*zones: Zone, overlay: Mapping[str, Sequence[str]] | None = None, failing: Sequence[str] = ()) -> Engine:
    """Make an engine whose own faults fail the test instead of turning into SERVFAIL."""
    return Engine(snapshot_of(*zones, overlay=overlay, failing=failing), on_failure=_raise)


def _raise(failure: Exception) -> None:
    raise failure


def query(question: str, *, edns: int | None = None, udp_size: int = 1232, dnssec_ok: bool = False) -> bytes:
    """Return the packet that asks `name type`.

    Args:
        edns: EDNS version; None: no OPT.
        udp_size: payload size in the OPT, in bytes.
    """
    name, rdtype = question.split()
    message = dns.message.make_query(name, rdtype, id=0x1234)
    if edns is not None:
        message.use_edns(edns, ednsflags=dns.flags.DO if dnssec_ok else 0, payload=udp_size)
    return message.to_wire()


def ask(engine: Engine, question: str, *, via: Via = UDP, edns: int | None = None) -> dns.message.Message:
    """Ask `name type` and decode the response."""
    response = engine.respond(query(question, edns=edns), now=NOW, via=via, peer=PEER)
    assert response is not None
    return decode(response)


def decode(wire: bytes) -> dns.message.Message:
    """Decode a response with dnspython and with dnslib, which must see the same in it.

    dnslib takes labels for UTF-8 and refuses others; where a question has such a label, dnspython is alone.
    """
    message = dns.message.from_wire(wire, one_rr_per_rrset=True)
    if not all(_is_utf8(label) for question in message.question for label in question.name.labels):
        return message
    other = DNSRecord.parse(wire)
    assert message.id == other.header.id
    assert message.flags == other.header.bitmap
    assert [len(message.answer), len(message.authority)] == [len(other.rr), len(other.auth)]
    assert len(message.additional) + message.had_tsig + (message.edns >= 0) == len(other.ar)
    assert [str(rr.rname).lower() for rr in other.rr] == [rrset.name.to_text().lower() for rrset in message.answer]
    return message


def _is_utf8(label: bytes) -> bool:
    try:
        label.decode()
    except UnicodeDecodeError:
        return False
    return True


def shown(message: dns.message.Message) -> str:
    """Write a response as tests do: RCODE and flags, then each section that is not empty, a record a line.

    RR classes are left out where they are IN, and RD, which tests of headers look at, always.
    """
    flags = dns.flags.to_text(message.flags & ~(dns.flags.QR | dns.flags.RD)).lower()
    lines = [f"{dns.rcode.to_text(message.rcode())} {flags}".strip()]
    for title, section in (
        ("answer", message.answer),
        ("authority", message.authority),
        ("additional", message.additional),
    ):
        if section:
            lines.append(f"{title}:")
            lines += [_record_line(rrset) for rrset in section]
    return "\n".join(lines)


def _record_line(rrset: dns.rrset.RRset) -> str:
    return f"  {rrset.name} {rrset.ttl} {dns.rdatatype.to_text(rrset.rdtype)} {rrset[0]}"


def block(text: str) -> str:
    """Return an expected response that was written as an indented block."""
    return textwrap.dedent(text).strip()
