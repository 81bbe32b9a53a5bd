"""One request and its answer over HTTP: the only module that touches the HTTP library.

It maps what the library raises, and what no dnsd server would send, to the errors of `dnsd.api.errors`. It knows
nothing of what the documents mean.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Self, TypeVar

import aiohttp
from pydantic import BaseModel, ValidationError
from yarl import URL

from dnsd.api.address import checked_server, checked_token
from dnsd.api.errors import ApiError, NoAnswerInTime, ServerUnreachable, UnexpectedAnswer
from dnsd.api.schemas import ProblemDetail
from dnsd.errors import DnsdError
from dnsd.oserrors import reason_of

# For the TCP and TLS handshakes. Unit: seconds.
CONNECT_TIMEOUT_SECONDS = 5.0

# From the request to the end of its answer. Unit: seconds.
REQUEST_TIMEOUT_SECONDS = 30.0

# A revision as an ETag. A number of more digits is none (`schemas.MAX_INTEGER`).
_REVISION_ETAG = re.compile(r'(?:W/)?"([0-9]{1,19})"')

PROBLEM_TYPE = "application/problem+json"  # RFC 9457 §3
JSON_TYPE = "application/json"

AnswerT = TypeVar("AnswerT", bound=BaseModel)
Query = Sequence[tuple[str, str]]


class Exchange:
    """A connection pool to one server; use it as an asynchronous context manager.

    Args:
        server: its URL.
        token: bearer token; None: the server takes anybody who reaches it.
        timeout_seconds: for a whole request, where the call names no other.

    Raises:
        ValueError: the URL or the token cannot be used.
    """

    def __init__(self, server: str, *, token: str | None, timeout_seconds: float) -> None:
        self.server = checked_server(server)
        self._timeout_seconds = timeout_seconds
        self._headers = {"Accept": f"{JSON_TYPE}, {PROBLEM_TYPE}"}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {checked_token(token)}"
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(headers=self._headers, cookie_jar=aiohttp.DummyCookieJar())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def ask(
        self,
        method: str,
        path: str,
        *,
        answer: type[AnswerT],
        query: Query = (),
        body: BaseModel | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_seconds: float | None = None,
    ) -> AnswerT:
        """Send a request and return its answer.

        Args:
            path: percent-encoded, from the first slash.
            answer: the schema of a successful answer.
            query: names and values, not yet encoded; a name may repeat.
            timeout_seconds: None: the one that the exchange was made with.

        Raises:
            ServerUnreachable, UnexpectedAnswer, ApiError: as they say.
        """
        found, _ = await self.ask_at(
            method, path, answer=answer, query=query, body=body, headers=headers, timeout_seconds=timeout_seconds
        )
        return found

    async def ask_at(
        self,
        method: str,
        path: str,
        *,
        answer: type[AnswerT],
        query: Query = (),
        body: BaseModel | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_seconds: float | None = None,
    ) -> tuple[AnswerT, int | None]:
        """As `ask`, with the revision of the state that the answer is of; None: it names none."""
        seconds = self._timeout_seconds if timeout_seconds is None else timeout_seconds
        limits = aiohttp.ClientTimeout(total=seconds, connect=min(CONNECT_TIMEOUT_SECONDS, seconds))
        async with self.open(method, path, query=query, body=body, headers=headers, limits=limits) as response:
            payload = await response.read()
        return _parsed(response, payload, answer), revision_of(response)

    @contextlib.asynccontextmanager
    async def open(
        self,
        method: str,
        path: str,
        *,
        limits: aiohttp.ClientTimeout,
        query: Query = (),
        body: BaseModel | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request and yield its answer while its body still comes; refusals are raised already.

        Raises:
            ServerUnreachable: also where the connection breaks while the body is read.
            UnexpectedAnswer, ApiError: as they say.
        """
        if self._session is None:
            raise RuntimeError("the client is used outside its `async with` block")
        sent_headers = dict(headers or {})
        data = None
        if body is not None:
            data = body.model_dump_json(exclude_none=True).encode()
            sent_headers["Content-Type"] = JSON_TYPE
        url = URL(self.server + path, encoded=True).with_query(list(query))
        try:
            # A redirect would carry the token to wherever it points; no dnsd server sends one.
            async with self._session.request(
                method, url, data=data, headers=sent_headers, timeout=limits, allow_redirects=False
            ) as response:
                if response.status >= 300:
                    raise _refusal(response, await response.read())
                yield response
        except (aiohttp.ClientError, TimeoutError) as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: aiohttp.ClientError | TimeoutError) -> ServerUnreachable:
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            return ServerUnreachable(self.server, "no connection in time", sent=False)
        if isinstance(error, TimeoutError):
            return NoAnswerInTime(self.server)
        if isinstance(error, aiohttp.ClientConnectorError):
            return ServerUnreachable(self.server, reason_of(error), sent=False)
        return ServerUnreachable(self.server, f"the connection broke ({error or type(error).__name__})", sent=True)


def revision_of(response: aiohttp.ClientResponse) -> int | None:
    """Return the revision that an answer names as its ETag; None: it names none.

    A proxy that compresses makes the ETag a weak one (RFC 9110 §8.8.1), of the same revision.
    """
    found = _REVISION_ETAG.fullmatch(response.headers.get("ETag", ""))
    return None if found is None else int(found[1])


def _parsed(response: aiohttp.ClientResponse, payload: bytes, answer: type[AnswerT]) -> AnswerT:
    _check_type(response, JSON_TYPE)
    try:
        return answer.model_validate_json(payload)
    except ValidationError as error:
        raise UnexpectedAnswer(str(response.url), status=response.status, reason=_first_reason(error)) from None


def _refusal(response: aiohttp.ClientResponse, payload: bytes) -> DnsdError:
    if response.content_type != PROBLEM_TYPE:
        return _wrong_type(response, PROBLEM_TYPE)
    try:
        return ApiError(ProblemDetail.model_validate_json(payload))
    except ValidationError as error:
        return UnexpectedAnswer(str(response.url), status=response.status, reason=_first_reason(error))


def _check_type(response: aiohttp.ClientResponse, wanted: str) -> None:
    if response.content_type != wanted:
        raise _wrong_type(response, wanted)


def _wrong_type(response: aiohttp.ClientResponse, wanted: str) -> UnexpectedAnswer:
    reason = f"its body is {response.content_type} where a dnsd server sends {wanted}"
    return UnexpectedAnswer(str(response.url), status=response.status, reason=reason)


def _first_reason(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "its body"
    return f"{place} is not what this version reads: {first['msg']}"
