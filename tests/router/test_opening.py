"""What the library and the service follow; and one that fails for good is not hidden by the view that it leaves."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from dnsd.config.settings import Scope
from dnsd.router import NotFollowing, opening, running, server_following
from dnsd.router.loading import load_router_settings
from dnsd.router.opening import open_router
from dnsd.router.server_following import ServerFollower
from tests.control.rig import site_of
from tests.control.test_routerwords import settled
from tests.router.fleets import ROLE, a_node
from tests.router.served import Served, serving
from tests.router.test_server_announcing import a_token
from tests.router.written import a_store
from tests.support.servers import free_port
from tests.support.waiting import until


async def test_the_library_names_nobody_once_nobody_follows(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told at once, and `select` and `keep` raise, so that no frozen view is obeyed."""
    written = await a_store(a_node("n0"))
    monkeypatch.setattr(opening, "open_store", lambda *_, **__: written.store)

    async def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

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


async def test_the_library_follows_and_acknowledges_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it does a store; the next one of several, where one is not there. With the block, its word ends."""
    monkeypatch.setattr(server_following, "RETRY_SECONDS", 0.005)
    site = await site_of()
    server = Served(site)
    server.tokens = (a_token("t", Scope.ROUTER, consumer="gw-1"),)
    async with serving(server) as (running_server,):
        urls = [f"http://127.0.0.1:{free_port()}", str(running_server.make_url(""))]
        async with open_router(urls, id="gw-1", token="t", session_factor=1.5) as router:
            assert await settled(site, await site.drain("a", indefinite=True)) == []
            assert await settled(site, await site.drain("b", indefinite=True)) == []
            assert router.select("edge").node.id == "c"
            assert [each.id for each in await site.store.consumers()] == ["gw-1", "ns1"]
        assert [each.id for each in await site.store.consumers()] == ["ns1"]
        with pytest.raises(ValueError, match="state file"):
            await _open(urls[1], state_file=Path("last-state"))


@pytest.mark.parametrize(
    ("url", "options", "reason"),
    [
        ("ftp://127.0.0.1", {}, "ftp"),
        ("http://user@127.0.0.1", {}, "more than scheme"),
        ([], {}, "no server is named"),
        ("http://127.0.0.1", {"id": "a/b"}, "cannot be an id"),
        ("http://127.0.0.1", {"token": "a b"}, "no bearer token"),
        ("redis://127.0.0.1/0", {"token": "t"}, "a token is for a server"),
    ],
)
async def test_what_the_library_cannot_follow_is_refused(url: Any, options: dict[str, Any], reason: str) -> None:
    """Before anything is asked."""
    with pytest.raises(ValueError, match=reason):
        await _open(url, **options)


async def _open(url: Any, **options: Any) -> None:
    async with open_router(url, **{"id": "gw-1", **options}):
        pass
