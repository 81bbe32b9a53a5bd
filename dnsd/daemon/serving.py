"""`dnsd serve`: from a configuration file to answers, until SIGTERM.

starting ──► serving ──SIGHUP──► serving (with the new state, or the old one and a report of what is wrong)
    │           └──SIGTERM, SIGINT──► stopping ──► ended (0)
    └──anything that is in the way──► ended (1), or (2) for a configuration
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
import time
from pathlib import Path

from admin.app import make_app
from admin.metrics import Metrics
from admin.server import AdminServer
from dnsd.config.loading import load_settings
from dnsd.config.settings import Settings
from dnsd.control.announcing import Announcement
from dnsd.control.instance import Instance
from dnsd.control.opening import Opening, open_state
from dnsd.control.plane import ControlPlane
from dnsd.daemon.adapting import adapter_host
from dnsd.daemon.reloading import Reloader
from dnsd.daemon.sampling import sample
from dnsd.errors import ConfigurationError, StartError, StoreUnavailable
from dnsd.housekeeping import settle
from dnsd.openfiles import raise_limit
from dnsd.stores.base import DrainStore
from dnsd.stores.opening import open_store
from dnsd.together import until_one_ends
from dnsd.zonefile.apart import end_readers

log = logging.getLogger("dnsd")

# How long a thread may go on, such as one that writes reports, when the event loop has something to do. Python's own
# default is 5 ms, and each step of a drain may meet it. Unit: seconds.
SWITCH_SECONDS = 0.001

EXIT_DONE, EXIT_FAILED, EXIT_CONFIGURATION = 0, 1, 2


def serve(path: Path) -> int:
    """Run a server until it is told to end.

    Returns:
        The exit status: 0 ended as told, 1 could not start or failed, 2 the configuration is not usable.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    raise_limit()
    try:
        settings = load_settings(path)
    except ConfigurationError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)  # noqa: T201 - what a person who runs the command reads
        return EXIT_CONFIGURATION
    for warning in settings.warnings:
        log.warning("%s", warning)
    server = _run(settings)
    del settings  # with the zones in them, which a reload replaces
    try:
        asyncio.run(server)
    except (StartError, StoreUnavailable) as error:
        print(f"dnsd: {error}", file=sys.stderr)  # noqa: T201 - as above
        return EXIT_FAILED
    except ExceptionGroup:
        log.critical("a part of the server failed; ending, so that it can be started anew", exc_info=True)
        return EXIT_FAILED
    return EXIT_DONE


async def _run(settings: Settings) -> None:
    """Start everything in its order, wait, and end everything in the opposite order."""
    stop, reload = _listen_to_signals()

    async with contextlib.AsyncExitStack() as stack:
        instance = Instance(settings.listen, (*settings.tls_listen, *settings.https_listen))
        await instance.acquire()
        stack.push_async_callback(instance.release)

        store, store_name, announcement, opening = await _open_store(settings, stack)
        metrics = Metrics(lambda: sample(plane, reloads=reloader.counts, adapters=adapters))
        plane = ControlPlane(
            settings,
            store,
            opening.state,
            observe_propagation=metrics.observe_propagation,
            heard_at=opening.heard_at,
            store_name=store_name,
            serials=opening.serials,
        )
        if opening.restoration is not None:
            plane.restored(opening.restoration)
        adapters = adapter_host(plane)
        reloader = Reloader(plane, on_reloaded=adapters.follow)
        app = make_app(plane, tokens=lambda: plane.settings.tokens, metrics=metrics.scrape)
        await plane.start()
        stack.push_async_callback(plane.stop)
        # From here on no worker of an earlier dnsd answers any more: what is acknowledged now, holds everywhere.
        await instance.take_over()
        plane.taken_over()

        await announcement.end()
        admin = AdminServer(app, *settings.admin_listen)
        await admin.start()
        stack.push_async_callback(admin.stop)
        announcement.came_up()
        settle()
        sys.setswitchinterval(SWITCH_SECONDS)
        _say_ready(plane, admin, store.label)
        del settings  # as above
        stack.callback(end_readers)  # of a reload that is not over
        await until_one_ends(stop.wait(), plane.run(), reloader.run(reload), adapters.run())
        log.info("stopping")


async def _open_store(
    settings: Settings, stack: contextlib.AsyncExitStack
) -> tuple[DrainStore, str, Announcement, Opening]:
    """Open the store, with what ends it on the stack.

    Returns:
        The store, what files call it, that this server comes up in it, and what to start from.
    """
    store = open_store(
        settings.store_url,
        prefix=settings.store_prefix,
        base=settings.path.parent,
        min_replicas=settings.min_replicas,
    )
    stack.push_async_callback(store.close)
    name = f"{store.label}, prefix {settings.store_prefix}"
    announcement = Announcement(settings.server_id, store, clock=time.time)
    stack.push_async_callback(announcement.withdraw)
    opening = await open_state(
        store, state_file=settings.state_file, store_name=name, announcement=announcement, clock=time.time
    )
    return store, name, announcement, opening


def _listen_to_signals() -> tuple[asyncio.Event, asyncio.Event]:
    """Return what SIGTERM and SIGINT set, and what SIGHUP sets."""
    stop, reload = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, reload.set)
    return stop, reload


def _say_ready(plane: ControlPlane, admin: AdminServer, store: str) -> None:
    settings = plane.settings
    addresses = ", ".join(endpoint.text for endpoint in settings.listen)
    fleet = plane.publisher.fleet
    log.info(
        "%s answers on %s with %d workers: %d zones, %d pools, %d nodes",
        settings.server_id,
        addresses,
        settings.workers,
        len(settings.zones),
        len(fleet.pools),
        len(fleet.nodes),
    )
    for kind, endpoints in (("TLS", settings.tls_listen), ("HTTPS", settings.https_listen)):
        if endpoints:
            log.info("DNS over %s on %s", kind, ", ".join(endpoint.text for endpoint in endpoints))
    log.info("admin on http://%s, store %s at revision %d", admin.endpoint.text, store, plane.revision)
