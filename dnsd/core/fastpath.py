"""Responses that were made once and can be given again: what the engine has learned about questions over UDP.

Everything here works on tails: messages without the ID, their first two bytes. There are three tables:

    exact     a query's tail → the tails that answer it, one after the other: for names in lower case and NOERROR
    folded    the same in lower case → the parts of an answer, for whatever case the name is asked in (RFC 4343)
    denials   the query for the name above, in lower case → what is behind the question where a name does not exist

It must not know how an answer comes about. It learns from the engine, which decides nothing by it: a query that is not
found here takes the long way. What it keeps is true of one snapshot and one policy, and is forgotten with them; what
is due to become another answer, as soon as its TTL counts down to that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import repeat

from dnsd.core.answer import Answer, Kind
from dnsd.core.constants import DNAME, HEADER_SIZE, NOERROR, NXDOMAIN, SOA
from dnsd.core.edns import OPT_SIZE
from dnsd.core.learned import Denial, Folded
from dnsd.core.message import Query
from dnsd.core.poolturns import NEVER, Source, answers_of, cost_of, is_whole, parted, source_of
from dnsd.core.ratelimit import Limiter, subject_of
from dnsd.core.records import Snapshot

# What is kept: some 50,000 questions, of pools 20,000, or fewer with long answers. Beyond that it begins anew: what is
# asked often is soon learned again. Unit: bytes, counted roughly.
MAX_KEPT_BYTES = 32 * 1024 * 1024

ID_SIZE = 2
_NAME = HEADER_SIZE - ID_SIZE  # where the question's name begins in a tail
_TYPE_AND_CLASS = 4  # bytes of them
# What is kept of a question beside texts, and of the length of a name. Unit: bytes, as measured.
_ENTRY_BYTES, _SIZE_BYTES = 400, 100
_LETTERS = bytes(range(ord("A"), ord("Z") + 1)) + bytes(range(ord("a"), ord("z") + 1))
_RCODE_MASK = 0x0F


class FastPath:
    """What an engine has learned.

    Args:
        counts: responses by RCODE; it counts those that `recall` finds.

    Attributes:
        now: instant of the answers that are given; whoever asks keeps it true, by `at`.
        exact: see above. Whoever looks into it by himself counts what he finds, as NOERROR.
    """

    __slots__ = (
        "_counts",
        "_denials",
        "_denials_of",
        "_denying",
        "_ends",
        "_first_end",
        "_folded",
        "_kept",
        "_of_pool",
        "_snapshot",
        "exact",
        "now",
    )

    def __init__(self, snapshot: Snapshot, counts: list[int]) -> None:
        self.now = 0.0
        self.exact: dict[bytes, Iterator[bytes]] = {}
        self._snapshot = snapshot
        self._counts = counts
        self._folded: dict[bytes, Folded] = {}
        self._denials: dict[bytes, Denial] = {}
        self._kept = 0  # bytes
        # Owner of a pool, or apex of a zone → questions, exact and folded, and what each costs.
        self._of_pool: dict[bytes, dict[tuple[bytes, bytes], int]] = {}
        # Where zones have serials of their own, by apex: keys of denials and what each costs, and the pools that have
        # said with the zone's SOA that there is nothing. Other answers with an SOA are kept as a pool's, by the apex.
        self._denials_of: dict[bytes, dict[bytes, int]] = {}
        self._denying: dict[bytes, set[bytes]] = {}
        self._ends: dict[bytes, float] = {}  # owner → the last instant of its answers, where there is one
        self._first_end = NEVER

    def at(self, now: float) -> None:
        """Answer as of an instant from now on."""
        self.now = now
        if now > self._first_end:
            self._forget_pools([owner for owner, end in self._ends.items() if now > end])

    def recall(self, tail: bytes, *, limiter: Limiter | None = None, peer: str = "") -> bytes | None:
        """Return the tail of a response; None: nothing is known, or it is not to be sent as it is.

        Args:
            tail: of any packet, however malformed.
            limiter: lets it go, or not; None: nobody is limited.
            peer: for the limiter.
        """
        folded = tail.lower()
        known = self._folded.get(folded)
        if known is None:
            return self._recall_denial(tail, folded, limiter, peer)
        end, rcode, head, rest, exactly, subject = known
        if exactly and not tail.endswith(exactly):
            return None
        if limiter is not None and not (subject and limiter.grants(subject, peer=peer, now=self.now)):
            return None
        self._counts[rcode] += 1
        return head + tail[_NAME:end] + next(rest)

    def take_back(self, response: bytes) -> None:
        """Count for nothing what `recall` returned: it is not sent."""
        self._counts[response[1] & _RCODE_MASK] -= 1

    def _recall_denial(self, tail: bytes, folded: bytes, limiter: Limiter | None, peer: str) -> bytes | None:
        if len(tail) <= _NAME:
            return None
        size = folded[_NAME]
        denial = self._denials.get(folded[:_NAME] + folded[_NAME + 1 + size :])
        if denial is None:
            return None
        behind, head, records, nodes, exactly, subject = denial
        end = len(tail) - behind
        name = folded[_NAME : end - _TYPE_AND_CLASS]
        snapshot = self._snapshot
        if (
            size not in records
            or name in snapshot.overlay
            or name in nodes
            or name in snapshot.zones
            or not tail.endswith(exactly)
            or (limiter is not None and not limiter.grants(subject, peer=peer, now=self.now))
        ):
            return None
        self._counts[NXDOMAIN] += 1
        return head + tail[_NAME:end] + records[size]

    def learn(self, packet: bytes, query: Query, answer: Answer, response: bytes, *, now: float) -> None:
        """Take note of a response.

        Args:
            packet: with no options in its OPT.
            query: what was read of it.
            answer: without a zone it was not found by a lookup, and nothing is learned.
            response: to it, over UDP, whoever asks.
            now: instant of the response.
        """
        tail = packet[ID_SIZE:]
        head = tail[:_NAME]
        if answer.zone is None or query.tsig is not None or head != head.translate(None, _LETTERS):
            return
        # Other records in a query say nothing, and could be as long and as many as somebody likes.
        if len(tail) - _NAME - len(query.question) not in (0, OPT_SIZE):
            return
        if answer.kind is Kind.NXDOMAIN:
            self._learn_denial(tail, query, answer, response)
            return
        known = self._folded.get(tail.lower())
        if known is not None and tail.endswith(known.exactly):
            return  # it was a limiter that did not let it go
        source = source_of(answer, self._snapshot.overlay)
        if source is None or now > source.until or any(rrset.rdtype == DNAME for _, rrset in answer.answer):
            return  # a name that a DNAME makes has the case of the question
        self._learn_answer(tail, query, answer, response, source)

    def _learn_answer(self, tail: bytes, query: Query, answer: Answer, response: bytes, source: Source) -> None:
        end = _NAME + len(query.question)
        head, question, rest = response[ID_SIZE:HEADER_SIZE], response[HEADER_SIZE : end + 2], response[end + 2 :]
        lower = question[:-_TYPE_AND_CLASS].lower() + question[-_TYPE_AND_CLASS:]
        exact: Iterator[bytes] = repeat(head + lower + rest)
        rests: Iterator[bytes] = repeat(rest)
        if source.turns is not None:
            parts = parted(answer.answer[-1][1], rest)
            if parts is None or not is_whole(query, answer, response):
                return
            before, owner, behind = parts
            exact = answers_of(self, source.turns, head + lower + before, owner, behind)
            rests = answers_of(self, source.turns, before, owner, behind)
        folded = tail.lower()
        cost = _ENTRY_BYTES + 2 * (len(tail) + len(response)) + cost_of(source.turns)
        self._pay(cost)
        subject = subject_of(answer) if answer.is_brief else b""
        exactly = _letters_of(tail[end - _TYPE_AND_CLASS :])
        self._folded[folded] = Folded(end, answer.rcode, head, rests, exactly, subject)
        key = tail[:_NAME] + lower + tail[end:]
        if answer.rcode == NOERROR:
            self.exact[key] = exact
        apex = self._apex_of_soa(answer)
        if source.pool and apex:
            self._denying.setdefault(apex, set()).add(source.pool)
        if source.pool or apex:
            self._of_pool.setdefault(source.pool or apex, {})[key, folded] = cost
        if source.pool and source.until != NEVER:
            self._ends[source.pool] = min(source.until, self._ends.get(source.pool, NEVER))
            self._first_end = min(source.until, self._first_end)

    def _learn_denial(self, tail: bytes, query: Query, answer: Answer, response: bytes) -> None:
        zone, name = answer.zone, query.qname
        size = name[0]
        if zone is None or answer.answer or answer.closest_encloser != name[size + 1 :]:
            return
        # A name in the SOA that the question's own is part of is written as a pointer to it.
        if name[: size + 1] in zone.soa.rdatas[0].lower():
            return
        end = _NAME + len(query.question)
        folded = tail.lower()
        key = folded[:_NAME] + folded[_NAME + 1 + size :]
        exactly = _letters_of(tail[end - _TYPE_AND_CLASS :])
        denial = self._denials.get(key)
        if denial is not None and denial.exactly == exactly and size in denial.records:
            return
        cost = _SIZE_BYTES + len(response)
        self._pay(cost)
        denial = self._denials.get(key)
        if denial is None or denial.exactly != exactly:
            cost += _ENTRY_BYTES + 2 * len(tail)
            self._kept += _ENTRY_BYTES + 2 * len(tail)
            head = response[ID_SIZE:HEADER_SIZE]
            behind, subject = len(tail) - end, subject_of(answer)
            denial = self._denials[key] = Denial(behind, head, {}, zone.nodes, exactly, subject)
        denial.records[size] = response[end + ID_SIZE :]
        if zone.apex in self._snapshot.serials:
            costs = self._denials_of.setdefault(zone.apex, {})
            costs[key] = costs.get(key, 0) + cost

    def _apex_of_soa(self, answer: Answer) -> bytes:
        """Return the apex of the SOA in an answer, where its serial may become another one; empty: there is none."""
        serials = self._snapshot.serials
        if not serials:
            return b""
        soas = (owner for owner, rrset in (*answer.answer, *answer.authority) if rrset.rdtype == SOA)
        return next((owner for owner in soas if owner in serials), b"")

    def _pay(self, cost: int) -> None:
        """Make room for what is to be kept.

        Also what takes another's place pays, so that nobody can have more kept than there is room for: questions in
        letters of other cases share a place in one table, and have places of their own in another.
        """
        if self._kept + cost > MAX_KEPT_BYTES:
            self.forget()
        self._kept += cost

    def follow(
        self, snapshot: Snapshot, *, changed_pools: Collection[bytes] | None, renumbered: Collection[bytes] = ()
    ) -> None:
        """Go on with another snapshot.

        Args:
            changed_pools: owners of pools, where it differs in what these answer, and in serials, and in nothing else.
            renumbered: apexes of the zones with another serial.
        """
        before, self._snapshot = self._snapshot, snapshot
        # Of a zone that had no serial of its own, nobody has noted which answers have its SOA.
        if changed_pools is None or not all(apex in before.serials for apex in renumbered):
            self.forget()
            return
        self._forget_pools(changed_pools)
        for apex in renumbered:
            self._forget_pools([apex, *self._denying.pop(apex, ())])
            for key, cost in self._denials_of.pop(apex, {}).items():
                self._denials.pop(key, None)
                self._kept -= cost

    def _forget_pools(self, owners: Iterable[bytes]) -> None:
        for owner in owners:
            for (exact, folded), cost in self._of_pool.pop(owner, {}).items():
                self.exact.pop(exact, None)
                self._folded.pop(folded, None)
                self._kept -= cost
            self._ends.pop(owner, None)
        self._first_end = min(self._ends.values(), default=NEVER)

    def forget(self) -> None:
        """Forget everything."""
        self.exact.clear()
        self._folded.clear()
        self._denials.clear()
        self._denials_of.clear()
        self._denying.clear()
        self._kept = 0
        self._of_pool.clear()
        self._ends.clear()
        self._first_end = NEVER


def _letters_of(behind: bytes) -> bytes:
    """Return what follows a question's name where it has letters among its bytes, else nothing."""
    return behind if behind != behind.translate(None, _LETTERS) else b""
