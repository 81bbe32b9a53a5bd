"""A running admin interface over the fake service, and clients for it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.admin.fakebackend import FakeBackend
from tests.admin.site import TOKENS, Site


@pytest.fixture
def backend() -> FakeBackend:
    return FakeBackend()


@pytest.fixture
async def site(backend: FakeBackend) -> AsyncIterator[Site]:
    """A server without tokens."""
    async with Site(backend) as running:
        yield running


@pytest.fixture
async def guarded(backend: FakeBackend) -> AsyncIterator[Site]:
    """A server with a token of each scope."""
    async with Site(backend, tokens=TOKENS) as running:
        yield running
