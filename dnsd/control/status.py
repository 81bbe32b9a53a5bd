"""May this node be stopped? Per role and for the node, with every reason against it in plain words.

It says yes only on what it knows: a report that is missing, stale, incomplete or from before the node had left, a
store that is not heard, and a consumer that went silent are reasons against.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from dnsd.api.schemas import AppliedBy, DnsProgress, NodeStatus, PendingAt, RoleStatus, SessionProgress
from dnsd.control.consumers import Consumers
from dnsd.control.farservers import FarServers, Standing, ZoneWithdrawal
from dnsd.control.progress import Departure, Withdrawn
from dnsd.control.publisher import Publisher
from dnsd.control.storehealth import StoreHealth
from dnsd.control.views import MODE_NAMES, drain_infos, node_of, ramp_info
from dnsd.core.names import from_text
from dnsd.core.owners import closest_zone
from dnsd.model.drain import Drain, Mode
from dnsd.model.node import Node
from dnsd.model.report import Report
from dnsd.model.times import format_duration

# A drain that ends so soon is told to whoever asks whether the node may be stopped. Unit: seconds.
NEAR_END_SECONDS = 600.0

SESSION_KINDS = ("viewers", "inputs", "jobs")
AGENT_KIND = "agent"

# What a server answers from at its start: whoever had left before then is out of it.
FIRST_GENERATION = 1


@dataclass(frozen=True, slots=True)
class StatusReader:
    """Puts a node's status together from the parts that know of it."""

    publisher: Publisher
    consumers: Consumers
    store_health: StoreHealth
    secondaries: FarServers | None

    def status(self, key: str, *, now: float) -> NodeStatus:
        """Return how far the drain of a node has come.

        Raises:
            UnknownNode: there is no such node.
        """
        node = node_of(self.publisher.fleet, key)
        common = list(self._of_store())
        roles = {role: self._role(node, role, common, now) for role in node.roles}
        own = (f"{role}: {each}" for role, state in roles.items() for each in state.blockers[len(common) :])
        blockers = [*common, *own, *self._of_former_roles(node)]
        caveats = []
        if not node.monitor.reports:
            how = f'monitor = "{node.monitor.value}"'
            caveats.append(f"sessions on {node.id} are not known ({how}): safe_to_stop rests on DNS and routers alone")
        caveats += self._of_ends(node, now)
        return NodeStatus(
            node=node.id,
            revision=self.publisher.fleet.revision,
            safe_to_stop=not blockers,
            blockers=blockers,
            caveats=caveats,
            roles=roles,
        )

    def _role(self, node: Node, role: str, common: Sequence[str], now: float) -> RoleStatus:
        fleet = self.publisher.fleet
        mode = fleet.mode_of(node.id, role, now=now)
        drains = [drain for drain in fleet.drains_of(node.id) if drain.covers(role) and not drain.expired(now)]
        revision = max([self.publisher.last_change_of(node.id), *(drain.revision for drain in drains)])
        report = fleet.reports.get(node.id) if node.monitor.reports else None
        applied, pending = self._progress(revision, report, now)
        naming = fleet.named_by(node.id, role)
        departure = self._departure(node, role, naming, revision, now)
        far = self._far(node, role, naming)
        departure = _with_secondaries(departure, far, now)
        sessions = None if report is None else self._sessions(report, role, now)
        blockers = [
            *common,
            *(["not drained"] if mode is Mode.NORMAL else []),
            *self._of_consumers(revision, pending),
            *_of_dns(departure, naming),
            *far.blockers,
            *(_of_sessions(sessions, report, _left_at(departure, drains, now), now) if node.monitor.reports else ()),
        ]
        return RoleStatus(
            mode=MODE_NAMES[mode],
            ramp=ramp_info(fleet.orders_of(node.id), role=role, now=now),
            drains=drain_infos(drains, now=now),
            dns=DnsProgress(
                withdrawn_at=departure.withdrawn_at,
                max_ttl=departure.max_ttl,
                caches_clear_at=None if far.blockers else departure.caches_clear_at,
                last_named_at=departure.last_named_at,
            ),
            applied=applied,
            pending=pending,
            sessions=sessions,
            safe_to_stop=not blockers,
            blockers=blockers,
        )

    def _progress(self, revision: int, report: Report | None, now: float) -> tuple[list[AppliedBy], list[PendingAt]]:
        """Return which live consumers have applied a revision and which have not, the node's own agent included."""
        applied, pending = self.consumers.progress(revision)
        if report is None or report.applied_revision is None or not self._fresh(report, now):
            return applied, pending
        if report.applied_revision >= revision:
            applied.append(AppliedBy(consumer=report.node, kind=AGENT_KIND, lag_ms=None))
        else:
            pending.append(PendingAt(consumer=report.node, kind=AGENT_KIND, applied_revision=report.applied_revision))
        return applied, pending

    def _departure(self, node: Node, role: str, naming: Sequence[str], revision: int, now: float) -> Departure:
        pools = self.publisher.fleet.pools
        if naming:
            largest = max(pools[owner].ttl for owner in naming)
            return Departure(withdrawn_at=None, max_ttl=largest, caches_clear_at=None, seconds_left=None)
        # Where no pool may name it now, one may have before the last start: nobody knows which, nor with what TTL.
        ttls = [pool.ttl for pool in self.publisher.fleet.pools_that_may_name(node.id, role) or pools.values()]
        largest = max(ttls, default=0)
        own = self.publisher.departures.departure(node.id, role, ttl_before=largest if ttls else None)
        if own.seconds_left is None or (own.max_ttl is None and not ttls):
            return own
        # Another server may have named it until it had applied the drain, which may have been later than here.
        longest = max(largest, own.max_ttl or 0) + self.publisher.departures.slack_seconds
        left = longest - self.consumers.seconds_since_others_applied(revision)
        if left <= own.seconds_left:
            return own
        return replace(own, seconds_left=left, caches_clear_at=now + left)

    def _far(self, node: Node, role: str, naming: Sequence[str]) -> Standing:
        """Return what secondaries have against stopping a node; nothing while a pool names it here."""
        if naming or self.secondaries is None:
            return _NO_SECONDARIES
        return self.secondaries.standing(self._withdrawals(node, role))

    def _withdrawals(self, node: Node, role: str) -> Iterator[ZoneWithdrawal]:
        """Yield in which generations a node left the zones of the pools that may have named it in a role."""
        fleet = self.publisher.fleet
        known = self.publisher.departures.withdrawn(node.id, role)
        # As for caches: where no pool may name it now, one may have before the last start.
        pools = fleet.pools_that_may_name(node.id, role) or fleet.pools.values() if role in node.roles else ()
        before = {pool.owner: (Withdrawn(FIRST_GENERATION, pool.ttl),) for pool in pools}
        for owner, withdrawals in {**before, **known}.items():
            zone = closest_zone(fleet.spec.zones, from_text(owner))
            if zone is not None:
                yield from (ZoneWithdrawal(zone.apex, each.generation, each.ttl) for each in withdrawals)

    def _fresh(self, report: Report, now: float) -> bool:
        return report.fresh(now, stale_after=self.publisher.fleet.spec.stale_after_seconds)

    def _sessions(self, report: Report, role: str, now: float) -> SessionProgress:
        counts = report.sessions.get(role, {})
        return SessionProgress(
            viewers=counts.get("viewers"),
            inputs=counts.get("inputs"),
            jobs=counts.get("jobs"),
            observed_at=report.observed_at,
            fresh=self._fresh(report, now),
        )

    def _of_ends(self, node: Node, now: float) -> Iterator[str]:
        """Warn whoever is about to stop a node whose drain is about to end."""
        drains = [drain for drain in self.publisher.fleet.drains_of(node.id) if drain.active(now)]
        for role in node.roles:
            ends = [drain.expires_at for drain in drains if drain.covers(role)]
            last = max((end for end in ends if end is not None), default=None)
            if last is not None and None not in ends and last - now < NEAR_END_SECONDS:
                yield f"{role}: its drain ends in {format_duration(max(1.0, last - now))}, and it may be answered again"

    def _of_store(self) -> Iterator[str]:
        if not self.store_health.fresh:
            yield "the store is not heard: others may have released its drains"
        elif not self.consumers.known:
            yield "how far other servers and routers are is not known yet"

    def _of_consumers(self, revision: int, pending: Sequence[PendingAt]) -> Iterator[str]:
        for each in pending:
            yield f"{each.consumer} ({each.kind}) has not applied revision {revision}"
        for consumer, seconds in self.consumers.silent(revision):
            silence = format_duration(seconds)
            yield (
                f"{consumer.id} ({consumer.kind}) is silent since {silence} and had not applied revision {revision}: "
                "it may still answer with it"
            )

    def _of_former_roles(self, node: Node) -> Iterator[str]:
        """A role that was taken from a node is not listed any more, but caches may still have it there."""
        for role in self.publisher.departures.roles_of(node.id):
            if role not in node.roles:
                departure = self.publisher.departures.departure(node.id, role, ttl_before=None)
                far = self._far(node, role, ())
                against = (*_of_dns(_with_secondaries(departure, far, 0.0), ()), *far.blockers)
                yield from (f"{role}: {each}" for each in against)


