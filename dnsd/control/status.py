"""May this node be stopped? Per role and for the node, with every reason against it in plain words.

It says yes only on what it knows: a report that is missing, stale or incomplete is a reason against.
"""

from __future__ import annotations

from dataclasses import dataclass

from dnsd.api.schemas import DnsProgress, NodeStatus, RoleStatus, SessionProgress
from dnsd.control.consumers import Consumers
from dnsd.control.publisher import Publisher
from dnsd.control.views import MODE_NAMES, drain_infos, node_of
from dnsd.core.fleet import Fleet
from dnsd.model.drain import Mode
from dnsd.model.node import Monitor, Node
from dnsd.model.times import format_duration

SESSION_KINDS = ("viewers", "inputs", "jobs")


@dataclass(frozen=True, slots=True)
class StatusReader:
    """Puts a node's status together from the parts that know of it."""

    publisher: Publisher
    consumers: Consumers

    def status(self, key: str, *, now: float) -> NodeStatus:
        """Return how far the drain of a node has come.

        Raises:
            UnknownNode: there is no such node.
        """
        node = node_of(self.publisher.fleet, key)
        roles = {role: self._role(node, role, now) for role in node.roles}
        caveats = []
        if node.monitor is Monitor.NONE:
            caveats.append(
                f'sessions on {node.id} are not known (monitor = "none"): safe_to_stop rests on DNS and routers alone'
            )
        blockers = [f"{role}: {blocker}" for role, state in roles.items() for blocker in state.blockers]
        return NodeStatus(
            node=node.id,
            revision=self.publisher.fleet.revision,
            safe_to_stop=not blockers,
            blockers=blockers,
            caveats=caveats,
            roles=roles,
        )

    def _role(self, node: Node, role: str, now: float) -> RoleStatus:
        fleet = self.publisher.fleet
        mode = fleet.mode_of(node.id, role, now=now)
        drains = [drain for drain in fleet.drains_of(node.id) if drain.covers(role) and not drain.expired(now)]
        revision = max([self.publisher.last_change_of(node.id), *(drain.revision for drain in drains)])
        applied, pending = self.consumers.progress(revision)
        dns = self._dns(node, role)
        sessions = _sessions(fleet, node, role, now)
        blockers = []
        if mode is Mode.NORMAL:
            blockers.append("not drained")
        blockers += [f"{each.consumer} ({each.kind}) has not applied revision {revision}" for each in pending]
        blockers += [f"{pool} still answers with it" for pool in fleet.named_by(node.id, role)]
        if dns.caches_clear_at is not None and dns.caches_clear_at > now:
            left = format_duration(max(1.0, dns.caches_clear_at - now))
            blockers.append(f"caches may still answer with it for {left}")
        elif dns.withdrawn_at is None and not fleet.named_by(node.id, role):
            blockers.append("not every worker has let go of it")
        blockers += _session_blockers(node, sessions, fleet, now)
        return RoleStatus(
            mode=MODE_NAMES[mode],
            drains=drain_infos(drains, now=now),
            dns=dns,
            applied=applied,
            pending=pending,
            sessions=sessions,
            safe_to_stop=not blockers,
            blockers=blockers,
        )

    def _dns(self, node: Node, role: str) -> DnsProgress:
        fleet = self.publisher.fleet
        naming = fleet.named_by(node.id, role)
        if naming:
            largest = max(fleet.pools[owner].ttl for owner in naming)
            return DnsProgress(withdrawn_at=None, max_ttl=largest, caches_clear_at=None)
        departure = self.publisher.departures.departure(node.id, role)
        if departure is not None:
            return DnsProgress(
                withdrawn_at=departure.withdrawn_at,
                max_ttl=departure.max_ttl,
                caches_clear_at=departure.caches_clear_at,
            )
        # Not named since the start; a server before this one may have named it until then.
        since = self.publisher.started_at
        ttls = [pool.ttl for pool in fleet.pools_that_may_name(node.id, role)]
        if not ttls:
            return DnsProgress(withdrawn_at=since, max_ttl=None, caches_clear_at=None)
        return DnsProgress(withdrawn_at=since, max_ttl=max(ttls), caches_clear_at=since + max(ttls))


def _sessions(fleet: Fleet, node: Node, role: str, now: float) -> SessionProgress | None:
    report = fleet.reports.get(node.id)
    if node.monitor is Monitor.NONE or report is None:
        return None
    counts = report.sessions.get(role, {})
    return SessionProgress(
        viewers=counts.get("viewers"),
        inputs=counts.get("inputs"),
        jobs=counts.get("jobs"),
        observed_at=report.observed_at,
        fresh=report.fresh(now, stale_after=fleet.spec.stale_after_seconds),
    )


def _session_blockers(node: Node, sessions: SessionProgress | None, fleet: Fleet, now: float) -> list[str]:
    if node.monitor is Monitor.NONE:
        return []
    if sessions is None:
        return ["its agent has not reported: sessions are not known"]
    if not sessions.fresh:
        age = format_duration(now - fleet.reports[node.id].received_at)
        return [f"its last report is {age} old: sessions are not known"]
    found = []
    for kind in SESSION_KINDS:
        count = getattr(sessions, kind)
        if count is None:
            found.append(f"the number of {kind} is not known")
        elif count:
            found.append(f"{count} {kind} still connected" if kind != "jobs" else f"{count} jobs still running")
    return found
