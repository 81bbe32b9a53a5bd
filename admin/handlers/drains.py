"""Drains: placed, released, waited for, listed."""

from __future__ import annotations

from admin.call import Call, Reply
from admin.ordering import place, release, with_applied
from admin.paging import Key, page, page_of
from dnsd.api.schemas import DrainInfo, DrainOutcome, DrainRequest, ReleaseRequest
from dnsd.errors import InvalidRequest


async def put_drain(call: Call) -> Reply:
    """Place or change the caller's drain."""
    request = call.body_as(DrainRequest)
    outcome = await place(call.backend, call.path["id"], request, actor=call.actor, if_revision=call.if_revision)
    return await _reply(call, outcome)


async def delete_drain(call: Call) -> Reply:
    """Release the caller's drains of a node, or those of another holder."""
    query = call.query
    request = ReleaseRequest(
        roles=list(query["role"]) or None,
        holder=query["holder"],
        all_holders=query["all_holders"],
        ramp=query["ramp"],
        dry_run=query["dry_run"],
    )
    try:
        outcome = await release(call.backend, call.path["id"], request, actor=call.actor, if_revision=call.if_revision)
    except InvalidRequest as error:
        if error.field != "roles":
            raise
        raise InvalidRequest(error.detail, field="role") from None  # as the query has it
    return await _reply(call, outcome)


async def list_drains(call: Call) -> Reply:
    """List the drains that are scheduled or active."""
    items, cursor = page_of(call.backend.drains(), drain_key, **call.page_query())
    return Reply(model=page(items, cursor), revision=call.backend.revision)


async def _reply(call: Call, outcome: DrainOutcome) -> Reply:
    outcome = await with_applied(
        call.backend, outcome, wait_seconds=call.query["timeout"] if call.query["wait"] else 0.0
    )
    # A repeated request answers 200 also while some are pending: it has ordered nothing that they lag behind.
    status = 202 if outcome.changed and outcome.pending else 200
    return Reply(model=outcome, status=status, revision=outcome.revision)


def drain_key(drain: DrainInfo) -> Key:
    """Return what tells a drain from every other, in a list's order."""
    return drain.node, drain.holder, *drain.roles
