"""How long the control process bears with a worker, and how fast it starts another. All units are seconds."""

from __future__ import annotations

# From handing over a generation to its acknowledgement; takes 1 to 10 ms. Whoever takes longer would hold up every
# drain, so that it is killed. Less than the 5 s that an operator's `?wait=applied` commonly waits.
APPLY_SECONDS = 3.0

# The same for a whole snapshot, or for zones that a reload has changed. A large zone is mapped, which takes no time;
# smaller ones take 10 µs a name, those of a million names together 10 s.
LOAD_SECONDS = 30.0

# From a worker's start to its open sockets; takes 0.2 s, and longer with the snapshot.
START_SECONDS = 40.0

# A serving worker sends counters every second. One that is silent this long loses its share of the queries.
SILENCE_SECONDS = 5.0

# How often these limits are looked at.
WATCH_SECONDS = 0.25

# When the control process itself was not run for so long (a stopped or starved machine), nobody is blamed.
STALL_SECONDS = 1.0

# From asking a worker to end to killing it; it gives slow TCP clients 1 s for their last answers.
STOP_SECONDS = 3.0

# The first restart is immediate; each further one, for want of a worker that lasts, waits twice as long.
FIRST_BACKOFF_SECONDS = 0.1
MAX_BACKOFF_SECONDS = 5.0

# A worker that served this long has lasted.
LASTING_SECONDS = 10.0


def backoff_seconds(quick_ends: int) -> float:
    """Return how long to wait before the next start.

    Args:
        quick_ends: how many workers of the slot in a row have not lasted, 1 or more.
    """
    if quick_ends <= 1:
        return 0.0
    return min(MAX_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2.0 ** min(quick_ends - 2, 30))
