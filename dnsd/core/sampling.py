"""In which orders and samples a pool's addresses are answered.

Where all addresses fit in an answer, the variants are its rotations. Where they do not, each variant is a systematic
sample (Madow, "On the theory of systematic sampling, II", 1949): over all variants an address stands in a share of
the answers that is proportional to its weight, never twice in one answer, and nothing is drawn at random.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from math import ceil, gcd, inf

# Variants of one RRset: each costs memory in every worker. A sample gets more where its lightest address would not
# stand in any variant otherwise, up to the second bound. Unit: variants.
MAX_ROTATIONS = 64
MAX_SAMPLES = 1024


def variants(addresses: Sequence[tuple[bytes, int]], *, max_answers: int) -> tuple[tuple[bytes, ...], ...]:
    """Return the answers that a pool gives in turn.

    Args:
        addresses: distinct packed addresses with their weights, each above 0.
        max_answers: the most addresses in one answer, 1 or more.

    Returns:
        One or more tuples of addresses; none where there is no address.
    """
    if not addresses:
        return ()
    if len(addresses) <= max_answers:
        return _rotations([address for address, _ in addresses])
    return _samples(addresses, max_answers)


def _rotations(addresses: list[bytes]) -> tuple[tuple[bytes, ...], ...]:
    size = len(addresses)
    count = min(size, MAX_ROTATIONS)
    starts = (turn * size // count for turn in range(count))
    return tuple(tuple(addresses[start:] + addresses[:start]) for start in starts)


def _samples(addresses: Sequence[tuple[bytes, int]], size: int) -> tuple[tuple[bytes, ...], ...]:
    shares = inclusion_shares([weight for _, weight in addresses], size=size)
    count = _sample_count(shares, size)
    ends = list(accumulate(shares))
    ends[-1] = inf  # the sum of the shares is `size`, but for its rounding
    samples = []
    for turn in range(count):
        offset = (turn + 0.5) / count
        chosen: list[bytes] = []
        place = -1
        for whole in range(size):
            # Chosen is the address into whose stretch of the line the point falls; no stretch is longer than 1.
            place = bisect_right(ends, whole + offset, lo=place + 1)
            chosen.append(addresses[place][0])
        # Clients tend to take the first address: let it be another one each time.
        first = turn % size
        samples.append(tuple(chosen[first:] + chosen[:first]))
    return tuple(samples)


def _sample_count(shares: Sequence[float], size: int) -> int:
    if max(shares) == min(shares):
        exact = len(shares) // gcd(len(shares), size)
        if exact <= MAX_ROTATIONS:
            return exact
    return min(max(MAX_ROTATIONS, ceil(1 / min(shares))), MAX_SAMPLES)


def inclusion_shares(weights: Sequence[int], *, size: int) -> list[float]:
    """Return for each weight the share of answers that hold it, so that they sum to `size` and none is above 1.

    A weight too heavy for its due share stands in every answer, and the others share what is left.

    Args:
        weights: each above 0; more of them than `size`.
        size: addresses in an answer.
    """
    shares = [0.0] * len(weights)
    open_places = set(range(len(weights)))
    left = size
    while open_places:
        total = sum(weights[place] for place in open_places)
        full = [place for place in open_places if weights[place] * left >= total]
        if not full:
            for place in open_places:
                shares[place] = weights[place] * left / total
            break
        for place in full:
            shares[place] = 1.0
            open_places.remove(place)
        left -= len(full)
    return shares
