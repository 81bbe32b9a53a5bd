"""What goes on in a thread of its own while a test does something else."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from typing import Self


class Background(ABC):
    """Something that goes on for the length of a block; what it raises fails the test, as a warning of pytest's.

    Attributes:
        _ended: set at the end of the block, which then waits for `_run` to return.
    """

    def __init__(self) -> None:
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=type(self).__name__)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def under_way(self) -> bool:
        """Whether it has not returned yet."""
        return self._thread.is_alive()

    @abstractmethod
    def _run(self) -> None:
        """Do it; in the thread."""
