"""Answers of pools that are given again: which can be, whose turn it is, and where their records stand in a message.

It knows how a response is laid out, and not how an answer is found. It must not know which questions are remembered.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from dnsd.core.answer import Answer, Kind
from dnsd.core.constants import HEADER_SIZE
from dnsd.core.limits import MAX_ADDITIONAL_NAMES
from dnsd.core.message import Query
from dnsd.core.records import ADDRESS_TYPES, QUESTION_POINTER, Answerable, Overlay, RRset, ZoneNode
from dnsd.core.sampled import MAX_RENDERED_RECORDS
from dnsd.core.trace import Trace

# Turns in a pool that a question takes at once, for its next answers.
TURNS_AHEAD = 16

# What turns take, and a record of a pool that none shares with another. Unit: bytes, as measured.
_TURNS_BYTES, _RECORD_BYTES = 1100, 50

# The instant of what does not come to pass.
NEVER = float("inf")

_POINTER_SIZE = 2


class Clock(Protocol):
    """Knows the instant of the answers that are given."""

    now: float


class Turns(NamedTuple):
    """Whose turn it is in a pool.

    Args:
        records: gives those of the next answer.
        trace: the pool's.
    """

    records: Answerable
    trace: Trace


class Source(NamedTuple):
    """What an answer depends on beside the zones.

    Args:
        pool: owner of the pool that it is from; empty: of none.
        turns: None: its records are always the same.
        until: last instant at which no TTL of it counts down.
    """

    pool: bytes = b""
    turns: Turns | None = None
    until: float = NEVER


_NO_POOL = Source()


def source_of(answer: Answer, overlay: Overlay) -> Source | None:
    """Return what an answer depends on; None: on more than is kept here."""
    if not answer.pool_parts:
        return _NO_POOL
    owner = answer.wildcard or answer.closest_encloser or b""
    node = overlay.get(owner)
    # A part that is not at the end of the lookup is among additional records.
    if answer.pool_parts > 1 or node is None or node.trace is None:
        return None
    if answer.kind is not Kind.DATA:
        ttl = answer.zone.negative_ttl if answer.zone is not None and answer.kind is Kind.NODATA else 0
        return Source(owner, until=_steady_until(node, ttl))
    rdtype = answer.answer[-1][1].rdtype
    if rdtype not in node.pooled:
        return Source(owner)
    records = node.rrsets[rdtype]
    if not _takes_turns_only(records, rdtype):
        return None
    return Source(owner, Turns(records, node.trace), _steady_until(node, records.ttl))


def _steady_until(pool: ZoneNode, ttl: int) -> float:
    """Return the last instant at which a TTL of a pool does not reach to its next change (core.countdown)."""
    return NEVER if pool.changes_at is None else min(pool.changes_at.values()) - ttl


def _takes_turns_only(records: Answerable, rdtype: int) -> bool:
    """Say whether answers of a pool differ in its records alone, and are as long.

    Where each has all of them, they name the same hosts, so that additional records are the same too, if all are there.
    """
    if rdtype in ADDRESS_TYPES:
        return records.count is not None
    return records.count == len(records.rdatas) <= MAX_ADDITIONAL_NAMES


def cost_of(turns: Turns | None) -> int:
    """Return what it takes to keep turns of a pool, in bytes."""
    if turns is None:
        return 0
    records = turns.records
    count, everyone = records.count or 0, len(records.rdatas)
    # Whoever asks for one has the records that the pool keeps of it, but for a pool with more samples than it keeps.
    shared = count == everyone or everyone * count * count <= MAX_RENDERED_RECORDS
    return _TURNS_BYTES if shared else _TURNS_BYTES + 2 * TURNS_AHEAD * count * _RECORD_BYTES


def is_whole(query: Query, answer: Answer, response: bytes) -> bool:
    """Say whether all additional records of an answer are in the response."""
    there = int.from_bytes(response[HEADER_SIZE - 2 : HEADER_SIZE], "big") - (query.edns is not None)
    return there == sum(len(rrset.rdatas) for _, rrset in (*answer.glue, *answer.additional))


def parted(records: RRset, rest: bytes) -> tuple[bytes, bytes, bytes] | None:
    """Find the last records of an answer; return what is before them, their owner, and what is behind them.

    Args:
        rest: what is behind the question.
    """
    place = rest.find(records.record_tail(records.rdatas[0])) - _POINTER_SIZE
    if place < 0:
        return None  # truncated
    owner = rest[place : place + _POINTER_SIZE]
    written = records.owned_by(owner)
    if not rest.startswith(written, place):
        return None  # the owner is written in full
    return rest[:place], owner, rest[place + len(written) :]


def answers_of(clock: Clock, turns: Turns, before: bytes, owner: bytes, behind: bytes) -> Iterator[bytes]:
    """Yield a pool's records for one query after the other, with what stands around them."""
    trace = turns.trace
    at_question = owner == QUESTION_POINTER
    while True:
        for rrset in turns.records.several(TURNS_AHEAD):
            # Where none counts down, all TTLs of a pool are the same: to note one answer of an instant is enough.
            if trace.last_at != clock.now:
                trace.note(rrset.ttl, clock.now)
            yield before + (rrset.at_question if at_question else rrset.owned_by(owner)) + behind
