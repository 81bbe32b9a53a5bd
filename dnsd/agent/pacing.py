"""How long an agent pauses between two reports. Pure: chance is an argument."""

from __future__ import annotations

# While no server answers, a pause doubles up to so many intervals, but for rare reports not beyond this or the interval
# itself: a node must not be stale for much longer than the control plane was away. Unit: intervals; seconds.
LONGEST_PAUSE_INTERVALS = 2.0
LONGEST_PAUSE_SECONDS = 10.0

# Of an interval, either way: agents that were started together must not stay together. Unit: share.
JITTER = 0.1


def pause_after(failures: int, *, interval_seconds: float, chance: float) -> float:
    """Return the seconds until the next report.

    Args:
        failures: rounds in a row in which no server took one.
        chance: random, 0 to 1.
    """
    if not failures:
        return interval_seconds * (1 - JITTER + 2 * JITTER * chance)
    longest = min(LONGEST_PAUSE_INTERVALS * interval_seconds, max(interval_seconds, LONGEST_PAUSE_SECONDS))
    pause = min(interval_seconds * 2.0 ** min(failures - 1, 30), longest)
    return pause * (0.5 + 0.5 * chance)
