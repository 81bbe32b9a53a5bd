"""A store in this process for routers to follow, and those who write to it."""

from __future__ import annotations

from dnsd.model.drain import Drain
from dnsd.model.node import Node
from dnsd.model.state import Action, Change, Consumer, Entity, HistoryEntry
from dnsd.stores.memory import MemoryStore
from tests.router.fleets import NOW


class Written:
    """A store, and those who write to it."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.revision = 0

    async def write(self, *values: Drain | Node, mark: str = "m") -> None:
        """Commit drains and nodes."""
        first = self.revision + 1
        changes = []
        for number, value in enumerate(values, first):
            if isinstance(value, Drain):
                numbered = Drain.from_json({**value.to_json(), "revision": number})
                changes.append(Change(Entity.DRAIN, value.key.text, numbered))
            else:
                changes.append(Change(Entity.NODE, value.id, value))
        last = self.revision + len(values)
        entry = HistoryEntry(revision=last, at=NOW, actor="t", action=Action.DRAIN_PLACED, node=changes[0].node)
        self.revision = await self.store.commit(
            expected_revision=self.revision, changes=changes, history=[entry], at=NOW, mark=mark
        )

    async def said(self) -> Consumer | None:
        """Return what the router `r1` says of itself."""
        found = await self.store.consumers()
        return next((each for each in found if each.id == "r1"), None)


async def a_store(*values: Drain | Node) -> Written:
    """Return a store that is open and holds these."""
    written = Written()
    await written.store.open()
    if values:
        await written.write(*values)
    return written
