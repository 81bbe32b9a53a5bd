"""The library's front door: a router that follows a shared store, or servers, for the length of a block."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

from dnsd.api.address import checked_server, checked_token
from dnsd.model.node import HOLDER
from dnsd.model.report import DEFAULT_STALE_AFTER_SECONDS
from dnsd.router.fleet_view import FleetView
from dnsd.router.selection import RolePolicy, Router
from dnsd.router.server_following import ServerFollower
from dnsd.router.source import Source
from dnsd.router.store_following import StoreFollower
from dnsd.stores.opening import open_store

log = logging.getLogger("dnsd.router")

# How often it is looked whether the drains are loaded, at the start. Unit: seconds.
LOOK_SECONDS = 0.01

_SERVER_SCHEMES = ("http://", "https://")


@contextlib.asynccontextmanager
async def open_router(
    url: str | Sequence[str],
    *,
    id: str,  # noqa: A002 - as the store calls it
    prefix: str = "dnsd",
    state_file: Path | None = None,
    token: str | None = None,
    stale_after_seconds: float = DEFAULT_STALE_AFTER_SECONDS,
    policies: Mapping[str, RolePolicy] | None = None,
    session_factor: float | None = None,
) -> AsyncIterator[Router]:
    """Give a router that has loaded the drains, and that follows and acknowledges them until the block ends.

    Should that fail for good, which is logged as critical, `select` and `keep` raise `NotFollowing` from then on.

    Args:
        url: of a store that the servers share, as `redis://10.0.0.5:6379/0`; or of a server, as
            `http://10.0.0.5:8053`, or of several, of which the next one is followed where one does not answer.
        id: the consumer's; two of one id hide each other.
        prefix: of the store's keys.
        state_file: the last known state, to start from while the store is out of reach; None: the block begins when the
            store is there. With a server there is none.
        token: for a server that has tokens, of the scope `router`; with another that may read, drains are obeyed and
            not acknowledged.
        policies, session_factor: as for `Router`.

    Raises:
        StoreRefused: there is a store, and it or what it holds is not usable.
        ValueError: the URL is none of a store's or a server's, the id cannot be one, or an option does not go with it.
    """
    view = FleetView(stale_after_seconds=stale_after_seconds)
    async with _source(url, view, id=id, prefix=prefix, state_file=state_file, token=token) as follower:
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


@contextlib.asynccontextmanager
async def _source(
    url: str | Sequence[str],
    view: FleetView,
    *,
    id: str,  # noqa: A002 - as the store calls it
    prefix: str,
    state_file: Path | None,
    token: str | None,
) -> AsyncIterator[Source]:
    """Give what keeps the view."""
    if isinstance(url, str) and not url.lower().startswith(_SERVER_SCHEMES):
        if token is not None:
            raise ValueError("a token is for a server; a store has its password in its URL")
        store = open_store(url, prefix=prefix, base=Path.cwd())
        try:
            yield StoreFollower(store, view, id=id, state_file=state_file)
        finally:
            await store.close()
        return
    if not HOLDER.fullmatch(id):
        raise ValueError(f"{id!r} cannot be an id: letters, digits and _ . @ : - , at most 128")
    if state_file is not None:
        raise ValueError("a state file is for a store: a router that follows servers keeps none")
    servers = [checked_server(each) for each in ([url] if isinstance(url, str) else url)]
    if not servers:
        raise ValueError("no server is named")
    yield ServerFollower(servers, view, id=id, token=None if token is None else checked_token(token))


def _tell(following: asyncio.Task[None], view: FleetView) -> None:
    """Have nobody act by a view that nobody keeps."""
    if following.cancelled():
        return
    error = following.exception()
    view.why_not_followed = f"the drains are followed no more: {error!r}"
    log.critical("%s", view.why_not_followed, exc_info=error)
