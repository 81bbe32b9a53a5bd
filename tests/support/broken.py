"""Data that fails when it is answered from."""

from __future__ import annotations

from dnsd.core.records import RRset


class Broken:
    """Records that cannot be picked: they stand for any fault of ours."""

    rdatas: tuple[bytes, ...] = ()
    ttl = 0
    count: int | None = None

    def pick(self) -> RRset:
        raise RuntimeError("broken")

    def several(self, _count: int) -> list[RRset]:
        raise RuntimeError("broken")
