"""Fixtures that give each test of the common suite an open store of each kind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from dnsd.stores.base import DrainStore
from dnsd.stores.redis import confirming, connecting
from tests.stores.kinds import Kind
from tests.support.servers import PATIENCE_SECONDS


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a Redis that is there found, and its replica heard, however long the machine stands still.

    Tests of those that hang or are missing wait less.
    """
    monkeypatch.setattr(connecting, "DIAL_SECONDS", PATIENCE_SECONDS)
    monkeypatch.setattr(confirming, "REPLICA_SECONDS", PATIENCE_SECONDS)


@pytest_asyncio.fixture
async def store(kind: Kind, tmp_path: Path) -> AsyncIterator[DrainStore]:
    made = kind.fresh(tmp_path)
    await made.open()
    yield made
    await made.close()


@pytest_asyncio.fixture
async def short_store(kind: Kind, tmp_path: Path) -> AsyncIterator[DrainStore]:
    """Like `store`, with a change log of three entries."""
    made = kind.fresh(tmp_path, changes_kept=3)
    await made.open()
    yield made
    await made.close()
