"""The API's description: whole, consistent, and true to the route table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from admin.app import make_app
from admin.openapi import describe
from admin.routes import ROUTES, Route
from tests.admin.fakebackend import FakeBackend
from tests.admin.site import Site, up

DOCUMENT = describe(ROUTES)


def walk(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for item in value.values():
            yield from walk(item)
    elif isinstance(value, list):
        for item in value:
            yield from walk(item)


async def test_it_is_served_without_a_token(guarded: Site) -> None:
    """Anybody may read the description, and gets the one that the table makes."""
    got = await guarded.get("/openapi.json")
    assert (got.status, got.headers["Content-Type"]) == (200, "application/json; charset=utf-8")
    assert got.json == DOCUMENT


def test_it_has_the_shape_of_openapi_3_1() -> None:
    """The members that OpenAPI 3.1 requires are there, each operation with its own id and its responses."""
    assert DOCUMENT["openapi"].startswith("3.1.")
    assert {"title", "version"} <= DOCUMENT["info"].keys()
    operations = [operation for path in DOCUMENT["paths"].values() for operation in path.values()]
    ids = [operation["operationId"] for operation in operations]
    assert len(ids) == len(set(ids))
    for operation in operations:
        assert operation["summary"]
        for status, response in operation["responses"].items():
            assert re.fullmatch(r"[1-5]\d\d", status)
            assert response["description"]
        for parameter in operation["parameters"]:
            assert {"name", "in", "schema"} <= parameter.keys()


def test_every_reference_resolves() -> None:
    """No schema is named that the document does not hold, and none is held that nothing names."""
    named = {item["$ref"] for item in walk(DOCUMENT) if "$ref" in item}
    held = {f"#/components/schemas/{name}" for name in DOCUMENT["components"]["schemas"]}
    assert named == held


def test_the_server_serves_what_the_document_describes() -> None:
    """The router and the document hold the same paths and methods."""
    app = make_app(FakeBackend(), tokens=tuple, metrics=up)
    routed = {
        (route.method.lower(), route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    described = {(method, path) for path, operations in DOCUMENT["paths"].items() for method in operations}
    assert routed == described == {(route.method.lower(), route.path) for route in ROUTES}


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_a_route_s_parameters_and_body_are_described(route: Route) -> None:
    """Path, query and header parameters and the body appear as the table declares them."""
    operation = DOCUMENT["paths"][route.path][route.method.lower()]
    by_place: dict[str, set[str]] = {"path": set(), "query": set(), "header": set()}
    for parameter in operation["parameters"]:
        by_place[parameter["in"]].add(parameter["name"])
    assert by_place["path"] == set(re.findall(r"\{(\w+)\}", route.path))
    assert by_place["query"] == {param.name for param in route.params}
    assert ("If-Match" in by_place["header"]) == route.conditional
    assert ("requestBody" in operation) == (route.body is not None)
    assert {str(status) for status in (*route.statuses, *route.errors)} <= operation["responses"].keys()


def test_times_are_described_as_text() -> None:
    """An instant is an RFC 3339 string in the description, as it is on the wire."""
    created = DOCUMENT["components"]["schemas"]["DrainInfo"]["properties"]["created_at"]
    assert (created["type"], created["format"]) == ("string", "date-time")
