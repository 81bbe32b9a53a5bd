"""What a request to the router's service asks for, checked."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dnsd.errors import InvalidRequest
from dnsd.model.node import NODE_ID, ROLE
from dnsd.router.members import Purpose

# Of a key: a stream's name, a path, a client's address. Unit: characters.
MAX_KEY_SIZE = 4096

# Nodes that a client says have failed it. Unit: nodes.
MAX_EXCLUDED = 64

# As ASCII, so that a token has room for it.
KIND = re.compile(r"[A-Za-z0-9_.-]{0,64}")

QUERY = ("key", "near", "exclude", "purpose", "session", "node", "redirect")
BODY = ("role", "key", "kind", "near", "exclude", "session")

PURPOSES = {"new": Purpose.NEW, "source": Purpose.SOURCE}


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteRequest:
    """A node that is asked for.

    Args:
        key: None: any node.
        session: the token of the session that asks; None: a new one.
        node: with the purpose `SOURCE`: where the stream is, as the caller knows.
        redirect: None: as the role is configured.
    """

    role: str
    key: str | None = None
    near: str | None = None
    exclude: frozenset[str] = frozenset()
    purpose: Purpose = Purpose.NEW
    session: str | None = None
    node: str | None = None
    kind: str = ""
    redirect: bool | None = None


def of_query(role: str, query: Mapping[str, str]) -> RouteRequest:
    """Read what a GET asks for.

    Raises:
        InvalidRequest: something makes no sense.
    """
    _check_names(query, QUERY)
    purpose = query.get("purpose", "new")
    if purpose not in PURPOSES:
        raise InvalidRequest(f"{purpose!r} is no purpose: new, source", field="purpose")
    node = query.get("node")
    if node is not None and (PURPOSES[purpose] is not Purpose.SOURCE or not NODE_ID.fullmatch(node)):
        raise InvalidRequest("node is a node's id, and goes with purpose=source", field="node")
    redirect = query.get("redirect")
    if redirect not in (None, "0", "1"):
        raise InvalidRequest("redirect is 0 or 1", field="redirect")
    return RouteRequest(
        role=_role(role),
        key=_key(query.get("key")),
        near=query.get("near"),
        exclude=_excluded([each for each in query.get("exclude", "").split(",") if each]),
        purpose=PURPOSES[purpose],
        session=query.get("session"),
        node=node,
        redirect=None if redirect is None else redirect == "1",
    )


def of_body(body: bytes) -> RouteRequest:
    """Read what a POST asks for.

    Raises:
        InvalidRequest: it is no JSON object, or something in it makes no sense.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise InvalidRequest("the body is not JSON") from None
    if not isinstance(document, dict):
        raise InvalidRequest("the body is not a JSON object")
    _check_names(document, BODY)
    texts = {name: _text(document, name) for name in ("role", "key", "kind", "near", "session")}
    exclude = document.get("exclude") or []
    if not isinstance(exclude, list) or not all(isinstance(each, str) for each in exclude):
        raise InvalidRequest("exclude is a list of nodes' ids", field="exclude")
    kind = texts["kind"] or ""
    if not KIND.fullmatch(kind):
        raise InvalidRequest("kind is a word of letters, digits and _ . -, at most 64", field="kind")
    return RouteRequest(
        role=_role(texts["role"] or ""),
        key=_key(texts["key"]),
        near=texts["near"],
        exclude=_excluded(exclude),
        session=texts["session"],
        kind=kind,
    )


def _check_names(given: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for name in given:
        if name not in known:
            field = name if name.isprintable() else None  # a lone surrogate is no text that could be answered
            raise InvalidRequest(f"there is no {name!r} here; there are {', '.join(known)}", field=field)


def _text(document: Mapping[str, Any], name: str) -> str | None:
    value = document.get(name)
    if value is not None and not isinstance(value, str):
        raise InvalidRequest(f"{name} is text", field=name)
    return value


def _role(role: str) -> str:
    if not ROLE.fullmatch(role):
        raise InvalidRequest(f"{role!r} cannot be a role", field="role")
    return role


def _key(key: str | None) -> str | None:
    if key is not None and len(key) > MAX_KEY_SIZE:
        raise InvalidRequest(f"a key has at most {MAX_KEY_SIZE} characters", field="key")
    return key


def _excluded(ids: list[str]) -> frozenset[str]:
    if len(ids) > MAX_EXCLUDED:
        raise InvalidRequest(f"at most {MAX_EXCLUDED} nodes can be excluded", field="exclude")
    return frozenset(ids)
