"""A fleet from a configuration and a store's state: at a start, at a reload, and where changes were missed.

It owns what of a fleet its successor takes over. It publishes nothing, and reads no store.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

from dnsd.config.settings import Settings
from dnsd.core.fleet import Fleet, FleetSpec
from dnsd.housekeeping import without_collector
from dnsd.model.check import Checked
from dnsd.model.freshness import NO_HOLD, Hold
from dnsd.model.report import Report
from dnsd.model.state import FleetState

log = logging.getLogger(__name__)


def build_fleet(
    settings: Settings,
    state: FleetState,
    *,
    now: float,
    hold: Hold = NO_HOLD,
    checked: Mapping[str, Mapping[str, Checked]] | None = None,
) -> Fleet:
    """Return the fleet that a configuration and a store's state make together.

    Args:
        now: instant.
        hold: whether and when freshness stood still.
        checked: what the server's own checks have found, by node and role.
    """
    spec = FleetSpec(
        zones=settings.zones,
        pools=settings.pools,
        node_records=settings.node_records,
        stale_after_seconds=settings.stale_after_seconds,
    )
    configured = {key: replace(node, configured=True) for key, node in settings.nodes.items()}
    with without_collector():
        fleet = Fleet(spec, configured, state, now=now, hold=hold, checked=checked)
    for name, reason in fleet.clashes.items():
        log.warning("a registered node goes without its name %s: %s", name, reason)
    return fleet


def succeed(present: Fleet, settings: Settings, state: FleetState, *, now: float) -> Fleet:
    """Return the fleet that comes in another's place; it knows what was reported and checked up to now.

    Args:
        state: a store's; its reports may be older than those that have come in.
        now: instant.
    """
    state = replace(state, reports=_younger(state.reports, present.reports))
    return build_fleet(settings, state, now=now, hold=present.hold, checked=present.checked_nodes)


def _younger(kept: Mapping[str, Report], heard: Mapping[str, Report]) -> dict[str, Report]:
    """Return of each node the report that was received last; where both were at once, the kept one."""
    later = {
        node: report
        for node, report in heard.items()
        if node not in kept or kept[node].received_at < report.received_at
    }
    return {**kept, **later}
