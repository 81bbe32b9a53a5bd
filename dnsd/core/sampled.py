"""An RRset of a pool that answers with some of its addresses: which sample the next answer gets, and in which order.

Offsets advance by the golden ratio, whose multiples spread over the line more evenly than those of any other number:
after any count of answers each address is as close to its share as such a sequence can bring it. Samples are rendered
when they are first picked.
"""

from __future__ import annotations

from bisect import bisect_right

from dnsd.core.records import RRset
from dnsd.core.sampling import UNIT, Line

# The golden ratio of the line; odd, so that the offsets come to every one before they repeat.
_STEP = int(UNIT * 0.6180339887498949) | 1
_MASK = UNIT - 1

# Records that the rendered answers of one pool may hold in one worker: about 100 bytes each. Beyond it they are
# rendered anew. Unit: records.
MAX_RENDERED_RECORDS = 100_000


class Sampled:
    """Samples of a pool's addresses; each answer gets the next one.

    Args:
        line: the addresses by their shares.
        turn: how many answers it is taken to have given.
    """

    __slots__ = ("_line", "_offset", "_orders", "_room", "_turn", "rdtype", "ttl")

    def __init__(self, rdtype: int, ttl: int, line: Line, *, turn: int = 0) -> None:
        self.rdtype = rdtype
        self.ttl = ttl
        self._line = line
        self._turn = turn
        self._offset = turn * _STEP & _MASK
        self._forget()

    @property
    def rdatas(self) -> tuple[bytes, ...]:
        """Every RDATA that an answer may hold."""
        return self._line.addresses

    @property
    def count(self) -> int | None:
        """Records in every answer; None: there is one more in some of them."""
        whole, part = divmod(self._line.ends[-1], UNIT)
        return None if part else whole

    def pick(self) -> RRset:
        """Return the next sample."""
        return self.several(1)[0]

    def several(self, count: int) -> list[RRset]:
        """Return the samples of the next answers."""
        bounds, offset, turn = self._line.bounds, self._offset, self._turn
        found: list[RRset] = []
        for _ in range(count):
            offset = offset + _STEP & _MASK
            turn += 1
            place = bisect_right(bounds, offset)
            orders = self._orders[place]
            # Clients tend to take the first address: let it be another one each time.
            rrset = None if orders is None else orders[turn % len(orders)]
            found.append(rrset or self._render(place, turn))
        self._offset, self._turn = offset, turn
        return found

    def _render(self, place: int, turn: int) -> RRset:
        sample = self._line.sample(place)
        if self._room < len(sample):
            self._forget()
        self._room -= len(sample)
        orders = self._orders[place]
        if orders is None:
            orders = self._orders[place] = [None] * len(sample)
        first = turn % len(sample)
        rrset = orders[first] = RRset(self.rdtype, self.ttl, sample[first:] + sample[:first])
        return rrset

    def _forget(self) -> None:
        self._orders: list[list[RRset | None] | None] = [None] * (len(self._line.bounds) + 1)
        self._room = MAX_RENDERED_RECORDS

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sampled) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    def __repr__(self) -> str:
        return f"Sampled(type={self.rdtype}, ttl={self.ttl}, of {len(self.rdatas)} addresses)"

    @property
    def _identity(self) -> tuple[int, int, Line]:
        return self.rdtype, self.ttl, self._line

    def __reduce__(self) -> tuple[object, ...]:
        return _sampled, (*self._identity, self._turn)


def _sampled(rdtype: int, ttl: int, line: Line, turn: int) -> Sampled:
    return Sampled(rdtype, ttl, line, turn=turn)
