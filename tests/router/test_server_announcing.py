"""A router that follows servers over HTTP is a consumer: announced before it loads, and no further than it obeys."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web

from dnsd.api.client import Listing
from dnsd.api.exchange import revision_of
from dnsd.config.settings import Scope, Token
from dnsd.router import server_announcing, server_following
from dnsd.router.server_announcing import Announcer
from dnsd.router.server_reading import MAX_READINGS, read_fleet
from tests.control.rig import BreakableStore, Site, acknowledged, site_of
from tests.control.test_routerwords import settled
from tests.router.served import Served, following
from tests.support.waiting import until

PUT, NODES, DRAINS, READY = "PUT /v1/consumers/r1", "GET /v1/nodes", "GET /v1/drains", "GET /readyz"

# Every step of a router's start, of which each is tried just before it and just after: what is asked, and at which time
# of asking it.
STEPS = [(what, 1, is_done) for what in (PUT, READY, NODES, DRAINS) for is_done in (False, True)] + [
    (PUT, 2, False),
    (PUT, 2, True),
]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_following, "RETRY_SECONDS", 0.005)
    monkeypatch.setattr(server_following, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(server_announcing, "HEARTBEAT_SECONDS", 0.02)


async def words_of(site: Site) -> dict[str, int]:
    """Return what routers have applied, as the store counts it."""
    return {each.id: each.applied for each in await site.store.consumers() if each.kind == "router"}


async def has_said(site: Site, applied: int, *, name: str = "r1") -> None:
    """Wait until a router has said that it has applied a revision."""
    await until(lambda: any((each.id, each.applied) == (name, applied) for each in site.store._consumers.values()))


@pytest.mark.parametrize(("what", "time", "is_done"), STEPS)
async def test_a_drain_during_a_start_is_loaded_or_waited_for(what: str, time: int, is_done: bool) -> None:
    """At whatever step it is placed: whoever waits for `applied` hears of no router that names the node afterwards."""
    site = await site_of()
    await site.drain("c")
    server = Served(site)
    server.hold(lambda asked, done: (asked, done) == (what, is_done) and server.asked.count(what) == time)
    async with following(server, loads=False) as (_, view):
        await server.held.wait()
        outcome = await site.drain("a")
        await acknowledged()
        pending = await settled(site, outcome, wait_seconds=0.03)
        is_announced = (what, is_done) != (PUT, False) or time == 2
        assert pending == (["r1"] if is_announced else [])
        server.release()
        if is_announced:
            assert await settled(site, outcome) == []
            assert view.drained() == {"a", "c"}
        await until(lambda: view.loaded)
        first = {key.node for key in view.taken[0].drains}
        assert is_announced or first == {"a", "c"}


async def test_what_has_been_obeyed_is_acknowledged_at_once_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits neither for a heartbeat nor for a look, and the goodbye is the end of it."""
    monkeypatch.setattr(server_following, "LOOK_SECONDS", 3600.0)
    monkeypatch.setattr(server_announcing, "HEARTBEAT_SECONDS", 3600.0)
    site = await site_of()
    server = Served(site)
    async with following(server) as (follower, view):
        assert (follower.acknowledged, await words_of(site)) == (0, {"r1": 0})
        await until(lambda: "GET /v1/events" in server.asked)
        assert await settled(site, await site.drain("a")) == []
        assert (view.drained(), view.revision) == ({"a"}, 1)
        await until(lambda: follower.acknowledged == 1)  # the answer to its word comes a little later
    assert await words_of(site) == {}


async def test_a_router_that_is_held_up_lives_and_says_what_it_had_before() -> None:
    """A list may be longer on its way than one would wait for a silent router."""
    site = await site_of()
    server = Served(site)
    async with following(server) as (follower, view):
        await site.drain("a")
        await until(lambda: follower.acknowledged == 1)
        server.hold(lambda asked, done: (asked, done) == (NODES, False))
        outcome = await site.drain("b")
        await server.held.wait()
        beats = server.puts()
        await until(lambda: server.puts() > beats + 2)
        assert await settled(site, outcome, wait_seconds=0.01) == ["r1"]
        assert follower.acknowledged == 1
        server.release()
        assert await settled(site, outcome) == []
        assert view.drained() == {"a", "b"}


