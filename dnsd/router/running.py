"""`dnsd router`: from a configuration file to answers, until SIGTERM.

It owns the order: the socket is opened first, and answers 503 until the drains are loaded.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import AsyncIterator

from aiohttp import web

from dnsd.errors import StartError, StoreUnavailable
from dnsd.oserrors import reason_of
from dnsd.router.fleet_view import FleetView
from dnsd.router.selection import Router
from dnsd.router.server_following import ServerFollower
from dnsd.router.service import Service
from dnsd.router.settings import RouterSettings
from dnsd.router.source import Source
from dnsd.router.store_following import StoreFollower
from dnsd.stores.opening import open_store
from dnsd.together import until_one_ends

log = logging.getLogger("dnsd.router")

# How long requests in flight may take to end. Unit: seconds.
SHUTDOWN_GRACE_SECONDS = 1.0

EXIT_DONE, EXIT_FAILED = 0, 1


def run(settings: RouterSettings) -> int:
    """Run a router until it is told to end.

    Returns:
        The exit status: 0 ended as told, 1 could not start or failed.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    for warning in settings.warnings:
        log.warning("%s", warning)
    status = EXIT_DONE
    try:
        asyncio.run(_run(settings))
    except* (StartError, StoreUnavailable) as group:
        for error in group.exceptions:
            print(f"dnsd: {error}", file=sys.stderr)  # noqa: T201 - what a person who runs the command reads
        status = EXIT_FAILED
    except* Exception:
        log.critical("a part of the router failed; ending, so that it can be started anew", exc_info=True)
        status = EXIT_FAILED
    return status


async def _run(settings: RouterSettings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    view = FleetView(stale_after_seconds=settings.stale_after_seconds)
    policies = {name: role.policy for name, role in settings.roles.items()}
    router = Router(view, policies=policies, session_factor=settings.session_factor)
    async with _source(settings, view) as source:
        service = Service(router, source, roles=settings.roles, signer=settings.signer)
        async with _listening(service, settings):
            await until_one_ends(stop.wait(), source.run())
            log.info("stopping")


@contextlib.asynccontextmanager
async def _source(settings: RouterSettings, view: FleetView) -> AsyncIterator[Source]:
    """Give what keeps the view; at the end it says goodbye."""
    if settings.store_url is None:
        by_server = ServerFollower(settings.servers, view, id=settings.id, token=settings.server_token)
        try:
            yield by_server
        finally:
            await by_server.leave()
        return
    store = open_store(settings.store_url, prefix=settings.store_prefix, base=settings.folder)
    follower = StoreFollower(store, view, id=settings.id, state_file=settings.state_file)
    try:
        yield follower
    finally:
        await follower.leave()
        await store.close()


@contextlib.asynccontextmanager
async def _listening(service: Service, settings: RouterSettings) -> AsyncIterator[None]:
    runner = web.AppRunner(service.app(), access_log=None, shutdown_timeout=SHUTDOWN_GRACE_SECONDS)
    await runner.setup()
    try:
        for endpoint in settings.listen:
            try:
                await web.TCPSite(runner, endpoint.host, endpoint.port).start()
            except OSError as error:
                raise StartError(f"the router cannot listen on {endpoint.text}: {reason_of(error)}") from None
        addresses = ", ".join(endpoint.text for endpoint in settings.listen)
        log.info("%s answers on http://%s", settings.id, addresses)
        yield
    finally:
        await runner.cleanup()
