"""The engine: a packet in, a response out, from whichever snapshot is current.

It owns the order of the stages and the counters. It has no socket and no clock: a transport calls `respond` and sends
what it returns.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection

from dnsd.core.answer import Answer, Kind, error
from dnsd.core.chaos import chaos_answer
from dnsd.core.constants import (
    AXFR,
    BADCOOKIE,
    BADVERS,
    CLASS_CH,
    CLASS_IN,
    CLASSIC_UDP_SIZE,
    FORMERR,
    IXFR,
    MAX_MESSAGE_SIZE,
    NOERROR,
    NOTAUTH,
    NOTIMP,
    OPT,
    REFUSED,
    SERVFAIL,
)
from dnsd.core.cookiepath import recall_with_cookie
from dnsd.core.edns import SUPPORTED_VERSION, Edns
from dnsd.core.exchange import Cookie, Exchange
from dnsd.core.extended_errors import NO_TRANSFER, NO_ZONE, STALE
from dnsd.core.fastpath import FastPath
from dnsd.core.limits import MAX_UDP_SIZE, RCODE_SLOTS
from dnsd.core.lookup import look_up
from dnsd.core.message import Query, Salvage, parse_query, salvage
from dnsd.core.options import OptionReader
from dnsd.core.policy import DEFAULT_POLICY, AnswerPolicy
from dnsd.core.ratelimit import Limiter, Verdict
from dnsd.core.records import Snapshot
from dnsd.core.tsig import refusal_of
from dnsd.core.via import Transport, Via
from dnsd.core.writer import write_error, write_response, write_with_options
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
        limiter: judges answers over UDP; None: nobody is limited.
        fast: responses over UDP that can be given again, to queries without options. Whoever answers from it lets the
            limiter judge them, where there is one.
        events: what else happened, and how often, by kind and by which of its outcomes: (`cookies`, `valid`).
        dropped: packets that got no response, but for those over a limit.
        failures: exceptions that became a SERVFAIL, each a fault of ours.
    """

    __slots__ = (
        "_options",
        "counts",
        "dropped",
        "events",
        "failures",
        "fast",
        "limiter",
        "on_failure",
        "policy",
        "snapshot",
    )

    def __init__(
        self,
        snapshot: Snapshot,
        *,
        policy: AnswerPolicy = DEFAULT_POLICY,
        on_failure: Callable[[Exception], None] | None = None,
    ) -> None:
        self.snapshot = snapshot
        self.policy = policy
        self._options = OptionReader(policy)
        self.on_failure = on_failure
        self.limiter: Limiter | None = None
        self.counts: tuple[list[int], ...] = tuple([0] * RCODE_SLOTS for _ in Transport)
        self.fast = FastPath(snapshot, self.counts[Transport.UDP])
        self.events: Counter[tuple[str, str]] = Counter()
        self.dropped = 0
        self.failures = 0

    def swap(
        self, snapshot: Snapshot, *, changed_pools: Collection[bytes] | None = None, renumbered: Collection[bytes] = ()
    ) -> None:
        """Answer from another snapshot from the next packet on.

        Args:
            changed_pools: owners of pools, where it differs in what these answer, and in serials, and in nothing else.
            renumbered: apexes of the zones with another serial.
        """
        self.snapshot = snapshot
        self.fast.follow(snapshot, changed_pools=changed_pools, renumbered=renumbered)

    def configure(self, policy: AnswerPolicy) -> None:
        """Answer by another policy from the next packet on."""
        self.policy = policy
        self._options = OptionReader(policy)
        self.fast.forget()

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
        exchange: Exchange | None = None
        try:
            query = parse_query(packet)
            if query is None:
                self.dropped += 1
                return None
            if query.edns is not None and query.edns.options:
                exchange = self._exchange(query.edns, now=now, via=via, peer=peer)
            if exchange is not None and self._lacks_cookie(exchange, via):
                answer = error(BADCOOKIE)
            else:
                answer = self._answer(query, now)
            limit = _size_limit(query, via)
            whole = True
            if self.limiter is not None and not _is_known(exchange, via):
                verdict = self._judge(self.limiter, answer, now=now, peer=peer)
                if verdict is Verdict.DROP:
                    return None
                if verdict is Verdict.SLIP:
                    limit = 0  # no record fits, so that there is TC where there were any
                if verdict is not Verdict.ALLOW:
                    whole = answer.be_brief() and limit > 0
            response = _write(query, answer, limit=limit, exchange=exchange)
            if whole and exchange is None and not via.is_stream:
                self._learn(packet, query, answer, response, now)
            rcode = answer.rcode
        except MessageError as refusal:
            refused = self._refuse(packet, refusal.rcode, now=now, via=via, peer=peer)
            if refused is None:
                return None
            rcode, response = refused
        except Exception as failure:  # noqa: BLE001 - whatever is wrong in here, the client gets an answer
            rcode = SERVFAIL
            response = self._fail(packet, failure, exchange)
        self.counts[via.transport][rcode] += 1
        return response

    def recall_with_cookie(self, tail: bytes, *, now: float, peer: str) -> bytes | None:
        """Return what `fast` knows of a query that it does not find as it is; less their IDs, both.

        Returns:
            None: nothing, and `respond` has the answer.
        """
        jar = self._options.jar
        response = None if jar is None else recall_with_cookie(self.fast, jar, tail, now=now, peer=peer)
        if response is not None:
            self.events["cookies", Cookie.VALID.value] += 1
        return response

    def _learn(self, packet: bytes, query: Query, answer: Answer, response: bytes, now: float) -> None:
        try:
            self.fast.learn(packet, query, answer, response, now=now)
        except Exception as failure:  # noqa: BLE001 - the response is there, and good
            self.fast_path_failed(failure)

    def fast_path_failed(self, failure: Exception) -> None:
        """Take note of a fault of ours in `fast`; nothing of it is answered any more."""
        self.fast.forget()
        self._note(failure)

    def _refuse(self, packet: bytes, rcode: int, *, now: float, via: Via, peer: str) -> tuple[int, bytes] | None:
        """Return the RCODE and response for a packet that is refused; None: stay silent."""
        found = salvage(packet)
        exchange = self._salvage_exchange(found, now=now, via=via, peer=peer)
        limiter = None if _is_known(exchange, via) else self.limiter
        if limiter is not None and self._judge(limiter, None, now=now, peer=peer) is Verdict.DROP:
            return None
        rcode = _rcode_for(found, exchange, rcode)
        return rcode, write_error(found, rcode, exchange=exchange)

    def _exchange(self, edns: Edns, *, now: float, via: Via, peer: str) -> Exchange | None:
        if edns.version != SUPPORTED_VERSION:
            return None  # what options mean there, only a later version knows
        exchange = self._options.read(edns.options, now=now, via=via, peer=peer)
        if exchange.cookie is not Cookie.NONE:
            self.events["cookies", exchange.cookie.value] += 1
        return exchange

    def _salvage_exchange(self, found: Salvage, *, now: float, via: Via, peer: str) -> Exchange | None:
        """Return what can be read of a refused packet's options.

        RFC 7873 §5.3: a client may discard a response without the COOKIE option that it expects, errors included.
        """
        if found.edns is None or not found.edns.options:
            return None
        try:
            return self._exchange(found.edns, now=now, via=via, peer=peer)
        except MessageError:  # it is for them that it is refused
            return None

    def _lacks_cookie(self, exchange: Exchange, via: Via) -> bool:
        # RFC 7873 §5.2.3, §5.2.4: such a request may be answered with BADCOOKIE. Not over a stream, where the address
        # is known to be the client's anyway.
        if not self.policy.require_cookies or via.is_stream:
            return False
        return exchange.cookie in (Cookie.CLIENT, Cookie.BAD)

    def _judge(self, limiter: Limiter, answer: Answer | None, *, now: float, peer: str) -> Verdict:
        verdict = limiter.judge(answer, peer=peer, now=now)
        if verdict in (Verdict.DROP, Verdict.SLIP):
            self.events["rate_limited", verdict.value] += 1
        return verdict

    def _answer(self, query: Query, now: float) -> Answer:
        for stage in STAGES:
            answer = stage(self, query, now)
            if answer is not None:
                return answer
        raise AssertionError("the last stage answers every query")

    def _fail(self, packet: bytes, failure: Exception, exchange: Exchange | None) -> bytes:
        self._note(failure)
        return write_error(salvage(packet), SERVFAIL, exchange=exchange)

    def _note(self, failure: Exception) -> None:
        self.failures += 1
        if self.on_failure is not None:
            self.on_failure(failure)


