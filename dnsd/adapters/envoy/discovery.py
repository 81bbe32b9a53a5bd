"""Envoy's DiscoveryRequest and DiscoveryResponse in JSON: what is asked for, and what is answered.

It knows no socket and no HTTP.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dnsd.adapters.envoy.assignment import ASSIGNMENT_TYPE, VERSION_DIGITS, Assignment
from dnsd.adapters.envoy.following import Followed, Shared
from dnsd.adapters.groups import Groups
from dnsd.control.plane import ControlPlane
from dnsd.core.fleet import Fleet
from dnsd.errors import PeerError


class MalformedRequestError(PeerError):
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
        body: JSON, in parts; None: what it has is what there is.
        unknown: names that no role and no pool has.
        portless: by name, the nodes that are left out for want of a port.
    """

    version: str
    body: tuple[bytes, ...] | None
    unknown: tuple[str, ...]
    portless: Mapping[str, tuple[str, ...]]


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

    def __init__(self, plane: ControlPlane, ports: Mapping[str, int]) -> None:
        self._plane = plane
        self._groups = Groups(plane)
        self._ports = ports
        self._shared = Shared()
        self._fleet: Fleet | None = None
        self._followed: dict[str, Followed] = {}  # by the group's name

    async def answer(self, request: Request) -> Response:
        """Return the answer to a request."""
        self._forget()
        digest = hashlib.sha256()
        found: list[tuple[str, Assignment]] = []
        unknown: list[str] = []
        for name in request.names:
            assignment = await self._assignment(name)
            if assignment is None:
                unknown.append(name)
                continue
            found.append((name, assignment))
            digest.update(f"{len(name)}:{name}:{assignment.version};".encode())
        version = digest.hexdigest()[:VERSION_DIGITS]
        body = None if version == request.version else tuple(_body(version, found))
        portless = {name: assignment.portless for name, assignment in found if assignment.portless}
        return Response(version, body, tuple(unknown), portless)

    async def _assignment(self, name: str) -> Assignment | None:
        group = self._groups.find(name)
        if group is None:
            return None
        followed = self._followed.get(group.name)
        if followed is None:
            followed = Followed(self._plane, self._groups, group.name, ports=self._ports, shared=self._shared)
            self._followed[group.name] = followed
        return await followed.renewed()

    def _forget(self) -> None:
        """Let go of groups that a reload has taken away."""
        if self._fleet is not self._plane.publisher.fleet:
            self._fleet = self._plane.publisher.fleet
            self._followed = {name: each for name, each in self._followed.items() if self._groups.find(name)}


def _body(version: str, found: Iterable[tuple[str, Assignment]]) -> Iterator[bytes]:
    yield f'{{"version_info":"{version}","resources":['.encode()
    for place, (name, assignment) in enumerate(found):
        if place:
            yield b","
        yield from assignment.resource(name)
    yield f'],"type_url":"{ASSIGNMENT_TYPE}"}}'.encode()
