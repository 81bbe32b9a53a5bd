"""Envoy's DiscoveryRequest and DiscoveryResponse in JSON: what is asked for, and what is answered.

It is pure: no socket, no clock, no HTTP.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dnsd.adapters.envoy.assignment import ASSIGNMENT_TYPE, VERSION_DIGITS, Assignment
from dnsd.adapters.groups import Group, Groups


class MalformedRequestError(Exception):
    """What was sent is no DiscoveryRequest for endpoints."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks for.

    Args:
        names: of clusters, each once.
        version: of the answer that it has; empty: it has none.
        rejected: why it could not use that one; empty: it could.
    """

    names: tuple[str, ...]
    version: str
    rejected: str


@dataclass(frozen=True, slots=True)
class Response:
    """What it is answered.

    Args:
        body: JSON; None: what it has is what there is.
        unknown: names that no role and no pool has.
        portless: by name, the nodes that are left out for want of a port.
    """

    version: str
    body: str | None
    unknown: tuple[str, ...]
    portless: Mapping[str, list[str]]


def read_request(body: bytes) -> Request:
    """Read a request; fields that are of no concern here are passed over, as protobuf wants it.

    Raises:
        MalformedRequestError: why it cannot be one.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MalformedRequestError(f"the body is no JSON: {error}") from None
    if not isinstance(document, dict):
        raise MalformedRequestError("the body is no object of JSON")
    type_url = _field(document, "type_url", "typeUrl", default="")
    if type_url not in ("", ASSIGNMENT_TYPE):
        raise MalformedRequestError(f"type_url is not {ASSIGNMENT_TYPE}")
    names = _field(document, "resource_names", "resourceNames", default=[])
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise MalformedRequestError("resource_names is no list of names")
    version = _field(document, "version_info", "versionInfo", default="")
    if not isinstance(version, str):
        raise MalformedRequestError("version_info is no string")
    detail = _field(document, "error_detail", "errorDetail", default={})
    message = detail.get("message", "") if isinstance(detail, dict) else ""
    return Request(tuple(dict.fromkeys(names)), version, str(message))


def _field(document: Mapping[str, Any], *names: str, default: Any) -> Any:
    """Return a field by the name that protobuf gives it or by that of its JSON: a reader has to take both."""
    found = (document[name] for name in names if document.get(name) is not None)
    return next(found, default)


class Discovery:
    """Answers requests for the endpoints of groups.

    Args:
        ports: by role, for nodes that have none of their own.
    """

    def __init__(self, groups: Groups, ports: Mapping[str, int]) -> None:
        self._groups = groups
        self._ports = ports
        self._assignments: dict[str, Assignment] = {}  # by role or owner

    def answer(self, request: Request) -> Response:
        """Return the answer to a request."""
        digest = hashlib.sha256()
        found: list[tuple[str, Assignment]] = []
        unknown: list[str] = []
        portless: dict[str, list[str]] = {}
        for name in request.names:
            group = self._groups.get(name)
            if group is None:
                unknown.append(name)
                continue
            assignment = self._assignment(group)
            assignment.renew()
            found.append((name, assignment))
            digest.update(f"{len(name)}:{name}:{assignment.version};".encode())
            if assignment.portless:
                portless[name] = assignment.portless
        version = digest.hexdigest()[:VERSION_DIGITS]
        body = None
        if version != request.version:
            resources = ",".join(assignment.resource(name) for name, assignment in found)
            body = f'{{"version_info":"{version}","resources":[{resources}],"type_url":"{ASSIGNMENT_TYPE}"}}'
        return Response(version, body, tuple(unknown), portless)

    def _assignment(self, group: Group) -> Assignment:
        key = group.owner or group.role
        known = self._assignments.get(key)
        if known is None or known.group is not group:
            known = self._assignments[key] = Assignment(group, self._ports)
        return known
