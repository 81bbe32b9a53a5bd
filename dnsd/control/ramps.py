"""An undrained node's return in steps: which released drains a ramp follows, and what it is. No store, no clock."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from dnsd.control.actor import Actor
from dnsd.errors import InvalidRequest
from dnsd.model.drain import Drain, Mode
from dnsd.model.times import format_duration, to_milliseconds

# A return that takes longer is no return; the node's weight says what share it has. Unit: seconds (1 day).
MAX_RAMP_SECONDS = 86_400.0


def check_ramp(seconds: float) -> None:
    """Check the length that a release asks for.

    Raises:
        InvalidRequest: not above 0, or longer than `MAX_RAMP_SECONDS`.
    """
    if not (math.isfinite(seconds) and seconds > 0):
        raise InvalidRequest("a ramp takes more than 0 seconds", field="ramp")
    if seconds > MAX_RAMP_SECONDS:
        raise InvalidRequest(f"a ramp takes {format_duration(MAX_RAMP_SECONDS)} at most", field="ramp")


def ramps_after(ended: Sequence[Drain], node: str, *, seconds: float, actor: Actor, now: float) -> list[Drain]:
    """Return the ramps that a release leaves behind; their revisions are still to be set.

    Args:
        ended: what the release is about, ramps included: one that runs goes on as it is, so that a repeated request
            changes nothing.
        seconds: the ramp's length.
        now: instant; in whole milliseconds.

    Raises:
        InvalidRequest: nothing of it is in force, so that there is nothing to come back from.
    """
    ramps = [each if each.is_ramp else _ramp_after(each, seconds, actor, now) for each in ended if each.active(now)]
    if not ramps:
        raise InvalidRequest(f"no drain in force on {node} is released, so there is nothing to ramp up", field="ramp")
    return ramps


def _ramp_after(drain: Drain, seconds: float, actor: Actor, now: float) -> Drain:
    # A step is no shorter than what an instant can say.
    expires_at = max(to_milliseconds(now + seconds), to_milliseconds(now + 0.001))
    return replace(
        drain, mode=Mode.NORMAL, actor=actor.name, created_at=now, starts_at=now, expires_at=expires_at, forced=False
    )