async def test_what_may_be_missing_before_a_newer_drain_is_not_acknowledged() -> None:
    """Nodes are read first: what came between is not known, though the list of drains is of a later revision."""
    site = await site_of()
    await site.drain("a")
    server = Served(site)
    server.hold(lambda asked, done: (asked, done) == (DRAINS, False))
    async with following(server, loads=False) as (follower, view):
        await server.held.wait()
        await site.register("n")
        await site.drain("n")
        server.release()
        await until(lambda: follower.acknowledged == 3)
        assert view.drained() == {"a", "n"}
    assert [state.revision for state in view.taken[:2]] == [3, 3]
    assert list(dict.fromkeys(server.words)) == [("r1", 0), ("r1", 1), ("r1", 3)]


async def test_whoever_leaves_has_the_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """A word that is on its way is let arrive before the goodbye, which it would undo."""
    monkeypatch.setattr(server_announcing, "LAST_WORD_SECONDS", 3600.0)
    site = await site_of()
    server = Served(site)
    async with following(server):
        server.hold(lambda asked, done: (asked, done) == (PUT, False))
        await server.held.wait()
        asyncio.get_running_loop().call_later(0.05, server.release)
    assert await words_of(site) == {}
    assert server.done[-2:] == [PUT, "DELETE /v1/consumers/r1"]


async def test_a_goodbye_that_nobody_hears_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does a word that does not arrive."""
    monkeypatch.setattr(server_announcing, "LAST_WORD_SECONDS", 0.01)
    monkeypatch.setattr(server_announcing, "GOODBYE_SECONDS", 0.05)
    site = await site_of()
    server = Served(site)
    server.hold(lambda asked, done: asked == PUT and server.puts() > 1)
    async with following(server):
        await server.held.wait()
        server.held.clear()
        server.hold(lambda asked, done: asked.startswith("DELETE"))
    assert server.held.is_set()
    server.release()
    await until(lambda: bool(server.asked))


def a_token(name: str, scope: Scope, **more: Any) -> Token:
    """Return a token whose secret is its name."""
    return Token(name=name, scope=scope, sha256=hashlib.sha256(name.encode()).hexdigest(), **more)


@pytest.mark.parametrize(
    ("token", "advice"),
    [
        (a_token("t", Scope.VIEWER), "--scope router"),
        (a_token("t", Scope.ROUTER, consumer="r2"), "speaks for the consumer r2 alone"),
    ],
)
async def test_a_token_that_may_only_read_is_told_once(
    token: Token, advice: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Drains are obeyed all the same; a reload that gives it the scope ends that without a restart."""
    monkeypatch.setattr(server_announcing, "REFUSED_SECONDS", 0.01)
    site = await site_of()
    server = Served(site)
    server.tokens = (token,)
    with caplog.at_level(logging.INFO, "dnsd.router"):
        async with following(server, token="t") as (follower, view):
            await site.drain("a")
            await until(lambda: view.drained() == {"a"} and server.puts() > 3)
            assert (follower.acknowledged, follower.up, await words_of(site)) == (0, True, {})
            (told,) = [each for each in caplog.records if each.levelno >= logging.WARNING]
            assert advice in told.getMessage()
            assert "not acknowledged" in told.getMessage()
            server.tokens = (replace(token, scope=Scope.ROUTER, consumer="r1"),)
            await has_said(site, 1)
            await until(lambda: follower.acknowledged == 1)
    assert "takes the router's word again" in caplog.text


async def test_a_token_that_no_server_knows_is_told_once_for_each(caplog: pytest.LogCaptureFixture) -> None:
    """With the server's name, however long the router waits at its start."""
    site = await site_of()
    first, second = Served(site), Served(site)
    first.tokens = second.tokens = (a_token("t", Scope.ROUTER),)
    async with following(first, second, token="another", loads=False) as (_, view):
        await until(lambda: second.puts() > 3)
        first.tokens = second.tokens = (a_token("another", Scope.ROUTER),)
        await until(lambda: view.loaded)
    told = [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]
    assert len(told) == len(set(told)) == 2
    assert all("http://127.0.0.1" in each and "token is not known" in each for each in told)


async def test_a_refusal_is_not_asked_for_again_and_again() -> None:
    """Where nothing has changed: once in half a minute."""
    site = await site_of()
    server = Served(site)
    server.tokens = (a_token("t", Scope.VIEWER),)
    async with following(server, token="t"):
        looks = server.asked.count(DRAINS)
        await until(lambda: server.asked.count(DRAINS) > looks + 5)
        assert server.puts() == 1


NO_WORD = {"id": "r1", "kind": "router", "applied_revision": 0, "revision": 1, "mark": 'a"b'}


