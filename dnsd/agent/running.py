"""The shell around the machine: rounds of looking and reporting, the files and the log, until it is told to end.

What is thought is in `machine`; what an end takes is in `departing`, and what is asked locally in `requests`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from dnsd.agent.effects import Effect, RunHook, Say
from dnsd.agent.hooks import HookRunner
from dnsd.agent.machine import Machine, Phase
from dnsd.agent.memory import Memory, StateFile
from dnsd.agent.notify import Notifier
from dnsd.agent.probes import Observation, Observer
from dnsd.agent.servers import Servers, may_pass
from dnsd.agent.settings import AgentSettings
from dnsd.api.errors import ApiError, ClientError
from dnsd.api.schemas import DesiredState, NodeInfo

log = logging.getLogger(__name__)

# While the agent waits for its end, it looks at least so often. Unit: seconds.
LONGEST_LEAVING_INTERVAL_SECONDS = 5.0

# What a look may take beyond its limit before it is a look at another time: the agent was paused. Unit: seconds.
PAUSED_SECONDS = 1.0

BAD_REQUEST, NOT_FOUND, CONFLICT = 400, 404, 409


def elapsed() -> float:
    """Return seconds on a clock that nobody sets, and that goes on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


@dataclass(slots=True)
class Senses:
    """What an agent cannot know by itself.

    Args:
        clock: instants, as wrong as they may be.
        chance: random numbers, 0 to 1.
    """

    clock: Callable[[], float] = time.time
    chance: Callable[[], float] = random.random
    notifier: Notifier = field(default_factory=Notifier)


