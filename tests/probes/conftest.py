"""The server that all probes are sent to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.servers import Server, serving


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for the tests of a module that change nothing for one another."""
    with serving(tmp_path_factory.mktemp("probed"), store="memory") as server:
        yield server
