"""Rotations and samples: sizes, shares by weight, and no address twice."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnsd.core.sampling import MAX_SAMPLES, inclusion_shares, variants

WEIGHTS = st.lists(st.integers(1, 10_000), min_size=1, max_size=60)


def addresses(weights: list[int]) -> list[tuple[bytes, int]]:
    return [(bytes([place]), weight) for place, weight in enumerate(weights)]


@given(WEIGHTS, st.integers(1, 20))
@settings(max_examples=200, deadline=None)
def test_every_variant_is_full_and_names_no_address_twice(weights: list[int], size: int) -> None:
    """As many addresses as fit, each once; never more variants than the bound."""
    found = variants(addresses(weights), max_answers=size)
    assert 1 <= len(found) <= MAX_SAMPLES
    for variant in found:
        assert len(variant) == len(set(variant)) == min(size, len(weights))


@given(WEIGHTS, st.integers(1, 20))
@settings(max_examples=200, deadline=None)
def test_an_address_stands_in_its_due_share_of_the_samples(weights: list[int], size: int) -> None:
    """Over all variants each count is within one of the share."""
    if size >= len(weights):
        return
    found = variants(addresses(weights), max_answers=size)
    counts = Counter(address for variant in found for address in variant)
    for place, share in enumerate(inclusion_shares(weights, size=size)):
        assert abs(counts[bytes([place])] - share * len(found)) <= 1 + 1e-6


@pytest.mark.parametrize(
    ("weights", "size", "shares"),
    [([1, 1, 1, 1], 2, [0.5] * 4), ([100, 1, 1], 2, [1.0, 0.5, 0.5]), ([2, 1, 1], 1, [0.5, 0.25, 0.25])],
)
def test_a_weight_too_heavy_for_its_share_stands_in_every_answer(
    weights: list[int], size: int, shares: list[float]
) -> None:
    """The others share what is left."""
    assert inclusion_shares(weights, size=size) == pytest.approx(shares)
