"""What every part of the benchmark is given: how long to measure, where to write, and which CPUs."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench.owned import Cores, share_cores

# A load before what is measured, so that caches are as full as they get. Unit: seconds.
WARM_UP_SECONDS = 1.0


@dataclass(slots=True)
class Context:
    """How a run measures.

    Args:
        rounds: how often each measurement is taken; tables have medians.
        seconds: how long each load lasts.
        quick: smaller fleets, zones and counts, to see that everything runs.
    """

    rounds: int = 3
    seconds: float = 5.0
    quick: bool = False
    cores: Cores = field(default_factory=lambda: share_cores(sorted(os.sched_getaffinity(0))))
    began: float = field(default_factory=time.monotonic)

    def say(self, text: str) -> None:
        """Tell whoever waits what is being done."""
        print(f"[{time.monotonic() - self.began:6.1f} s] {text}", file=sys.stderr, flush=True)

    @contextlib.contextmanager
    def folder(self) -> Iterator[Path]:
        """Give an empty folder, with a path short enough for a socket, for the length of a block."""
        with tempfile.TemporaryDirectory(prefix="dnsd-bench-") as name:
            yield Path(name)
