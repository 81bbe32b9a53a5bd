"""A unix socket on which calls come line by line: its connections, and how much each may take.

A call is answered at once, so that a connection needs no task. It knows no method.

A connection that is idle stays: pdns_server keeps its own, and would answer SERVFAIL once for each that is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import cast

from dnsd.adapters.context import AdapterContext, log
from dnsd.adapters.powerdns.calls import Call, MalformedCall, from_json, no_answer, no_result, written
from dnsd.adapters.powerdns.socketfile import bound
from dnsd.config.settings import PowerDnsSettings

# A call is a name and a few words. Unit: bytes.
MAX_LINE_SIZE = 16 * 1024

# Open at once; pdns_server has one for each of its threads. Over it, the one that is idle longest makes room. Unit:
# connections.
MAX_CONNECTIONS = 64

# For the rest of a line, or for a reply to be read. Unit: seconds.
STALL_SECONDS = 10.0

# Of one connection, answered before others have their turn. Unit: calls.
CALLS_IN_A_ROW = 16

# Waiting to be accepted. Unit: connections.
_BACKLOG = 64

Context = AdapterContext[PowerDnsSettings]
Answer = Callable[[Call], dict[str, object]]


@contextlib.asynccontextmanager
async def listening(path: Path, context: Context, answer: Answer) -> AsyncIterator[None]:
    """Serve on a socket in the file system; its file is gone at the end.

    Args:
        answer: answers a call.

    Raises:
        StartError: see `bound`.
    """
    connections: dict[_Connection, None] = {}  # the one that is idle longest first
    loop = asyncio.get_running_loop()
    with bound(path) as sock:
        server = await loop.create_unix_server(
            lambda: _Connection(context, answer, connections), sock=sock, backlog=_BACKLOG
        )
        try:
            yield
        finally:
            server.close()
            for connection in list(connections):
                connection.close()


class _Connection(asyncio.Protocol):
    """One of PowerDNS's connections.

    Args:
        others: those that are open, the one that is idle longest first; it puts itself there.
    """

    def __init__(self, context: Context, answer: Answer, others: dict[_Connection, None]) -> None:
        self._context = context
        self._answer = answer
        self._others = others
        self._received = bytearray()
        self._transport: asyncio.Transport | None = None
        self._stall: asyncio.TimerHandle | None = None
        self._writing_waits = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast(asyncio.Transport, transport)  # a stream's loop gives no other
        if len(self._others) >= MAX_CONNECTIONS:
            self._context.count("evicted")
            next(iter(self._others)).close()
        self._others[self] = None

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._forget()

    def close(self) -> None:
        """End it at once."""
        if self._transport is not None:
            self._transport.abort()
        self._forget()

    def _forget(self) -> None:
        self._others.pop(self, None)
        self._transport = None
        self._received.clear()
        self._watch(waiting=False)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._received += data
        self._work()

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._writing_waits = True

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._writing_waits = False
        self._work()

    def _work(self) -> None:
        """Answer some of what has come; the rest when others had their turn, or when replies are read."""
        transport = self._transport
        if transport is None:
            return
        for _ in range(CALLS_IN_A_ROW):
            end = self._received.find(b"\n", 0, MAX_LINE_SIZE + 1)
            if end < 0 or self._writing_waits:
                break
            line = bytes(self._received[:end])
            del self._received[: end + 1]
            self._others[self] = self._others.pop(self, None)
            transport.write(self._reply(line))
        more = self._received.find(b"\n", 0, MAX_LINE_SIZE + 1) >= 0
        if not more and len(self._received) > MAX_LINE_SIZE:
            self._refuse(transport)
            return
        if more or self._writing_waits:
            transport.pause_reading()
        else:
            transport.resume_reading()
        if more and not self._writing_waits:
            asyncio.get_running_loop().call_soon(self._work)
        self._watch(waiting=self._writing_waits or bool(self._received and not more))

    def _refuse(self, transport: asyncio.Transport) -> None:
        self._context.count("malformed")
        self._context.complaints.say("malformed", f"a call has more than {MAX_LINE_SIZE} bytes")
        transport.write(written(no_result(f"a call has at most {MAX_LINE_SIZE} bytes")))
        transport.close()
        # It waits for what is written to be read.
        asyncio.get_running_loop().call_later(STALL_SECONDS, transport.abort)
        self._forget()

    def _watch(self, *, waiting: bool) -> None:
        """Close it if the peer leaves a line unfinished or a reply unread for too long."""
        if not waiting:
            if self._stall is not None:
                self._stall.cancel()
                self._stall = None
        elif self._stall is None:
            self._stall = asyncio.get_running_loop().call_later(STALL_SECONDS, self._stalled)

    def _stalled(self) -> None:
        self._context.count("stalled")
        self.close()

    def _reply(self, line: bytes) -> bytes:
        context = self._context
        try:
            call = from_json(line)
        except MalformedCall as error:
            return self._malformed(written(no_result(str(error))), error)
        try:
            reply = written(self._answer(call))
        except MalformedCall as error:
            return self._malformed(written(no_answer(str(error))), error)
        except Exception:  # noqa: BLE001 - the last resort; the log has it
            log.exception("%s: a fault of ours at %s", context.name, call.method)
            context.count("failed")
            return written(no_answer("the server failed; its log says how"))
        context.count("ok")
        return reply

    def _malformed(self, reply: bytes, error: MalformedCall) -> bytes:
        self._context.count("malformed")
        self._context.complaints.say("malformed", str(error))
        return reply
