"""A fake server, and the command line run in this process against it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from click.testing import CliRunner, Result

from dnsd.cli.main import cli
from tests.cli.fakeserver import FakeServer

Run = Callable[..., Result]


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer().running() as server:
        yield server


@pytest.fixture
def run(server: FakeServer) -> Run:
    def run(*arguments: str, **env: str) -> Result:
        return CliRunner().invoke(cli, arguments, env={"DNSD_SERVER": server.url, "DNSD_TOKEN": "", **env})

    return run
