"""SIGHUP: the configuration and the zones anew, all or nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from dnsd.config.loading import load_settings
from dnsd.config.reload import needs_restart
from dnsd.config.settings import Settings
from dnsd.control.plane import ControlPlane
from dnsd.errors import ConfigurationError, Problem
from dnsd.housekeeping import settle_more

log = logging.getLogger("dnsd")


class Reloader:
    """Reloads a control plane's settings from the file that they came from.

    Args:
        on_reloaded: told when other settings are in force.

    Attributes:
        counts: reloads by result, `ok` or `failed`.
    """

    def __init__(self, plane: ControlPlane, *, on_reloaded: Callable[[], None] = lambda: None) -> None:
        self.counts: dict[str, int] = {"ok": 0, "failed": 0}
        self._on_reloaded = on_reloaded
        self._plane = plane

    async def run(self, asked: asyncio.Event) -> None:
        """Reload each time that it is asked for, until cancelled; several requests at once are one."""
        while True:
            await asked.wait()
            asked.clear()
            await self.reload()

    async def reload(self) -> None:
        """Load, check and serve the configuration as it is now, or go on as before and say why."""
        old = self._plane.settings
        try:
            # A thread: a large zone takes a while, and drains must not wait for it.
            new = await asyncio.to_thread(_load, old)
            _refuse_restart(old, new)
            self._plane.reload(new)
        except ConfigurationError as error:
            self._failed(error.problems)
        except Exception as error:
            log.error("a fault of ours in reading the configuration", exc_info=error)
            self._failed([Problem(str(old.path), 0, "", "not-read", f"{type(error).__name__}: {error}")])
        else:
            self.counts["ok"] += 1
            self._on_reloaded()
            settle_more()  # the new configuration stays, as the one before did
            for warning in new.warnings:
                log.warning("%s", warning)
            log.info("reloaded %s: generation %d", new.path, self._plane.publisher.generation)
            self._plane.announce("reload", {"ok": True})

    def _failed(self, problems: Sequence[Problem]) -> None:
        self.counts["failed"] += 1
        log.error("not reloaded, the state from before goes on serving: %d problems", len(problems))
        for problem in problems:
            log.error("%s", problem)
        self._plane.announce("reload", {"ok": False, "problems": [str(problem) for problem in problems]})


def _load(old: Settings) -> Settings:
    """Read the configuration anew; a zone that says what it said before is the very one, and no worker hears of it."""
    new = load_settings(old.path, starting=False)
    zones = {apex: old.zones[apex] if old.zones.get(apex) == zone else zone for apex, zone in new.zones.items()}
    return replace(new, zones=zones)


def _refuse_restart(old: Settings, new: Settings) -> None:
    keys = needs_restart(old, new)
    if keys:
        raise ConfigurationError(
            [
                Problem(str(new.path), 0, key, "needs-restart", "a reload cannot change this; restart the server")
                for key in keys
            ]
        )
