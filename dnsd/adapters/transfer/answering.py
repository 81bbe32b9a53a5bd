"""A request in, the messages of its response out.

received ──form──► signature ──► question ──► zone ──► access ──► one SOA, the zone, or differences
    └────────┴─────────┴───────────┴───────────┴──────────┴──► one message that refuses

It has no socket. What a response took is held by its messages alone: whoever drops these lets go of the version.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

from dnsd.adapters.transfer.access import Access, judge_access
from dnsd.adapters.transfer.envelope import Envelope
from dnsd.adapters.transfer.sequences import Records, shorter_of_both, whole_zone
from dnsd.adapters.transfer.signing import BADSIG, BADTIME, BADTRUNC, Verdict, verify
from dnsd.config.transfer import TransferSettings
from dnsd.core import names
from dnsd.core.constants import (
    AXFR,
    BADVERS,
    CLASS_IN,
    CLASSIC_UDP_SIZE,
    FORMERR,
    HEADER_SIZE,
    IXFR,
    NOTAUTH,
    REFUSED,
    SERVFAIL,
    SOA,
)
from dnsd.core.edns import OPT_SIZE, SUPPORTED_VERSION
from dnsd.core.extended_errors import NOT_AUTHORITATIVE, NOT_SUPPORTED, OTHER, PROHIBITED, extended_error
from dnsd.core.limits import MAX_UDP_SIZE
from dnsd.core.message import Query, parse_query, salvage
from dnsd.core.serials import is_newer
from dnsd.core.tsig import BADKEY, Tsig, refusal_of
from dnsd.core.wire import RECORD_FIXED, expand_name, read_record
from dnsd.core.writer import write_error
from dnsd.core.zoneversion import ZoneVersion, ZoneVersions
from dnsd.errors import MessageError

# What a request can come to, as it is counted.
AXFR_SENT, IXFR_SENT, IXFR_AS_AXFR, SOA_SENT = "axfr", "ixfr", "ixfr_as_axfr", "soa"
REFUSED_IT, MALFORMED, BUSY, FAILED = "refused", "malformed", "busy", "failed"

# Clients are told apart by their networks in the log, so that one of them cannot fill it. Unit: bits.
LOGGED_IPV4_BITS, LOGGED_IPV6_BITS = 24, 56

_SIGNATURE_FAULTS = {
    BADKEY: "the key or its algorithm is unknown",
    BADSIG: "the signature is wrong",
    BADTIME: "the clocks differ by more than the fudge",
    BADTRUNC: "the MAC is truncated",
}

_SOA_FIXED = 20  # bytes of an SOA's RDATA behind its names (RFC 1035 §3.3.13)
_SERIAL = 4  # bytes, the first of these


@dataclass(slots=True)
class Outcome:
    """What a request comes to; known for sure behind the last message of its response."""

    result: str


@dataclass(frozen=True, slots=True)
class Reply:
    """The response to one request.

    Args:
        messages: each made when it is asked for; an empty one: others may have a turn. What goes wrong on our side
            is raised there.
        outcome: what it is counted as. The messages write it, and know nothing else of the reply, so that a version is
            let go with its last reader.
        complaint: what is logged of it, in general and in detail; None: nothing.
        busy: makes the message that puts the client off; None: it is one message at once, and needs no slot.
    """

    messages: Iterator[bytes]
    outcome: Outcome
    complaint: tuple[str, str] | None = None
    busy: Callable[[], bytes] | None = None


@dataclass(slots=True)
class _Request:
    """A well-formed query, and what is known of who sent it."""

    packet: bytes
    query: Query
    peer: str
    over_tcp: bool
    verdict: Verdict = field(default_factory=Verdict)

    @property
    def envelope(self) -> Envelope:
        return Envelope(self.query, self.verdict.signer)


class TransferResponder:
    """Answers what secondaries ask.

    Args:
        versions: what there is to transfer.
        settings: who may have it.
        clock: gives seconds since the epoch.
    """

    def __init__(self, versions: ZoneVersions, settings: TransferSettings, *, clock: Callable[[], float]) -> None:
        self._versions = versions
        self._settings = settings
        self._clock = clock

    def answer(self, packet: bytes, *, peer: str, over_tcp: bool) -> Reply | None:
        """Answer a packet.

        Args:
            packet: one DNS message, without the length that precedes it on TCP.
            peer: IP address of the client, in text.

        Returns:
            None: stay silent, for it is too short to be answered or is itself a response.

        Raises:
            Exception: a fault of ours; `failure` has the answer.
        """
        try:
            query = parse_query(packet)
            if query is None:
                return None
            request = _Request(packet, query, peer, over_tcp)
            if query.tsig is not None:
                request.verdict = verify(packet, query.tsig, self._settings.keys, clock=self._clock)
        except MessageError as refusal:
            return _single(write_error(salvage(packet), refusal.rcode), MALFORMED)
        try:
            return self._judge(request)
        except MessageError as refusal:
            return _single(request.envelope.error(refusal.rcode, b""), MALFORMED)

    def failure(self, packet: bytes) -> Reply:
        """Return the answer where there is a fault of ours."""
        return _single(write_error(salvage(packet), SERVFAIL), FAILED)

    def _judge(self, request: _Request) -> Reply:
        query = request.query
        tsig = query.tsig
        if tsig is not None and request.verdict.error:
            return self._not_accepted(request, tsig)
        # RFC 6891 §6.1.3
        if query.edns is not None and query.edns.version != SUPPORTED_VERSION:
            return _single(request.envelope.error(BADVERS, b""), MALFORMED)
        if query.qclass != CLASS_IN or query.qtype not in (SOA, AXFR, IXFR):
            return _refused(request, REFUSED, NOT_SUPPORTED, "only SOA, AXFR and IXFR are answered here")
        serial = _serial_in(request) if query.qtype == IXFR else None
        version = self._versions.current(query.qname)
        if version is None:
            # RFC 5936 §2.2.1: NotAuth where the server is not authoritative for the zone.
            return _refused(request, NOTAUTH, NOT_AUTHORITATIVE, "there is no such zone")
        access, _ = judge_access(
            self._settings.secondaries, peer=request.peer, key=request.verdict.key, apex=query.qname
        )
        if access is not Access.GRANTED:
            return _refused(request, REFUSED, PROHIBITED, access.value)
        if query.qtype == AXFR:
            return self._whole(request, version)
        if serial is None:
            return self._soa(request, version)
        return self._incremental(request, version, serial)

    def _not_accepted(self, request: _Request, tsig: Tsig) -> Reply:
        """Refuse a request for its TSIG (RFC 8945 §5.2)."""
        verdict = request.verdict
        why = _SIGNATURE_FAULTS[verdict.error]
        said = extended_error(PROHIBITED, why)
        if verdict.signer is not None:
            message = request.envelope.error(NOTAUTH, said, tsig_error=verdict.error)
        else:
            signature = refusal_of(tsig, now=self._clock(), error=verdict.error)
            message = request.envelope.error(NOTAUTH, said, signature=signature)
        return _single(message, REFUSED_IT, _complaint(request, why))

    def _soa(self, request: _Request, version: ZoneVersion) -> Reply:
        envelope = request.envelope
        if not request.over_tcp and not _fits(request, version):
            return _single(envelope.truncated(), SOA_SENT)
        return Reply(envelope.messages((version.soa,)), Outcome(SOA_SENT))

    def _whole(self, request: _Request, version: ZoneVersion) -> Reply:
        # RFC 5936 §4.2: "AXFR sessions over UDP transport are not defined."
        if not request.over_tcp:
            return _refused(request, REFUSED, NOT_SUPPORTED, "AXFR goes over TCP")
        return _transfer(request, whole_zone(version), Outcome(AXFR_SENT))

    def _incremental(self, request: _Request, version: ZoneVersion, held: int) -> Reply:
        # RFC 1995 §2: a client with "the same or newer version" gets "a single SOA record of the server's current
        # version". Over UDP each client does, and so learns that it must come over TCP: a datagram that asks may have
        # a forged address, and what it asks for must not make more of it. Knot, NSD and BIND ask over TCP anyway.
        if not request.over_tcp or held == version.serial or is_newer(held, version.serial):
            return self._soa(request, version)
        diffs = self._versions.since(version.apex, held)
        if not diffs:
            return _transfer(request, whole_zone(version), Outcome(IXFR_AS_AXFR))

        outcome = Outcome(IXFR_SENT)

        def became_whole() -> None:
            outcome.result = IXFR_AS_AXFR

        return _transfer(request, shorter_of_both(version, diffs, became_whole), outcome)


def _transfer(request: _Request, records: Records, outcome: Outcome) -> Reply:
    envelope = request.envelope

    def busy() -> bytes:
        return envelope.error(SERVFAIL, extended_error(OTHER, "too many transfers at once"))

    return Reply(envelope.messages(records), outcome, busy=busy)


def _refused(request: _Request, rcode: int, code: int, why: str) -> Reply:
    message = request.envelope.error(rcode, extended_error(code, why))
    return _single(message, REFUSED_IT, _complaint(request, why))


def _complaint(request: _Request, why: str) -> tuple[str, str]:
    query = request.query
    signed = f", signed with {names.to_text(query.tsig.key)}" if query.tsig is not None else ""
    kind = {SOA: "SOA", AXFR: "AXFR", IXFR: "IXFR"}.get(query.qtype, f"TYPE{query.qtype}")
    return (
        f"refused to {_network_of(request.peer)}: {why}",
        f"{kind} of {names.to_text(query.qname)} from {request.peer}{signed}",
    )


def _network_of(peer: str) -> str:
    try:
        address = ip_address(peer.partition("%")[0])
    except ValueError:  # a client that was gone before its address could be asked for
        return "nobody"
    bits = LOGGED_IPV4_BITS if address.version == 4 else LOGGED_IPV6_BITS
    return str(ip_network((address, bits), strict=False))


def _serial_in(request: _Request) -> int:
    """Return the serial that the client has (RFC 1995 §3: of the one SOA in the authority section)."""
    packet, query = request.packet, request.query
    record = read_record(packet, HEADER_SIZE + len(query.question)) if _authorities(packet) == 1 else None
    if record is None or record.rdtype != SOA or record.rdclass != CLASS_IN:
        raise MessageError(FORMERR, "IXFR without one SOA in its authority section")
    if expand_name(packet, record.start).lower() != query.qname:
        raise MessageError(FORMERR, "IXFR with the SOA of another zone")
    # Its names, compressed or not, do not matter here.
    if record.end - record.rdata < _SOA_FIXED + 2:
        raise MessageError(FORMERR, "truncated SOA")
    start = record.end - _SOA_FIXED
    return int.from_bytes(packet[start : start + _SERIAL], "big")


def _authorities(packet: bytes) -> int:
    return int.from_bytes(packet[8:10], "big")


def _fits(request: _Request, version: ZoneVersion) -> bool:
    """Say whether a datagram that the client takes has room for the SOA."""
    query, signer = request.query, request.verdict.signer
    size = HEADER_SIZE + len(query.question) + OPT_SIZE + (signer.size if signer else 0)
    size += len(version.soa.owner) + RECORD_FIXED.size + len(version.soa.rdata)
    asked = CLASSIC_UDP_SIZE if query.edns is None else max(CLASSIC_UDP_SIZE, query.edns.udp_size)
    return size <= min(asked, MAX_UDP_SIZE)


def _single(message: bytes, result: str, complaint: tuple[str, str] | None = None) -> Reply:
    return Reply(iter((message,)), Outcome(result), complaint)
