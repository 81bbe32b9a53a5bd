"""The values behind the metrics, read from a control plane at the moment of a scrape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import dns.rcode

from admin.metrics import MetricsSample
from dnsd.adapters.hosting import AdapterHost
from dnsd.control.plane import ControlPlane
from dnsd.workers.messages import Counters


def sample(plane: ControlPlane, *, reloads: Mapping[str, int], adapters: AdapterHost | None = None) -> MetricsSample:
    """Return what the metrics show now.

    Args:
        reloads: by result.
        adapters: None: there are none.
    """
    fleet, now = plane.publisher.fleet, plane.clock()
    active = [drain for drain in fleet.all_drains() if drain.active(now)]
    members = {(owner, state): count for owner in fleet.pools for state, count in fleet.states_of(owner).items()}
    counters, lagging = plane.workers.counters(), plane.lagging()
    return MetricsSample(
        queries=_queries(counters),
        events=counters.events | _connections(counters),
        dropped=counters.dropped,
        failures=counters.failures,
        send_errors=counters.send_errors,
        receive_errors=counters.receive_errors,
        tcp_open=counters.tcp_open,
        answer_generation=plane.workers.applied_generation,
        store_revision=fleet.revision,
        applied_revision=plane.publisher.applied_revision,
        pool_members=members,
        pool_fail_open={owner: fleet.tier_of(owner).fails_open for owner in fleet.pools},
        pool_margins={owner: fleet.margin_of(owner) for owner in fleet.pools},
        consumers=lagging.counts,
        consumers_behind=lagging.behind_seconds,
        drains=Counter((drain.mode.text, drain.role) for drain in active),
        drain_age_seconds={(drain.node, drain.role, drain.holder): now - drain.effective_since for drain in active},
        drains_indefinite=sum(drain.expires_at is None for drain in fleet.all_drains()),
        drains_overdue=sum(drain.overdue(now, after=plane.settings.warn_after_seconds) for drain in active),
        store_up=plane.store_health.up,
        state_age_seconds=max(0.0, now - plane.store_health.seen_at),
        store_outages=plane.store_health.outages,
        store_divergences=plane.store_health.divergences,
        checks=dict(plane.checks.counts),
        check_targets=plane.checks.states(),
        check_lag_seconds=plane.checks.lag_seconds,
        worker_restarts=plane.workers.restarts,
        reloads=reloads,
        adapters_up={} if adapters is None else adapters.up,
        adapter_requests={} if adapters is None else adapters.counts,
        secondary_zones={} if plane.secondaries is None else plane.secondaries.states(),
        notifies={} if plane.secondaries is None else plane.secondaries.notifies,
        zone_versions={} if plane.versions is None else plane.versions.counts,
    )


def _connections(counters: Counters) -> dict[tuple[str, str], int]:
    return {
        ("tcp", "accepted"): counters.tcp_accepted,
        ("tcp", "refused"): counters.tcp_refused,
        ("tcp", "evicted"): counters.tcp_evicted,
        ("tcp", "timed_out"): counters.tcp_timed_out,
    }


def _queries(counters: Counters) -> dict[tuple[str, str], int]:
    return {
        (transport, dns.rcode.to_text(dns.rcode.Rcode(rcode))): count
        for (transport, rcode), count in counters.queries.items()
    }
