"""What routers say of themselves over HTTP: the call, what is refused, and the client's side of it."""

from __future__ import annotations

from typing import Any

import pytest

from dnsd.api.client import Client
from dnsd.api.errors import ApiError
from dnsd.api.schemas import MAX_APPLIED_REVISION, ConsumerRequest
from tests.admin.fakebackend import FakeBackend
from tests.admin.site import SECRETS, Site, bearer

PATH = "/v1/consumers/router-1"
WORD: dict[str, Any] = {"kind": "router", "applied_revision": 3, "mark": "d4c3f1088f9367c5"}


async def test_a_word_is_taken_as_it_is(site: Site, backend: FakeBackend) -> None:
    """It is answered with what it counts for and where the server is; the goodbye with the revision; both repeat."""
    for _ in range(2):
        got = await site.put(PATH, WORD)
        assert (got.status, got.headers["ETag"]) == (200, '"0"')
        assert got.json == {"id": "router-1", "kind": "router", "applied_revision": 3, "revision": 0, "mark": "m"}
    for _ in range(2):
        gone = await site.ask("DELETE", PATH)
        assert (gone.status, gone.json) == (200, {"id": "router-1", "revision": 0})
    assert backend.words == [("router-1", ConsumerRequest(**WORD))] * 2 + [("router-1", None)] * 2


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"kind": "dns"}, ["kind"]),
        ({"kind": None}, ["kind"]),
        ({"applied_revision": -1}, ["applied_revision"]),
        ({"applied_revision": MAX_APPLIED_REVISION + 1}, ["applied_revision"]),
        ({"applied_revision": True}, ["applied_revision"]),
        ({"applied_revision": "3"}, ["applied_revision"]),
        ({"applied_revision": 3.0}, ["applied_revision"]),
        ({"mark": 'a"b'}, ["mark"]),
        ({"mark": "a\n"}, ["mark"]),
        ({"mark": "a" * 65}, ["mark"]),
        ({"mark": None}, ["mark"]),
        ({"id": "router-2", "seen_at": "2026-01-31T12:00:00Z"}, ["id", "seen_at"]),
    ],
)
async def test_a_word_that_makes_no_sense_is_refused(
    site: Site, backend: FakeBackend, change: dict[str, Any], fields: list[str]
) -> None:
    """With every field at fault; a router's own clock is not asked."""
    got = await site.put(PATH, WORD | change)
    assert (got.status, got.problem["id"]) == (400, "invalid-request")
    assert [error["field"] for error in got.problem["errors"]] == fields
    assert backend.words == []


@pytest.mark.parametrize("missing", ["kind", "applied_revision"])
async def test_a_word_says_what_and_how_far(site: Site, missing: str) -> None:
    """Only the mark may be left out."""
    got = await site.put(PATH, {key: value for key, value in WORD.items() if key not in (missing, "mark")})
    assert (got.status, got.problem["field"]) == (400, missing)


async def test_an_id_of_something_else_is_a_conflict(site: Site, backend: FakeBackend) -> None:
    """Neither a word nor a goodbye is taken for it."""
    for got in (await site.put("/v1/consumers/ns1%2F0", WORD), await site.ask("DELETE", "/v1/consumers/ns1%2F0")):
        assert (got.status, got.problem["id"], got.problem["field"]) == (409, "consumer-conflict", "id")
    assert backend.words == []


async def test_a_store_that_is_away_is_told(site: Site, backend: FakeBackend) -> None:
    """A word that was not written is not taken."""
    backend.store_down = True
    for got in (await site.put(PATH, WORD), await site.ask("DELETE", PATH)):
        assert (got.status, got.problem["id"]) == (503, "store-unavailable")


async def test_a_routers_token_speaks_and_reads_and_drains_nothing(guarded: Site, backend: FakeBackend) -> None:
    """Bound to a consumer, in its own case, for that one alone; what it may not is named."""
    own = bearer("router-1")
    assert (await guarded.put(PATH, WORD, headers=own)).status == 200
    assert (await guarded.get("/v1/nodes", headers=own)).status == 200
    for path in ("/v1/consumers/router-2", "/v1/consumers/ROUTER-1"):
        got = await guarded.put(path, WORD, headers=own)
        assert (got.status, got.problem["id"]) == (403, "not-allowed")
        assert "speaks for the consumer router-1 alone" in got.problem["detail"]
    refused = await guarded.put("/v1/nodes/edge-1/drain", {"reason": "x"}, headers=own)
    assert (refused.status, backend.actors) == (403, [])
    assert (await guarded.put("/v1/consumers/router-9", WORD, headers=bearer("rita"))).status == 200


async def test_the_client_library_says_it(guarded: Site, backend: FakeBackend) -> None:
    """A word, a goodbye, and a refusal as the error that it is."""
    async with Client(guarded.base, token=SECRETS["router-1"]) as client:
        outcome = await client.announce_consumer("router-1", ConsumerRequest(kind="router", applied_revision=7))
        assert (outcome.applied_revision, outcome.revision, outcome.mark) == (7, 0, "m")
        assert (await client.forget_consumer("router-1")).id == "router-1"
        with pytest.raises(ApiError) as caught:
            await client.announce_consumer("router-2", ConsumerRequest(kind="router", applied_revision=7))
    assert caught.value.problem.id == "not-allowed"
    assert [request and request.mark for _, request in backend.words] == ["", None]


async def test_the_client_library_names_the_revisions_of_a_list(site: Site) -> None:
    """Of each of its pages."""
    async with Client(site.base) as client:
        nodes, drains = await client.list_nodes(), await client.list_drains()
    assert ([node.id for node in nodes.items], nodes.revisions) == (["edge-1", "edge-2", "edge-3"], [0])
    assert (drains.items, drains.revisions) == ([], [0])
