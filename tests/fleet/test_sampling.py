"""Orders and samples: sizes, exact shares by weight and cap, no address twice, and who comes first."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnsd.core import sampled
from dnsd.core.sampled import Sampled
from dnsd.core.sampling import UNIT, Line, Weighted, fits, inclusion_shares, rotations

WEIGHTS = st.lists(st.integers(1, 1_000_000), min_size=1, max_size=60)
CAPS = st.one_of(st.just(1.0), st.floats(0.0, 1.0))
ADDRESSES = st.lists(st.tuples(st.integers(1, 1_000_000), CAPS), min_size=1, max_size=60)

# The upper 1 in 10,000 of chi-square with 9 degrees of freedom. What is tested draws nothing: it passes or it does not.
CHI_SQUARE_9 = 33.7


def weighted(weights: Sequence[int], caps: Sequence[float] | None = None) -> list[Weighted]:
    pairs = zip(weights, caps or [1.0] * len(weights), strict=True)
    return [Weighted(bytes([place]), weight, cap) for place, (weight, cap) in enumerate(pairs)]


def picked(weights: Sequence[int], size: int, times: int, caps: Sequence[float] | None = None) -> list[tuple[int, ...]]:
    rrset = Sampled(1, 30, Line.of(weighted(weights, caps), max_answers=size))
    return [tuple(rdata[0] for rdata in rrset.pick().rdatas) for _ in range(times)]


@given(ADDRESSES, st.integers(1, 20))
@settings(max_examples=200, deadline=None)
def test_the_samples_hold_each_address_in_exactly_its_share(pairs: list[tuple[int, float]], size: int) -> None:
    """Counted with their measures: not a millionth more or less; no sample is empty, too large, or has one twice."""
    addresses = weighted([weight for weight, _ in pairs], [cap for _, cap in pairs])
    line = Line.of(addresses, max_answers=size)
    held: Counter[bytes] = Counter()
    for place in range(len(line.bounds) + 1):
        sample = line.sample(place)
        assert 1 <= len(sample) == len(set(sample)) <= size
        for address in sample:
            held[address] += line.measure(place)
    shares = inclusion_shares(addresses, size=size)
    assert {each.address: share for each, share in zip(addresses, shares, strict=True) if share} == held
    assert all(0 <= share <= UNIT for share in shares)


@given(WEIGHTS, st.integers(1, 20))
@settings(max_examples=200, deadline=None)
def test_shares_are_as_weights(weights: list[int], size: int) -> None:
    """Of those that are not in every answer, any two have shares as their weights, to one part of the line."""
    shares = inclusion_shares(weighted(weights), size=size)
    assert sum(shares) == min(size, len(weights)) * UNIT
    partial = [(weight, share) for weight, share in zip(weights, shares, strict=True) if share < UNIT]
    if partial:
        rate = Fraction(sum(share for _, share in partial), sum(weight for weight, _ in partial))
        assert all(abs(share - weight * rate) <= 1 for weight, share in partial)


@pytest.mark.parametrize(
    ("weights", "caps", "size", "shares"),
    [
        ([1, 1, 1, 1], None, 2, [0.5] * 4),
        ([100, 1, 1], None, 2, [1.0, 0.5, 0.5]),
        ([2, 1, 1], None, 1, [0.5, 0.25, 0.25]),
        ([1, 1, 1], [1.0, 1.0, 0.3], 8, [1.0, 1.0, 0.3]),
        ([1, 1, 1], [1.0, 1.0, 0.5], 1, [0.4, 0.4, 0.2]),
        ([9, 1], [0.25, 1.0], 8, [0.25, 1.0]),
        ([1, 1], [0.2, 0.1], 8, [2 / 3, 1 / 3]),
        ([3], [0.0], 1, [1.0]),
    ],
)
def test_no_share_is_above_its_cap_unless_nobody_else_could_answer(
    weights: list[int], caps: list[float] | None, size: int, shares: list[float]
) -> None:
    """The others share what is left; where all are held back, they share every answer as they would."""
    found = inclusion_shares(weighted(weights, caps), size=size)
    assert [share / UNIT for share in found] == pytest.approx(shares, abs=1e-9)


def test_answers_follow_the_weights_by_chi_square() -> None:
    """Ten nodes of weights 1 to 10, three in each answer: counts over 55,000 answers, and who came first."""
    weights, times = range(1, 11), 55_000
    answers = picked(weights, 3, times)
    assert {len(set(answer)) for answer in answers} == {3}
    for counts, of_each in (
        (Counter(place for answer in answers for place in answer), 3),
        (Counter(answer[0] for answer in answers), 1),
    ):
        expected = [weight / 55 * times * of_each for weight in weights]
        found = sum((counts[place] - due) ** 2 / due for place, due in enumerate(expected))
        assert found < CHI_SQUARE_9
        # A draw would scatter by about 9; a sequence that spreads evenly stays far below.
        assert found < 1


def test_shares_come_about_soon_and_not_only_in_the_end() -> None:
    """In any run of a hundred answers an address is within a few of its share."""
    answers = picked([5, 1, 1, 1, 1, 1], 2, 1000)
    for start in range(0, 900, 37):
        counts = Counter(place for answer in answers[start : start + 100] for place in answer)
        assert all(abs(counts[place] - due) <= 4 for place, due in enumerate([100, 20, 20, 20, 20, 20]))


def test_a_node_that_is_held_back_stands_in_that_part_of_the_answers_though_all_would_fit() -> None:
    """Three nodes, one of them at 30 %: it is in 300 of 1000 answers, the others are in all."""
    counts = Counter(place for answer in picked([100] * 3, 8, 1000, [1.0, 0.3, 1.0]) for place in answer)
    assert (counts[0], counts[2]) == (1000, 1000)
    assert counts[1] == pytest.approx(300, abs=2)


def test_what_is_rendered_stays_within_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pool of many samples keeps so many records and no more, and answers as it would with all of them."""
    expected = picked(range(1, 50), 8, 500)
    monkeypatch.setattr(sampled, "MAX_RENDERED_RECORDS", 40)
    assert picked(range(1, 50), 8, 500) == expected
    rrset = Sampled(1, 30, Line.of(weighted(range(1, 50)), max_answers=8))
    for _ in range(500):
        rrset.pick()
        kept = sum(each is not None for orders in rrset._orders if orders for each in orders)
        assert kept * 8 <= 40


def test_a_pickled_one_is_equal_and_goes_on_where_it_was() -> None:
    """The turn travels, what is rendered does not."""
    rrset = Sampled(1, 30, Line.of(weighted([1, 2, 3]), max_answers=2), turn=7)
    rrset.pick()
    other = pickle.loads(pickle.dumps(rrset))
    assert (other, other._orders) == (rrset, [None] * len(rrset._orders))
    assert [other.pick() for _ in range(20)] == [rrset.pick() for _ in range(20)]


def test_addresses_that_all_fit_are_rotated() -> None:
    """Each answer holds all; over as many as there are orders, each address comes first once."""
    addresses = weighted([5, 1, 9])
    assert (fits(addresses, max_answers=3), fits(addresses, max_answers=2)) == (True, False)
    assert not fits(weighted([1, 1], [1.0, 0.5]), max_answers=3)
    assert rotations(addresses) == ((b"\0", b"\1", b"\2"), (b"\1", b"\2", b"\0"), (b"\2", b"\0", b"\1"))
