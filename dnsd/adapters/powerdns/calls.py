"""A call of PowerDNS, out of a line of JSON or an HTTP request, and the replies that say why there is no result.

The two ways name the same things: over HTTP, what is a parameter in JSON is a part of the path, a header, or a field of
the query. It knows their form, and no method's meaning.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote

from dnsd.adapters import writing
from dnsd.errors import PeerError

Reply = dict[str, Any]

# What follows a method in the path of a request, in the order in which pdns_server puts it there.
_PARTS: Mapping[str, tuple[str, ...]] = {
    "lookup": ("qname", "qtype"),
    "APILookup": ("qname", "qtype"),
    "list": ("domain_id", "zonename"),
    "getDomainInfo": ("name",),
    "getAllDomainMetadata": ("name",),
    "getDomainMetadata": ("name", "kind"),
    "getDomainKeys": ("name",),
    "getTSIGKey": ("name",),
    "getBeforeAndAfterNamesAbsolute": ("id", "qname"),
}
_ZONE_ID = "zone-id"
_HEADER_PREFIX = "X-RemoteBackend-"

# Of a form or query; PowerDNS sends two. Unit: fields.
MAX_FIELDS = 100

_FORM = "application/x-www-form-urlencoded"
_FORM_FIELD = "parameters"


class MalformedCall(PeerError):
    """It is no call, or one without what its method needs.

    Args:
        reason: one line.
    """


@dataclass(frozen=True, slots=True)
class Call:
    """A method, and what it is called with; of parameters nobody has looked at more than the names."""

    method: str
    parameters: Mapping[str, Any]


def no_result(why: str) -> Reply:
    """Return the protocol's own "no": nothing is there, or it is not done here."""
    return {"result": False, "log": [why]}


def no_answer(why: str) -> Reply:
    """Return what PowerDNS takes as a failure of the backend: it answers SERVFAIL, where a "no" were NXDOMAIN."""
    return {"result": None, "log": [why]}


def written(reply: Reply) -> bytes:
    """Return a reply as PowerDNS gets it, with the end of its line."""
    return writing.written(reply) + b"\n"


def from_json(text: bytes) -> Call:
    """Read a call that is one JSON object.

    Raises:
        MalformedCall: it is none.
    """
    document = _json(text)
    method = document.get("method") if isinstance(document, dict) else None
    if not isinstance(method, str):
        raise MalformedCall('a call is a JSON object with the text "method"')
    return Call(method, _parameters(document.get("parameters", {})))


def from_http(path: str, headers: Mapping[str, str], *, content_type: str, body: bytes) -> Call:
    """Read a call that is an HTTP request, in any of the three forms that pdns_server has for it.

    Args:
        path: as it came, still encoded, with its query.
        headers: by name in any case.
        content_type: of the body, without parameters; `""`: there is none.

    Raises:
        MalformedCall: it is none.
    """
    path, _, query = path.partition("?")
    method, *parts = (unquote(part) for part in path.removeprefix("/").split("/"))
    if not method:  # post_json
        return from_json(body)
    if content_type == _FORM:
        fields = _fields(body.decode("utf-8", "replace"))
        if _FORM_FIELD in fields:  # post
            return Call(method, _parameters(_json(fields[_FORM_FIELD].encode())))
    names = _PARTS.get(method, ())
    if method in _PARTS and len(parts) != len(names):
        raise MalformedCall(f"the path of {method} is /{method}/{'/'.join(name.upper() for name in names)}")
    parameters = {**_fields(query), **dict(zip(names, parts, strict=False))}
    if (zone_id := headers.get(_HEADER_PREFIX + _ZONE_ID)) is not None:
        parameters[_ZONE_ID] = zone_id
    return Call(method, parameters)


def _json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MalformedCall(f"this is no JSON: {error}") from None


def _parameters(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise MalformedCall('"parameters" is a JSON object')
    return value


def _fields(text: str) -> dict[str, str]:
    """Return the fields of a form or query, of each name the first."""
    try:
        return {
            name: values[0]
            for name, values in parse_qs(text, keep_blank_values=True, max_num_fields=MAX_FIELDS).items()
        }
    except ValueError as error:
        raise MalformedCall(f"these are no fields of a form: {error}") from None
