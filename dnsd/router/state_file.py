"""The last known state on the disk, for a start while the store is out of reach; it knows no store."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from dnsd.model.state import FleetState
from dnsd.stores import laststate

log = logging.getLogger("dnsd.router")

# The last state is written so long after the first of several changes. Unit: seconds.
STATE_FILE_SECONDS = 0.2


async def keep_state(
    path: Path,
    store: str,
    state: Callable[[], FleetState | None],
    *,
    moved: asyncio.Event,
    clock: Callable[[], float],
) -> None:
    """Write what is obeyed to a file whenever it has moved, until cancelled.

    Args:
        store: what people call it.
        state: gives it; None: it is not worth being kept.
    """
    while True:
        await moved.wait()
        await asyncio.sleep(STATE_FILE_SECONDS)
        moved.clear()
        last = state()
        if last is None:
            continue
        try:
            kept = laststate.LastState(store=store, heard_at=clock(), state=last)
            await asyncio.to_thread(laststate.write, path, kept)
        except OSError as error:
            log.error("the last state cannot be written: %s", error)
