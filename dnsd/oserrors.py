"""What the operating system says of an error, in its own words."""

from __future__ import annotations

import os


def reason_of(error: OSError) -> str:
    """Return why the system has refused something, without what a library says around it.

    A resolver's errors have negative numbers, and words of their own.
    """
    return os.strerror(error.errno) if error.errno is not None and error.errno > 0 else str(error)