_NO_SECONDARIES = Standing((), 0.0, None)


def _with_secondaries(departure: Departure, far: Standing, now: float) -> Departure:
    """Return how a node has left answers where secondaries may have named it for longer."""
    if departure.seconds_left is None or far.max_ttl is None or far.seconds_left <= departure.seconds_left:
        return departure
    return replace(
        departure,
        max_ttl=max(far.max_ttl, departure.max_ttl or 0),
        seconds_left=far.seconds_left,
        caches_clear_at=now + far.seconds_left,
    )


def _of_dns(departure: Departure, naming: Sequence[str]) -> Iterator[str]:
    yield from (f"{pool} still answers with it" for pool in naming)
    if departure.seconds_left:
        yield f"caches may still answer with it for {format_duration(max(1.0, departure.seconds_left))}"
    elif departure.seconds_left is None and not naming:
        yield "not every worker has let go of it"


def _left_at(departure: Departure, drains: Sequence[Drain], now: float) -> float:
    """Return the instant after which nobody finds the way to a node any more; for a report to count from."""
    in_force = [max(drain.starts_at, drain.created_at) for drain in drains if drain.active(now)]
    drained_at = min(in_force, default=now)
    return max(drained_at, departure.withdrawn_at or 0.0, departure.caches_clear_at or 0.0)


def _of_sessions(sessions: SessionProgress | None, report: Report | None, left_at: float, now: float) -> Iterator[str]:
    if sessions is None or report is None:
        yield "its agent has not reported: sessions are not known"
        return
    if not sessions.fresh:
        yield f"its last report is {format_duration(now - report.received_at)} old: sessions are not known"
        return
    if report.received_at < left_at <= now:
        yield "no report yet from after it was drained and caches had run out: sessions may have begun since the last"
    for kind in SESSION_KINDS:
        count = getattr(sessions, kind)
        if count is None:
            yield f"the number of {kind} is not known"
        elif count:
            yield f"{count} {kind} still connected" if kind != "jobs" else f"{count} jobs still running"
