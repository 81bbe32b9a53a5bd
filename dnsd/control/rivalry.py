"""When to claim a serial again because a secondary has a newer one, which another server of the fleet has made.

What is in that one is not known here: the same, where that server was only quicker; or old records, where it is cut off
from the store, or is gone. In the first case a claim for ours gets its serial, in the second one beyond it, so that the
secondary takes what is here. It knows zones, serials and instants, and asks nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple

from dnsd.control.farserials import FarSerials

# How long another server's serial stands before ours is claimed again: mostly it is claimed anyway by then, with the
# change that both have heard of. Unit: seconds.
OVERTAKEN_SECONDS = 5.0

# Servers that do not agree about records, as where their checks find different things, must not outbid each other all
# the time: unless somebody waits, the pause doubles with each time up to this, and is the first one again after so many
# pauses without. Unit: seconds; pauses.
LONGEST_PAUSE_SECONDS, PAUSES_IN_PEACE = 640.0, 4


class _Outbid(NamedTuple):
    """The last claim of that kind, and the pause that follows it."""

    at: float
    pause: float


_NEVER = _Outbid(float("-inf"), OVERTAKEN_SECONDS)


class Rivalry:
    """The claims against other servers' serials.

    Args:
        heard: told of a zone and the serial at once, for whatever is claimed next.
        overtaken: told of a zone of which the serial is to be claimed again.
    """

    def __init__(self, *, heard: Callable[[bytes, int], None], overtaken: Callable[[bytes], None]) -> None:
        self._heard = heard
        self._overtaken = overtaken
        self._last: dict[bytes, _Outbid] = {}

    def seen(self, apex: bytes, far: FarSerials, *, now: float, waited_for: bool) -> None:
        """Take note that a secondary has a newer serial than ours, made by another server.

        Args:
            now: on the steady clock.
            waited_for: somebody asks whether a node may be stopped, and has to be told what is in it.
        """
        if far.serial is None or far.changed_at is None:
            return
        self._heard(apex, far.serial)
        last = self._last.get(apex, _NEVER)
        if now - last.at >= PAUSES_IN_PEACE * last.pause:
            last = _NEVER
        pause = OVERTAKEN_SECONDS if waited_for else last.pause
        if now >= max(last.at + pause, far.changed_at + OVERTAKEN_SECONDS):
            self._last[apex] = _Outbid(now, min(2 * last.pause, LONGEST_PAUSE_SECONDS))
            self._overtaken(apex)

    def forget_others(self, zones: Collection[bytes]) -> None:
        """Drop what is known of other zones than these."""
        for apex in self._last.keys() - set(zones):
            del self._last[apex]
