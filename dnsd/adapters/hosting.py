"""Runs the adapters that are configured, apart from each other and from all else.

off ──configured──► starting ──listens──► up ──fails──► waiting ──back-off──► starting
                        └──an address is taken──────────┘
any ──no longer configured, or with other settings──► off, and started again with these

An adapter that fails ends nothing but itself: it is logged, counted as down, and started anew. It knows no protocol.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from dnsd.adapters.context import Adapter, AdapterContext
from dnsd.control.plane import ControlPlane
from dnsd.errors import StartError

log = logging.getLogger("dnsd.adapters")

# How long until an adapter that has failed is started again: at first, and at most. Unit: seconds.
FIRST_BACK_OFF_SECONDS = 0.5
MOST_BACK_OFF_SECONDS = 30.0

# One that has served for so long begins with the first back-off again. Unit: seconds.
SETTLED_SECONDS = 60.0

Factory = Callable[[AdapterContext[Any]], Adapter]


class AdapterHost:
    """The adapters of a server.

    Args:
        plane: what they render.
        factories: how each is made, by name.
        wanted: gives the settings of those that are to run now, by name.

    Attributes:
        counts: (adapter, result) → requests since the start.
    """

    def __init__(
        self, plane: ControlPlane, factories: Mapping[str, Factory], *, wanted: Callable[[], Mapping[str, object]]
    ) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self._plane = plane
        self._factories = factories
        self._wanted = wanted
        self._running: dict[str, tuple[AdapterContext[Any], asyncio.Task[None]]] = {}
        self._changed = asyncio.Event()

    @property
    def up(self) -> Mapping[str, bool]:
        """Which adapters are configured, and whether each serves."""
        return {name: context.up for name, (context, _) in self._running.items()}

    def follow(self) -> None:
        """Look at the settings again, which may be others now."""
        self._changed.set()

    async def run(self) -> None:
        """Run what is wanted, until cancelled."""
        try:
            while True:
                self._changed.clear()
                await self._adjust()
                await self._changed.wait()
        finally:
            await self._end(list(self._running))

    async def _adjust(self) -> None:
        wanted, had_before = self._wanted(), list(self._running)
        await self._end([name for name, (had, _) in self._running.items() if wanted.get(name) != had.settings])
        for name in [name for name in had_before if name not in wanted]:
            log.info("%s: ended, since it is no longer configured", name)
        for name, settings in wanted.items():
            if name not in self._running:
                context = AdapterContext(self._plane, name, settings, self.counts)
                self._running[name] = context, asyncio.create_task(self._keep_up(context), name=f"adapter {name}")

    async def _end(self, names: list[str]) -> None:
        ended = [self._running[name][1] for name in names]
        for task in ended:
            task.cancel()
        await asyncio.gather(*ended, return_exceptions=True)
        for name in names:
            del self._running[name]

    async def _keep_up(self, context: AdapterContext[Any]) -> None:
        loop = asyncio.get_running_loop()
        back_off = FIRST_BACK_OFF_SECONDS
        while True:
            began = loop.time()
            await self._run_once(context)
            if loop.time() - began >= SETTLED_SECONDS:
                back_off = FIRST_BACK_OFF_SECONDS
            await asyncio.sleep(back_off)
            back_off = min(2 * back_off, MOST_BACK_OFF_SECONDS)

    async def _run_once(self, context: AdapterContext[Any]) -> None:
        try:
            await self._factories[context.name](context).run()
        except StartError as error:
            why = str(error).removeprefix(f"{context.name} ")  # some say themselves who they are
            log.error("%s: %s; it is tried again, and answers go on", context.name, why)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            log.error("%s: something in it was cancelled by nobody here; it is started anew", context.name)
        except Exception:
            log.exception("%s: a fault of ours; it is started anew, and answers go on", context.name)
        finally:
            context.up = False
