"""The engine: a packet in, a response out, from whichever snapshot is current.

It owns the order of the stages and the counters. It has no socket and no clock: a transport calls `respond` and sends
what it returns.
"""

from __future__ import annotations

from collections.abc import Callable

from dnsd.core.answer import Answer, Kind, error
from dnsd.core.constants import (
    AXFR,
    BADVERS,
    CLASS_IN,
    CLASSIC_UDP_SIZE,
    FORMERR,
    IXFR,
    MAX_MESSAGE_SIZE,
    NOTAUTH,
    NOTIMP,
    OPT,
    REFUSED,
    SERVFAIL,
)
from dnsd.core.edns import SUPPORTED_VERSION
from dnsd.core.limits import MAX_UDP_SIZE, RCODE_SLOTS
from dnsd.core.lookup import look_up
from dnsd.core.message import Query, parse_query, salvage
from dnsd.core.policy import DEFAULT_POLICY, AnswerPolicy
from dnsd.core.records import Snapshot
from dnsd.core.tsig import refusal_of
from dnsd.core.via import Transport, Via
from dnsd.core.writer import write_error, write_response
from dnsd.errors import MessageError

_NXNAME = 128  # RFC 9824 §3.5: exists in signed denials only
_FIRST_META, _LAST_META = 128, 255  # RFC 6895 §3.1: no data of these types exists


class Engine:
    """Answers packets from a snapshot.

    Args:
        snapshot: the first one.
        policy: the first one.
        on_failure: told of every exception that became a SERVFAIL; must not raise.

    Attributes:
        snapshot, policy: the current ones.
        counts: responses by transport, then by RCODE.
        dropped: packets that got no response.
        failures: exceptions that became a SERVFAIL, each a fault of ours.
    """

    __slots__ = ("counts", "dropped", "failures", "on_failure", "policy", "snapshot")

    def __init__(
        self,
        snapshot: Snapshot,
        *,
        policy: AnswerPolicy = DEFAULT_POLICY,
        on_failure: Callable[[Exception], None] | None = None,
    ) -> None:
        self.snapshot = snapshot
        self.policy = policy
        self.on_failure = on_failure
        self.counts: tuple[list[int], ...] = tuple([0] * RCODE_SLOTS for _ in Transport)
        self.dropped = 0
        self.failures = 0

    def swap(self, snapshot: Snapshot) -> None:
        """Answer from another snapshot from the next packet on."""
        self.snapshot = snapshot

    def configure(self, policy: AnswerPolicy) -> None:
        """Answer by another policy from the next packet on."""
        self.policy = policy

    def respond(self, packet: bytes, *, now: float, via: Via, peer: str) -> bytes | None:
        """Answer a packet.

        Args:
            packet: one DNS message, without the length that precedes it on TCP.
            now: seconds since the epoch.
            via: what it came over, and what the response goes over.
            peer: IP address of the client, in text; empty: unknown.

        Returns:
            The response, also without a length; None: stay silent.
        """
        try:
            query = parse_query(packet)
            if query is None:
                self.dropped += 1
                return None
            answer = self._answer(query, now)
            response = write_response(query, answer, limit=_size_limit(query, via))
            rcode = answer.rcode
        except MessageError as refusal:
            rcode = refusal.rcode
            response = write_error(salvage(packet), rcode)
        except Exception as failure:  # noqa: BLE001 - whatever is wrong in here, the client gets an answer
            rcode = SERVFAIL
            response = self._fail(packet, failure)
        self.counts[via.transport][rcode] += 1
        return response

    def _answer(self, query: Query, now: float) -> Answer:
        for stage in STAGES:
            answer = stage(self, query, now)
            if answer is not None:
                return answer
        raise AssertionError("the last stage answers every query")

    def _fail(self, packet: bytes, failure: Exception) -> bytes:
        self.failures += 1
        if self.on_failure is not None:
            self.on_failure(failure)
        return write_error(salvage(packet), SERVFAIL)


def _size_limit(query: Query, via: Via) -> int:
    if via.transport is not Transport.UDP:
        return MAX_MESSAGE_SIZE
    if query.edns is None:
        return CLASSIC_UDP_SIZE
    # RFC 6891 §6.2.3: "Values lower than 512 MUST be treated as equal to 512."
    return min(max(CLASSIC_UDP_SIZE, query.edns.udp_size), MAX_UDP_SIZE)


def _check_version(_engine: Engine, query: Query, _now: float) -> Answer | None:
    # RFC 6891 §6.1.3: "If a responder does not implement the VERSION level of the request, then it MUST respond with
    # RCODE=BADVERS."
    if query.edns is not None and query.edns.version != SUPPORTED_VERSION:
        return error(BADVERS)
    return None


def _check_signature(_engine: Engine, query: Query, now: float) -> Answer | None:
    if query.tsig is None:
        return None
    answer = error(NOTAUTH)
    answer.signature = refusal_of(query.tsig, now=now)
    return answer


def _check_class(_engine: Engine, query: Query, _now: float) -> Answer | None:
    # Class ANY included: a response to it cannot be authoritative (RFC 1035 §6.2), and nobody needs it.
    return None if query.qclass == CLASS_IN else error(REFUSED, kind=Kind.REFUSED)


def _check_type(_engine: Engine, query: Query, _now: float) -> Answer | None:
    qtype = query.qtype
    if qtype in (OPT, _NXNAME):
        return error(FORMERR)
    if _FIRST_META <= qtype < _LAST_META and qtype not in (AXFR, IXFR):
        return error(NOTIMP)
    return None


def _transfer(engine: Engine, query: Query, _now: float) -> Answer | None:
    if query.qtype not in (AXFR, IXFR):
        return None
    # RFC 5936 §2.2.1: NotAuth where there is no such zone, Refused where it is not offered. Seam: an adapter that
    # offers transfers takes this stage.
    if query.qname not in engine.snapshot.zones:
        return error(NOTAUTH)
    return error(REFUSED, kind=Kind.REFUSED)


def _look_up(engine: Engine, query: Query, now: float) -> Answer | None:
    return look_up(engine.snapshot, query.qname, query.qtype, now=now)


Stage = Callable[[Engine, Query, float], Answer | None]

# What a query passes, in this order; the first that returns an answer ends it, and the last always does.
STAGES: tuple[Stage, ...] = (_check_version, _check_signature, _check_class, _check_type, _transfer, _look_up)
