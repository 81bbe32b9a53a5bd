"""Says in the log how a node's agent went and came: an end that it has announced, or a silence that it has not."""

from __future__ import annotations

import logging

from dnsd.model.report import Report
from dnsd.model.times import format_duration

log = logging.getLogger(__name__)


def tell_absence(report: Report, last: Report | None, *, since: float, stale_after: float) -> None:
    """Say what a report tells of the time since the one before.

    Args:
        last: the one before; None: there was none.
        since: instant from which on this server could hear: its own absence is nobody's silence.
        stale_after: seconds after which a silence is told.
    """
    if report.leaving:
        log.info("%s: its agent leaves, as it says", report.node)
        return
    if last is None:
        return
    silence = report.received_at - last.received_at
    if last.leaving:
        log.info("%s: its agent is back after %s", report.node, format_duration(silence))
    elif report.received_at - max(last.received_at, since) >= stale_after:
        text = format_duration(silence)
        log.warning("%s: its agent is heard again after %s of silence that it had not announced", report.node, text)