class Runner:
    """Runs the reports of one agent."""

    def __init__(self, settings: AgentSettings, servers: Servers, senses: Senses) -> None:
        self.settings = settings
        self.servers = servers
        self.senses = senses
        self.seen = Observation()
        self.heard_at: float | None = None  # on the clock of `elapsed`
        self.changed = asyncio.Event()  # set whenever there may be news for whoever waits
        self._file = StateFile(settings.state_file, node=settings.node)
        self._saves = True
        memory = self._remembered()
        self.machine = Machine(settings.node, memory, started_at=senses.clock(), hooks=settings.hooks)
        self.hooks = HookRunner(
            settings.node,
            settings.hooks,
            timeout_seconds=settings.hook_timeout_seconds,
            reason=self._reason,
            ended=self._hook_ended,
        )
        limit = min(settings.interval_seconds, LONGEST_LEAVING_INTERVAL_SECONDS)
        self._limit_seconds = limit
        self._observer = Observer(settings.sessions, settings.health, limit_seconds=limit)
        self._due = asyncio.Event()
        self._told = ""
        self.rounds = 0

    # --- rounds -------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Report until cancelled."""
        while True:
            began = elapsed()
            self._due.clear()
            await self._round()
            self.rounds += 1
            self.changed.set()
            if self.rounds == 1:
                self.senses.notifier.ready()
            self.senses.notifier.status(self.status_text())
            pause = self.machine.pause(self._interval(), chance=self.senses.chance()) - (elapsed() - began)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(pause, 0.0)):
                    await self._due.wait()

    def report_soon(self) -> None:
        """Let the next round begin as soon as the present one is over."""
        self._due.set()

    async def report_last(self) -> None:
        """Say that the agent ends, once and in little time; `run` must be over."""
        try:
            seen = await self._look()
            async with asyncio.timeout(self.settings.timeout_seconds):
                if self.machine.known:
                    await self._send(seen, leaving=True)
                    self.machine.memory.announced = True
        except (ClientError, TimeoutError) as error:
            log.warning("the end is not announced: %s", error or "no answer in time")
        self.save()

    def _interval(self) -> float:
        interval = self.settings.interval_seconds
        return min(interval, LONGEST_LEAVING_INTERVAL_SECONDS) if self.machine.phase is Phase.LEAVING else interval

    async def _round(self) -> None:
        try:
            if not self.machine.known:
                await self._join()
            seen = await self._look()
            desired = await self._send(seen, leaving=False)
        except ClientError as error:
            self._failed(error)
            return
        self.heard_at = elapsed()
        self.do(self.machine.answered(desired, server=self.servers.url))
        self.save()
        if self.machine.wants_status:
            with contextlib.suppress(ClientError):  # the next report tells whether the server is lost
                status = await self.servers.ask(lambda client: client.status(self.settings.node))
                self.do(self.machine.status_heard(status))
                self.save()

    async def _look(self) -> Observation:
        """Look at the node; a look from before the agent was paused is not news and is thrown away."""
        while True:
            began = elapsed()
            seen = await self._observer.observe()
            if elapsed() - began <= 2 * self._limit_seconds + PAUSED_SECONDS:
                break
        self.do(self.machine.observed(seen))
        self.seen = seen
        return seen

    async def _send(self, seen: Observation, *, leaving: bool) -> DesiredState:
        report = self.machine.report(seen, at=self.senses.clock(), leaving=leaving)
        self.save()  # before it is sent: no number may be used twice
        return await self.servers.ask(lambda client: client.report(self.settings.node, report))

    async def _join(self) -> None:
        """Register the node, or see that the inventory has it."""
        node, registration = self.settings.node, self.settings.registration
        info: NodeInfo | None = None
        if registration is not None:
            try:
                outcome = await self.servers.ask(lambda client: client.register(node, registration))
            except ApiError as error:
                if error.problem.status != CONFLICT:
                    raise
                self._tell_once(f"not registered: {error}")
            else:
                info = outcome.node
                if outcome.changed:
                    log.info("%s is registered", node)
        if info is None:
            info = await self.servers.ask(lambda client: client.node(node))
        self.do(self.machine.joined(tuple(info.roles), monitor=info.monitor, wanted=self.settings.roles))

    def _failed(self, error: ClientError) -> None:
        if isinstance(error, ApiError) and error.problem.status in (BAD_REQUEST, NOT_FOUND):
            self.machine.not_known()
        if may_pass(error) and not self.servers.all_failed:
            self.report_soon()
            return
        self.do(self.machine.lost(str(error)))

    # --- what follows -------------------------------------------------------------------------------------------

    def do(self, effects: Iterable[Effect]) -> None:
        """Carry out what the machine has decided."""
        for effect in effects:
            if isinstance(effect, Say):
                log.log(effect.level, "%s", effect.text)
            elif isinstance(effect, RunHook):
                self.hooks.start(effect)
            else:
                self.report_soon()
        self.changed.set()

    def save(self) -> None:
        """Keep what is to be remembered; a full disk is no reason not to report."""
        try:
            self._file.save(self.machine.memory)
        except OSError as error:
            if self._saves:
                log.warning("the state is not kept: %s: %s", self.settings.state_file, error.strerror)
            self._saves = False
        else:
            self._saves = True

    def _tell_once(self, text: str) -> None:
        """Warn of what is found again at each attempt, the first time."""
        if text != self._told:
            self._told = text
            log.warning("%s", text)

    def status_text(self) -> str:
        """Return how the agent is, on one line."""
        modes = ", ".join(f"{role} {mode}" for role, mode in self.machine.memory.modes.items()) or "no mode known yet"
        return f"{self.machine.phase.value}; {modes}; {self.servers.url}"

    async def _reason(self, role: str) -> str:
        """Return why a role is drained, for its hook: the reason of the drain that was placed last."""
        try:
            status = await self.servers.ask(lambda client: client.status(self.settings.node))
        except ClientError:
            return ""
        state = status.roles.get(role)
        drains = [] if state is None else [each for each in state.drains if each.state == "active"]
        return max(drains, key=lambda each: each.revision).reason if drains else ""

    def _hook_ended(self, hook: RunHook) -> None:
        self.do(self.machine.hook_ended(hook))
        self.save()

    def _remembered(self) -> Memory:
        try:
            memory = self._file.load()
        except ValueError as error:
            log.warning("%s: beginning anew", error)
            memory = None
        if memory is None:
            return Memory()
        if not memory.announced:
            log.warning("the last run ended without saying so: it crashed, was killed, or had no server")
        memory.announced = False
        return memory
