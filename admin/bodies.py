"""Request bodies: JSON objects, read strictly, with every field at fault named."""

from __future__ import annotations

import asyncio
import json
import math
import re
from typing import Any

from aiohttp import web
from pydantic import ValidationError

from admin.phrases import field_error
from admin.problems import BODY_TIMEOUT, MALFORMED_BODY, UNSUPPORTED_MEDIA_TYPE, Fault
from dnsd.api.schemas import FieldError, Request

# The largest body taken: a node with hundreds of labels fits. Unit: bytes.
MAX_BODY_SIZE = 64 * 1024

# How long a body may take to arrive. Unit: seconds.
BODY_TIMEOUT_SECONDS = 10.0


async def read_body(request: web.Request, model: type[Request] | None) -> tuple[Request | None, list[FieldError]]:
    """Return the request's body as its model, and every reason why it is not taken.

    Args:
        model: None: the call takes no body.

    Raises:
        Fault: 400, 408 or 415 where there are no fields to speak of.
        HTTPRequestEntityTooLarge: it is larger than `MAX_BODY_SIZE`.
    """
    if model is None:
        if request.can_read_body and await _read_bytes(request):
            raise Fault(MALFORMED_BODY, "This call takes no body.")
        return None, []
    _check_media_type(request)
    data = await _read_bytes(request)
    check_json(data)
    try:
        # Validated as JSON rather than as Python objects: an instant is then text and nothing else.
        return model.model_validate_json(data), []
    except ValidationError as error:
        return None, [field_error(item) for item in error.errors(include_url=False)]


def _check_media_type(request: web.Request) -> None:
    if "Content-Type" not in request.headers and not request.can_read_body:
        raise Fault(MALFORMED_BODY, "A JSON object is expected.")
    # Also a guard: a web page elsewhere cannot send this type without asking the server first.
    if request.content_type != "application/json":
        raise Fault(UNSUPPORTED_MEDIA_TYPE, "Send the body as application/json.")
    if (request.charset or "utf-8").lower() not in ("utf-8", "utf8"):
        raise Fault(UNSUPPORTED_MEDIA_TYPE, "JSON is sent in UTF-8 (RFC 8259 §8.1).")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Fault(UNSUPPORTED_MEDIA_TYPE, "Send the body without compression.")


async def _read_bytes(request: web.Request) -> bytes:
    try:
        async with asyncio.timeout(BODY_TIMEOUT_SECONDS):
            return await request.read()
    except TimeoutError:
        raise Fault(BODY_TIMEOUT, f"It did not arrive within {BODY_TIMEOUT_SECONDS:g} s.") from None
    except web.RequestPayloadError:
        raise Fault(MALFORMED_BODY, "The body's transfer coding is broken.") from None


def check_json(data: bytes) -> None:
    """Refuse what JSON parsers disagree on: repeated keys, numbers out of range, broken text.

    Raises:
        Fault: 400.
    """
    try:
        decoder = _STRICT if _LONG_NUMBER.search(data) else _OF_SHORT_NUMBERS
        value = decoder.decode(data.decode("utf-8"))
        if b"\\" in data:  # without an escape, it has no half of a surrogate pair
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeDecodeError:
        raise Fault(MALFORMED_BODY, "The body is not UTF-8.") from None
    except UnicodeEncodeError:
        raise Fault(MALFORMED_BODY, "The body's text holds half of a surrogate pair.") from None
    except RecursionError:
        raise Fault(MALFORMED_BODY, "The body is nested too deeply.") from None
    except ValueError as error:
        raise Fault(MALFORMED_BODY, f"The body is not JSON: {error}.") from None
    if not isinstance(value, dict):
        raise Fault(MALFORMED_BODY, "The body is not a JSON object.")


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        keys = [key for key, _ in pairs]
        repeated = next(key for place, key in enumerate(keys) if key in keys[:place])
        raise ValueError(f"the key {repeated!r} is given more than once")
    return value


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is not a finite number")
    return value


_STRICT = json.JSONDecoder(
    object_pairs_hook=_without_repeats, parse_int=_finite, parse_float=_finite, parse_constant=_finite
)

# The largest double has 309 digits: an integer of fewer is finite, which need not be asked of each.
_LONG_NUMBER = re.compile(rb"[0-9]{309}")
_OF_SHORT_NUMBERS = json.JSONDecoder(object_pairs_hook=_without_repeats, parse_float=_finite, parse_constant=_finite)
