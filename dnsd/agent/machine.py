"""What an agent thinks: from what was observed and answered to what is reported, run and said. Sans-IO.

It has no socket, file, clock or randomness: instants, answers and random numbers are arguments, and what is to be done
comes back as effects. Modes are the control plane's; nothing here makes one up.
"""

from __future__ import annotations

import enum
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence

from dnsd.agent.effects import AskAgain, Effect, RunHook, Say
from dnsd.agent.memory import RESERVED, Memory
from dnsd.agent.pacing import pause_after
from dnsd.agent.probes import Observation
from dnsd.api.schemas import MAX_INTEGER, DesiredState, DrainInfo, ModeName, NodeStatus, ReportRequest, SessionCounts
from dnsd.model.drain import ALL_ROLES

# An older revision than the last is believed when it is heard so often in a row: one server may lag behind another, but
# a store may also have been replaced. Unit: answers.
BACKWARD_ANSWERS = 3


class Phase(enum.Enum):
    """Where an agent is.

        joining ──registered, or confirmed──► reporting ──no server answers──► lost
          ▲                                     │    ▲                          │
          └── the server does not know the node ┘    └──── any good answer ─────┘
        any ──told to stop──► leaving ──safe to stop, deadline, told again──► (gone)

    In `leaving` reports go on, found or lost, since nothing is safe without fresh ones.
    """

    JOINING = "joining"
    REPORTING = "reporting"
    LOST = "lost"
    LEAVING = "leaving"


