"""The limit on open files of a server and of what it starts."""

from __future__ import annotations

import resource
from pathlib import Path

from tests.support.limits import limited
from tests.support.servers import serving


def test_the_server_and_its_workers_take_what_they_may(tmp_path: Path) -> None:
    """Started with a low limit, all of its processes have the highest that they are allowed."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with limited(resource.RLIMIT_NOFILE, min(256, hard)), serving(tmp_path) as server:
        found = [resource.prlimit(process.pid, resource.RLIMIT_NOFILE) for process in server.family()]
    assert len(found) > 1
    assert set(found) == {(hard, hard)}
