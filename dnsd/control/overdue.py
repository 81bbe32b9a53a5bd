"""Drains that have been in force for longer than anybody may have meant: told of once, each.

It knows who was told of in this run of the server, and nothing of how long a drain may last.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from dnsd.api.schemas import Event
from dnsd.control.events import EventHub
from dnsd.control.publisher import Publisher
from dnsd.model.drain import Drain, DrainKey
from dnsd.model.times import format_duration

log = logging.getLogger(__name__)

# Between two looks at all drains. Unit: seconds.
LOOK_SECONDS = 1.0


class OverdueWatch:
    """Tells, by a line of the log and an event, of each drain that passes the warning age.

    Args:
        warn_after: gives the age in seconds, which a reload may change.
    """

    def __init__(self, publisher: Publisher, hub: EventHub, *, warn_after: Callable[[], float]) -> None:
        self._publisher = publisher
        self._hub = hub
        self._warn_after = warn_after
        self._told: set[tuple[DrainKey, float]] = set()
        self._looked_at = float("-inf")

    def look(self, now: float) -> None:
        """Tell of the drains that have come of age since the last look."""
        if 0 <= now - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = now
        drains = self._publisher.fleet.all_drains()
        after = self._warn_after()
        overdue = {(drain.key, drain.effective_since): drain for drain in drains if drain.overdue(now, after=after)}
        if self._told - overdue.keys():
            # One whose age was raised stays told of.
            self._told &= {(drain.key, drain.effective_since) for drain in drains}
        for told, drain in overdue.items():
            if told not in self._told:
                self._told.add(told)
                self._tell(drain, now)

    def _tell(self, drain: Drain, now: float) -> None:
        log.warning(
            "the drain of %s (role %s, holder %s) has been in force for %s: %s",
            drain.node,
            drain.role,
            drain.holder,
            format_duration(now - drain.effective_since),
            drain.reason,
        )
        self._hub.publish(Event(revision=None, at=now, type="drain-overdue", node=drain.node, detail=drain.to_json()))
