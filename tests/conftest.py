"""What all tests share: figures that a test has measured stand at the end of the run's output."""

from __future__ import annotations

import pytest


@pytest.hookimpl
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Write the figures that tests recorded with `record_property("figure", text)`; they judge nothing."""
    figures = [
        (report.nodeid, text)
        for reports in (terminalreporter.stats.get(outcome, []) for outcome in ("passed", "failed"))
        for report in reports
        for name, text in getattr(report, "user_properties", ())
        if name == "figure" and report.when == "call"
    ]
    if not figures:
        return
    terminalreporter.section("figures")
    for nodeid, text in figures:
        terminalreporter.write_line(f"{nodeid.rsplit('::', 1)[-1]}: {text}")
