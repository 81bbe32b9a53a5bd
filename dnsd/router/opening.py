"""The library's front door: a router that follows a shared store, for the length of a block."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from dnsd.model.report import DEFAULT_STALE_AFTER_SECONDS
from dnsd.router.fleet_view import FleetView
from dnsd.router.selection import RolePolicy, Router
from dnsd.router.store_following import StoreFollower
from dnsd.stores.opening import open_store

log = logging.getLogger("dnsd.router")

# How often it is looked whether the drains are loaded, at the start. Unit: seconds.
LOOK_SECONDS = 0.01


@contextlib.asynccontextmanager
async def open_router(
    url: str,
    *,
    id: str,  # noqa: A002 - as the store calls it
    prefix: str = "dnsd",
    state_file: Path | None = None,
    stale_after_seconds: float = DEFAULT_STALE_AFTER_SECONDS,
    policies: Mapping[str, RolePolicy] | None = None,
    session_factor: float | None = None,
) -> AsyncIterator[Router]:
    """Give a router that has loaded the drains, and that follows and acknowledges them until the block ends.

    Should that fail for good, which is logged as critical, `select` and `keep` raise `NotFollowing` from then on.

    Args:
        url: of a store that the servers share, as `redis://10.0.0.5:6379/0`.
        id: the consumer's; two of one id hide each other.
        state_file: the last known state, to start from while the store is out of reach; None: the block begins when the
            store is there.
        policies, session_factor: as for `Router`.

    Raises:
        StoreRefused: there is a store, and it or what it holds is not usable.
        ValueError: the URL is none of a store's.
    """
    view = FleetView(stale_after_seconds=stale_after_seconds)
    store = open_store(url, prefix=prefix, base=Path.cwd())
    follower = StoreFollower(store, view, id=id, state_file=state_file)
    following = asyncio.create_task(follower.run())
    following.add_done_callback(lambda task: _tell(task, view))
    try:
        while not view.loaded:
            done, _ = await asyncio.wait((following,), timeout=LOOK_SECONDS)
            for task in done:
                task.result()
        yield Router(view, policies=policies, session_factor=session_factor)
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await follower.leave()
        await store.close()


def _tell(following: asyncio.Task[None], view: FleetView) -> None:
    """Have nobody act by a view that nobody keeps."""
    if following.cancelled():
        return
    error = following.exception()
    view.why_not_followed = f"the drains are followed no more: {error!r}"
    log.critical("%s", view.why_not_followed, exc_info=error)
