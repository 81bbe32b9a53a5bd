"""What a query would be answered now, and why."""

from __future__ import annotations

from admin.call import Call, Reply
from admin.problems import invalid
from dnsd.api.schemas import FieldError


async def explain(call: Call) -> Reply:
    """Return the answer to a question, and every reason on the way to it."""
    query = call.query
    if query["name"] is None:
        raise invalid([FieldError(field="name", message="is missing: the domain name to explain")])
    explanation = call.backend.explain(query["name"], query["type"], client=query["client"])
    return Reply(model=explanation, revision=explanation.revision)
