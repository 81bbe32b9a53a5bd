"""What every call goes through, whatever its service: who may connect, what cannot be read, and how it ended.

call ─ address allowed ─ message read ─ service ─ answer
          any error on the way, the service's included, becomes a problem (dnsd.adapters.grpc.problems)

It counts each call once, by its end. It knows no call's meaning.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any
from urllib.parse import unquote

import grpc
from google.protobuf.message import DecodeError

from admin.bodies import BODY_TIMEOUT_SECONDS
from admin.problems import BODY_TIMEOUT, MALFORMED_BODY, TOO_MANY_STREAMS, Fault, problem_of
from dnsd.adapters.access import is_allowed
from dnsd.adapters.context import AdapterContext
from dnsd.adapters.grpc.problems import ADDRESS_NOT_ALLOWED, DETAILS_KEY, WATCH_ENDED, status_of
from dnsd.adapters.grpc.v1 import control_pb2
from dnsd.api.schemas import ProblemDetail
from dnsd.config.settings import GrpcSettings

# How long a client may take to take in how its call has ended; behind what it has not read yet, it never may.
# Unit: seconds.
ABORT_TIMEOUT_SECONDS = 5.0

# How long a call may be without its message, as a body of HTTP. Unit: seconds.
MESSAGE_TIMEOUT_SECONDS = BODY_TIMEOUT_SECONDS

# Streams at once of the services that ask for no token, health and reflection: whoever may connect may keep them open,
# and must leave room for other calls. Unit: streams.
MAX_OPEN_STREAMS = 128

# The service that asks for a token, and counts its streams by itself.
GUARDED = f"/{control_pb2.DESCRIPTOR.services_by_name['Control'].full_name}/"

Context = grpc.aio.ServicerContext[Any, Any]
Behaviour = Callable[[AsyncIterator[Any], Context], Awaitable[Any]]


class _Unreadable:
    """Stands for a message that is none of the kind that its call takes."""


class Frame(grpc.aio.ServerInterceptor):
    """Wraps every call of a server."""

    def __init__(self, context: AdapterContext[GrpcSettings]) -> None:
        self._adapter = context
        self._open_streams = 0

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        """Return what carries out a call; None: there is no such method, which the library tells the client.

        Every call is taken as one whose client may send several messages: else the library waits for the one that it
        takes, for ever, before anybody has looked at who calls.
        """
        handler = await continuation(details)
        if handler is None:
            self._adapter.count("malformed")
            return None
        options = (_reading(handler.request_deserializer), handler.response_serializer)
        if not handler.response_streaming:
            return grpc.stream_unary_rpc_method_handler(self._unary(handler.unary_unary), *options)
        bounded = not details.method.startswith(GUARDED)
        if not handler.request_streaming:
            return grpc.stream_stream_rpc_method_handler(self._unary(handler.unary_stream, bounded=bounded), *options)
        return grpc.stream_stream_rpc_method_handler(self._stream(handler.stream_stream), *options)

    def _unary(self, behaviour: Callable[[Any, Context], Awaitable[Any]], *, bounded: bool = False) -> Behaviour:
        async def framed(requests: AsyncIterator[Any], context: Context) -> Any:
            async def act() -> Any:
                with self._place() if bounded else contextlib.nullcontext():
                    return await behaviour(await _only(requests), context)

            return await self._ended(act, context)

        return framed

    def _stream(self, behaviour: Callable[[AsyncIterator[Any], Context], AsyncIterator[Any]]) -> Behaviour:
        async def framed(requests: AsyncIterator[Any], context: Context) -> None:
            async def act() -> None:
                with self._place():
                    async for answer in behaviour(_readable(requests), context):
                        await context.write(answer)

            await self._ended(act, context)

        return framed

    @contextlib.contextmanager
    def _place(self) -> Iterator[None]:
        """Count a stream that needs no token, while it is open."""
        if self._open_streams >= MAX_OPEN_STREAMS:
            raise Fault(TOO_MANY_STREAMS, "Close another stream first.", headers={"Retry-After": "10"})
        self._open_streams += 1
        try:
            yield
        finally:
            self._open_streams -= 1

    async def _ended(self, act: Callable[[], Awaitable[Any]], context: Context) -> Any:
        """Carry out a call, and count and tell how it ends."""
        try:
            self._check_address(address_of(context.peer()))
            answer = await act()
        except asyncio.CancelledError:
            self._adapter.count("cancelled")
            raise
        except grpc.aio.AbortError:  # the service has told the client by itself
            self._adapter.count("malformed")
            raise
        except Exception as error:  # noqa: BLE001 - the last resort; what is not expected is logged there
            told = problem_of(error, self._adapter.plane)
            code, text, details = status_of(told)
            self._adapter.count(_result(told.problem))
            return await _abort(context, code, text, details)
        self._adapter.count("ok")
        return answer

    def _check_address(self, address: str) -> None:
        if not is_allowed(address, self._adapter.settings.allow):
            self._adapter.complaints.say("refused", f"{address} is not among those who are allowed")
            raise Fault(ADDRESS_NOT_ALLOWED, f"{address} is not among those that [grpc] allows.")


def _result(problem: ProblemDetail) -> str:
    """Return what a call with a problem counts as."""
    if problem.id == WATCH_ENDED.id:
        return "ended"
    if problem.status in (401, 403):
        return "refused"
    return "malformed" if problem.status < 500 else "failed"


async def _abort(context: Context, code: grpc.StatusCode, text: str, details: bytes) -> None:
    """End a call with an error; where the client does not take that in, leave the rest to the library."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(ABORT_TIMEOUT_SECONDS):
            await context.abort(code, text, ((DETAILS_KEY, details),))


def address_of(peer: str) -> str:
    """Return the address in the library's name of a peer, as `ipv4:192.0.2.1:50000` and `ipv6:%5B::1%5D:50000`."""
    _, _, rest = unquote(peer).partition(":")
    return rest.rpartition(":")[0].strip("[]")


def _reading(deserializer: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def read(data: bytes) -> Any:
        try:
            return deserializer(data)
        except DecodeError:
            return _Unreadable()

    return read


def _check_readable(request: object) -> None:
    if isinstance(request, _Unreadable):
        raise Fault(MALFORMED_BODY, "It is no message of the kind that the call takes.")


async def _only(requests: AsyncIterator[Any]) -> Any:
    """Return the message of a call that has one; more are not looked at."""
    try:
        async with asyncio.timeout(MESSAGE_TIMEOUT_SECONDS):
            request = await anext(aiter(requests), None)
    except TimeoutError:
        raise Fault(BODY_TIMEOUT, f"It did not arrive within {MESSAGE_TIMEOUT_SECONDS:g} s.") from None
    if request is None:
        raise Fault(MALFORMED_BODY, "The call has no message.")
    _check_readable(request)
    return request


async def _readable(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for request in requests:
        _check_readable(request)
        yield request
