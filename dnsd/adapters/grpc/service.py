"""The calls of `dnsd.v1.Control`: each lets its caller in as HTTP would, and asks the service behind both."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from ipaddress import ip_address
from typing import Any, TypeVar

from pydantic import BaseModel

from admin import ordering
from admin.auth import Access, Gate
from admin.handlers.drains import drain_key
from admin.paging import Key, page_of
from admin.problems import NOT_LOCAL, Fault
from dnsd.adapters.grpc.answers import filled
from dnsd.adapters.grpc.frame import Context, address_of
from dnsd.adapters.grpc.requests import ListRequest, Order, paging, placing, releasing, resuming
from dnsd.adapters.grpc.v1 import control_pb2, control_pb2_grpc
from dnsd.adapters.grpc.watching import Watches
from dnsd.api.schemas import DrainOutcome
from dnsd.control.actor import Actor
from dnsd.control.plane import ControlPlane

ResultT = TypeVar("ResultT")
ModelT = TypeVar("ModelT", bound=BaseModel)
ListT = TypeVar(
    "ListT",
    control_pb2.ListNodesResponse,
    control_pb2.ListDrainsResponse,
    control_pb2.ListPoolsResponse,
    control_pb2.ListConsumersResponse,
)


class Control(control_pb2_grpc.ControlServicer):
    """The service; an error of a call is raised, and told by the frame that the call is in.

    Args:
        watches: the open streams of events.
    """

    def __init__(self, plane: ControlPlane, watches: Watches) -> None:
        self._plane = plane
        self._watches = watches
        self._gate = Gate(lambda: plane.settings.tokens)
        self._writes: set[asyncio.Task[Any]] = set()

    async def finish(self) -> None:
        """Wait for writes whose callers are gone."""
        if self._writes:
            await asyncio.wait(self._writes)

    # --- drains -------------------------------------------------------------------------------------------------

    async def Drain(self, message: control_pb2.DrainRequest, context: Context) -> control_pb2.DrainOutcome:
        """Place a drain, or change its holder's."""
        actor = self._admit(context, Access.WRITE_NODE, node=message.node)
        request, order = placing(message)
        placed = ordering.place(self._plane, message.node, request, actor=actor, if_revision=order.if_revision)
        return await self._outcome(placed, order)

    async def Undrain(self, message: control_pb2.UndrainRequest, context: Context) -> control_pb2.DrainOutcome:
        """Release a holder's drains of a node, or those of all holders."""
        actor = self._admit(context, Access.WRITE_NODE, node=message.node)
        request, order = releasing(message)
        released = ordering.release(self._plane, message.node, request, actor=actor, if_revision=order.if_revision)
        return await self._outcome(released, order)

    async def _outcome(self, write: Coroutine[Any, Any, DrainOutcome], order: Order) -> control_pb2.DrainOutcome:
        outcome = await self._to_its_end(write)
        outcome = await ordering.with_applied(self._plane, outcome, wait_seconds=order.wait_seconds)
        return filled(control_pb2.DrainOutcome(), outcome)

    async def _to_its_end(self, write: Coroutine[Any, Any, ResultT]) -> ResultT:
        """Carry out a write, also where its caller goes away in the middle: half of one is nobody's wish."""
        task = asyncio.create_task(write)
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_forget)
            raise

    # --- lists --------------------------------------------------------------------------------------------------

    async def ListNodes(self, message: control_pb2.ListNodesRequest, context: Context) -> control_pb2.ListNodesResponse:
        """List the inventory with health and effective mode."""
        self._admit(context, Access.READ)
        answer = control_pb2.ListNodesResponse(revision=self._plane.revision)
        return _page(answer, answer.nodes, self._plane.nodes(), lambda node: (node.id,), message)

    async def ListDrains(
        self, message: control_pb2.ListDrainsRequest, context: Context
    ) -> control_pb2.ListDrainsResponse:
        """List the drains that are scheduled or active."""
        self._admit(context, Access.READ)
        answer = control_pb2.ListDrainsResponse(revision=self._plane.revision)
        return _page(answer, answer.drains, self._plane.drains(), drain_key, message)

    async def ListPools(self, message: control_pb2.ListPoolsRequest, context: Context) -> control_pb2.ListPoolsResponse:
        """List pools with their members and what they answer now."""
        self._admit(context, Access.READ)
        answer = control_pb2.ListPoolsResponse(revision=self._plane.revision)
        return _page(answer, answer.pools, self._plane.pools(), lambda pool: (pool.owner,), message)

    async def ListConsumers(
        self, message: control_pb2.ListConsumersRequest, context: Context
    ) -> control_pb2.ListConsumersResponse:
        """List who applies drain state, and how far each one is."""
        self._admit(context, Access.READ)
        answer = control_pb2.ListConsumersResponse()
        consumers = await self._plane.consumers()
        return _page(answer, answer.consumers, consumers, lambda each: (each.kind, each.id), message)

    # --- status and events --------------------------------------------------------------------------------------

    async def Status(self, message: control_pb2.StatusRequest, context: Context) -> control_pb2.NodeStatus:
        """Say how far a node's drain has come, and whether it is safe to stop."""
        self._admit(context, Access.READ_NODE, node=message.node)
        return filled(control_pb2.NodeStatus(), self._plane.status(message.node))

    async def Watch(self, message: control_pb2.WatchRequest, context: Context) -> None:
        """Stream what happens."""
        self._admit(context, Access.READ)
        await self._watches.serve(context, after=resuming(message))

    # --- callers ------------------------------------------------------------------------------------------------

    def _admit(self, context: Context, access: Access, *, node: str | None = None) -> Actor:
        """Return who calls.

        Raises:
            Fault: 401 without a known token, 403 where its scope does not cover the call; 403 for whoever is not on
                this machine where there are no tokens.
        """
        if not self._plane.settings.tokens and not ip_address(address_of(context.peer())).is_loopback:
            raise Fault(NOT_LOCAL, "The caller's address is no loopback address; set tokens to serve others.")
        return self._gate.admit(_authorizations(context), access, node=node)


def _authorizations(context: Context) -> list[str]:
    metadata = context.invocation_metadata() or ()
    return [value for key, value in metadata if key == "authorization" and isinstance(value, str)]


def _page(
    answer: ListT, rows: Any, items: Sequence[ModelT], key: Callable[[ModelT], Key], message: ListRequest
) -> ListT:
    """Return the answer of a list with the page that is asked for.

    Args:
        rows: where in it the items go.
        items: all there are.
    """
    found, cursor = page_of(items, key, **paging(message))
    for model in found:
        filled(rows.add(), model)
    if cursor is not None:
        answer.next = cursor
    return answer


def _forget(task: asyncio.Task[Any]) -> None:
    """Take note of how a write ended whose caller is gone; what was written is in the history."""
    if not task.cancelled():
        task.exception()
