"""`GET /v1/explain`: what reaches the service, and what is wrong with a question."""

from __future__ import annotations

import pytest

from tests.admin.site import Site


async def test_an_explanation_is_asked_for_and_carries_its_revision(site: Site) -> None:
    """Name, type and client reach the service; the type is A unless it is named; the ETag is the revision."""
    await site.drain()
    got = await site.get("/v1/explain?name=edge.example.org&client=192.0.2.7")
    assert got.status == 200
    assert (got.json["name"], got.json["type"], got.json["client"]) == ("edge.example.org", "A", "192.0.2.7")
    assert got.headers["ETag"] == '"1"'
    assert (await site.get("/v1/explain?name=x.&type=AAAA")).json["type"] == "AAAA"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "name"),
        ("?name=", "name"),
        ("?name=a.&name=b.", "name"),
        ("?name=a.&type=NOPE", "type"),
        ("?name=a.&client=", "client"),
        ("?name=a.&qtype=A", "qtype"),
    ],
)
async def test_a_question_that_makes_no_sense_names_the_parameter(site: Site, query: str, field: str) -> None:
    """400 with the parameter at fault, whether the interface or the service finds it."""
    got = await site.get(f"/v1/explain{query}")
    assert (got.status, got.problem["id"], got.problem["field"]) == (400, "invalid-request", field)
