"""Every call of the API as an operator uses it."""

from __future__ import annotations

import json

import pytest

from dnsd.api.schemas import Readiness
from tests.admin.fakebackend import FakeBackend
from tests.admin.site import Site

NODE = {"addresses": ["192.0.2.50", "2001:db8::50"], "roles": ["edge"], "weight": 50}
REPORT = {
    "sequence": 3,
    "observed_at": "2026-01-31T12:00:00Z",
    "health": {"edge": "up"},
    "sessions": {"edge": {"viewers": 4, "inputs": 0, "jobs": None}},
    "applied_revision": 0,
    "local_drains": ["edge"],
}


async def test_nodes_are_listed_and_found(site: Site) -> None:
    """The list and the single call tell the same of a node."""
    listed = await site.get("/v1/nodes")
    one = await site.get("/v1/nodes/edge-2")
    assert (listed.status, one.status) == (200, 200)
    assert [node["id"] for node in listed.json["items"]] == ["edge-1", "edge-2", "edge-3"]
    assert listed.json["next"] is None
    assert one.json == listed.json["items"][1]
    assert one.headers["ETag"] == '"0"'


async def test_a_node_is_registered_and_removed(site: Site) -> None:
    """A registered node is there until it is removed, and each change has a revision."""
    put = await site.put("/v1/nodes/edge-9", NODE)
    assert (put.status, put.json["changed"], put.json["node"]["weight"]) == (200, True, 50)
    assert put.headers["ETag"] == '"1"'
    again = await site.put("/v1/nodes/edge-9", NODE)
    assert (again.json["changed"], again.json["revision"]) == (False, 1)
    gone = await site.ask("DELETE", "/v1/nodes/edge-9")
    assert (gone.status, gone.json) == (200, {"revision": 2, "changed": True, "node": None})
    assert (await site.get("/v1/nodes/edge-9")).status == 404


async def test_a_report_is_taken_and_answered(site: Site, backend: FakeBackend) -> None:
    """An agent's report reaches the service whole, and the answer says what the node is to do."""
    got = await site.ask("POST", "/v1/nodes/edge-1/report", json=REPORT)
    assert (got.status, got.json["roles"], got.json["accepted"]) == (200, {"edge": "normal"}, True)
    [(node, report)] = backend.reports
    assert node == "edge-1"
    assert json.loads(report.model_dump_json(exclude_unset=True)) == REPORT | {
        "observed_at": "2026-01-31T12:00:00.000Z"
    }


async def test_a_drain_is_placed_listed_and_released(site: Site) -> None:
    """A drain is the caller's own unless it says otherwise, and its release answers in the same shape."""
    placed = await site.drain(roles=["edge"], mode="maintenance", expires_in=60)
    assert placed.status == 200
    drain = placed.json["drain"]
    assert (drain["holder"], drain["actor"], drain["mode"]) == ("local", "local", "maintenance")
    assert drain["expires_at"] == "2026-02-02T02:41:00.000Z"
    assert [item["consumer"] for item in placed.json["applied"]] == ["ns1/0", "ns1/1"]
    assert placed.json["impact"][0]["ok"] is True
    assert (await site.get("/v1/drains")).json["items"] == [drain]
    released = await site.ask("DELETE", "/v1/nodes/edge-1/drain")
    assert (released.status, released.json["changed"], released.json["drain"]) == (200, True, drain)
    assert released.json.keys() == placed.json.keys()
    assert (await site.get("/v1/drains")).json == {"items": [], "next": None}


async def test_a_repeated_drain_changes_nothing(site: Site, backend: FakeBackend) -> None:
    """The same drain again is 200 with changed false and no history, also while a consumer is behind."""
    await site.drain()
    backend.lagging = {"ns1/1"}
    again = await site.drain()
    assert (again.status, again.json["changed"], again.json["revision"]) == (200, False, 1)
    assert [item["consumer"] for item in again.json["pending"]] == ["ns1/1"]
    assert len(backend.entries) == 1


async def test_a_drain_that_is_pending_is_202(site: Site, backend: FakeBackend) -> None:
    """While a consumer has not applied the change, placing and releasing answer 202 at once and name it."""
    backend.lagging = {"ns1/1"}
    for got in (await site.drain(), await site.ask("DELETE", "/v1/nodes/edge-1/drain")):
        assert got.status == 202
        assert got.json["pending"] == [{"consumer": "ns1/1", "kind": "dns", "applied_revision": 0}]
    assert backend.waits == [0.0, 0.0]


@pytest.mark.parametrize(("query", "seconds"), [("", 5.0), ("&timeout=0.5", 0.5), ("&timeout=60", 60.0)])
async def test_wait_applied_waits_as_long_as_it_is_told(
    site: Site, backend: FakeBackend, query: str, seconds: float
) -> None:
    """With wait=applied the service is asked to wait the default time or the one given."""
    got = await site.drain(query="?wait=applied" + query)
    assert (got.status, backend.waits) == (200, [seconds])


async def test_wait_applied_that_times_out_is_202(site: Site, backend: FakeBackend) -> None:
    """A drain stands though a consumer did not apply it in time."""
    backend.lagging = {"ns1/0"}
    got = await site.drain(query="?wait=applied&timeout=0.05")
    assert (got.status, got.json["changed"]) == (202, True)
    assert len(backend.drain_infos) == 1


