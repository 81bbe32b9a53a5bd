"""`dnsd agent`: from a configuration to an exit status.

starting ──► reporting ──SIGTERM, SIGINT──► leaving ──► ended (0, or 4 where it was not safe)
    │                                          └──a second signal──► ended at once
    └──anything that is in the way──► ended (1)
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Sequence
from typing import Any

from dnsd.agent.departing import Departure
from dnsd.agent.desk import Desk
from dnsd.agent.logs import set_up_logging
from dnsd.agent.notify import Notifier
from dnsd.agent.pacing import LONGEST_PAUSE_SECONDS
from dnsd.agent.requests import Requests
from dnsd.agent.running import Runner, Senses, elapsed
from dnsd.agent.servers import Servers
from dnsd.agent.settings import AgentSettings

log = logging.getLogger(__name__)

EXIT_DONE, EXIT_NOT_SAFE = 0, 4

# Without a round for so many intervals, and what a round takes at most, the agent hangs. Unit: rounds.
HANGING_ROUNDS = 3


def run_agent(settings: AgentSettings) -> int:
    """Run an agent until it is told to end.

    Returns:
        The exit status.

    Raises:
        StartError: another agent runs, or its socket cannot be made.
    """
    set_up_logging()
    return asyncio.run(run_until_told(settings, Senses()))


async def run_until_told(settings: AgentSettings, senses: Senses) -> int:
    """As `run_agent`, in a loop that runs already."""
    signals = _Signals()
    async with contextlib.AsyncExitStack() as stack:
        servers = await stack.enter_async_context(
            Servers(settings.servers, token_file=settings.token_file, timeout_seconds=settings.timeout_seconds)
        )
        desk = Desk(settings.socket)
        stack.push_async_callback(desk.close)
        # The lock before the state: two agents must not number their reports alike.
        desk.lock()
        runner = Runner(settings, servers, senses)
        stack.push_async_callback(runner.hooks.cancel)
        requests = Requests(runner)
        await desk.open(requests.answer)
        runner.save()
        for warning in settings.warnings:
            log.warning("%s", warning)
        log.info("%s: reports every %g s, to %s", settings.node, settings.interval_seconds, ", ".join(settings.servers))
        reporting = asyncio.create_task(runner.run())
        tasks = [reporting, asyncio.create_task(_watch(runner, senses.notifier))]
        stack.push_async_callback(_cancel, tasks)
        if await _ended_first(signals.told, reporting):
            reporting.result()  # raises: a part of the agent has failed
        return await _end(runner, requests, signals, tasks)


class _Signals:
    """What SIGTERM and SIGINT say, the first time and the second."""

    def __init__(self) -> None:
        self.told = asyncio.Event()
        self.told_again = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._take)

    def _take(self) -> None:
        (self.told_again if self.told.is_set() else self.told).set()


async def _end(runner: Runner, requests: Requests, signals: _Signals, tasks: list[asyncio.Task[None]]) -> int:
    runner.senses.notifier.stopping()
    leaving = asyncio.create_task(_leave(runner, requests, tasks))
    try:
        if await _ended_first(signals.told_again, leaving):
            return leaving.result()
        log.warning("told again: ending at once")
        return EXIT_NOT_SAFE if runner.settings.drain_on_stop else EXIT_DONE
    finally:
        await _cancel([leaving])


async def _leave(runner: Runner, requests: Requests, tasks: list[asyncio.Task[None]]) -> int:
    safe = await Departure(runner, requests).drain() if runner.settings.drain_on_stop else True
    await _cancel(tasks)
    await runner.report_last()
    log.info("ended")
    return EXIT_DONE if safe else EXIT_NOT_SAFE


async def _watch(runner: Runner, notifier: Notifier) -> None:
    """Give signs of life while rounds go on; a loop that hangs gives none."""
    seconds = notifier.watchdog_seconds
    if seconds is None:
        return
    settings = runner.settings
    patience = HANGING_ROUNDS * (settings.interval_seconds + settings.timeout_seconds + LONGEST_PAUSE_SECONDS)
    rounds, since = runner.rounds, elapsed()
    while True:
        if runner.rounds != rounds:
            rounds, since = runner.rounds, elapsed()
        if elapsed() - since < patience:
            notifier.alive()
        await asyncio.sleep(seconds)


async def _ended_first(event: asyncio.Event, task: asyncio.Task[Any]) -> bool:
    """Wait until an event is set or a task has ended, and say whether it was the task."""
    waiting = asyncio.create_task(event.wait())
    try:
        await asyncio.wait({waiting, task}, return_when=asyncio.FIRST_COMPLETED)
        return task.done()
    finally:
        waiting.cancel()


async def _cancel(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
