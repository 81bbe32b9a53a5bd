"""Fixtures that give each test of the common suite an open store of each kind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from dnsd.stores.base import DrainStore
from dnsd.stores.redis import connecting
from tests.stores.kinds import Kind
from tests.support.servers import PATIENCE_SECONDS


@pytest.fixture(autouse=True)
def _patient_dialling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a Redis that is there found however long the machine stands still; tests of one that hangs wait less."""
    monkeypatch.setattr(connecting, "DIAL_SECONDS", PATIENCE_SECONDS)


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
