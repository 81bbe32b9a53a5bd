"""A whole fleet in memory: nodes, drains and reports, and what each node may be used for at this instant.

Whoever follows a store or a server puts things in; `selection` reads. Instants at which something changes by itself (a
drain starts or ends, a ramp rises, a report gets stale) are kept in a queue, and `settle` is called before each choice:
so modes are right at the very instant, without a timer. It knows no socket and no clock.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from dnsd.model.drain import Drain, DrainKey, Mode, effective_mode, ramp_of
from dnsd.model.freshness import Hold
from dnsd.model.node import Monitor, Node
from dnsd.model.report import DEFAULT_STALE_AFTER_SECONDS, Health, Report, health_of
from dnsd.model.state import ChangeRecord, Entity, FleetState
from dnsd.router.members import Member, RoleMembers

KeyT = TypeVar("KeyT")


@dataclass(frozen=True, slots=True)
class Told:
    """What a server says of a node in a role, where reports cannot be read.

    Args:
        share: of its full part, less than 1 while it comes back by a ramp.
    """

    health: Health
    share: float = 1.0


class FleetView:
    """What a router knows.

    Args:
        stale_after_seconds: an agent's report that is older says nothing of now.

    Attributes:
        loaded: drains are known, so that nodes may be named.
        why_not_followed: why nobody puts anything in any more; empty: somebody does.
        revision, mark: of the state that it acts by.
        next_at: the instant at which something changes by itself; infinite: nothing does.
        roles: members by role.
    """

    def __init__(self, *, stale_after_seconds: float = DEFAULT_STALE_AFTER_SECONDS) -> None:
        self.loaded = False
        self.why_not_followed = ""
        self.revision = 0
        self.mark = ""
        self.next_at = math.inf
        self.roles: dict[str, RoleMembers] = {}
        self._stale_after = stale_after_seconds
        self._registered: dict[str, Node] = {}
        self._configured: dict[str, Node] = {}
        self._drains: dict[str, dict[DrainKey, Drain]] = {}
        self._reports: dict[str, Report] = {}
        self._checked: dict[str, Mapping[str, Health]] = {}  # by node and role
        self._told: Mapping[tuple[str, str], Told] | None = None
        self._members: dict[str, dict[str, Member]] = {}  # by node and role
        self._placed: dict[str, dict[str, int]] = {}  # sessions by node and role, since its last report
        self._queue: list[tuple[float, str]] = []
        self._hold = Hold()
        self._halted: set[str] = set()  # nodes whose reports get stale when freshness goes on, and not before

    # --- what is read -------------------------------------------------------------------------------------------

    @property
    def nodes(self) -> Mapping[str, Node]:
        """Every node by id; a configured one wins over a registered one of its id."""
        return {**self._registered, **self._configured}

    @property
    def drains(self) -> Mapping[DrainKey, Drain]:
        """Every drain by its key, those that are scheduled included."""
        return {key: drain for drains in self._drains.values() for key, drain in drains.items()}

    @property
    def state(self) -> FleetState:
        """What it knows, as a store would hold it; configured nodes are among the others."""
        return FleetState(
            revision=self.revision,
            mark=self.mark,
            nodes=dict(self.nodes),
            drains=dict(self.drains),
            reports=dict(self._reports),
        )

    @property
    def size(self) -> int:
        """How many nodes there are."""
        return len(self._members)

    def member(self, node: str, role: str) -> Member | None:
        """Return a node in a role, where it has that."""
        return self._members.get(node, {}).get(role)

    def drains_in_force(self, role: str, *, now: float) -> list[Drain]:
        """Return the drains of the nodes of a role that are in force for it, by node and strongest first."""
        members = self.roles[role].everywhere.members if role in self.roles else {}
        found = [
            drain
            for node in members
            for drain in self._drains.get(node, {}).values()
            if drain.covers(role) and drain.active(now) and not drain.is_ramp
        ]
        return sorted(found, key=lambda drain: (drain.node, -drain.mode, drain.holder))

    def sequence_of(self, node: str) -> int | None:
        """Return the sequence of the last report of a node; None: there is none."""
        report = self._reports.get(node)
        return None if report is None else report.sequence

    # --- what is put in -----------------------------------------------------------------------------------------

    def replace(self, state: FleetState, *, now: float) -> None:
        """Take a whole state in the place of what was known; configured nodes stay."""
        drains: dict[str, dict[DrainKey, Drain]] = {}
        for key, drain in state.drains.items():
            drains.setdefault(key.node, {})[key] = drain
        touched: set[str] = set()
        for before, after in ((self._registered, state.nodes), (self._drains, drains), (self._reports, state.reports)):
            touched.update(differing(before, after))
        self._registered, self._drains, self._reports = dict(state.nodes), drains, dict(state.reports)
        self.revision, self.mark = state.revision, state.mark
        self.loaded = True
        self.settle(now)
        self._renew(touched, now=now)

    def apply(self, records: Sequence[ChangeRecord], *, now: float) -> None:
        """Take the changes that follow the revision, in order."""
        touched: set[str] = set()
        for record in records:
            change = record.change
            touched.add(change.node)
            if change.entity is Entity.NODE:
                self._registered.pop(change.key, None)
                if isinstance(change.value, Node):
                    self._registered[change.key] = change.value
                elif change.key not in self._configured:
                    self._reports.pop(change.key, None)
                continue
            key = DrainKey.of(change.key)
            drains = self._drains.setdefault(key.node, {})
            drains.pop(key, None)
            if isinstance(change.value, Drain):
                drains[key] = change.value
            if not drains:
                del self._drains[key.node]
        if records:
            self.revision, self.mark = records[-1].revision, records[-1].mark
        self._renew(touched, now=now)

    def take_configured(self, nodes: Iterable[Node], *, now: float) -> None:
        """Take the nodes of the servers' configuration in the place of those that were known."""
        before, self._configured = self._configured, {node.id: node for node in nodes}
        if before != self._configured:
            self._renew({*before, *self._configured}, now=now)

    def take_reports(self, reports: Iterable[Report], *, now: float) -> None:
        """Take what nodes have reported; one that is not newer than what is known is left out."""
        new = [each for each in reports if self._is_news(each)]
        self._reports.update({each.node: each for each in new})
        for each in new:
            self._placed.pop(each.node, None)
        self._renew({each.node for each in new}, now=now)

    def take_checked(self, verdicts: Mapping[str, Mapping[str, Health]], *, now: float) -> None:
        """Take what servers' checks have found of some nodes, by role; nothing: nobody says anything of a node."""
        for node, found in verdicts.items():
            self._checked.pop(node, None)
            if found:
                self._checked[node] = found
        self._renew(verdicts, now=now)

    def take_told(self, told: Mapping[tuple[str, str], Told], *, now: float) -> None:
        """Take what a server says of every node and role; from now on that counts instead of reports."""
        before, self._told = self._told or {}, dict(told)
        self._renew({node for node, _ in differing(before, told)}, now=now)

    def placed(self, member: Member, role: str) -> None:
        """Count a session that was placed on a node that reports, until its next report counts it."""
        if member.id in self._reports:
            placed = self._placed.setdefault(member.id, {})
            placed[role] = placed.get(role, 0) + 1
            self.roles[role].placed(member)

    def hold(self, now: float) -> None:
        """Have reports not get stale from now on: what they come from is out of reach, not the nodes."""
        if not self._is_held:
            self.settle(now)
            self._hold = self._hold.begun_again(now, stale_after=self._stale_after)

    def release(self, now: float) -> None:
        """Have reports get stale again; nodes get what is left of a full interval to be heard."""
        if self._is_held:
            self._hold = self._hold.ended(now)
            halted, self._halted = self._halted, set()  # the others are in the queue still
            self._renew(halted, now=now)

    @property
    def _is_held(self) -> bool:
        return self._hold.since is not None and self._hold.until is None

    # --- time ---------------------------------------------------------------------------------------------------

    def settle(self, now: float) -> None:
        """Bring everything to an instant."""
        due: set[str] = set()
        while self._queue and self._queue[0][0] <= now:
            due.add(heapq.heappop(self._queue)[1])
        self.next_at = self._queue[0][0] if self._queue else math.inf
        if due:
            self._renew(due, now=now)

    def _renew(self, nodes: Iterable[str], *, now: float) -> None:
        for node in nodes:
            self._renew_node(node, now)
        self.next_at = self._queue[0][0] if self._queue else math.inf
        self._tidy()

    def _renew_node(self, name: str, now: float) -> None:
        node = self._configured.get(name) or self._registered.get(name)
        members = self._members.setdefault(name, {})
        for role, member in list(members.items()):
            if node is None or role not in node.roles or member.node != node:
                self.roles[role].drop(member)
                del members[role]
                if not self.roles[role].everywhere.members:
                    del self.roles[role]
        if node is None:
            del self._members[name]
            self._placed.pop(name, None)
            self._halted.discard(name)
            return
        drains = tuple(self._drains.get(name, {}).values())
        report = self._reports.get(name)
        for role in node.roles:
            if role not in members:
                members[role] = Member(node)
                self.roles.setdefault(role, RoleMembers(role)).put(members[role])
            self._renew_member(members[role], role, drains, report, now)
        at = self._next_of(drains, report, now)
        if at is not None:
            heapq.heappush(self._queue, (at, name))

    def _renew_member(
        self, member: Member, role: str, drains: tuple[Drain, ...], report: Report | None, now: float
    ) -> None:
        mode = effective_mode(drains, role=role, now=now) if drains else Mode.NORMAL
        if self._told is not None:
            told = self._told.get((member.id, role), Told(Health.UNKNOWN))
            health, share, sessions = told.health, told.share, member.sessions
        else:
            ramp = ramp_of(drains, role=role, now=now) if drains else None
            share = 1.0 if ramp is None else ramp.share
            # What `stale_at` says is all there is to freshness: the report itself knows no hold.
            fresh_after = math.inf if report is not None and now < self._stale_at(report) else 0.0
            checked = self._checked.get(member.id, {}).get(role)
            if checked is None and member.node.monitor is Monitor.CHECK:
                checked = Health.UP  # nobody says anything of it
            health = health_of(member.node, role, report, now=now, stale_after=fresh_after, checked=checked)
            kinds = report.sessions.get(role, {}) if report is not None else {}
            sessions = sum(count or 0 for count in kinds.values()) + self._placed.get(member.id, {}).get(role, 0)
        self.roles[role].become(member, mode, health, sessions=sessions, share=share)

    def _is_news(self, report: Report) -> bool:
        known = self._reports.get(report.node)
        return known is None or report.sequence > known.sequence

    def _stale_at(self, report: Report) -> float:
        return self._hold.stale_at(report, stale_after=self._stale_after)

    def _next_of(self, drains: tuple[Drain, ...], report: Report | None, now: float) -> float | None:
        """Return the next instant at which a node changes by itself; None: it does not."""
        instants = [at for each in drains for at in (each.starts_at, each.expires_at, *each.step_instants) if at]
        if report is not None and self._told is None:
            at = self._stale_at(report)
            instants.append(at)
            if at == math.inf:
                self._halted.add(report.node)
        return min((at for at in instants if now < at < math.inf), default=None)

    def _tidy(self) -> None:
        """Drop what later reports have put off, so that the queue does not grow with each of them."""
        if len(self._queue) > 64 + 4 * len(self._members):
            soonest: dict[str, float] = {}
            for at, node in self._queue:
                soonest[node] = min(at, soonest.get(node, at))
            self._queue = [(at, node) for node, at in soonest.items()]
            heapq.heapify(self._queue)


def differing(before: Mapping[KeyT, object], after: Mapping[KeyT, object]) -> set[KeyT]:
    """Return the keys under which two mappings have something else."""
    return {key for key in {*before, *after} if before.get(key) != after.get(key)}