@pytest.mark.parametrize("status", [200, 302, 404, 405, 501])
async def test_an_older_server_is_followed_without_a_word(status: int, caplog: pytest.LogCaptureFixture) -> None:
    """It knows no such call, or something before it lets none through, or what it answers is of no use."""
    site = await site_of()
    server = Served(site)

    @web.middleware
    async def refuse(request: web.Request, handler: Any) -> web.StreamResponse:
        if request.method != "PUT":
            return await handler(request)  # type: ignore[no-any-return]
        return web.json_response(NO_WORD) if status == 200 else web.Response(status=status, text="no")

    server.before.append(refuse)
    async with following(server) as (follower, view):
        await site.drain("a")
        await until(lambda: view.drained() == {"a"})
        assert (follower.acknowledged, await words_of(site)) == (0, {})
    assert caplog.text.count("not acknowledged") == 1


async def test_a_proxy_that_compresses_keeps_nothing_from_being_acknowledged() -> None:
    """It makes the revisions that lists name weak ETags."""
    site = await site_of()
    server = Served(site)

    @web.middleware
    async def weaken(request: web.Request, handler: Any) -> web.StreamResponse:
        response: web.StreamResponse = await handler(request)
        if "ETag" in response.headers:
            response.headers["ETag"] = f"W/{response.headers['ETag']}"
        return response

    server.before.append(weaken)
    async with following(server) as (follower, _):
        await site.drain("a")
        await until(lambda: follower.acknowledged == 1)


@pytest.mark.parametrize(
    ("etag", "revision"),
    [('"7"', 7), ('W/"7"', 7), ('"0"', 0), ("7", None), ("", None), ('"x"', None), ('"-7"', None)]
    + [('"' + digits + '"', None) for digits in ("9" * 20, "9" * 5000, "\N{SUPERSCRIPT TWO}")],
)
def test_a_revision_is_read_from_an_etag(etag: str, revision: int | None) -> None:
    """Whatever else a server sends there is none, and harms nothing."""
    response: Any = SimpleNamespace(headers={"ETag": etag} if etag else {})
    assert revision_of(response) == revision


async def test_an_id_of_another_kind_is_told_and_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    """The server's own id stays the server's, also when the router leaves."""
    site = await site_of()
    server = Served(site)
    async with following(server, id="ns1") as (_, view):
        await site.drain("a")
        await until(lambda: view.drained() == {"a"})
    assert "[router] id" in caplog.text
    assert [(each.id, each.kind) for each in await site.store.consumers()] == [("ns1", "dns")]


async def test_a_store_that_is_away_does_not_keep_a_router_from_starting(caplog: pytest.LogCaptureFixture) -> None:
    """It obeys what the server knows, and is announced and acknowledges once the store is back."""
    site = await site_of()
    await site.drain("a")
    site.store.writes_fail = True
    async with following(Served(site)) as (follower, view):
        assert (view.drained(), follower.acknowledged) == ({"a"}, 0)
        site.store.writes_fail = False
        await has_said(site, 1)
        await until(lambda: follower.acknowledged == 1)
    assert caplog.text.count("not acknowledged") == 1


async def test_the_next_server_has_the_routers_word_before_it_is_read() -> None:
    """With what the router obeys by then; at the end both are told goodbye."""
    store = BreakableStore()
    await store.open()
    site, other = await site_of(store=store), await site_of(store=store, server_id="ns2")
    await site.drain("a")
    await other.hear()
    first, second = Served(site), Served(other)
    async with following(first, second) as (follower, view):
        await has_said(site, 1)
        first.hold(lambda asked, done: asked == NODES)
        first.tokens = (a_token("nobody", Scope.OPERATOR),)  # from here on it answers 401
        await until(lambda: DRAINS in second.asked)
        assert second.asked.index(PUT) < second.asked.index(NODES)
        assert await words_of(other) == {"r1": 1}
        outcome = await other.drain("b")
        await acknowledged()
        await other.beat()
        await until(lambda: view.drained() == {"a", "b"})
        await until(lambda: follower.acknowledged == outcome.revision)
        first.tokens = ()
        first.release()
    assert await words_of(other) == {}
    assert {first.asked[-1], second.asked[-1]} == {"DELETE /v1/consumers/r1"}


