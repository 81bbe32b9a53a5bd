"""Queries that come again: the responses that an engine gives from what it has learned, and how alike two are."""

from __future__ import annotations

import pickle
import struct
from collections import Counter

import dns.message

from dnsd.core.answer import Kind
from dnsd.core.constants import NOERROR
from dnsd.core.engine import Engine
from dnsd.core.fastpath import ID_SIZE
from dnsd.core.lookup import look_up
from dnsd.core.message import parse_query
from dnsd.core.records import Delta, Snapshot
from dnsd.core.via import UDP, Transport
from dnsd.errors import MessageError
from tests.support.dnsmessages import NOW, PEER


def recalled(engine: Engine, packet: bytes, *, now: float = NOW, peer: str = PEER) -> bytes | None:
    """Return the response that UDP would give past the engine, and count it; None: there is none."""
    fast = engine.fast
    fast.at(now)
    tail = packet[ID_SIZE:]
    if engine.limiter is not None:
        found = fast.recall(tail, limiter=engine.limiter, peer=peer)
        return None if found is None else packet[:ID_SIZE] + found
    answers = fast.exact.get(tail)
    if answers is not None:
        engine.counts[Transport.UDP][NOERROR] += 1
        return packet[:ID_SIZE] + next(answers)
    found = fast.recall(tail)
    return None if found is None else packet[:ID_SIZE] + found


def serve(engine: Engine, packet: bytes, *, now: float = NOW, peer: str = PEER) -> bytes | None:
    """Respond as UDP does: from what was learned, or else by the engine."""
    found = recalled(engine, packet, now=now, peer=peer)
    return engine.respond(packet, now=now, via=UDP, peer=peer) if found is None else found


def copy_of(snapshot: Snapshot) -> Snapshot:
    """Return a snapshot as a worker gets it: nobody has had a turn in its pools."""
    found = pickle.loads(pickle.dumps(snapshot))
    assert isinstance(found, Snapshot)
    return found


def apply(engine: Engine, delta: Delta) -> None:
    """Give an engine a generation as a worker does."""
    delta = pickle.loads(pickle.dumps(delta))
    replaced = engine.snapshot.replaced_by(delta)
    after = engine.snapshot.advanced(delta)
    engine.swap(after, changed_pools=delta.changed_pools(replaced), renumbered=delta.serials.keys())


def members(snapshot: Snapshot, packet: bytes) -> frozenset[bytes] | None:
    """Return every RDATA that the pool which a query leads to may answer with; None: it leads to none.

    Nothing where pools are only among the additional records.
    """
    try:
        query = parse_query(packet)
    except MessageError:
        return None
    if query is None:
        return None
    answer = look_up(snapshot, query.qname, query.qtype)
    if not answer.pool_parts:
        return None
    if answer.pool is None or answer.kind is not Kind.DATA:
        return frozenset()
    return frozenset(answer.pool.rrsets[answer.answer[-1][1].rdtype].rdatas)


def essence(response: bytes | None, of_pool: frozenset[bytes] | None) -> object:
    """Return what two responses to a query must have alike.

    Args:
        of_pool: RDATA of which a response may have another part, in another order; None: every byte matters.
    """
    if response is None or of_pool is None:
        return response
    message = dns.message.from_wire(response, one_rr_per_rrset=True)
    records: Counter[object] = Counter()
    for rrset in message.answer:
        rdata = rrset[0].to_wire()
        assert rdata is not None
        records[rrset.name, rrset.ttl, rrset.rdtype, b"of the pool" if rdata in of_pool else rdata] += 1
    assert len({rrset.to_text() for rrset in message.answer}) == len(message.answer)
    others = [sorted(rrset.to_text() for rrset in section) for section in (message.authority, message.additional)]
    return response[:12], str(message.question[0].name), message.opt, len(response), records, others


def with_junk(packet: bytes, number: int) -> bytes:
    """Return a query of no additional record with a long one that says nothing."""
    record = b"\0" + struct.pack("!HHIH", 16, 1, 0, 3000) + number.to_bytes(4, "big") * 750
    return packet[:11] + b"\1" + packet[12:] + record
