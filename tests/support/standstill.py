"""Experiments that the machine must not stand still in: what they find then is found again."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

# Between two looks at the clock. Unit: seconds.
TICK_SECONDS = 0.005

# How often an experiment is begun at most; what the last one finds counts, however the machine was.
TRIES = 5

FoundT = TypeVar("FoundT")


@contextlib.contextmanager
def longest_standstill() -> Iterator[Callable[[], float]]:
    """Give what says for how long this process has done nothing at most, since the block began, in seconds."""
    longest, ended = TICK_SECONDS, threading.Event()

    def tick() -> None:
        nonlocal longest
        last = time.monotonic()
        while not ended.wait(TICK_SECONDS):
            now = time.monotonic()
            longest, last = max(longest, now - last), now

    thread = threading.Thread(target=tick, name="standstill")
    thread.start()
    try:
        yield lambda: longest
    finally:
        ended.set()
        thread.join()


def without_standstill(experiment: Callable[[int], FoundT], *, most_seconds: float) -> FoundT:
    """Make an experiment, and make it again where it fails and the machine stood still meanwhile.

    Args:
        experiment: takes the number of the try, from 0 on; raises `AssertionError` where it fails.
        most_seconds: how long a standstill it bears.
    """
    number = 0
    while True:
        with longest_standstill() as longest:
            try:
                return experiment(number)
            except AssertionError:
                number += 1
                if longest() <= most_seconds or number == TRIES:
                    raise