@pytest.mark.parametrize("what", [NODES, PUT])
async def test_a_server_that_stops_is_left_before_the_router_counts_as_silent(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For the next one, after one word that does not arrive: a list may take its time, and is not waited for longer."""
    monkeypatch.setattr(server_following, "WORD_SECONDS", 0.1)
    monkeypatch.setattr(server_following, "LOOK_SECONDS", 0.001)  # so that a heartbeat waits for a look's word
    store = BreakableStore()
    await store.open()
    site, other = await site_of(store=store), await site_of(store=store, server_id="ns2")
    first, second = Served(site), Served(other)
    async with following(first, second) as (_, view):
        second.hold(lambda asked, done: asked == PUT)
        first.stop_at(what)
        await first.held.wait()
        words = first.puts()
        await second.held.wait()
        assert first.puts() <= words + (what != PUT)
        second.release()
        revision = (await other.drain("a")).revision
        await until(lambda: ("r1", revision) in second.words)
        assert view.drained() == {"a"}
        first.release()


@pytest.mark.parametrize("status", [408, 429])
async def test_an_answer_that_says_nothing_of_the_router_is_no_refusal(status: int) -> None:
    """It is announced with its next word, and says goodbye."""
    site = await site_of()
    server = Served(site)
    left = [status] * 2

    @web.middleware
    async def busy(request: web.Request, handler: Any) -> web.StreamResponse:
        if request.method == "PUT" and left:
            return web.Response(status=left.pop())
        return await handler(request)  # type: ignore[no-any-return]

    server.before.append(busy)
    async with following(server) as (follower, _):
        await site.drain("a")
        await until(lambda: follower.acknowledged == 1)
    assert (left, await words_of(site)) == ([], {})


async def test_after_a_loss_of_writes_nothing_is_acknowledged_that_is_not_obeyed() -> None:
    """The server comes back emptied, under the same URL: of the lost history nothing counts, whatever the numbers."""
    site = await site_of()
    for name in "ab":
        await site.drain(name)
    server = Served(site)
    async with following(server) as (follower, view):
        await has_said(site, 2)
        server.hold(lambda asked, done: (asked, done) == (PUT, True) and server.site is not site)
        server.site = emptied = await site_of()
        await server.held.wait()  # its word of the lost history has arrived
        assert await words_of(emptied) == {"r1": 0}
        for name in "cb":
            outcome = await emptied.drain(name)
            await acknowledged()
        assert emptied.plane.revision == 2
        assert await settled(emptied, outcome, wait_seconds=0.02) == ["r1"]
        server.release()
        assert await settled(emptied, outcome) == []
        assert view.drained() == {"b", "c"}
        await until(lambda: follower.acknowledged == 2)


async def test_lists_that_are_older_than_the_servers_word_are_not_obeyed(caplog: pytest.LogCaptureFixture) -> None:
    """As behind a load balancer before two servers, one of which is behind: nothing is named by it or acknowledged."""
    store = BreakableStore()
    await store.open()
    ahead, behind = await site_of(store=store, server_id="ns2"), await site_of(store=store)
    await ahead.drain("a")
    behind.plane.announce_consumer = ahead.plane.announce_consumer  # type: ignore[method-assign]
    server = Served(behind)
    async with following(server, loads=False) as (follower, view):
        await until(lambda: server.asked.count(DRAINS) > 3)
        assert (view.loaded, follower.acknowledged, await words_of(behind)) == (False, 0, {"r1": 0})
        assert "lists revision 0 after 1" in caplog.text
        await behind.hear()
        await until(lambda: follower.acknowledged == 1)
        assert view.drained() == {"a"}


class Paged:
    """A client whose lists are of the revisions that a test gives."""

    def __init__(self, *drains: list[int | None]) -> None:
        self._drains = list(drains)
        self.readings = 0

    async def list_nodes(self) -> Listing[Any]:
        return Listing([], [5])

    async def list_drains(self) -> Listing[Any]:
        self.readings += 1
        return Listing([], self._drains.pop(0))


@pytest.mark.parametrize(
    ("pages", "since", "is_whole"),
    [
        ([[6]], 5, True),
        ([[4]], 4, True),
        ([[None]], None, True),
        ([[6, 6, 6]], 5, True),
        ([[6, 7], [7, 7]], 5, True),
        ([[6, 7], [7, 8], [8, 9]], 5, False),
        ([[6, None]] * MAX_READINGS, None, False),
    ],
)
async def test_drains_that_change_between_two_pages_are_read_again(
    pages: list[list[int | None]], since: int | None, is_whole: bool
) -> None:
    """One of them may have moved to a page that was read before; what stays so is obeyed and not acknowledged."""
    client: Any = Paged(*pages)
    listed = await read_fleet(client)
    assert (listed.since, listed.is_whole, client.readings) == (since, is_whole, len(pages))


async def test_one_who_was_heard_nowhere_has_nobody_to_leave() -> None:
    """The end of a router that never got so far."""
    await Announcer("r1", token=None).leave()
