"""Drains: placed, released, waited for, listed."""

from __future__ import annotations

from admin.call import Call, Reply
from admin.paging import Key, page, page_of
from admin.problems import invalid
from dnsd.api.schemas import DrainInfo, DrainOutcome, DrainRequest, FieldError, ReleaseRequest
from dnsd.config.settings import Scope
from dnsd.errors import InvalidRequest, NotAllowed


async def put_drain(call: Call) -> Reply:
    """Place or change the caller's drain."""
    request = call.body_as(DrainRequest)
    _check_agent(call, holder=request.holder)
    if request.force and call.actor.scope is not Scope.OPERATOR:
        raise NotAllowed("Only an operator places a drain against the capacity guard.", field="force")
    outcome = await call.backend.place_drain(call.path["id"], request, actor=call.actor, if_revision=call.if_revision)
    return await _reply(call, outcome)


async def delete_drain(call: Call) -> Reply:
    """Release the caller's drains of a node, or those of another holder."""
    query = call.query
    holder, all_holders = query["holder"], query["all_holders"]
    if all_holders and call.actor.scope is not Scope.OPERATOR:
        raise NotAllowed("Only an operator releases the drains of all holders.", field="all_holders")
    _check_agent(call, holder=holder)
    if all_holders and holder is not None:
        raise invalid([FieldError(field="holder", message="makes no sense beside all_holders")])
    request = ReleaseRequest(
        roles=list(query["role"]) or None,
        holder=holder,
        all_holders=all_holders,
        ramp=query["ramp"],
        dry_run=query["dry_run"],
    )
    try:
        outcome = await call.backend.release_drain(
            call.path["id"], request, actor=call.actor, if_revision=call.if_revision
        )
    except InvalidRequest as error:
        if error.field != "roles":
            raise
        raise InvalidRequest(error.detail, field="role") from None  # as the query has it
    return await _reply(call, outcome)


async def list_drains(call: Call) -> Reply:
    """List the drains that are scheduled or active."""
    items, cursor = page_of(call.backend.drains(), _key, **call.page_query())
    return Reply(model=page(items, cursor), revision=call.backend.revision)


def _check_agent(call: Call, *, holder: str | None) -> None:
    if call.actor.scope is Scope.AGENT and holder not in (None, call.actor.name):
        raise NotAllowed(f"An agent places and releases drains as itself, {call.actor.name}.", field="holder")


async def _reply(call: Call, outcome: DrainOutcome) -> Reply:
    if outcome.dry_run:
        return Reply(model=outcome, revision=outcome.revision)
    wait_seconds = call.query["timeout"] if call.query["wait"] else 0.0
    outcome = await call.backend.with_applied(outcome, wait_seconds=wait_seconds)
    # A repeated request answers 200 also while some are pending: it has ordered nothing that they lag behind.
    status = 202 if outcome.changed and outcome.pending else 200
    return Reply(model=outcome, status=status, revision=outcome.revision)


def _key(drain: DrainInfo) -> Key:
    return drain.node, drain.holder, *drain.roles
