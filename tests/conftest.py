"""What all tests share: each kind of store, and the figures that tests have measured, at the end of the output."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import hypothesis
import pytest

from tests.stores.kinds import KINDS, Kind
from tests.support.grouping import ByWhatIsShared
from tests.support.redis import stop_shared_redis

# How long an example takes depends on what else the machine does, and judges nothing.
hypothesis.settings.register_profile("dnsd", deadline=None)
hypothesis.settings.load_profile("dnsd")

# Tests start hundreds of Pythons: they compile dnsd once, and not each time, whatever the environment says.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Debian has servers where not every user's PATH looks.
os.environ["PATH"] = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"

# A shell has what it starts in the background ignore Ctrl-C, and so would the programs under test.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each kind of store in turn, for a test that every store must pass."""
    found = request.param
    assert isinstance(found, Kind)
    return found


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByWhatIsShared | None:
    """Have what tests share made once, and not in each process."""
    return ByWhatIsShared(config, log) if config.getvalue("dist") in ("load", "loadgroup") else None


@pytest.hookimpl
def pytest_sessionfinish() -> None:
    """End the Redis that the tests of this process have shared."""
    stop_shared_redis()


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
