"""How many files and sockets a process of ours may have open, and what is said when they are too many.

The usual limit, 1024, is for programs that call select(2), which nothing here does. Large zones, connections and nodes'
checks take descriptors, and what is allowed beyond that limit is there for the taking.
"""

from __future__ import annotations

import contextlib
import errno
import resource

# No descriptor is left, to this process or on this machine.
NONE_LEFT = frozenset({errno.EMFILE, errno.ENFILE})


def raise_limit() -> None:
    """Raise this process's limit as far as it may; the processes that it starts inherit that."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Some systems call a limit infinite and take no such number: then it stays as it is.
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def room_for(wanted: int) -> int:
    """Return how many of these descriptors one thing may have: at most half of the limit, so that all else has some."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wanted if limit == resource.RLIM_INFINITY else min(wanted, limit // 2)


def reason(error: OSError) -> str:
    """Return what the system has refused, without a path; of descriptors, with the limit and what takes so many."""
    said = error.strerror or str(error)
    if error.errno != errno.EMFILE:
        return said
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return (
        f"{said[0].lower()}{said[1:]}, the limit is {limit} (ulimit -Hn, LimitNOFILE=); a large zone takes two of them,"
        " and two more in a reload that changes it"
    )
