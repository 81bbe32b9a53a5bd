"""What a process may have, for a while."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def limited(what: int, soft: int) -> Iterator[None]:
    """Lower a limit of this process, such as `resource.RLIMIT_NOFILE`, and put it back in the end."""
    before, hard = resource.getrlimit(what)
    resource.setrlimit(what, (soft, hard))
    try:
        yield
    finally:
        resource.setrlimit(what, (before, hard))
