"""A fake server and a client of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from dnsd.api.client import Client
from tests.cli.fakeserver import FakeServer


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer().running() as server:
        yield server


@pytest.fixture
async def client(server: FakeServer) -> AsyncIterator[Client]:
    async with Client(server.url, timeout_seconds=5) as client:
        yield client
