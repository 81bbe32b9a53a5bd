"""What is wrong with a request is said in full, as problem+json, and nothing reaches the service."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from admin.bodies import MAX_BODY_SIZE
from admin.problems import RETRY_AFTER_SECONDS, SECURITY_HEADERS
from tests.admin.fakebackend import FakeBackend
from tests.admin.site import Site

DRAIN = "/v1/nodes/edge-1/drain"
JSON = {"Content-Type": "application/json"}


def fields(problem: Any) -> list[str]:
    return [error["field"] for error in problem["errors"]]


BAD_QUERIES = [
    ("GET", "/v1/nodes?verbose=1&x=2", ["verbose", "x"]),
    ("GET", "/v1/nodes/edge-1?limit=5", ["limit"]),
    ("GET", "/v1/nodes?limit=0", ["limit"]),
    ("GET", "/v1/nodes?limit=1001", ["limit"]),
    ("GET", "/v1/nodes?limit=ten&cursor=", ["limit", "cursor"]),
    ("GET", "/v1/nodes?limit=1&limit=2", ["limit"]),
    ("GET", "/v1/nodes?limit=%D9%A1", ["limit"]),
    ("GET", "/v1/nodes?cursor=@@@", ["cursor"]),
    ("GET", "/v1/nodes?cursor=MQ", ["cursor"]),
    ("GET", "/v1/nodes?cursor=" + "W" * 1000, ["cursor"]),
    ("GET", "/v1/history?cursor=x", ["cursor"]),
    ("GET", "/v1/history?cursor=9223372036854775808", ["cursor"]),
    ("GET", "/v1/events?last_event_id=4", ["last_event_id"]),
    ("DELETE", DRAIN + "?ramp=5m", ["ramp"]),
    ("DELETE", DRAIN + "?ramp=nan", ["ramp"]),
    ("DELETE", DRAIN + "?ramp=inf", ["ramp"]),
    ("DELETE", DRAIN + "?force=true", ["force"]),
    ("DELETE", DRAIN + "?all_holders=yes&dry_run=", ["all_holders", "dry_run"]),
    ("DELETE", DRAIN + "?holder=ops&all_holders=true", ["holder"]),
    ("DELETE", DRAIN + "?role=&holder=", ["role", "holder"]),
    ("DELETE", DRAIN + "?wait=safe", ["wait"]),
    ("DELETE", DRAIN + "?wait=applied&timeout=61", ["timeout"]),
    ("DELETE", DRAIN + "?wait=applied&timeout=nan", ["timeout"]),
    ("DELETE", DRAIN + "?wait=applied&timeout=-1", ["timeout"]),
    ("DELETE", DRAIN + "?wait=applied&timeout=1e1", ["timeout"]),
]


@pytest.mark.parametrize(("method", "path", "expected"), BAD_QUERIES)
async def test_a_wrong_query_names_every_parameter_at_fault(
    site: Site, backend: FakeBackend, method: str, path: str, expected: list[str]
) -> None:
    """An unknown, repeated or senseless query parameter is a 400 that names it, and so is each other one."""
    got = await site.ask(method, path)
    assert (got.status, got.problem["id"], fields(got.problem)) == (400, "invalid-request", expected)
    assert got.problem["field"] == expected[0]
    assert backend.actors == []


BAD_BODIES = [
    ("PUT", DRAIN, {"reason": "x", "colour": "red", "mood": 1}, ["colour", "mood"]),
    ("PUT", DRAIN, {"reason": 7, "force": "yes", "expires_in": "1h", "roles": "edge"}, None),
    ("PUT", DRAIN, {"reason": "x", "expires_in": 1e300}, ["expires_in"]),
    ("PUT", DRAIN, {"reason": "x", "expires_in": 11 * 365 * 86400}, ["expires_in"]),
    ("PUT", DRAIN, {"reason": "x", "expires_at": "tomorrow"}, ["expires_at"]),
    ("PUT", DRAIN, {"reason": "x", "expires_at": 1770000000.5}, ["expires_at"]),
    ("PUT", DRAIN, {"reason": "x", "starts_at": "2026-01-31T12:00:00"}, ["starts_at"]),
    ("PUT", DRAIN, {"reason": "x", "starts_at": "0001-01-01T00:00:00+14:00"}, ["starts_at"]),
    ("PUT", DRAIN, {"reason": "x", "actor": "root"}, ["actor"]),
    ("PUT", DRAIN, {"reason": "x", "roles": ["edge", 4]}, ["roles.1"]),
    ("PUT", DRAIN, {"reason": "x", "mode": "sleeping"}, ["mode"]),
    ("PUT", DRAIN, {"reason": "x", "roles": ["pilot"]}, ["roles"]),
    ("PUT", DRAIN, {}, ["reason"]),
    ("PUT", "/v1/nodes/edge-9", {"weight": -1}, ["addresses", "roles", "weight"]),
    ("PUT", "/v1/nodes/edge-9", {"addresses": [], "roles": [], "labels": {"rack": 4}}, ["labels.rack"]),
    ("POST", "/v1/nodes/edge-1/report", {"sequence": -1, "observed_at": "2026-01-31T12:00:00Z"}, ["sequence"]),
    ("POST", "/v1/nodes/edge-1/report", {"sequence": 2**63, "observed_at": "2026-01-31T12:00:00Z"}, ["sequence"]),
    ("POST", "/v1/nodes/edge-1/report", {"sequence": True, "observed_at": None}, ["sequence", "observed_at"]),
]


@pytest.mark.parametrize(("method", "path", "body", "expected"), BAD_BODIES)
async def test_a_wrong_body_names_every_field_at_fault(
    site: Site, backend: FakeBackend, method: str, path: str, body: dict[str, Any], expected: list[str] | None
) -> None:
    """Unknown fields, wrong types and senseless values are a 400 that names them all, and nothing is written."""
    got = await site.ask(method, path, json=body)
    assert (got.status, got.problem["id"]) == (400, "invalid-request")
    assert fields(got.problem) == (expected or ["roles", "reason", "expires_in", "force"])
    assert (backend.revision, backend.reports) == (0, [])


async def test_query_header_and_body_are_checked_together(site: Site) -> None:
    """One answer tells what is wrong with the query, the condition and the body."""
    got = await site.ask("PUT", DRAIN + "?when=now", json={"why": "x"}, headers={"If-Match": "yesterday"})
    assert (got.status, fields(got.problem)) == (400, ["when", "If-Match", "why"])
    for field in ("when", "If-Match", "why"):
        assert field in got.problem["detail"]


PHRASES = [
    (DRAIN, {"reason": 7}, "reason: must be text"),
    (DRAIN, {"reason": "x", "force": "yes"}, "force: must be true or false"),
    (DRAIN, {"reason": "x", "expires_in": "1h"}, "expires_in: must be a number"),
    (DRAIN, {"reason": "x", "roles": "edge"}, "roles: must be a list"),
    (DRAIN, {"reason": "x", "starts_at": 5}, "starts_at: expected an RFC 3339 time such as 2026-01-31T12:00:00Z"),
    ("/v1/nodes/edge-9", {"addresses": [], "roles": [], "weight": -1}, "weight: must be 0 or more"),
    ("/v1/nodes/edge-9", {"addresses": [], "roles": [], "weight": 1.5}, "weight: must be a whole number"),
    ("/v1/nodes/edge-9", {"addresses": [], "roles": [], "weight": 10**30}, "weight: must be "),
    ("/v1/nodes/edge-9", {"addresses": [], "roles": [], "labels": []}, "labels: must be an object"),
    ("/v1/nodes/edge-9", {"addresses": [], "roles": [], "monitor": "x"}, "monitor: must be 'none', 'agent' or 'check'"),
]


@pytest.mark.parametrize(("path", "body", "phrase"), PHRASES)
async def test_what_is_wrong_is_told_in_plain_words(site: Site, path: str, body: dict[str, Any], phrase: str) -> None:
    """The detail says what a field must be, and nothing of the library that found it."""
    detail = (await site.put(path, body)).problem["detail"]
    assert detail.startswith(phrase)
    assert "Input" not in detail


async def test_a_wrong_role_of_a_release_is_named_as_the_query_has_it(site: Site) -> None:
    """The parameter is `role`, whatever the service calls it."""
    got = await site.ask("DELETE", DRAIN + "?role=pilot")
    assert (got.status, fields(got.problem)) == (400, ["role"])


NO_HTTP = {
    "no Host": b"GET / HTTP/1.1\r\n\r\n",
    "two types": b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Type: a\r\nContent-Type: b\r\n\r\n",
    "a long field": b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 9000 + b"\r\n\r\n",
    "a long target": b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\r\n\r\n",
    "garbage": b"\x00\xff\r\n\r\n",
    "a broken host": b"GET http://[::1/v1/drains HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "two lengths": b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
}


@pytest.mark.parametrize("request_bytes", NO_HTTP.values(), ids=NO_HTTP.keys())
async def test_what_is_no_http_is_a_problem_and_not_logged(
    site: Site, caplog: pytest.LogCaptureFixture, request_bytes: bytes
) -> None:
    """Even what no route sees is told as problem+json with the safe headers, and fills no log."""
    head, _, body = (await site.raw(request_bytes)).partition(b"\r\n\r\n")
    assert b" 400 " in head.splitlines()[0]
    sent = dict(line.split(": ", 1) for line in head.decode().splitlines()[1:])
    problem = json.loads(body)
    assert sent["Content-Type"] == "application/problem+json"
    assert {name: sent[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS
    assert (problem["id"], problem["status"]) == ("malformed-request", 400)
    assert len(problem["detail"].splitlines()) == 1
    assert [record for record in caplog.records if record.levelno >= logging.INFO or record.exc_info] == []


async def test_an_expectation_is_met_or_refused(site: Site) -> None:
    """RFC 9110 §10.1.1: 100-continue is answered before the body comes, except over HTTP/1.0; any other is 417."""
    ask = b"PUT /v1/nodes/edge-1/drain HTTP/1.%d\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    ask += b'Connection: close\r\nContent-Length: 15\r\nExpect: %s\r\n\r\n{"reason": "x"}'
    met = await site.raw(ask % (1, b"100-Continue"))
    assert met.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
    old = await site.raw(ask % (0, b"100-continue"))
    assert old.startswith(b"HTTP/1.0 200 OK\r\n")
    refused = await site.raw(ask % (1, b"miracles"))
    assert refused.startswith(b"HTTP/1.1 417 ")
    assert b'"id": "expectation-failed"' in refused


MALFORMED = {
    "empty": b"",
    "cut off": b'{"reason": "x"',
    "a list": b'["reason"]',
    "a string": b'"reason"',
    "null": b"null",
    "not UTF-8": b'{"reason": "\xff"}',
    "half a surrogate pair": b'{"reason": "\\ud800"}',
    "half a surrogate pair as a key": b'{"\\udfff": 1}',
    "a repeated key": b'{"reason": "x", "force": false, "force": true}',
    "not a number": b'{"reason": "x", "expires_in": NaN}',
    "infinity": b'{"reason": "x", "expires_in": 1e999}',
    "nested too deeply": b"[" * 60_000,
    "an integer beyond every float": b'{"reason": "x", "expires_in": ' + b"9" * 400 + b"}",
    "an endless integer": b'{"reason": "x", "expires_in": ' + b"9" * 5000 + b"}",
    "a byte order mark": b'\xef\xbb\xbf{"reason": "x"}',
}


@pytest.mark.parametrize("name", MALFORMED)
async def test_a_body_that_is_no_json_object_is_malformed(site: Site, backend: FakeBackend, name: str) -> None:
    """What is not one well-formed JSON object is a 400 of its own id."""
    got = await site.ask("PUT", DRAIN, data=MALFORMED[name], headers=JSON)
    assert (got.status, got.problem["id"]) == (400, "malformed-body")
    assert backend.actors == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": "application/json", "Content-Encoding": "deflate"},
    ],
)
async def test_another_media_type_is_not_supported(site: Site, headers: dict[str, str]) -> None:
    """A body that is not plain UTF-8 JSON by its headers is a 415."""
    got = await site.ask("PUT", DRAIN, data=b'{"reason": "x"}', headers=headers)
    assert (got.status, got.problem["id"]) == (415, "unsupported-media-type")


async def test_a_body_without_a_type_is_not_taken(site: Site) -> None:
    """Neither no body nor one without a type is guessed at."""
    request = f"PUT {DRAIN} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    none = await site.raw(f"{request}\r\n".encode())
    assert b" 400 " in none.splitlines()[0]
    assert b"malformed-body" in none
    untyped = await site.raw(f'{request}Content-Length: 15\r\n\r\n{{"reason": "x"}}'.encode())
    assert b" 415 " in untyped.splitlines()[0]


async def test_a_large_body_is_refused(site: Site) -> None:
    """A body above the limit is a 413, whether or not it announces its size."""
    big = b'{"reason": "' + b"x" * MAX_BODY_SIZE + b'"}'

    async def chunks() -> Any:
        yield big

    for data in (big, chunks()):
        got = await site.ask("PUT", DRAIN, data=data, headers=JSON)
        assert (got.status, got.problem["id"]) == (413, "too-large")


async def test_a_call_without_a_body_takes_none(site: Site, backend: FakeBackend) -> None:
    """A body on a call that takes none is refused: the caller believes that it means something."""
    got = await site.ask("DELETE", DRAIN, json={"holder": "ops"})
    assert (got.status, got.problem["id"]) == (400, "malformed-body")
    assert backend.actors == []


async def test_an_unknown_path_or_method_is_a_problem_too(site: Site) -> None:
    """404 and 405 are problem+json as well, and 405 says what is allowed."""
    for path in ("/v1", "/v1/nodes/", "/v1/nodes/edge-1/", "/v2/nodes", "/v1/unknown", "//", "/v1//nodes"):
        got = await site.get(path)
        assert (got.status, got.problem["id"]) == (404, "not-found"), path
    wrong = await site.ask("POST", "/v1/nodes/edge-1/drain")
    assert (wrong.status, wrong.problem["id"]) == (405, "method-not-allowed")
    assert wrong.headers["Allow"] == "DELETE, PUT"
    assert (await site.ask("OPTIONS", "/v1/nodes")).status == 405


async def test_a_target_that_is_no_text_is_refused(site: Site) -> None:
    """Bytes that are no UTF-8 in the target are the client's fault."""
    for target in (b"/v1/nodes/\xff", b"/v1/history?node=\xff"):
        got = await site.raw(b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert b" 400 " in got.splitlines()[0]


@pytest.mark.parametrize(
    ("if_match", "status"),
    [('"1"', 200), ("1", 200), ("*", 200), ('"0"', 412), ("7", 412), ('"one"', 400), ('W/"1"', 400), ('"1", "2"', 400)],
)
async def test_a_write_carries_its_precondition(site: Site, backend: FakeBackend, if_match: str, status: int) -> None:
    """If-Match lets the write through on that revision alone; a moved one is 412 and names the current one."""
    await site.drain("edge-2")
    got = await site.ask("PUT", DRAIN, json={"reason": "x"}, headers={"If-Match": if_match})
    assert got.status == status
    if status == 412:
        assert (got.problem["id"], got.problem["revision"]) == ("revision-moved", 1)
    assert len(backend.drain_infos) == (2 if status == 200 else 1)


@pytest.mark.parametrize("path", ["/v1/nodes/edge-9", "/v1/nodes/edge-9/status", "/v1/nodes/a%2Fb", "/v1/nodes/%00"])
async def test_an_unknown_node_is_named(site: Site, path: str) -> None:
    """A node that does not exist is a 404 with its own id."""
    got = await site.get(path)
    assert (got.status, got.problem["id"]) == (404, "unknown-node")


async def test_writes_to_an_unknown_node_write_nothing(site: Site, backend: FakeBackend) -> None:
    """Draining, releasing, removing and reporting on a node that does not exist are 404."""
    report = {"sequence": 1, "observed_at": "2026-01-31T12:00:00Z"}
    for got in (
        await site.drain("edge-9"),
        await site.ask("DELETE", "/v1/nodes/edge-9/drain"),
        await site.ask("DELETE", "/v1/nodes/edge-9"),
        await site.ask("POST", "/v1/nodes/edge-9/report", json=report),
    ):
        assert (got.status, got.problem["id"]) == (404, "unknown-node")
    assert (backend.revision, backend.reports) == (0, [])


async def test_an_unknown_pool_is_named(site: Site) -> None:
    """A pool that does not exist is a 404 with its own id."""
    got = await site.get("/v1/pools/www.example.org")
    assert (got.status, got.problem["id"]) == (404, "unknown-pool")
    assert "www.example.org." in got.problem["detail"]


@pytest.mark.parametrize(
    "owner", ["edge.example.org.", "edge.example.org", "EDGE.Example.org", "edge%2Eexample%2eorg%2E"]
)
async def test_a_pool_is_found_however_its_owner_is_written(site: Site, owner: str) -> None:
    """The final dot, the case and percent-encoding make no difference."""
    got = await site.get(f"/v1/pools/{owner}")
    assert (got.status, got.json["owner"]) == (200, "edge.example.org.")


async def test_a_percent_encoded_id_is_the_id(site: Site) -> None:
    """An id is decoded before it is looked up."""
    assert (await site.get("/v1/nodes/edge%2D1")).json["id"] == "edge-1"


async def test_the_capacity_floor_is_told_with_its_impact(site: Site) -> None:
    """A drain that empties a pool is 409 with the impact, unless it is forced."""
    await site.drain("edge-2")
    await site.drain("edge-3")
    refused = await site.drain("edge-1")
    assert (refused.status, refused.problem["id"]) == (409, "capacity-floor")
    (impact,) = refused.problem["impact"]
    wanted = {"pool": "edge.example.org.", "serving_before": 1, "serving_after": 0, "floor": "1", "ok": False}
    assert {member: impact[member] for member in wanted} == wanted
    forced = await site.drain("edge-1", force=True)
    assert (forced.status, forced.json["drain"]["forced"]) == (200, True)


async def test_a_configured_node_is_a_conflict(site: Site) -> None:
    """A node of the configuration is neither replaced nor removed over the API."""
    put = await site.put("/v1/nodes/edge-1", {"addresses": ["192.0.2.9"], "roles": ["edge"]})
    gone = await site.ask("DELETE", "/v1/nodes/edge-1")
    assert [(got.status, got.problem["id"]) for got in (put, gone)] == [(409, "node-conflict")] * 2


async def test_an_unreachable_store_is_503(site: Site, backend: FakeBackend) -> None:
    """While the store is down, writes are 503 and say when to try again; reads from memory go on."""
    backend.store_down = True
    for got in (await site.drain(), await site.get("/v1/history"), await site.get("/v1/consumers")):
        assert (got.status, got.problem["id"]) == (503, "store-unavailable")
        assert got.headers["Retry-After"] == str(RETRY_AFTER_SECONDS)
    assert (await site.get("/v1/nodes")).status == 200


async def test_an_unexpected_error_is_logged_and_not_told(
    site: Site, backend: FakeBackend, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug is a 500 whose body says nothing of it, with the traceback in the log."""
    backend.broken = RuntimeError("the secret is 4711")
    got = await site.get("/v1/nodes")
    assert (got.status, got.problem["id"]) == (500, "internal-error")
    assert "4711" not in got.text
    assert "4711" in caplog.text
    assert "Traceback" in caplog.text
