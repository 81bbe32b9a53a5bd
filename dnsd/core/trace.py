"""When a pool was last answered, with which TTL, and until when a cache may hold such an answer.

A worker keeps a trace for each pool and hands it on from generation to generation. It counts wall-clock instants as the
engine gets them; what leaves the worker are durations.
"""

from __future__ import annotations

from typing import NamedTuple

_NEVER = float("-inf")


class Answered(NamedTuple):
    """What a worker tells of a pool that it answered.

    Args:
        seconds_ago: since the last answer; infinite: there was none.
        seconds_left: until no cache that keeps to TTLs holds an answer; below 0: since then.
        max_ttl: seconds; the largest since a generation of the pool began that no cache held anything of.
    """

    seconds_ago: float
    seconds_left: float
    max_ttl: int


class Trace:
    """What is remembered of a pool's answers.

    Attributes:
        last_at: instant of the last one.
        until: instant from which on no cache holds one.
        max_ttl: seconds; the largest of this generation, and of those before it that caches hold something of.
    """

    __slots__ = ("last_at", "max_ttl", "until")

    def __init__(self) -> None:
        self.last_at = self.until = _NEVER
        self.max_ttl = 0

    def note(self, ttl: int, now: float) -> None:
        """Take note of an answer."""
        until = now + ttl
        if until > self.until:
            self.until = until
        if ttl > self.max_ttl:
            self.max_ttl = ttl
        self.last_at = now

    def take_over(self, other: Trace, now: float) -> None:
        """Go on from the trace of the same pool in the generation before; TTLs that have run out are forgotten."""
        self.last_at, self.until = other.last_at, other.until
        self.max_ttl = other.max_ttl if other.until > now else 0

    def assume_answered(self, now: float) -> None:
        """Take the last answer as one of now: the clock was set, and what was counted on it is worth nothing."""
        if self.last_at != _NEVER:
            self.last_at, self.until = now, now + self.max_ttl

    def told(self, now: float) -> Answered:
        """Return it in durations."""
        return Answered(max(0.0, now - self.last_at), self.until - now, self.max_ttl)

    def __reduce__(self) -> tuple[type[Trace], tuple[()]]:
        # A generation on its way to a worker has been answered by nobody.
        return Trace, ()
