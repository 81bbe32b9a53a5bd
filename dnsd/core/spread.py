"""How the records of a pool take turns: all of them in changing orders, samples of them, or several kinds put together.

It knows RDATA and weights. What the bytes say is for those who make them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

from dnsd.core.records import Answerable, Rotation, RRset
from dnsd.core.sampled import Sampled
from dnsd.core.sampling import Line, Weighted, fits, rotations

# What makes the records of an answer out of those that its parts give.
Form = Callable[[Sequence[tuple[bytes, ...]]], tuple[bytes, ...]]


def spread(
    rdtype: int, ttl: int, records: Sequence[Weighted], *, max_answers: int, turn: int = 0
) -> Rotation | Sampled:
    """Return the RRset of one or more records, all of them in each answer where they fit, else samples.

    Args:
        max_answers: 1 or more.
        turn: which order or sample the first answer gets.
    """
    if fits(records, max_answers=max_answers):
        return Rotation(tuple(RRset(rdtype, ttl, order) for order in rotations(records)), turn=turn)
    return Sampled(rdtype, ttl, Line.of(records, max_answers=max_answers), turn=turn)


def staggered(rrset: Rotation, *, turn: int = 0) -> Rotation:
    """Return a rotation of which also every other answer comes to all orders, each as often.

    Clients ask for two types at once where one answer has the records of both: of two addresses, the answers to one of
    the questions would begin with the same one for ever.
    """
    orders = rrset.variants
    if len(orders) % 2:
        return rrset
    return Rotation((*orders, *orders[1:], *orders[:1]), turn=turn)


class Composed:
    """An RRset that is put together for each answer from what its parts give.

    Args:
        parts: one or more; theirs is the turn.
        form: makes the records; compared and pickled with the rest.
    """

    __slots__ = ("_form", "_parts", "rdtype", "ttl")

    def __init__(self, rdtype: int, ttl: int, parts: tuple[Answerable, ...], form: Form) -> None:
        self.rdtype = rdtype
        self.ttl = ttl
        self._parts = parts
        self._form = form

    @property
    def rdatas(self) -> tuple[bytes, ...]:
        """Every RDATA that an answer may hold; where records list addresses, one with all of them."""
        return self._form([part.rdatas for part in self._parts])

    @property
    def count(self) -> None:
        """Records in every answer: its form decides, and on how long they are."""
        return None

    def pick(self) -> RRset:
        """Return the next answer."""
        return RRset(self.rdtype, self.ttl, self._form([part.pick().rdatas for part in self._parts]))

    def several(self, count: int) -> list[RRset]:
        """Return the next answers."""
        return [self.pick() for _ in range(count)]

    def __copy__(self) -> Composed:
        return Composed(self.rdtype, self.ttl, tuple(copy.copy(part) for part in self._parts), self._form)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Composed) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    def __repr__(self) -> str:
        return f"Composed(type={self.rdtype}, ttl={self.ttl}, of {len(self._parts)} parts)"

    @property
    def _identity(self) -> tuple[int, int, tuple[Answerable, ...], Form]:
        return self.rdtype, self.ttl, self._parts, self._form

    def __reduce__(self) -> tuple[object, ...]:
        return Composed, self._identity


def one_after_the_other(parts: Sequence[tuple[bytes, ...]]) -> tuple[bytes, ...]:
    """Return the records of all parts; a `Form`."""
    return tuple(rdata for part in parts for rdata in part)
