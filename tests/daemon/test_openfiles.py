"""The limit on open files of a server and of what it starts."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from dnsd.openfiles import room_for
from tests.support.limits import limited
from tests.support.servers import serving


def test_the_server_and_its_workers_take_what_they_may(tmp_path: Path) -> None:
    """Started with a low limit, all of its processes have the highest that they are allowed."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with limited(resource.RLIMIT_NOFILE, min(256, hard)), serving(tmp_path) as server:
        found = [resource.prlimit(process.pid, resource.RLIMIT_NOFILE) for process in server.family()]
    assert len(found) > 1
    assert set(found) == {(hard, hard)}


@pytest.mark.parametrize(("limit", "room"), [(1024, 512), (8193, 4096), (resource.RLIM_INFINITY, 4096)])
def test_no_single_thing_takes_more_than_half_of_them(limit: int, room: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the limit is low, connections that wait leave some to all else."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    assert room_for(4096) == room
