"""How Python's garbage collection is kept from standing in the way of drains and of answers.

A fleet of ten thousand nodes is half a million objects, and what a worker has learned as many: a walk through all of
them takes longer than a drain or an answer may. They stay for long, and what a report, a drain or a query leaves behind
has no cycles: it is freed at once, by its count of references. It must not know whose objects they are.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

# Objects made since the last look at the youngest; that look takes one to two milliseconds. Unit: objects.
YOUNG_OBJECTS = 5_000

# Looks at one generation before the next older one is looked at. What gets old are last reports and learned answers,
# which come and go without cycles: the oldest are hardly ever worth a walk. Unit: looks.
LOOKS, OLD_LOOKS = 20, 100


@contextlib.contextmanager
def without_collector() -> Iterator[None]:
    """Look for no garbage while much is made that stays: a tenth of loading modules, a third of making a fleet."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def settle() -> None:
    """Take what there is now as staying, and look at the rest less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, LOOKS, OLD_LOOKS)


def settle_more() -> None:
    """Take as staying what has come since, but for young garbage: to find all of it takes up to a second."""
    gc.collect(1)
    gc.freeze()
