"""Errors of the router's service as HTTP: problem+json (RFC 9457), each with a stable id."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from dnsd.model.drain import Drain
from dnsd.model.times import format_instant
from dnsd.router.errors import (
    AllDown,
    AllDrained,
    AllExcluded,
    NoNode,
    NoNodes,
    NotFollowing,
    NotLoaded,
    NoUrl,
    UnknownRole,
)

MEDIA_TYPE = "application/problem+json"

# When to ask again: a drain is released, or a node comes back, within seconds or hours; often costs little.
# Unit: seconds.
RETRY_AFTER_SECONDS = 5
RETRY_AFTER_LOADING_SECONDS = 1

# Drains that an answer lists; a whole fleet's would be of no use to anybody. Unit: drains.
DRAINS_LISTED = 20

TITLES = {
    NotLoaded: "The drains are not loaded yet",
    NotFollowing: "The router has failed",
    UnknownRole: "There is no such role",
    NoNodes: "No node has the role",
    AllDrained: "Every node of the role is drained",
    AllDown: "No node of the role is up",
    NoUrl: "No node of the role has a URL",
    AllExcluded: "The request excludes every node",
}

HEADERS = {"Cache-Control": "no-store", "Server": "dnsd"}


def problem(
    status: int, problem_id: str, title: str, detail: str, *, headers: dict[str, str] | None = None, **more: Any
) -> web.Response:
    """Return a problem as an answer."""
    document = {"type": f"/problems/{problem_id}", "title": title, "status": status, "detail": detail}
    return web.Response(
        status=status,
        # In ASCII: what it quotes of a request need not be text that UTF-8 has.
        text=json.dumps({**document, "id": problem_id, **more}),
        content_type=MEDIA_TYPE,
        headers={**HEADERS, **(headers or {})},
    )


def invalid(field: str, message: str) -> web.Response:
    """Return the answer to a request that makes no sense."""
    return problem(400, "invalid-request", "The request makes no sense", message, field=field)


def no_node(error: NoNode, *, role: str) -> web.Response:
    """Return the answer where there is no node: 503, which may be asked again, or 404 for an unknown role."""
    if isinstance(error, NotFollowing):
        return problem(503, error.id, TITLES[NotFollowing], str(error), role=role)
    if not error.passes:
        return problem(404, error.id, TITLES[type(error)], str(error), role=role)
    seconds = RETRY_AFTER_LOADING_SECONDS if isinstance(error, NotLoaded) else RETRY_AFTER_SECONDS
    more = {"drains": _listed(error.drains)} if isinstance(error, AllDrained) else {}
    headers = {"Retry-After": str(seconds)}
    return problem(503, error.id, TITLES[type(error)], str(error), headers=headers, role=role, **more)


def _listed(drains: Sequence[Drain]) -> list[dict[str, Any]]:
    return [
        {
            "node": each.node,
            "mode": each.mode.text,
            "holder": each.holder,
            "actor": each.actor,
            "reason": each.reason,
            "since": format_instant(each.effective_since),
            "expires_at": None if each.expires_at is None else format_instant(each.expires_at),
        }
        for each in drains[:DRAINS_LISTED]
    ]
