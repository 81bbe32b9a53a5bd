"""Registering and removing nodes over the API, and taking agents' reports."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

from dnsd.api.schemas import DesiredState, NodeOutcome, NodeRequest, ReportRequest
from dnsd.config.settings import Settings
from dnsd.control.absence import tell_absence
from dnsd.control.actor import Actor
from dnsd.control.publisher import Publisher
from dnsd.control.registering import node_from
from dnsd.control.storehealth import StoreHealth
from dnsd.control.views import MODE_NAMES, node_info, node_of
from dnsd.control.writer import Decision, Moment, Writer
from dnsd.errors import InvalidRequest, NodeConflict, StoreUnavailable
from dnsd.model.node import Node
from dnsd.model.report import Report
from dnsd.model.state import Action, Change, Entity, HistoryEntry
from dnsd.model.times import to_milliseconds
from dnsd.stores.base import DrainStore

log = logging.getLogger(__name__)

# Reports are kept in the store together, this often. Unit: seconds.
FLUSH_SECONDS = 1.0

# How long one question for others' reports may wait, and how soon it is asked again after an outage. Unit: seconds.
WAIT_SECONDS = 5.0
RETRY_SECONDS = 0.5


class Inventory:
    """Decides what becomes of registrations and reports.

    Args:
        settings: gives the present settings, which a reload replaces.
    """

    def __init__(
        self,
        writer: Writer,
        publisher: Publisher,
        store: DrainStore,
        *,
        settings: Callable[[], Settings],
        health: StoreHealth,
        clock: Callable[[], float],
    ) -> None:
        self._writer = writer
        self._publisher = publisher
        self._store = store
        self._settings = settings
        self._health = health
        self._clock = clock
        self._since = clock()
        self._unkept: dict[str, Report] = {}
        self._configured_told = False

    # --- nodes --------------------------------------------------------------------------------------------------

    async def register(
        self, key: str, request: NodeRequest, *, actor: Actor, if_revision: int | None = None
    ) -> NodeOutcome:
        """Register a node, or replace what is registered.

        Raises:
            InvalidRequest, NotAllowed, NodeConflict, RevisionMoved, StoreUnavailable: nothing was written.
        """
        node = node_from(key, request, roles=self._settings().roles, actor=actor)

        def decide(moment: Moment) -> Decision[None]:
            fleet = self._publisher.fleet
            there = fleet.nodes.get(key)
            same = there is not None and there.to_json() == node.to_json()
            if there is not None and there.configured and not same:
                raise NodeConflict(f"{key} is declared in the configuration: change it there and reload")
            twin = fleet.twin_of(key)
            if twin is not None:
                raise NodeConflict(f"{key} differs from node {twin} only by case")
            reason = fleet.why_not_register(node)
            if reason is not None:
                raise NodeConflict(f"{key} cannot be named: {reason}")
            if same:
                return Decision(result=None)
            action = Action.NODE_REGISTERED if there is None else Action.NODE_REPLACED
            entry = _entry(action, key, moment, actor=actor, before=there, after=node)
            return Decision(result=None, changes=[Change(Entity.NODE, key, node)], history=[entry])

        _, revision, changed = await self._writer.write(decide, if_revision=if_revision)
        fleet = self._publisher.fleet
        info = node_info(fleet, node_of(fleet, key), now=self._clock())
        return NodeOutcome(revision=revision, changed=changed, node=info)

    async def remove(self, key: str, *, actor: Actor, if_revision: int | None = None) -> NodeOutcome:
        """Remove a registered node. Its drains stay: one that comes back is still drained.

        Raises:
            UnknownNode, NodeConflict, RevisionMoved, StoreUnavailable: nothing was written.
        """

        def decide(moment: Moment) -> Decision[None]:
            there = node_of(self._publisher.fleet, key)
            if there.configured:
                raise NodeConflict(f"{key} is declared in the configuration: remove it there and reload")
            entry = _entry(Action.NODE_REMOVED, key, moment, actor=actor, before=there, after=None)
            return Decision(result=None, changes=[Change(Entity.NODE, key, None)], history=[entry])

        _, revision, changed = await self._writer.write(decide, if_revision=if_revision)
        self._unkept.pop(key, None)
        try:
            await self._store.drop_report(key)
        except StoreUnavailable as error:  # the removal itself stands
            self._health.failed_to_write(error)
            log.warning("the last report of %s, which is removed, is still in the store", key)
        return NodeOutcome(revision=revision, changed=changed, node=None)

    # --- reports ------------------------------------------------------------------------------------------------

    def report(self, key: str, request: ReportRequest) -> DesiredState:
        """Take a report and answer what the node is to do. A report changes no mode.

        Raises:
            UnknownNode: there is no such node.
            InvalidRequest: it speaks of roles that the node does not have.
        """
        fleet = self._publisher.fleet
        node = node_of(fleet, key)
        now = self._clock()
        _check_report(node, request)
        last = fleet.reports.get(key)
        accepted = last is None or request.sequence > last.sequence
        if accepted:
            report = Report(
                node=key,
                sequence=request.sequence,
                observed_at=request.observed_at,
                received_at=to_milliseconds(now),
                health={role: word == "up" for role, word in request.health.items()},
                sessions={
                    role: {"viewers": each.viewers, "inputs": each.inputs, "jobs": each.jobs}
                    for role, each in request.sessions.items()
                },
                applied_revision=request.applied_revision,
                local_drains=tuple(request.local_drains),
                leaving=bool(request.leaving),
            )
            tell_absence(report, last, since=self._since, stale_after=fleet.spec.stale_after_seconds)
            self._publisher.report(report)
            self._unkept[key] = report
        modes = {role: MODE_NAMES[fleet.mode_of(key, role, now=now)] for role in node.roles}
        return DesiredState(
            node=key,
            revision=fleet.revision,
            accepted=accepted,
            roles=modes,
            last_sequence=request.sequence if last is None else max(last.sequence, request.sequence),
        )

    async def run(self) -> None:
        """Keep reports in the store until cancelled, so that other servers and a restarted one know them."""
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            await self.flush()

    async def follow_reports(self) -> None:
        """Take the reports that other servers have kept in the store, until cancelled."""
        place: str | None = None
        while True:
            try:
                reports, place = await self._store.reports(after=place, wait_seconds=WAIT_SECONDS, known=self._has)
            except StoreUnavailable as error:
                self._health.failed_to_read(error)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            for report in reports:
                self._take_from_store(report)

    def _has(self, node: str) -> int | None:
        """Return the sequence of the last report of a node."""
        last = self._publisher.fleet.reports.get(node)
        return None if last is None else last.sequence

    def _take_from_store(self, report: Report) -> None:
        fleet = self._publisher.fleet
        last = fleet.reports.get(report.node)
        if report.node in fleet.nodes and (last is None or report.sequence > last.sequence):
            now = to_milliseconds(self._clock())
            # By the clock of the server that got it; one that is ahead of ours must not make it stay fresh for longer.
            self._publisher.report(replace(report, received_at=min(report.received_at, now)))

    def configured_changed(self) -> None:
        """Take note that the store does not have the nodes of the configuration as they are now."""
        self._configured_told = False

    async def flush(self) -> None:
        """Keep in the store what has come in since the last time."""
        await self._tell_configured()
        nodes = self._publisher.fleet.nodes
        reports, self._unkept = {key: each for key, each in self._unkept.items() if key in nodes}, {}
        if not reports:
            return
        try:
            await self._store.put_reports(list(reports.values()))
        except StoreUnavailable as error:
            self._health.failed_to_write(error)
            self._unkept = {**reports, **self._unkept}
        else:
            self._health.was_written()

    async def _tell_configured(self) -> None:
        if self._configured_told:
            return
        settings = self._settings()
        self._configured_told = True
        try:
            await self._store.tell_configured(
                list(settings.nodes.values()), server=settings.server_id, at=to_milliseconds(self._clock())
            )
        except StoreUnavailable as error:
            self._configured_told = False
            self._health.failed_to_write(error)


def _check_report(node: Node, request: ReportRequest) -> None:
    spoken_of = (("health", request.health), ("sessions", request.sessions), ("local_drains", request.local_drains))
    for field, roles in spoken_of:
        for role in roles:
            if role not in node.roles:
                raise InvalidRequest(f"{node.id} does not have the role {role!r}", field=field)


def _entry(
    action: Action, key: str, moment: Moment, *, actor: Actor, before: Node | None, after: Node | None
) -> HistoryEntry:
    return HistoryEntry(
        revision=moment.revision + 1,
        at=moment.now,
        actor=actor.name,
        action=action,
        node=key,
        before=() if before is None else (before.to_json(),),
        after=() if after is None else (after.to_json(),),
    )
