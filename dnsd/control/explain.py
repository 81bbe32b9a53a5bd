"""What a query would be answered now, and every reason on the way to it.

The answer itself is the engine's own, from the snapshot that the workers were handed; asking for an explanation leaves
whose turn it is in a pool as it was. It knows no HTTP: names, types and addresses come in as text.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from dnsd.api.schemas import ExplainedAnswer, ExplainedStep, Explanation, WorkerProgress
from dnsd.config.settings import Settings
from dnsd.control.consumers import Consumers
from dnsd.control.explain_pool import PoolReader
from dnsd.control.explain_steps import steps_of
from dnsd.control.publisher import Publisher
from dnsd.control.supervisor import WorkerInfo
from dnsd.core.constants import ANY, OPT
from dnsd.core.engine import Engine
from dnsd.core.records import Snapshot, ZoneNode
from dnsd.core.via import TCP
from dnsd.errors import InvalidRequest

# RFC 6895 §3.1: QTYPEs and meta-types, which are no data to look up; ANY, the last of them, is answered.
_FIRST_META = 128

CLIENT_NOTE = "the client makes no difference: no pool of this version answers by who asks"
TURN_NOTE = "a pool's records are in another order, or another choice, in each answer; every worker takes its own turns"


@dataclass(frozen=True, slots=True)
class Question:
    """A question as the core knows it.

    Args:
        name: folded, in wire form.
        client: canonical text of an address; None: not named.
    """

    name: bytes
    type: int
    client: str | None


def question_of(name: str, rdtype: str, client: str | None) -> Question:
    """Read a question that people have written.

    Raises:
        InvalidRequest: with the field that is at fault.
    """
    if not name:
        raise InvalidRequest("the name is empty; the root is written .", field="name")
    try:
        wire = dns.name.from_text(name).to_wire()
    except (dns.exception.DNSException, UnicodeError) as error:
        raise InvalidRequest(f"{name!r} is not a domain name: {error}", field="name") from None
    return Question((wire or b"").lower(), _type(rdtype), _client(client))


def _type(text: str) -> int:
    try:
        rdtype = int(dns.rdatatype.from_text(text.upper()))
    except (dns.exception.DNSException, ValueError):
        raise InvalidRequest(f"{text!r} is not a record type such as A, AAAA or TYPE65", field="type") from None
    if rdtype != ANY and (rdtype in (0, OPT) or _FIRST_META <= rdtype < ANY):
        raise InvalidRequest(f"{text!r} is not a type that records have", field="type")
    return rdtype


def _client(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        address = ip_address(text)
    except ValueError:
        raise InvalidRequest(f"{text!r} is not an IP address", field="client") from None
    if getattr(address, "scope_id", None) is not None:
        raise InvalidRequest(f"{text!r} has a zone id, which no query carries", field="client")
    return str(address)


@dataclass(frozen=True, slots=True)
class Explainer:
    """Explains answers of this server.

    Args:
        settings: gives those of now.
        workers: gives the answer processes.
    """

    publisher: Publisher
    consumers: Consumers
    settings: Callable[[], Settings]
    workers: Callable[[], tuple[WorkerInfo, ...]]

    def explain(self, question: Question, *, now: float) -> Explanation:
        """Return the answer to a question, and why it is that."""
        fleet = self.publisher.fleet
        snapshot = _untouched(self.publisher.snapshot())
        steps = steps_of(snapshot, fleet, question.name, question.type)
        reader = PoolReader(fleet, now=now, drain_seconds=self.settings().default_expiry_seconds)
        pool = _pool_of(steps)
        pools = [] if pool is None else list(reader.chain(pool))
        applied, pending = self.consumers.progress(fleet.revision)
        notes = [] if question.client is None else [CLIENT_NOTE]
        if pool is not None and sum(node.answered for each in pools for node in each.nodes) > 1:
            notes.append(TURN_NOTE)
        return Explanation(
            name=dns.name.from_wire(question.name, 0)[0].to_text(),
            type=dns.rdatatype.to_text(dns.rdatatype.RdataType.make(question.type)),
            client=question.client,
            at=now,
            revision=fleet.revision,
            generation=snapshot.generation,
            answer=_answer(snapshot, question, now),
            steps=steps,
            pools=pools,
            workers=[
                WorkerProgress(
                    pid=worker.pid,
                    generation=worker.generation,
                    applied=worker.ready and worker.generation >= snapshot.generation,
                )
                for worker in self.workers()
            ],
            applied=applied,
            pending=pending,
            notes=notes,
        )


def _pool_of(steps: list[ExplainedStep]) -> str | None:
    return next((step.pool for step in steps if step.pool is not None), None)


class _Lent(dict[bytes, ZoneNode]):
    """An overlay that lends copies, so that what is picked from them turns nothing."""

    def get(self, name: bytes, default: Any = None, /) -> Any:
        node = super().get(name)
        if node is None:
            return default
        return replace(node, rrsets={rdtype: copy.copy(rrset) for rdtype, rrset in node.rrsets.items()})


def _untouched(snapshot: Snapshot) -> Snapshot:
    return replace(snapshot, overlay=_Lent(snapshot.overlay))


def _answer(snapshot: Snapshot, question: Question, now: float) -> ExplainedAnswer:
    """Return the engine's response, which over TCP is never truncated."""
    rdtype = dns.rdatatype.RdataType.make(question.type)
    query = dns.message.make_query(dns.name.from_wire(question.name, 0)[0], rdtype, use_edns=0)
    query.flags = dns.flags.Flag(0)
    packet = Engine(snapshot).respond(query.to_wire(), now=now, via=TCP, peer="")
    if packet is None:
        raise AssertionError("the engine answers every query")
    response = dns.message.from_wire(packet)
    return ExplainedAnswer(
        rcode=dns.rcode.to_text(response.rcode()),
        flags=dns.flags.to_text(response.flags).split(),
        answer=_lines(response.answer),
        authority=_lines(response.authority),
        additional=_lines(response.additional),
    )


def _lines(section: list[dns.rrset.RRset]) -> list[str]:
    return [line for rrset in section for line in rrset.to_text().splitlines()]
