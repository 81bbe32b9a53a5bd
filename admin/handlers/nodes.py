"""The inventory: nodes, their progress, and agents' reports."""

from __future__ import annotations

from admin.call import Call, Reply
from admin.paging import page, page_of
from dnsd.api.schemas import NodeRequest, ReportRequest


async def list_nodes(call: Call) -> Reply:
    """List the inventory with health and effective mode."""
    items, cursor = page_of(call.backend.nodes(), lambda node: (node.id,), **call.page_query())
    return Reply(model=page(items, cursor), revision=call.backend.revision)


async def get_node(call: Call) -> Reply:
    """Return one node."""
    return Reply(model=call.backend.node(call.path["id"]), revision=call.backend.revision)


async def put_node(call: Call) -> Reply:
    """Register or replace a node."""
    outcome = await call.backend.register_node(
        call.path["id"], call.body_as(NodeRequest), actor=call.actor, if_revision=call.if_revision
    )
    return Reply(model=outcome, revision=outcome.revision)


async def delete_node(call: Call) -> Reply:
    """Remove a node."""
    outcome = await call.backend.remove_node(call.path["id"], actor=call.actor, if_revision=call.if_revision)
    return Reply(model=outcome, revision=outcome.revision)


async def report(call: Call) -> Reply:
    """Take an agent's report and answer what its node is to do."""
    desired = call.backend.report(call.path["id"], call.body_as(ReportRequest))
    return Reply(model=desired, revision=desired.revision)


async def get_status(call: Call) -> Reply:
    """Say how far a node's drain has come, and whether it is safe to stop."""
    status = call.backend.status(call.path["id"])
    return Reply(model=status, revision=status.revision)
