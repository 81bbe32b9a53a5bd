"""The end of an agent: drain, wait until the node may be stopped or the deadline, say goodbye.

Reports go on meanwhile, in another task: nothing is safe without fresh ones.
"""

from __future__ import annotations

import asyncio
import logging

from dnsd.agent.requests import Requests
from dnsd.agent.running import Runner, elapsed
from dnsd.agent.servers import may_pass
from dnsd.api.errors import ClientError
from dnsd.api.schemas import DrainRequest
from dnsd.model.times import format_duration

log = logging.getLogger(__name__)

STOP_REASON = "its agent was told to stop"

# Between two attempts to place a drain that was refused or got no answer. Unit: seconds.
RETRY_SECONDS = 1.0

# How much time the service manager is asked for, each time: more than any step here takes. Unit: seconds.
EXTENSION_SECONDS = 30.0


class Departure:
    """Brings a node out of service before its agent ends."""

    def __init__(self, runner: Runner, requests: Requests) -> None:
        self._runner = runner
        self._requests = requests

    async def drain(self) -> bool:
        """Drain the node and wait; say whether it was safe to stop before the deadline."""
        runner = self._runner
        seconds = runner.settings.stop_deadline_seconds
        deadline = elapsed() + seconds
        log.info("told to stop: draining, for %s at most", format_duration(seconds))
        runner.machine.leave()
        extending = asyncio.create_task(self._extend())
        try:
            async with asyncio.timeout(seconds):
                await self._place()
                while not runner.machine.safe:
                    runner.changed.clear()
                    await runner.changed.wait()
                log.info("safe to stop, after %s", format_duration(seconds - (deadline - elapsed())))
                await runner.hooks.finish()
            return True
        except TimeoutError:
            log.error("not safe to stop after %s: ending all the same", format_duration(seconds))
            return False
        finally:
            extending.cancel()

    async def _place(self) -> None:
        """Place the drain, however often it takes."""
        said = ""
        while True:
            try:
                await self._requests.place(DrainRequest(reason=STOP_REASON), seconds=0)
                return
            except ClientError as error:
                if str(error) != said:
                    said = str(error)
                    log.warning("not drained yet: %s", said)
                if may_pass(error) and not self._runner.servers.all_failed:
                    continue
            await asyncio.sleep(RETRY_SECONDS)

    async def _extend(self) -> None:
        """Ask the service manager for time until cancelled, and tell it what for."""
        notifier = self._runner.senses.notifier
        while True:
            notifier.extend(EXTENSION_SECONDS)
            await asyncio.sleep(EXTENSION_SECONDS / 3)
