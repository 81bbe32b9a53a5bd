"""Runs the operator's hooks: those of one role one after the other, and none on the way of a report."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from dnsd.agent.commands import run_command
from dnsd.agent.effects import RunHook

log = logging.getLogger(__name__)

# Of what a hook prints; a hook that prints more is cut off in the log, and not in its work. Unit: lines.
MAX_LINES = 100


class HookRunner:
    """Runs hooks in the background.

    Args:
        commands: event → program and arguments.
        reason: gives why a role is drained, for the hook to know; it may take its time.
        ended: is told of each hook that has ended, however it did.
    """

    def __init__(
        self,
        node: str,
        commands: Mapping[str, tuple[str, ...]],
        *,
        timeout_seconds: float,
        reason: Callable[[str], Awaitable[str]],
        ended: Callable[[RunHook], None],
    ) -> None:
        self._node = node
        self._commands = commands
        self._timeout_seconds = timeout_seconds
        self._reason = reason
        self._ended = ended
        self._last: dict[str, asyncio.Task[None]] = {}

    def start(self, hook: RunHook) -> None:
        """Run a hook after those of its role that run or wait already."""
        self._last[hook.role] = asyncio.create_task(self._run(hook, self._last.get(hook.role)))

    async def finish(self) -> None:
        """Wait until no hook runs any more, which each one's time limits."""
        while running := [task for task in self._last.values() if not task.done()]:
            await asyncio.wait(running)

    async def cancel(self) -> None:
        """End what runs, at once."""
        for task in self._last.values():
            task.cancel()
        await asyncio.gather(*self._last.values(), return_exceptions=True)

    async def _run(self, hook: RunHook, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait({before})
        try:
            await self._perform(hook)
        except Exception:
            log.exception("hook %s of %s: it failed", hook.event, hook.role)
        # Also after a failure: else the revision is never applied. Not where it is cut off: then it runs again.
        self._ended(hook)

    async def _perform(self, hook: RunHook) -> None:
        environment = {
            "DNSD_NODE": self._node,
            "DNSD_ROLE": hook.role,
            "DNSD_MODE": hook.mode,
            "DNSD_REASON": "" if hook.mode == "normal" else await self._reason(hook.role),
        }
        name = f"hook {hook.event} of {hook.role}"
        log.info("%s: begins", name)
        done = await run_command(
            self._commands[hook.event],
            timeout_seconds=self._timeout_seconds,
            environment=environment,
            with_errors=True,
        )
        for line in done.output.decode(errors="backslashreplace").splitlines()[:MAX_LINES]:
            log.info("%s: %s", name, line)
        if done.problem:
            log.error("%s: %s", name, done.problem)
        else:
            log.info("%s: done", name)
