"""What a handler gets and gives: a call whose caller, query and body are checked, and the reply to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel

from admin.backend import Backend
from admin.paging import PageQuery
from admin.streams import EventStreams
from dnsd.api.schemas import Request
from dnsd.control.actor import Actor

BodyT = TypeVar("BodyT", bound=Request)


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What the handlers of one application share.

    Args:
        metrics: returns the exposition in Prometheus' text format.
        openapi: the API's description, made from the route table.
        streams: the open event streams.
    """

    backend: Backend
    metrics: Callable[[], Awaitable[bytes]]
    openapi: Mapping[str, Any]
    streams: EventStreams


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, after every check that the route table asks for.

    Args:
        path: the variable parts of the path, decoded.
        query: a value for each declared parameter.
        body: an instance of the declared model, None where none is declared.
        if_revision: the caller's condition, None where there is none.
    """

    request: web.Request
    services: Services
    actor: Actor
    path: Mapping[str, str]
    query: Mapping[str, Any]
    body: Request | None
    if_revision: int | None

    @property
    def backend(self) -> Backend:
        """The service behind the interface."""
        return self.services.backend

    def body_as(self, model: type[BodyT]) -> BodyT:
        """Return the body as the model that the route declares.

        Raises:
            TypeError: the route declares another one.
        """
        if not isinstance(self.body, model):
            raise TypeError(f"the route table does not declare {model.__name__} for this call")
        return self.body

    def page_query(self) -> PageQuery:
        """Return which page of a list is asked for."""
        return {"limit": self.query["limit"], "cursor": self.query["cursor"]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A JSON answer.

    Args:
        revision: of the state that it tells of, sent as its ETag; None: it tells of none.
    """

    model: BaseModel
    status: int = 200
    revision: int | None = None


Handler = Callable[[Call], Awaitable[Reply | web.StreamResponse]]
