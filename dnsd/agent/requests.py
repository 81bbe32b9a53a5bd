"""What is asked of a running agent on its own machine, and how it is passed on to the control plane."""

from __future__ import annotations

import logging

from dnsd.agent.local import AgentState, LocalAnswer, LocalFailure, LocalRequest
from dnsd.agent.machine import Phase
from dnsd.agent.running import Runner, elapsed
from dnsd.api.errors import ClientError
from dnsd.api.schemas import DrainOutcome, DrainRequest, ReleaseRequest, SessionCounts

log = logging.getLogger(__name__)


class Requests:
    """Answers local requests, in the name of one agent."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    async def answer(self, request: LocalRequest) -> LocalAnswer:
        """Carry out a request; while no server answers, try for as long as it may take."""
        try:
            if request.do == "drain" and request.drain is not None:
                return LocalAnswer(outcome=await self.place(request.drain, seconds=request.seconds))
            if request.do == "undrain":
                release = request.release or ReleaseRequest()
                return LocalAnswer(outcome=await self.release(release, seconds=request.seconds))
            if request.do == "status":
                return await self._status()
        except ClientError as error:
            log.warning("%s, as was asked here: %s", request.do, error)
            return LocalAnswer(failure=LocalFailure.of(error))
        return LocalAnswer(failure=LocalFailure(kind="other", text="a drain says what it is to be"))

    async def place(self, request: DrainRequest, *, seconds: float) -> DrainOutcome:
        """Place a drain of the node in the agent's own name.

        Args:
            seconds: how long to try while no server answers.

        Raises:
            ClientError: it was refused, or no server has answered.
        """
        runner = self._runner
        own = request.model_copy(update={"holder": self._holder()})
        outcome = await runner.servers.ask_until(
            lambda client: client.place_drain(runner.settings.node, own), seconds=seconds
        )
        if outcome.drain is not None and not outcome.dry_run:
            runner.machine.placed_here(outcome.drain)
            log.info("drained %s as %s: %s", ", ".join(outcome.drain.roles), outcome.drain.holder, outcome.drain.reason)
            runner.save()
            runner.report_soon()
        return outcome

    async def release(self, request: ReleaseRequest, *, seconds: float) -> DrainOutcome:
        """Release what the agent has drained; `seconds` and errors as in `place`."""
        runner = self._runner
        own = request.model_copy(update={"holder": self._holder(), "all_holders": False})
        outcome = await runner.servers.ask_until(
            lambda client: client.release_drain(runner.settings.node, own), seconds=seconds
        )
        runner.machine.released_here(outcome.released)
        for drain in outcome.released:
            log.info("released %s, held by %s", ", ".join(drain.roles), drain.holder)
        runner.save()
        runner.report_soon()
        return outcome

    def _holder(self) -> str | None:
        """Return in whose name; a token has its own, and without one, others would be released with the agent's."""
        return None if self._runner.servers.has_token else f"agent:{self._runner.settings.node}"

    async def _status(self) -> LocalAnswer:
        answer = LocalAnswer(state=self._state())
        node = self._runner.settings.node
        try:
            status = await self._runner.servers.ask(lambda client: client.status(node))
        except ClientError as error:
            log.debug("no status to be had: %s", error)
            return answer
        return LocalAnswer(state=answer.state, status=status)

    def _state(self) -> AgentState:
        runner, machine = self._runner, self._runner.machine
        seen = runner.seen
        return AgentState(
            node=runner.settings.node,
            phase=machine.phase.value,
            server=runner.servers.url,
            connected=machine.connected and machine.phase is not Phase.JOINING,
            reported_ago=None if runner.heard_at is None else round(elapsed() - runner.heard_at, 3),
            sequence=machine.sequence,
            revision=machine.memory.revision,
            applied_revision=machine.applied_revision,
            modes=machine.memory.modes,
            health={role: "up" if seen.health.get(role, True) else "down" for role in machine.roles},
            sessions={role: SessionCounts(**kinds) for role, kinds in seen.sessions.items()},
            faults=dict(seen.faults),
            local_drains=sorted(machine.memory.local_drains),
        )
