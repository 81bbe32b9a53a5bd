"""How a pool's addresses share its answers: systematic samples by weight, laid out on a line of whole numbers.

Madow, "On the theory of systematic sampling, II" (1949): each address has a stretch of the line as long as its share,
none longer than `UNIT`; the points `offset`, `offset + UNIT`, `offset + 2 UNIT`… pick the addresses into whose
stretches they fall. Over all offsets each address stands in exactly its share of the answers, and never twice in one.
Between two offsets at which a stretch ends the sample is the same, so that there are at most as many different ones as
addresses. Nothing is drawn at random, and whole numbers leave nothing to rounding.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import NamedTuple

# A share of 1: every answer. Fine enough for weights from 1 to a million in pools of thousands. A power of two, so that
# offsets wrap with a mask.
UNIT = 1 << 48

# Orders of one RRset whose addresses all fit: each costs memory in every worker. Unit: variants.
MAX_ROTATIONS = 64


class Weighted(NamedTuple):
    """An address of a pool.

    Args:
        address: packed.
        weight: 1 or more.
        cap: 0 to 1: the most of all answers that may hold it. Its weight counts by that much as well, so that it also
            takes less than its due where not all addresses fit.
    """

    address: bytes
    weight: int
    cap: float = 1.0


def fits(addresses: Sequence[Weighted], *, max_answers: int) -> bool:
    """Say whether every answer holds every address."""
    return len(addresses) <= max_answers and all(each.cap >= 1 for each in addresses)


def rotations(addresses: Sequence[Weighted]) -> tuple[tuple[bytes, ...], ...]:
    """Return the orders in which addresses that all fit are answered in turn."""
    packed = tuple(each.address for each in addresses)
    count = min(len(packed), MAX_ROTATIONS)
    starts = (turn * len(packed) // count for turn in range(count))
    return tuple(packed[start:] + packed[:start] for start in starts)


def inclusion_shares(addresses: Sequence[Weighted], *, size: int) -> list[int]:
    """Return for each address the share of answers that hold it, in `UNIT`s.

    Shares are as weights, but none is above its cap, and the others take what it leaves. They sum to `size`, or to all
    caps where that is less, but never to less than 1: no answer is empty.

    Args:
        addresses: one or more.
        size: the most addresses in an answer, 1 or more.
    """
    caps = [min(UNIT, max(1, int(each.cap * UNIT))) for each in addresses]
    weights = [each.weight * cap for each, cap in zip(addresses, caps, strict=True)]
    left = min(size * UNIT, sum(caps))
    if left < UNIT:  # all of them are held back: somebody must take the load
        caps, left = [UNIT] * len(caps), UNIT
    return _fill(caps, weights, left)


def _fill(caps: list[int], weights: list[int], left: int) -> list[int]:
    """Return shares of `left` as weights, none above its cap; the caps sum to `left` at least."""
    shares = caps.copy()
    unsettled = list(range(len(caps)))
    while unsettled:
        total = sum(weights[place] for place in unsettled)
        below = [place for place in unsettled if weights[place] * left < caps[place] * total]
        if len(below) == len(unsettled):
            for place in below:
                shares[place] = weights[place] * left // total
            # The divisions have dropped less than one for each.
            for place in below[: left - sum(shares[place] for place in below)]:
                shares[place] += 1
            break
        left -= sum(caps[place] for place in unsettled) - sum(caps[place] for place in below)
        unsettled = below
    return shares


@dataclass(frozen=True, slots=True)
class Line:
    """Addresses on their line.

    Args:
        addresses: packed.
        ends: where the stretch of each ends, in `UNIT`s; it begins where the one before ends.
        bounds: the offsets, rising, at which the sample becomes another one.
    """

    addresses: tuple[bytes, ...]
    ends: tuple[int, ...]
    bounds: tuple[int, ...] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "bounds", tuple(sorted({end % UNIT for end in self.ends} - {0})))

    @classmethod
    def of(cls, addresses: Sequence[Weighted], *, max_answers: int) -> Line:
        """Lay addresses out by their shares."""
        ends = tuple(accumulate(inclusion_shares(addresses, size=max_answers)))
        return cls(tuple(each.address for each in addresses), ends)

    def sample(self, place: int) -> tuple[bytes, ...]:
        """Return the addresses of one sample.

        Args:
            place: between which bounds, from 0: before the first.
        """
        points = range(self.bounds[place - 1] if place else 0, self.ends[-1], UNIT)
        return tuple(self.addresses[bisect_right(self.ends, point)] for point in points)

    def measure(self, place: int) -> int:
        """Return how many of the `UNIT` offsets give a sample."""
        edges = (0, *self.bounds, UNIT)
        return edges[place + 1] - edges[place]
