"""The end of an agent: drain, wait until the node may be stopped or the deadline, say goodbye.

A drain that ends before the agent does, by its expiry or by whomever, is placed again: the end is coming all the same,
and whoever wants the node to serve on ends the stop, not the drain. Reports go on meanwhile, in another task: nothing
is safe without fresh ones.
"""

from __future__ import annotations

import asyncio
import logging

from dnsd.agent.requests import Requests
from dnsd.agent.running import Runner, elapsed
from dnsd.agent.servers import may_pass
from dnsd.api.errors import ClientError
from dnsd.api.schemas import DrainOutcome, DrainRequest
from dnsd.model.times import format_duration

log = logging.getLogger(__name__)

STOP_REASON = "its agent was told to stop"

# Between two attempts to place a drain that was refused, got no answer, or has ended too soon. Unit: seconds.
RETRY_SECONDS = 1.0

# How long the drain is to last beyond the deadline: whatever is stopped after the agent takes its time, and so does the
# work on the node. Unit: seconds.
MARGIN_SECONDS = 3600.0

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
                await self._stay_drained(deadline)
                log.info("safe to stop, after %s", format_duration(seconds - (deadline - elapsed())))
                await runner.hooks.finish()
            return True
        except TimeoutError:
            log.error("not safe to stop after %s: ending all the same", format_duration(seconds))
            return False
        finally:
            extending.cancel()

    async def _stay_drained(self, deadline: float) -> None:
        """Return when the node is safe to stop; until then, place a drain whenever none stands."""
        machine = self._runner.machine
        revision = await self._place(deadline)
        drained = False
        while not machine.safe:
            self._runner.changed.clear()
            await self._runner.changed.wait()
            memory = machine.memory
            back = [role for role, mode in memory.modes.items() if mode == "normal"]
            if not back:
                drained = True
            # Not what was heard before the drain, which has the modes of before. Revisions of a store that was
            # replaced are lower: there it counts that the node was drained.
            elif drained or (memory.revision is not None and memory.revision >= revision):
                log.warning("%s normal again before the end, released or expired: draining again", ", ".join(back))
                await asyncio.sleep(RETRY_SECONDS)
                revision = await self._place(deadline)
                drained = False

    async def _place(self, deadline: float) -> int:
        """Place the drain so that it outlasts the deadline, and return its revision."""
        # Without an end of its own at first: one of this agent's that stands, and ends later or never, keeps its end.
        outcome = await self._insist(DrainRequest(reason=STOP_REASON))
        ends = None if outcome.drain is None else outcome.drain.expires_at
        seconds = deadline - elapsed() + MARGIN_SECONDS
        if ends is not None and ends - self._runner.senses.clock() < seconds:
            outcome = await self._insist(DrainRequest(reason=STOP_REASON, expires_in=seconds))
        return outcome.revision

    async def _insist(self, request: DrainRequest) -> DrainOutcome:
        """Ask for a drain, however often it takes."""
        said = ""
        while True:
            try:
                return await self._requests.place(request, seconds=0)
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
