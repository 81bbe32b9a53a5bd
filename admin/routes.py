"""The route table: every call of the API as data. The HTTP routes and the OpenAPI description are made from it."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel

from admin.auth import Access
from admin.call import Handler
from admin.handlers import consumers, drains, explain, fleet, nodes, service
from admin.paging import CURSOR, HISTORY_LIMIT, LIMIT
from admin.query import Param
from dnsd.api import schemas as s
from dnsd.api.limits import MAX_WAIT_SECONDS

# How long `wait=applied` holds a request that names no time. Unit: seconds.
DEFAULT_WAIT_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One call.

    Args:
        method: GET also serves HEAD.
        path: variable parts in braces; `id` is a node's, or with `Access.WRITE_CONSUMER` a consumer's.
        answer: the model of a 2xx body; None: it is no JSON, or JSON without a model.
        media_type: of a 2xx body.
        body: the model of the request's body; None: it takes none.
        conditional: it heeds If-Match.
        statuses: the statuses that `answer` comes with.
        errors: the statuses of its problems, beside those that every call may have.
    """

    method: str
    path: str
    handler: Handler
    access: Access
    answer: type[BaseModel] | None
    media_type: str = "application/json"
    body: type[s.Request] | None = None
    params: tuple[Param, ...] = ()
    headers: tuple[str, ...] = ()
    conditional: bool = False
    statuses: tuple[int, ...] = (200,)
    errors: tuple[int, ...] = ()


TIMEOUT = Param(
    name="timeout",
    kind="number",
    description="Seconds to wait at most.",
    default=DEFAULT_WAIT_SECONDS,
    minimum=0,
    maximum=MAX_WAIT_SECONDS,
)

_WAITING = (
    Param(name="wait", kind="string", description="Answer when every live consumer has applied.", choices=("applied",)),
    TIMEOUT,
)

_RELEASE = (
    Param(name="role", kind="string", description="A role to release; none: all.", repeat=True),
    Param(name="holder", kind="string", description="Whose drain; absent: the caller's."),
    Param(name="all_holders", kind="boolean", description="Release every holder's drains.", default=False),
    Param(name="dry_run", kind="boolean", description="Answer what would happen and write nothing.", default=False),
    Param(name="ramp", kind="number", description="Seconds in which the node comes back in steps; absent: at once."),
)

_QUESTION = (
    Param(name="name", kind="string", description="The domain name that a query would ask for. Required."),
    Param(name="type", kind="string", description="The record type.", default="A"),
    Param(name="client", kind="string", description="The IP address of who would ask; it makes no difference yet."),
)

_LIST = (LIMIT, CURSOR)

ROUTES: tuple[Route, ...] = (
    Route(
        method="GET",
        path="/v1/nodes",
        handler=nodes.list_nodes,
        access=Access.READ,
        answer=s.Page[s.NodeInfo],
        params=_LIST,
    ),
    Route(
        method="GET",
        path="/v1/nodes/{id}",
        handler=nodes.get_node,
        access=Access.READ_NODE,
        answer=s.NodeInfo,
        errors=(404,),
    ),
    Route(
        method="PUT",
        path="/v1/nodes/{id}",
        handler=nodes.put_node,
        access=Access.WRITE_NODE,
        answer=s.NodeOutcome,
        body=s.NodeRequest,
        conditional=True,
        errors=(409, 412, 503),
    ),
    Route(
        method="DELETE",
        path="/v1/nodes/{id}",
        handler=nodes.delete_node,
        access=Access.WRITE,
        answer=s.NodeOutcome,
        conditional=True,
        errors=(404, 409, 412, 503),
    ),
    Route(
        method="POST",
        path="/v1/nodes/{id}/report",
        handler=nodes.report,
        access=Access.WRITE_NODE,
        answer=s.DesiredState,
        body=s.ReportRequest,
        errors=(404, 503),
    ),
    Route(
        method="GET",
        path="/v1/nodes/{id}/status",
        handler=nodes.get_status,
        access=Access.READ_NODE,
        answer=s.NodeStatus,
        errors=(404,),
    ),
    Route(
        method="PUT",
        path="/v1/nodes/{id}/drain",
        handler=drains.put_drain,
        access=Access.WRITE_NODE,
        answer=s.DrainOutcome,
        body=s.DrainRequest,
        params=_WAITING,
        conditional=True,
        statuses=(200, 202),
        errors=(404, 409, 412, 503),
    ),
    Route(
        method="DELETE",
        path="/v1/nodes/{id}/drain",
        handler=drains.delete_drain,
        access=Access.WRITE_NODE,
        answer=s.DrainOutcome,
        params=_RELEASE + _WAITING,
        conditional=True,
        statuses=(200, 202),
        errors=(404, 409, 412, 503),
    ),
    Route(
        method="GET",
        path="/v1/drains",
        handler=drains.list_drains,
        access=Access.READ,
        answer=s.Page[s.DrainInfo],
        params=_LIST,
    ),
    Route(
        method="GET",
        path="/v1/history",
        handler=fleet.list_history,
        access=Access.READ,
        answer=s.Page[s.HistoryInfo],
        params=(Param(name="node", kind="string", description="Only entries of this node."), HISTORY_LIMIT, CURSOR),
        errors=(503,),
    ),
    Route(
        method="GET",
        path="/v1/pools",
        handler=fleet.list_pools,
        access=Access.READ,
        answer=s.Page[s.PoolInfo],
        params=_LIST,
    ),
    Route(
        method="GET",
        path="/v1/pools/{owner}",
        handler=fleet.get_pool,
        access=Access.READ,
        answer=s.PoolInfo,
        errors=(404,),
    ),
    Route(
        method="GET",
        path="/v1/consumers",
        handler=consumers.list_consumers,
        access=Access.READ,
        answer=s.Page[s.ConsumerInfo],
        params=_LIST,
        errors=(503,),
    ),
    Route(
        method="PUT",
        path="/v1/consumers/{id}",
        handler=consumers.put_consumer,
        access=Access.WRITE_CONSUMER,
        answer=s.ConsumerOutcome,
        body=s.ConsumerRequest,
        errors=(409, 429, 503),
    ),
    Route(
        method="DELETE",
        path="/v1/consumers/{id}",
        handler=consumers.delete_consumer,
        access=Access.WRITE_CONSUMER,
        answer=s.ConsumerRemoval,
        errors=(409, 503),
    ),
    Route(
        method="GET",
        path="/v1/explain",
        handler=explain.explain,
        access=Access.READ,
        answer=s.Explanation,
        params=_QUESTION,
    ),
    Route(
        method="GET",
        path="/v1/events",
        handler=fleet.events,
        access=Access.READ,
        answer=None,
        media_type="text/event-stream",
        headers=("Last-Event-ID",),
        errors=(503,),
    ),
    Route(method="GET", path="/livez", handler=service.livez, access=Access.OPEN, answer=None, media_type="text/plain"),
    Route(
        method="GET",
        path="/readyz",
        handler=service.readyz,
        access=Access.OPEN,
        answer=s.Readiness,
        statuses=(200, 503),
    ),
    Route(
        method="GET", path="/metrics", handler=service.metrics, access=Access.READ, answer=None, media_type="text/plain"
    ),
    Route(method="GET", path="/openapi.json", handler=service.openapi, access=Access.OPEN, answer=None),
    Route(method="GET", path="/", handler=service.index, access=Access.OPEN, answer=None, media_type="text/html"),
)
