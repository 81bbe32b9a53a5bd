"""The stores that the common suite runs over; a Redis store joins by one more line in `KINDS`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dnsd.stores.base import CHANGES_KEPT, DrainStore
from dnsd.stores.memory import MemoryStore
from dnsd.stores.sqlite import SqliteStore


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of store.

    Args:
        make: from an empty folder and the number of changes to keep to a store that is not open.
        durable: another store made from the same folder sees what the first one kept.
    """

    name: str
    make: Callable[[Path, int], DrainStore]
    durable: bool

    def fresh(self, folder: Path, *, changes_kept: int = CHANGES_KEPT) -> DrainStore:
        """Make a store in the folder, not open yet."""
        return self.make(folder, changes_kept)


KINDS = (
    Kind("memory", lambda _folder, kept: MemoryStore(changes_kept=kept), durable=False),
    Kind("sqlite", lambda folder, kept: SqliteStore(folder / "state.db", changes_kept=kept), durable=True),
)
