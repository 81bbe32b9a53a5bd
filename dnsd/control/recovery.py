"""What to do when the store has lost writes: nothing that was ordered is forgotten, and no number is used twice.

A failover to a replica that lagged, a restored backup or a flush leaves the store at a state that this server has left
behind. Which of the two is right nobody can know, so the rule takes the safe side of each:

- A drain that either of them has is in force. Where both have it and differ, each part counts that keeps the node out
  more: the stronger mode, the earlier start, the later end.
- A registered node that either of them has is there; where they differ, as this server knew it, unless the store has
  gone on past it.
- What the store lacks by that is written back, with history in the name of `dnsd`, under revisions that follow all
  that were used before.

So a release that the store has lost is to be asked for again, and a drain is never undone without somebody's word.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dnsd.errors import RevisionConflict, StoreUnavailable
from dnsd.model.drain import Drain
from dnsd.model.node import Node
from dnsd.model.state import Action, Change, Entity, FleetState, HistoryEntry
from dnsd.stores.base import DrainStore

# The actor of what the server does by itself.
SERVER_ACTOR = "dnsd"

# How often it is begun anew because others change the store meanwhile. Unit: attempts.
MAX_ATTEMPTS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Restoration:
    """What became of a store that had lost writes.

    Args:
        state: the store's by now.
        lost_from, lost_to: the revision at which it was found, and the one that was known.
        drains, nodes: what was written back.
    """

    state: FleetState
    lost_from: int
    lost_to: int
    drains: tuple[Drain, ...] = ()
    nodes: tuple[Node, ...] = ()

    @property
    def text(self) -> str:
        """What became of it, for the log."""
        back = [drain.key.text for drain in self.drains] + [node.id for node in self.nodes]
        return (
            f"it was found at revision {self.lost_from} where {self.lost_to} was known; "
            f"written back: {', '.join(back) or 'nothing, all of it is there'}"
        )

    @property
    def detail(self) -> dict[str, Any]:
        """The same for an event."""
        return {
            "found": self.lost_from,
            "known": self.lost_to,
            "drains": [drain.key.text for drain in self.drains],
            "nodes": [node.id for node in self.nodes],
        }


def new_mark() -> str:
    """Return a mark that no other commit has."""
    return secrets.token_hex(8)


def missing_drains(known: FleetState, found: FleetState, *, now: float) -> tuple[Drain, ...]:
    """Return the drains that a store must get so that every one of a known state is in force, by the rule above.

    Ramps and drains whose time is over are not missed.
    """
    return tuple(_missing_drains(known, found, now))


def missing_nodes(known: FleetState, found: FleetState) -> tuple[Node, ...]:
    """Return the registered nodes that a store must get, by the rule above."""
    is_older = found.revision <= known.revision
    return tuple(
        node
        for key, node in known.nodes.items()
        if key not in found.nodes or (is_older and found.nodes[key].to_json() != node.to_json())
    )


def union(known: FleetState, found: FleetState, *, now: float) -> FleetState:
    """Return what is in force by the rule above, at the known revision: to serve until the store has it as well."""
    joined = {drain.key: drain for drain in missing_drains(known, found, now=now)}
    kept = {node.id: node for node in missing_nodes(known, found)}
    return replace(known, drains={**known.drains, **found.drains, **joined}, nodes={**found.nodes, **kept})


async def restore(store: DrainStore, known: FleetState, *, now: float) -> Restoration:
    """Write back what a store lacks of a known state.

    Args:
        known: what was read of it, or acknowledged by it, before.
        now: instant.

    Raises:
        StoreUnavailable: it could not be read or written; it is as it was.
    """
    for _ in range(MAX_ATTEMPTS):
        found = await store.load()
        # A thread: where a large fleet was lost this takes a while, and answers to others must not wait for it.
        missing = await asyncio.to_thread(_missing, known, found, now)
        result = Restoration(
            state=found,
            lost_from=found.revision,
            lost_to=known.revision,
            drains=missing.drains,
            nodes=missing.nodes,
        )
        if not missing.changes and found.revision >= known.revision:
            return result
        try:
            # One commit, however large: of a loss that was written back in part, nobody could tell the rest any more.
            await store.commit(
                expected_revision=found.revision,
                expected_mark=found.mark,
                changes=missing.changes,
                history=missing.history,
                at=now,
                mark=new_mark(),
                skip_to=missing.base,
                restores=(known.revision, known.mark),
            )
        except RevisionConflict:
            continue  # another server may have written it back by now
        return replace(result, state=await store.load())
    raise StoreUnavailable(f"{store.label}: others changed it {MAX_ATTEMPTS} times in a row while it was restored")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Missing:
    """What a store is to get.

    Args:
        base: the revision that the first change follows.
    """

    base: int
    drains: tuple[Drain, ...]
    nodes: tuple[Node, ...]
    changes: Sequence[Change]
    history: Sequence[HistoryEntry]


def _missing(known: FleetState, found: FleetState, now: float) -> _Missing:
    drains, nodes = missing_drains(known, found, now=now), missing_nodes(known, found)
    base = max(found.revision, known.revision)
    values: list[Drain | Node] = [
        *(replace(drain, revision=revision) for revision, drain in enumerate(drains, base + 1)),
        *nodes,
    ]
    return _Missing(
        base=base,
        drains=drains,
        nodes=nodes,
        changes=[_change_to(value) for value in values],
        history=[_told(value, found, base + len(values), now) for value in values],
    )


def _missing_drains(known: FleetState, found: FleetState, now: float) -> Iterator[Drain]:
    for key, drain in known.drains.items():
        if drain.is_ramp or drain.expired(now):
            continue
        there = found.drains.get(key)
        if there is None or there.is_ramp or there.expired(now):
            yield drain
            continue
        joined = replace(
            drain,
            mode=max(drain.mode, there.mode),
            starts_at=min(drain.starts_at, there.starts_at),
            expires_at=_later(drain.expires_at, there.expires_at),
            forced=drain.forced or there.forced,
        )
        if (joined.mode, joined.starts_at, joined.expires_at) != (there.mode, there.starts_at, there.expires_at):
            yield joined


def _later(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else max(one, other)


def _change_to(value: Drain | Node) -> Change:
    if isinstance(value, Drain):
        return Change(Entity.DRAIN, value.key.text, value)
    return Change(Entity.NODE, value.id, value)


def _told(value: Drain | Node, found: FleetState, revision: int, now: float) -> HistoryEntry:
    """Return the entry of history for a value that is written back."""
    entry = HistoryEntry(
        revision=revision,
        at=now,
        actor=SERVER_ACTOR,
        action=Action.NODE_RESTORED,
        node=value.id if isinstance(value, Node) else value.node,
        after=(value.to_json(),),
    )
    if isinstance(value, Node):
        return replace(entry, before=_as_json(found.nodes.get(value.id)))
    return replace(
        entry,
        action=Action.DRAIN_RESTORED,
        roles=(value.role,),
        holder=value.holder,
        reason=value.reason,
        before=_as_json(found.drains.get(value.key)),
    )


def _as_json(value: Drain | Node | None) -> tuple[dict[str, Any], ...]:
    return () if value is None else (value.to_json(),)
