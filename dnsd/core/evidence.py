"""What nodes' health is known by: agents' reports, the server's own checks, and until when a report counts.

It owns the last word of each about every node. It knows no drain and no pool, and not who has to look at a node again
when what it says of it becomes another thing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from dnsd.model.check import Checked
from dnsd.model.freshness import NEVER, Hold
from dnsd.model.node import Node
from dnsd.model.report import Health, Report, health_of

NOT_CHECKED: Mapping[str, Checked] = {}


class Evidence:
    """What is known of nodes' health.

    Args:
        reports: by node.
        checked: what checks have found, by node and role.
        hold: whether and when freshness stood still.
        stale_after: seconds, the age at which a report says nothing any more.
        now: instant.
    """

    def __init__(
        self,
        reports: Mapping[str, Report],
        checked: Mapping[str, Mapping[str, Checked]],
        *,
        hold: Hold,
        stale_after: float,
        now: float,
    ) -> None:
        self.hold = hold
        self.reports = {key: _not_ahead(report, now) for key, report in reports.items()}
        self.checked = dict(checked)
        self._stale_after = stale_after

    # --- reading ------------------------------------------------------------------------------------------------

    def health_of(self, node: Node, role: str, *, now: float) -> Health:
        """Return a node's health in a role: of what reports and checks say, the worse."""
        checked = self.checked.get(node.id, NOT_CHECKED).get(role)
        return self._health_of(node, role, None if checked is None else checked.health, now)

    def reported_health_of(self, node: Node, role: str, *, now: float) -> Health:
        """Return what reports alone say of it."""
        return self._health_of(node, role, None, now)

    def _health_of(self, node: Node, role: str, checked: Health | None, now: float) -> Health:
        report = self.reports.get(node.id)
        if report is not None:
            # Decided by the same instant that the next transition is noted for.
            fresh = now < self.hold.stale_at(report, stale_after=self._stale_after)
            now = report.received_at if fresh else NEVER
        return health_of(node, role, report, now=now, stale_after=self._stale_after, checked=checked)

    def checks_of(self, node: str) -> Mapping[str, Checked]:
        """Return what checks have found of a node, by role."""
        return self.checked.get(node, NOT_CHECKED)

    def stale_at(self, node: Node) -> float | None:
        """Return the instant at which a node's report gets stale, infinite while that cannot be; None: it has none."""
        report = self.reports.get(node.id)
        if report is None or not node.monitor.reports:
            return None
        return self.hold.stale_at(report, stale_after=self._stale_after)

    @property
    def is_held(self) -> bool:
        """Say whether freshness stands still."""
        return self.hold.since is not None and self.hold.until is None

    # --- stepping -----------------------------------------------------------------------------------------------

    def report(self, report: Report, *, now: float) -> bool:
        """Take a report in place of the one before; say whether it says something else of the node's health."""
        before = self._said(self.reports.get(report.node), now)
        self.reports[report.node] = report
        return self._said(report, now) != before

    def _said(self, report: Report | None, now: float) -> tuple[Mapping[str, bool] | None] | None:
        """Return what a report says of a node's health, or that it says nothing any more; None: there is none."""
        if report is None:
            return None
        fresh = now < self.hold.stale_at(report, stale_after=self._stale_after)
        return (report.health if fresh else None,)

    def check(self, node: str, found: Mapping[str, Checked]) -> Mapping[str, Checked]:
        """Take what checks have found of a node in place of what they had, which is returned."""
        before = self.checked.pop(node, NOT_CHECKED)
        if found:
            self.checked[node] = found
        return before

    def hold_freshness(self, *, now: float, held: bool) -> None:
        """Let the freshness of reports stand still, or go on."""
        self.hold = self.hold.begun_again(now, stale_after=self._stale_after) if held else self.hold.ended(now)

    def set_back(self, now: float) -> None:
        """Go on with a clock that was set back."""
        self.hold = self.hold.set_back(now)
        self.reports = {key: _not_ahead(report, now) for key, report in self.reports.items()}


def _not_ahead(report: Report, now: float) -> Report:
    """Return a report as received by now at the latest: else it would stay fresh until a clock set back caught up."""
    return report if report.received_at <= now else replace(report, received_at=now)
