"""How the control process keeps Python's own housekeeping from standing in the way of drains.

A fleet of ten thousand nodes is half a million objects, and a walk through all of them takes longer than a drain may.
They stay for as long as the process does, and what a report or a drain leaves behind has no cycles: it is freed at
once, by its count of references.
"""

from __future__ import annotations

import gc
import sys

# Objects made since the last look at the youngest; that look takes one to two milliseconds. Unit: objects.
YOUNG_OBJECTS = 5_000

# Looks at one generation before the next older one is looked at. What gets old are last reports, of which there are as
# many as nodes, and they come and go without cycles: the oldest are hardly ever worth a walk. Unit: looks.
LOOKS, OLD_LOOKS = 20, 100

# How long a thread may go on, such as one that writes reports, when the event loop has something to do. Python's own
# default is 5 ms, and each step of a drain may meet it. Unit: seconds.
SWITCH_SECONDS = 0.001


def settle() -> None:
    """Take what there is now as staying, look at the rest less often, and let the event loop have its turn soon."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, LOOKS, OLD_LOOKS)
    sys.setswitchinterval(SWITCH_SECONDS)
