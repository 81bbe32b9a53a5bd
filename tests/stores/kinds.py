"""The stores that the common suite runs over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dnsd.stores.base import CHANGES_KEPT, DrainStore
from dnsd.stores.memory import MemoryStore
from dnsd.stores.redis.address import Address
from dnsd.stores.redis.address import Kind as Scheme
from dnsd.stores.redis.store import RedisStore
from dnsd.stores.sqlite import SqliteStore
from tests.support.redis import shared_redis


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


def _redis(folder: Path, changes_kept: int) -> DrainStore:
    """Return a store in this process's Redis; the folder gives it keys of its own."""
    address = Address(kind=Scheme.TCP, hosts=(("127.0.0.1", shared_redis().port),))
    return RedisStore(address, prefix=str(folder).strip("/").replace("/", "."), changes_kept=changes_kept)


KINDS = (
    Kind("memory", lambda _folder, kept: MemoryStore(changes_kept=kept), durable=False),
    Kind("sqlite", lambda folder, kept: SqliteStore(folder / "state.db", changes_kept=kept), durable=True),
    Kind("redis", _redis, durable=True),
)
