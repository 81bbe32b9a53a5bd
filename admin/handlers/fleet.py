"""What the fleet looks like: pools, history, and the stream of events."""

from __future__ import annotations

import re

from aiohttp import web

from admin.call import Call, Reply
from admin.paging import bad_cursor, page, page_of
from admin.problems import TOO_MANY_STREAMS, Fault, invalid
from dnsd.api.schemas import MAX_INTEGER, FieldError


async def list_pools(call: Call) -> Reply:
    """List pools with their members and what they answer now."""
    items, cursor = page_of(call.backend.pools(), lambda pool: (pool.owner,), **call.page_query())
    return Reply(model=page(items, cursor), revision=call.backend.revision)


async def get_pool(call: Call) -> Reply:
    """Return one pool; its owner may lack the final dot."""
    owner = call.path["owner"].lower()
    return Reply(model=call.backend.pool(owner if owner.endswith(".") else owner + "."), revision=call.backend.revision)


async def list_history(call: Call) -> Reply:
    """List who did what, when and why, newest first."""
    cursor = call.query["cursor"]
    before = None if cursor is None else _non_negative(cursor)
    if cursor is not None and before is None:
        raise bad_cursor()
    items, following = await call.backend.history(node=call.query["node"], before=before, limit=call.query["limit"])
    return Reply(model=page(items, None if following is None else str(following)))


async def events(call: Call) -> web.StreamResponse:
    """Stream state changes as server-sent events."""
    seen = call.request.headers.get("Last-Event-ID")
    after = None if seen is None else _non_negative(seen)
    if seen is not None and after is None:
        raise invalid([FieldError(field="Last-Event-ID", message=f"{seen!r} is not a revision")])
    streams = call.services.streams
    if streams.full:
        raise Fault(TOO_MANY_STREAMS, "Close another stream first.", headers={"Retry-After": "10"})
    return await streams.serve(call.request, call.backend, after=after)


def _non_negative(text: str) -> int | None:
    if not re.fullmatch(r"[0-9]{1,19}", text):
        return None
    number = int(text)
    return number if number <= MAX_INTEGER else None
