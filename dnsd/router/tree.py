"""Weighted rendezvous hashing over a whole fleet in a few steps: a tree in which halves of the fleet meet.

Nodes are the leaves of a binary trie over their places (`hashing.place_of`), so that its shape depends on who is in it
and on nothing else. At each fork the two sides meet by weighted rendezvous: a key goes to one with a chance of that
side's part in the weight of both, by a draw that belongs to this depth. It ends at each leaf with a chance of the
leaf's part in the whole. It knows nothing of modes and health: whoever meets a leaf that is not to be used draws again.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable, Sequence
from typing import Generic, Protocol, TypeVar, final

from dnsd.router import hashing

_LAST_BLOCK_FREE = hashing.DRAWS  # forks below this depth need another digest


class Leaf(Protocol):
    """What stands in a tree.

    Attributes:
        id: of the node.
        place: `hashing.place_of` its id.
        weight: above 0.
    """

    id: str
    place: int
    weight: int


LeafT = TypeVar("LeafT", bound=Leaf)


@final
class Fork(Generic[LeafT]):
    """Where two parts of a tree meet; immutable, so that a change copies the way to it and nothing else.

    Args:
        bit: the first bit, counted from the highest, in which the places of the two sides differ.
        left, right: forks or leaves; the bit is 0 on the left.
    """

    __slots__ = ("bit", "left", "place", "right", "threshold", "weight")

    def __init__(self, bit: int, left: Fork[LeafT] | LeafT, right: Fork[LeafT] | LeafT) -> None:
        self.bit = bit
        self.left = left
        self.right = right
        self.place: int = left.place  # of any leaf below: they agree in the bits before
        self.weight: int = left.weight + right.weight
        self.threshold = round(left.weight * hashing.DRAW_RANGE / self.weight)


def with_leaf(tree: Fork[LeafT] | LeafT | None, leaf: LeafT) -> Fork[LeafT] | LeafT:
    """Return a tree with a leaf put in, or put in the place of the one that stands there."""
    if tree is None:
        return leaf
    bit = hashing.PLACE_BITS - (tree.place ^ leaf.place).bit_length()
    if isinstance(tree, Fork) and bit >= tree.bit:
        if _goes_left(leaf.place, tree.bit):
            return Fork(tree.bit, with_leaf(tree.left, leaf), tree.right)
        return Fork(tree.bit, tree.left, with_leaf(tree.right, leaf))
    if bit == hashing.PLACE_BITS:
        return leaf
    return Fork(bit, leaf, tree) if _goes_left(leaf.place, bit) else Fork(bit, tree, leaf)


def tree_of(ordered: Sequence[LeafT]) -> Fork[LeafT] | LeafT | None:
    """Return the tree of leaves that are in the order of their places, which are all different."""
    return _tree_of(ordered, 0, len(ordered)) if ordered else None


def _tree_of(ordered: Sequence[LeafT], begin: int, end: int) -> Fork[LeafT] | LeafT:
    if end - begin == 1:
        return ordered[begin]
    bit = hashing.PLACE_BITS - (ordered[begin].place ^ ordered[end - 1].place).bit_length()
    middle = bisect.bisect_left(ordered, 1, begin, end, key=lambda leaf: 0 if _goes_left(leaf.place, bit) else 1)
    return Fork(bit, _tree_of(ordered, begin, middle), _tree_of(ordered, middle, end))


def without_leaf(tree: Fork[LeafT] | LeafT | None, place: int) -> Fork[LeafT] | LeafT | None:
    """Return a tree without the leaf of a place, where there is one."""
    if tree is None:
        return None
    if not isinstance(tree, Fork):
        return None if tree.place == place else tree
    if _goes_left(place, tree.bit):
        left = without_leaf(tree.left, place)
        return tree.right if left is None else Fork(tree.bit, left, tree.right)
    right = without_leaf(tree.right, place)
    return tree.left if right is None else Fork(tree.bit, tree.left, right)


def drawn(tree: Fork[LeafT] | LeafT, key: bytes, person: bytes, attempt: int) -> LeafT:
    """Return the leaf that a key draws.

    Args:
        person: of the role, `hashing.person_of`.
        attempt: from 0; each draws anew, whatever the ones before have drawn.
    """
    at: Fork[LeafT] | LeafT = tree
    numbers = hashing.draws(key, person, hashing.salt_of(attempt))
    while type(at) is Fork:
        if at.bit >= _LAST_BLOCK_FREE:
            return _drawn_deep(at, key, person, attempt)
        at = at.left if numbers[at.bit] < at.threshold else at.right
    return at


def _drawn_deep(at: Fork[LeafT] | LeafT, key: bytes, person: bytes, attempt: int) -> LeafT:
    """Go on where the first digest has no draw for a depth; few keys ever come so far."""
    block = 0
    numbers: Sequence[int] = ()
    while isinstance(at, Fork):
        wanted, index = divmod(at.bit, hashing.DRAWS)
        if wanted != block:
            block, numbers = wanted, hashing.draws(key, person, hashing.salt_of(attempt, wanted))
        at = at.left if numbers[index] < at.threshold else at.right
    return at


def best_of(candidates: Iterable[LeafT], key: bytes, person: bytes) -> LeafT | None:
    """Return the one that wins a weighted rendezvous of all of them; for few, it looks at each."""
    best, least = None, math.inf
    for each in candidates:
        score = -math.log(hashing.uniform(key, person, each.id)) / each.weight
        if score < least:
            best, least = each, score
    return best


def _goes_left(place: int, bit: int) -> bool:
    return not place >> (hashing.PLACE_BITS - 1 - bit) & 1