def _write(query: Query, answer: Answer, *, limit: int, exchange: Exchange | None) -> bytes:
    if exchange is None and not answer.extended_errors:
        return write_response(query, answer, limit=limit)
    return write_with_options(query, answer, limit=limit, exchange=exchange)


def _is_known(exchange: Exchange | None, via: Via) -> bool:
    """Say whether the client has shown that the query was its own: nobody's is limited then, nor shortened."""
    return via.is_stream or (exchange is not None and exchange.cookie is Cookie.VALID)


def _rcode_for(found: Salvage, exchange: Exchange | None, rcode: int) -> int:
    """Return the RCODE for a packet that is refused with one, or that asks for nothing but a cookie.

    RFC 7873 §5.4: that one gets NOERROR, but BADCOOKIE "if the Server Cookie sent with the query was invalid".
    """
    if not found.bare or exchange is None or exchange.cookie is Cookie.NONE:
        return rcode
    return BADCOOKIE if exchange.cookie is Cookie.BAD else NOERROR


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


def _check_class(engine: Engine, query: Query, _now: float) -> Answer | None:
    if query.qclass == CLASS_IN:
        return None
    answer = chaos_answer(engine.policy, query.qname, query.qtype) if query.qclass == CLASS_CH else None
    # Class ANY included: a response to it cannot be authoritative (RFC 1035 §6.2), and nobody needs it.
    return answer or error(REFUSED, kind=Kind.REFUSED)


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
    # RFC 5936 §2.2.1: NotAuth where there is no such zone, Refused where it is not offered. Secondaries ask elsewhere,
    # at the addresses of an adapter.
    if query.qname not in engine.snapshot.zones:
        return error(NOTAUTH)
    return error(REFUSED, kind=Kind.REFUSED, extended_errors=NO_TRANSFER)


def _look_up(engine: Engine, query: Query, now: float) -> Answer | None:
    answer = look_up(engine.snapshot, query.qname, query.qtype, now=now, asked=query.question)
    if engine.snapshot.serials:
        answer.at_serials(engine.snapshot.serials)
    if answer.pool is not None:
        answer.extended_errors = answer.pool.extended_errors
        if engine.policy.stale:
            answer.extended_errors += STALE
    elif answer.kind is Kind.REFUSED:
        answer.extended_errors = NO_ZONE
    return answer


Stage = Callable[[Engine, Query, float], Answer | None]

# What a query passes, in this order; the first that returns an answer ends it, and the last always does.
STAGES: tuple[Stage, ...] = (_check_version, _check_signature, _check_class, _check_type, _transfer, _look_up)
