"""The API's description in OpenAPI 3.1, made from the route table and the schemas."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from admin.auth import Access
from admin.problems import PROBLEM_MEDIA_TYPE
from admin.query import Param
from admin.routes import Route
from dnsd import __version__
from dnsd.api.schemas import ProblemDetail

_REF = "#/components/schemas/{model}"
_ModelKey = tuple[type[BaseModel], Literal["validation", "serialization"]]
_Refs = Mapping[Any, dict[str, Any]]  # by _ModelKey


@functools.cache
def describe(routes: tuple[Route, ...]) -> Mapping[str, Any]:
    """Return the OpenAPI document of a route table; it is made once and must not be changed."""
    schemas, definitions = models_json_schema(_models(routes), ref_template=_REF)
    refs: _Refs = dict(schemas)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, refs)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "dnsd",
            "version": __version__,
            "description": "Drains, pools and nodes of an authoritative DNS server.",
        },
        "paths": paths,
        "components": {
            "schemas": definitions["$defs"],
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _models(routes: Sequence[Route]) -> list[_ModelKey]:
    keys: dict[_ModelKey, None] = {(ProblemDetail, "serialization"): None}
    for route in routes:
        if route.body is not None:
            keys[route.body, "validation"] = None
        if route.answer is not None:
            keys[route.answer, "serialization"] = None
    return list(keys)


def _operation(route: Route, refs: _Refs) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": getattr(route.handler, "__name__", route.path),
        "summary": (route.handler.__doc__ or "").strip().splitlines()[0],
        "parameters": _parameters(route),
        "responses": _responses(route, refs),
        "security": [] if route.access is Access.OPEN else [{"token": []}],
        "x-scopes": [] if route.access is Access.OPEN else sorted(scope.value for scope in route.access.scopes),
    }
    if route.body is not None:
        schema = refs[route.body, "validation"]
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return operation


def _parameters(route: Route) -> list[dict[str, Any]]:
    names = re.findall(r"\{(\w+)\}", route.path)
    found = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]
    found += [_query_parameter(param) for param in route.params]
    headers = route.headers + (("If-Match",) if route.conditional else ())
    return found + [{"name": name, "in": "header", "schema": {"type": "string"}} for name in headers]


def _query_parameter(param: Param) -> dict[str, Any]:
    limits = {"default": param.default, "minimum": param.minimum, "maximum": param.maximum}
    schema = {"type": param.kind} | {key: value for key, value in limits.items() if value is not None}
    if param.choices:
        schema["enum"] = list(param.choices)
    if param.repeat:
        schema = {"type": "array", "items": schema}
    return {"name": param.name, "in": "query", "description": param.description, "schema": schema}


def _responses(route: Route, refs: _Refs) -> dict[str, Any]:
    problem = {PROBLEM_MEDIA_TYPE: {"schema": refs[ProblemDetail, "serialization"]}}
    answer = {} if route.answer is None else {"schema": refs[route.answer, "serialization"]}
    responses = {
        str(status): {"description": HTTPStatus(status).phrase, "content": {route.media_type: answer}}
        for status in route.statuses
    }
    for status in sorted({*route.errors, *_common_errors(route)} - set(route.statuses)):
        responses[str(status)] = {"description": HTTPStatus(status).phrase, "content": problem}
    return responses


def _common_errors(route: Route) -> set[int]:
    common = {400, 403, 500}
    if route.access is not Access.OPEN:
        common.add(401)
    if route.body is not None:
        common |= {408, 413, 415}
    return common
