"""A follower that fails for good is not hidden by the view that it leaves."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from dnsd.router import NotFollowing, opening, running
from dnsd.router.loading import load_router_settings
from dnsd.router.opening import open_router
from dnsd.router.server_following import ServerFollower
from dnsd.stores.memory import MemoryStore
from tests.router.fleets import ROLE, a_node
from tests.router.written import Written
from tests.support.waiting import until


async def test_the_library_names_nobody_once_nobody_follows(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told at once, and `select` and `keep` raise, so that no frozen view is obeyed."""
    written = Written()
    await written.store.open()
    await written.write(a_node("n0"))
    monkeypatch.setattr(opening, "open_store", lambda *_, **__: written.store)

    async def open_already(_self: MemoryStore) -> None:
        """Be open already."""

    async def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(MemoryStore, "open", open_already)
    with caplog.at_level(logging.CRITICAL, "dnsd.router"):
        async with open_router("redis://127.0.0.1:1/0", id="r1") as router:
            assert router.select(ROLE).node.id == "n0"
            monkeypatch.setattr(written.store, "changes", fail)
            await written.write(a_node("n1"))
            await until(lambda: bool(router.view.why_not_followed))
            with pytest.raises(NotFollowing):
                router.select(ROLE)
            with pytest.raises(NotFollowing):
                router.keep(ROLE, "n0")
    assert [each.levelname for each in caplog.records] == ["CRITICAL"]


def test_the_service_ends_once_nobody_follows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With status 1, so that it is started anew."""

    async def fail(_self: ServerFollower) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(ServerFollower, "run", fail)
    path = tmp_path / "router.toml"
    path.write_text('version = 1\n[router]\nlisten = ["127.0.0.1:0"]\n[server]\nurls = ["http://127.0.0.1:1"]\n')
    assert running.run(load_router_settings(path)) == 1
