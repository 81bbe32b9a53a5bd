"""A server that the agents of these tests report to."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.servers import Server, started

# Short, so that a silence is seen soon; agents of tests report every tenth of a second.
STALE = '[health]\nstale_after = "1s"\n'

# A pool whose only node may not be drained.
POOL = '[[pool]]\nname = "storage.example.org."\nrole = "storage"\nttl = 1\n'


@contextlib.contextmanager
def _serving(folder: Path, **options: Any) -> Iterator[Server]:
    """Run a server whose answers are in caches for a second at most, so that a drained node is soon safe to stop."""
    server = Server(folder, workers=1, **options)
    text = server.config.read_text().replace("\nttl = 30\n", "\n")
    server.config.write_text(re.sub(r"(\[\[pool\]\]\nname = .*\nrole = .*\n)(?!ttl)", r"\1ttl = 1\n", text))
    with started(server):
        yield server


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for tests whose agents have nodes of their own."""
    with _serving(tmp_path_factory.mktemp("shared"), store="memory", more=POOL + STALE) as server:
        yield server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server of the test's own, which outlives its process."""
    with _serving(tmp_path, more=STALE) as own:
        yield own
