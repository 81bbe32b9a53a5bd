"""From a store, and the file that keeps its last state, to what a server starts from.

store is read ──► it has lost writes that the file knows ──► restored ──► its state
              └──────────────────────────────────────────────────────────► its state
store is out of reach ──► the file's state, on a clock that stands still since then
                      └──► no file: no start
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from dnsd.control.announcing import Announcement
from dnsd.control.recovery import Restoration, restore, union
from dnsd.errors import ChangesTrimmed, StoreDiverged, StoreRefused, StoreUnavailable
from dnsd.model.state import FleetState
from dnsd.model.times import format_instant, to_milliseconds
from dnsd.stores import laststate
from dnsd.stores.base import DrainStore
from dnsd.stores.laststate import HandedSerial, LastState

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What a server starts from.

    Args:
        heard_at: instant at which the store was last read; None: just now.
        restoration: what became of writes that the store had lost while no server ran.
        serials: with which zones were handed out before, as far as the file knows.
    """

    state: FleetState
    heard_at: float | None = None
    restoration: Restoration | None = None
    serials: Mapping[str, HandedSerial] = field(default_factory=dict)


async def open_state(
    store: DrainStore,
    *,
    state_file: Path | None,
    store_name: str,
    announcement: Announcement,
    clock: Callable[[], float],
) -> Opening:
    """Open a store, and return what to serve.

    Args:
        state_file: where the last state of a remote store is kept; None: nowhere.
        store_name: what that file calls the store.
        announcement: is begun before the state is loaded; the caller ends or withdraws it.

    Raises:
        StoreRefused: the store is there and not usable.
        StoreUnavailable: it is out of reach, and no last state of it is known.
    """
    known = _last_state(state_file, store_name) if store.remote else None
    serials = {} if known is None else known.serials
    try:
        return replace(await _from_store(store, known, announcement, clock=clock), serials=serials)
    except StoreRefused:
        raise
    except StoreUnavailable as error:
        if known is None:
            hint = "; there is no last state to start from" if store.remote else ""
            raise StoreUnavailable(f"{error}{hint}") from error
        log.error(
            "the store is unavailable: %s; starting from its last state of %s, revision %d",
            error,
            format_instant(known.heard_at),
            known.state.revision,
        )
        announcement.go_on()
        return Opening(state=known.state, heard_at=known.heard_at, serials=serials)


async def _from_store(
    store: DrainStore, known: LastState | None, announcement: Announcement, *, clock: Callable[[], float]
) -> Opening:
    await store.open()
    await announcement.begin()
    if known is not None and await _has_lost(store, known.state):
        now = to_milliseconds(clock())
        both = union(known.state, await store.load(), now=now)
        try:
            restoration = await restore(store, known.state, now=now)
        except StoreUnavailable as error:
            log.error("what the store has lost is served, and cannot be written back yet: %s", error)
            return Opening(state=both)
        return Opening(state=restoration.state, restoration=restoration)
    return Opening(state=await store.load())


async def _has_lost(store: DrainStore, known: FleetState) -> bool:
    """Say whether a store no longer has what was known of it."""
    try:
        await store.changes(after=known.revision, mark=known.mark, limit=1)
    except StoreDiverged:
        return True
    except ChangesTrimmed:
        pass  # too long ago to tell
    return False


def _last_state(path: Path | None, store_name: str) -> LastState | None:
    if path is None:
        return None
    try:
        last = laststate.read(path)
    except ValueError as error:
        log.error("the last state is of no use: %s", error)
        return None
    if last is not None and last.store != store_name:
        _put_aside(path, last.store)
        return None
    return last


def _put_aside(path: Path, store: str) -> None:
    """Move the last state of another store out of the way; where that fails, it is not used either."""
    aside = path.with_name(path.name + ".other")
    try:
        path.replace(aside)
    except OSError as error:
        log.error(
            "the last state in %s was that of another store (%s), and cannot be moved to %s: %s; it is not used, and"
            " that of this store takes its place",
            path,
            store,
            aside,
            error.strerror or error,
        )
    else:
        log.warning("the last state in %s was that of another store (%s): it is moved to %s", path, store, aside)
