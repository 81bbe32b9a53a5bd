"""What the workers have told of pools that they answered until a generation replaced them.

It takes the most of all workers, on a steady clock. A worker that ended without a word may have answered until then: it
is remembered that one did. It knows owners and generations, not nodes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dnsd.core.trace import Answered


@dataclass(frozen=True, slots=True)
class Heard:
    """A pool's answers from before a generation, by all workers that told of them.

    Args:
        last_at: instant of the last one on the steady clock; minus infinity: there was none.
        clear_at: instant on the steady clock from which no cache holds one; minus infinity: there was none.
        max_ttl: seconds.
    """

    last_at: float
    clear_at: float
    max_ttl: int

    def __or__(self, other: Heard) -> Heard:
        last_at, clear_at = max(self.last_at, other.last_at), max(self.clear_at, other.clear_at)
        return Heard(last_at, clear_at, max(self.max_ttl, other.max_ttl))


class AnswerLog:
    """What was heard for each generation that is not applied by all yet.

    Attributes:
        lost_at: instant on the steady clock at which a worker last ended without telling; minus infinity: none has.
    """

    def __init__(self) -> None:
        self.lost_at = float("-inf")
        self._heard: dict[int, dict[bytes, Heard]] = {}

    def tell(self, generation: int, answered: Mapping[bytes, Answered], *, steady: float) -> None:
        """Take what one worker tells with its acknowledgement of a generation.

        Args:
            steady: seconds on the steady clock now, which is not before the worker's own words.
        """
        heard = self._heard.setdefault(generation, {})
        for owner, each in answered.items():
            one = Heard(steady - each.seconds_ago, steady + each.seconds_left, each.max_ttl)
            heard[owner] = heard[owner] | one if owner in heard else one

    def lose(self, *, steady: float) -> None:
        """Take note that a worker has ended."""
        self.lost_at = max(self.lost_at, steady)

    def heard(self, owner: bytes, generation: int) -> Heard | None:
        """Return what was heard of a pool up to a generation that changed it; None: nobody told."""
        return self._heard.get(generation, {}).get(owner)

    def forget(self, generation: int) -> None:
        """Drop what was heard for this generation and those before it."""
        for each in [each for each in self._heard if each <= generation]:
            del self._heard[each]
