"""Who applies drain state: listed, and what routers say of themselves."""

from __future__ import annotations

from admin.call import Call, Reply
from admin.paging import page, page_of
from dnsd.api.schemas import ConsumerRequest


async def list_consumers(call: Call) -> Reply:
    """List who applies drain state, and how far each one is."""
    consumers = await call.backend.consumers()
    items, cursor = page_of(consumers, lambda consumer: (consumer.kind, consumer.id), **call.page_query())
    return Reply(model=page(items, cursor))


async def put_consumer(call: Call) -> Reply:
    """Take a router's word that it lives, and of how far it has come."""
    outcome = await call.backend.announce_consumer(call.path["id"], call.body_as(ConsumerRequest))
    return Reply(model=outcome, revision=outcome.revision)


async def delete_consumer(call: Call) -> Reply:
    """Take a router's word that it has ended, so that nobody waits for it."""
    removal = await call.backend.forget_consumer(call.path["id"])
    return Reply(model=removal, revision=removal.revision)