class Machine:
    """The agent of one node.

    Args:
        memory: from before; it is changed in place, and whoever keeps it saves it after each step.
        started_at: instant, by whatever clock the node has: only where sequences begin without a memory.
        hooks: the events that have a hook.
    """

    def __init__(self, node: str, memory: Memory, *, started_at: float, hooks: Collection[str] = ()) -> None:
        self.node = node
        self.memory = memory
        self.phase = Phase.JOINING
        self.known = False  # the server has the node, with the roles that are known here
        self.safe = False
        self._hooks = frozenset(hooks)
        self._roles: tuple[str, ...] = tuple(memory.modes)
        self._sequence = min(max(memory.sequence, int(max(started_at, 0.0) * 1000)), MAX_INTEGER - 1)
        self._accepted = False
        self._applied = memory.revision
        self._running: dict[str, int] = {}  # role → hooks that have not ended
        self._failures = 0
        self._backward = 0
        self._faults: Mapping[str, str] = {}
        self._rivals_told = False
        self._joined: tuple[tuple[str, ...], str] | None = None

    # --- what goes out ------------------------------------------------------------------------------------------

    @property
    def roles(self) -> tuple[str, ...]:
        """The node's roles, as the control plane has last said."""
        return self._roles

    @property
    def sequence(self) -> int:
        """Of the last report."""
        return self._sequence

    @property
    def connected(self) -> bool:
        """The last report was taken."""
        return not self._failures and self._accepted

    @property
    def applied_revision(self) -> int | None:
        """The last revision whose hooks have all ended."""
        return self._applied

    def report(self, observation: Observation, *, at: float, leaving: bool = False) -> ReportRequest:
        """Return the next report.

        Args:
            at: instant, by the node's clock, whatever that says.
            leaving: it is the last one before an end that is meant.
        """
        self._sequence += 1
        if self._sequence > self.memory.sequence:
            self.memory.sequence = min(self._sequence + RESERVED, MAX_INTEGER)
        drained = self.memory.local_drains
        return ReportRequest(
            sequence=self._sequence,
            observed_at=at,
            # A role without a check is up while its agent runs.
            health={role: "up" if observation.health.get(role, True) else "down" for role in self._roles},
            sessions={
                role: SessionCounts(**kinds) for role, kinds in observation.sessions.items() if role in self._roles
            },
            applied_revision=self._applied,
            local_drains=[role for role in self._roles if drained & {role, ALL_ROLES}],
            leaving=leaving or None,  # absent: servers of before know no such field
        )

    def pause(self, interval_seconds: float, *, chance: float) -> float:
        """Return how long until the next report; `chance` is random, 0 to 1."""
        return pause_after(self._failures, interval_seconds=interval_seconds, chance=chance)

    # --- what comes in ------------------------------------------------------------------------------------------

    def joined(self, roles: Collection[str], *, monitor: str, wanted: Collection[str]) -> Iterator[Effect]:
        """Take note of a registration, or that the inventory has the node.

        Args:
            roles: those that it has there.
            monitor: how the server learns of its health.
            wanted: those that the configuration of the agent speaks of.
        """
        self.known = True
        self._roles = tuple(roles)
        if self.phase is not Phase.LEAVING:
            self.phase = Phase.REPORTING
        if self._joined == (tuple(roles), monitor):
            return
        self._joined = (tuple(roles), monitor)
        yield Say(logging.INFO, f"{self.node} is in the inventory: {', '.join(roles)}")
        if monitor == "none":
            yield Say(logging.WARNING, f'{self.node} has monitor = "none": what is reported of it counts for nothing')
        for role in wanted:
            if role not in roles:
                yield Say(logging.WARNING, f"{self.node} does not have the role {role}: it is not reported")

    def not_known(self) -> None:
        """Take note that the server does not know the node, or not with these roles."""
        self.known = False
        if self.phase is not Phase.LEAVING:
            self.phase = Phase.JOINING

    def observed(self, observation: Observation) -> Iterator[Effect]:
        """Tell what has gone wrong, or right again, since the last look."""
        for what, why in observation.faults.items():
            if what not in self._faults:
                word = "down" if what.startswith("health") else "unknown"
                yield Say(logging.WARNING, f"{what}: {word}: {why}")
        for what in self._faults:
            if what not in observation.faults:
                yield Say(logging.INFO, f"{what}: {'up' if what.startswith('health') else 'known'} again")
        self._faults = observation.faults

    def lost(self, reason: str) -> Iterator[Effect]:
        """Take note that every server was tried and none took the report; the last modes stand."""
        if not self._failures:
            yield Say(logging.WARNING, f"no server takes reports: {reason}; {self._modes_text()} until one does")
        self._failures += 1
        if self.phase is Phase.REPORTING:
            self.phase = Phase.LOST

    def answered(self, desired: DesiredState, *, server: str) -> Iterator[Effect]:
        """Take the answer to a report.

        Args:
            server: which one, for the log.
        """
        if self._failures:
            yield Say(logging.INFO, f"{server} takes reports")
        self._failures = 0
        if self.phase is Phase.LOST:
            self.phase = Phase.REPORTING
        if not desired.accepted:
            yield from self._overtaken(desired)
        self._accepted = self._accepted or desired.accepted
        if not self._believed(desired.revision):
            return
        first = self.memory.revision is None
        # A role that was taken from the node needs no hook: nothing is asked of it any more.
        for known in (self.memory.modes, self.memory.hooked):
            for role in known.keys() - desired.roles.keys():
                del known[role]
        self._roles = tuple(desired.roles)
        self.memory.revision = desired.revision
        for role, mode in desired.roles.items():
            yield from self._wanted(role, mode, first=first)
        yield from self._settle()

    def status_heard(self, status: NodeStatus) -> Iterator[Effect]:
        """Take note of how far the drains of the node have come."""
        self.safe = status.safe_to_stop
        for role, state in status.roles.items():
            if state.safe_to_stop and role in self.memory.modes and role not in self.memory.safe_told:
                self.memory.safe_told.add(role)
                yield Say(logging.INFO, f"{role}: safe to stop")
                yield from self._start_hook("safe", role, state.mode)

    @property
    def wants_status(self) -> bool:
        """Some role is drained and was not safe to stop yet, or the agent waits for its end."""
        drained = {role for role, mode in self.memory.modes.items() if mode != "normal"}
        return bool(drained - self.memory.safe_told) or (self.phase is Phase.LEAVING and bool(drained))

    def hook_ended(self, hook: RunHook) -> Iterator[Effect]:
        """Take note that a hook has ended, however it did."""
        self._running[hook.role] -= 1
        if hook.event != "safe" and hook.role in self.memory.modes:
            self.memory.hooked[hook.role] = hook.mode
        yield from self._settle()

    def placed_here(self, drain: DrainInfo) -> None:
        """Take note of a drain that this agent has placed."""
        self.safe = False
        self.memory.local_drains.update(drain.roles)

    def released_here(self, released: Sequence[DrainInfo]) -> None:
        """Take note of what this agent has released."""
        self.memory.local_drains.difference_update(role for drain in released for role in drain.roles)

    def leave(self) -> None:
        """Take note that the agent is to end."""
        self.phase = Phase.LEAVING

    # --- inside -------------------------------------------------------------------------------------------------

    def _overtaken(self, desired: DesiredState) -> Iterator[Effect]:
        last = desired.last_sequence
        if self._accepted and not self._rivals_told:
            self._rivals_told = True
            yield Say(logging.ERROR, f"a report was overtaken by another: does a second agent report for {self.node}?")
        if last is not None and last >= self._sequence and last < MAX_INTEGER - 1:
            if not self._accepted:
                yield Say(logging.WARNING, f"the server has had report {last} already: going on from there")
            self._sequence = last
            yield AskAgain()

    def _believed(self, revision: int) -> bool:
        known = self.memory.revision
        if known is None or revision >= known:
            self._backward = 0
            return True
        self._backward += 1
        if self._backward < BACKWARD_ANSWERS:
            return False
        self._backward = 0
        self._applied = None
        return True

    def _wanted(self, role: str, mode: ModeName, *, first: bool) -> Iterator[Effect]:
        """Compare what a role is to be with what it was, and with what its hooks have last run for."""
        before = self.memory.modes.get(role, "normal")
        fresh = role not in self.memory.modes
        self.memory.modes[role] = mode
        if mode != before or (fresh and first and mode != "normal"):
            yield Say(logging.INFO, f"{role}: {mode} (was {before}), revision {self.memory.revision}")
        if mode == "normal":
            self.memory.safe_told.discard(role)
        if mode == "normal" and mode != before:
            self._returned(role)
        if mode != before:
            yield AskAgain()
        if mode != before or (not self._running.get(role) and self.memory.hooked.get(role, "normal") != mode):
            yield from self._start_hook("return" if mode == "normal" else "drain", role, mode)

    def _returned(self, role: str) -> None:
        """Forget what this agent has drained once that is over, by whomever."""
        drained = self.memory.local_drains
        drained.discard(role)
        if all(mode == "normal" for mode in self.memory.modes.values()):
            drained.discard(ALL_ROLES)

    def _start_hook(self, event: str, role: str, mode: ModeName) -> Iterator[Effect]:
        if event in self._hooks:
            self._running[role] = self._running.get(role, 0) + 1
            yield RunHook(event, role, mode)
        elif event != "safe":
            self.memory.hooked[role] = mode

    def _settle(self) -> Iterator[Effect]:
        """Say that a revision is applied once nothing runs for it any more."""
        if any(self._running.values()) or self._applied == self.memory.revision:
            return
        slow = self._applied is not None and any(mode != "normal" for mode in self.memory.modes.values())
        self._applied = self.memory.revision
        if slow:
            yield AskAgain()

    def _modes_text(self) -> str:
        drained = [f"{role} stays {mode}" for role, mode in self.memory.modes.items() if mode != "normal"]
        return ", ".join(drained) or "every role stays normal"
