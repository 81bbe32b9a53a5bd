"""Token buckets in a table of a fixed size, however many accounts there are.

An account has one of a few places, by a hash that no client can foresee; where all are taken it gets that of the
account which owes least. So accounts that are used once push each other out, not one that is over its limit.
"""

from __future__ import annotations

from array import array

# Accounts in one table; 16 bytes each. Unit: accounts; a multiple of `WAYS`.
BUCKETS = 65_536

# Places that an account may have: more make it less likely that one over its limit loses its own, and cost time.
WAYS = 4

# An instant of the present is a float with steps of 0.2 µs, and a bucket adds up what it loses with each token. Unit:
# seconds.
_ROUNDING_SECONDS = 1e-5

# A bucket that is ahead by this much more than it can be was written before the clock was set back. Unit: seconds.
_CLOCK_SET_SECONDS = 1.0


class Rate:
    """How fast buckets fill, and how deep they are.

    Args:
        per_second: tokens; above 0.
        window_seconds: a full bucket has so many seconds' worth, and one token at least.

    Attributes:
        step: seconds that one token takes to come.
        slack: seconds that a bucket may be ahead of the clock and still give a token.
    """

    __slots__ = ("slack", "step")

    def __init__(self, per_second: float, *, window_seconds: float) -> None:
        self.step = 1.0 / per_second
        self.slack = max(0.0, window_seconds - self.step) + _ROUNDING_SECONDS


class Buckets:
    """The table.

    A bucket is one instant: when the tokens that it has given are paid for. That is the generic cell rate algorithm
    (ITU-T I.371): nothing has to be filled up as time goes by.

    Args:
        size: number of buckets; a multiple of `WAYS`.
    """

    __slots__ = ("_owners", "_paid_at", "_sets")

    def __init__(self, size: int = BUCKETS) -> None:
        self._sets = size // WAYS
        self._owners = array("q", bytes(8 * size))
        self._paid_at = array("d", bytes(8 * size))

    def take(self, owner: int, rate: Rate, *, now: float) -> bool:
        """Take a token of an account; False: there is none.

        Args:
            owner: a hash of the account; 64 bits, signed.
            now: seconds since the epoch.
        """
        place = self._place_of(owner)
        ahead = self._paid_at[place] - now
        if ahead < 0.0 or ahead > rate.slack + rate.step + _CLOCK_SET_SECONDS:
            ahead = 0.0
        if ahead > rate.slack:
            return False
        self._paid_at[place] = now + ahead + rate.step
        return True

    def _place_of(self, owner: int) -> int:
        first = owner % self._sets * WAYS
        owners = self._owners
        for place in range(first, first + WAYS):
            if owners[place] == owner:
                return place
        place = min(range(first, first + WAYS), key=self._paid_at.__getitem__)
        owners[place] = owner
        self._paid_at[place] = 0.0
        return place