async def test_a_dry_run_writes_nothing_and_waits_for_nobody(site: Site, backend: FakeBackend) -> None:
    """A dry run is 200 whoever is behind, and leaves no trace, for placing as for releasing."""
    backend.lagging = {"ns1/0"}
    got = await site.drain(query="?wait=applied", dry_run=True)
    assert (got.status, got.json["dry_run"], got.json["changed"]) == (200, True, True)
    assert (backend.waits, backend.drain_infos, backend.entries) == ([], {}, [])
    await site.drain()
    dry = await site.ask("DELETE", "/v1/nodes/edge-1/drain?dry_run=true&wait=applied")
    assert (dry.status, dry.json["dry_run"], len(backend.drain_infos)) == (200, True, 1)


async def test_a_release_takes_roles_and_holders(site: Site, backend: FakeBackend) -> None:
    """Each holder's drain of each role goes alone, or all go at once."""
    await site.drain(roles=["edge"])
    await site.drain(roles=["ingest"])
    await site.drain(roles=["edge"], holder="os-update")
    one = await site.ask("DELETE", "/v1/nodes/edge-1/drain?role=edge&role=storage")
    assert [drain["roles"] for drain in one.json["released"]] == [["edge"]]
    other = await site.ask("DELETE", "/v1/nodes/edge-1/drain?holder=os-update&dry_run=1")
    assert [drain["holder"] for drain in other.json["released"]] == ["os-update"]
    rest = await site.ask("DELETE", "/v1/nodes/edge-1/drain?all_holders=true")
    assert [drain["holder"] for drain in rest.json["released"]] == ["local", "os-update"]
    assert backend.drain_infos == {}
    assert (await site.ask("DELETE", "/v1/nodes/edge-1/drain?ramp=300.5")).status == 200
    assert backend.releases.pop().ramp == 300.5
    assert [(request.holder, request.all_holders) for request in backend.releases] == [
        (None, False),
        ("os-update", False),
        (None, True),
    ]
    nothing = await site.ask("DELETE", "/v1/nodes/edge-1/drain")
    assert (nothing.status, nothing.json["changed"], nothing.json["drain"]) == (200, False, None)


async def test_status_pools_and_consumers_are_told(site: Site) -> None:
    """What the service knows of progress, pools and consumers comes through as it is."""
    assert (await site.get("/v1/nodes/edge-1/status")).json["blockers"] == ["edge: serving"]
    pools = (await site.get("/v1/pools")).json["items"]
    assert [pool["owner"] for pool in pools] == ["edge.example.org.", "ingest.example.org."]
    assert (await site.get("/v1/pools/edge.example.org.")).json == pools[0]
    consumers = (await site.get("/v1/consumers")).json["items"]
    assert [item["id"] for item in consumers] == ["ns1/0", "ns1/1"]


async def test_history_is_newest_first_and_by_node(site: Site) -> None:
    """History pages backwards and can be narrowed to a node."""
    for node in ("edge-1", "edge-2", "edge-1"):
        await site.drain(node, reason=f"for {node}")
        await site.ask("DELETE", f"/v1/nodes/{node}/drain")
    first = (await site.get("/v1/history?limit=2&node=edge-1")).json
    assert [(item["revision"], item["action"]) for item in first["items"]] == [
        (6, "drain-released"),
        (5, "drain-placed"),
    ]
    rest = (await site.get(f"/v1/history?limit=2&node=edge-1&cursor={first['next']}")).json
    assert ([item["revision"] for item in rest["items"]], rest["next"]) == ([2, 1], None)


@pytest.mark.parametrize("path", ["/v1/nodes", "/v1/pools", "/v1/consumers", "/v1/drains"])
async def test_lists_come_in_pages(site: Site, path: str) -> None:
    """Following `next` gives every item once, in the order of the whole list."""
    for node in ("edge-1", "edge-2"):
        await site.drain(node)
    whole = (await site.get(path)).json["items"]
    pages, cursor = [], ""
    while cursor is not None:
        got = (await site.get(f"{path}?limit=1{cursor and '&cursor=' + cursor}")).json
        assert len(got["items"]) == 1
        pages += got["items"]
        cursor = got["next"]
    assert len(whole) > 1
    assert whole == pages


async def test_a_page_does_not_shift_when_an_item_goes(site: Site, backend: FakeBackend) -> None:
    """The next page begins behind the last item seen, though that item is gone."""
    first = (await site.get("/v1/nodes?limit=2")).json
    del backend.node_infos["edge-1"], backend.node_infos["edge-2"]
    rest = (await site.get(f"/v1/nodes?limit=2&cursor={first['next']}")).json
    assert [node["id"] for node in rest["items"]] == ["edge-3"]


async def test_liveness_and_readiness(site: Site, backend: FakeBackend) -> None:
    """Liveness is plain text; readiness is 200 or 503 and says why."""
    live = await site.get("/livez")
    assert (live.status, live.text, live.headers["Content-Type"]) == (200, "ok\n", "text/plain; charset=utf-8")
    ready = await site.get("/readyz")
    assert (ready.status, Readiness.model_validate_json(ready.text).ready) == (200, True)
    backend.ready = False
    not_ready = await site.get("/readyz")
    assert (not_ready.status, not_ready.json["problems"]) == (503, ["<no worker answers>"])


async def test_the_page_links_the_api_and_escapes_what_it_shows(site: Site, backend: FakeBackend) -> None:
    """The page counts nodes and drains, links only within the server, and lets no text become markup."""
    await site.drain()
    backend.ready = False
    page = await site.get("/")
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "3 nodes, 1 drain," in page.text
    assert 'href="/openapi.json"' in page.text
    assert "&lt;no worker answers&gt;" in page.text
    assert "http" not in page.text


async def test_metrics_are_what_the_callable_returns(site: Site) -> None:
    """The exposition is passed on as it is, in Prometheus' media type."""
    got = await site.get("/metrics")
    assert got.text == "up 1\n"
    assert got.headers["Content-Type"].startswith("text/plain; version=")
