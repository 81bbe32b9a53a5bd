"""The sockets of HAProxy's agent-check: a connection is one line in and one line out.

It owns connections and their bounds. What is said stands in `answering`.
"""

from __future__ import annotations

import asyncio
from typing import cast

from dnsd.adapters.access import is_allowed
from dnsd.adapters.context import AdapterContext, log
from dnsd.adapters.groups import Groups
from dnsd.adapters.haproxy.answering import MALFORMED, MAX_LINE, Answer, answer
from dnsd.config.settings import AdapterSettings
from dnsd.errors import StartError
from dnsd.model.endpoint import Endpoint
from dnsd.oserrors import reason_of

# From the connection to its end: HAProxy sends its line at once, and reads the answer at once. Unit: seconds.
CONNECTION_SECONDS = 5.0

# Open at once; a check is over in a millisecond, so that this is far more than checks need. Unit: connections.
MAX_CONNECTIONS = 1024

# Kept by the kernel until they are taken: a HAProxy of many servers checks them in bursts. Unit: connections.
BACKLOG = 1024


class AgentCheck:
    """The adapter.

    Args:
        connection_seconds: how long a connection may take in all.
        max_connections: open at once; what is more is closed without an answer, which HAProxy takes for no news.
    """

    def __init__(
        self,
        context: AdapterContext[AdapterSettings],
        *,
        connection_seconds: float = CONNECTION_SECONDS,
        max_connections: int = MAX_CONNECTIONS,
    ) -> None:
        self.context = context
        self.connection_seconds = connection_seconds
        self.max_connections = max_connections
        self.open: set[AgentConnection] = set()
        self.groups = Groups(context.plane)
        self._waiting: list[AgentConnection] = []

    async def run(self) -> None:
        """See `Adapter.run`."""
        endpoint = self.context.settings.listen
        if endpoint is None:
            raise ValueError("the agent-check needs an address")
        loop = asyncio.get_running_loop()
        try:
            server = await loop.create_server(
                lambda: AgentConnection(self), endpoint.host, endpoint.port, backlog=BACKLOG
            )
        except OSError as error:
            raise StartError(f"cannot listen on {endpoint.text}: {reason_of(error)}") from None
        try:
            self.context.listening(Endpoint(*server.sockets[0].getsockname()[:2]).text)
            await asyncio.Event().wait()
        finally:
            server.close()
            for connection in list(self.open):
                connection.abort()

    @property
    def is_waiting(self) -> bool:
        """Say whether somebody waits for something that takes several turns to find out."""
        return bool(self._waiting)

    def wait(self, connection: AgentConnection) -> None:
        """Have a connection answered when others had their turn; all that wait have one in common."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._go_on)
        self._waiting.append(connection)

    def _go_on(self) -> None:
        waiting, self._waiting = self._waiting, []
        for connection in waiting:
            connection.answer()


class AgentConnection(asyncio.Protocol):
    """One check."""

    def __init__(self, adapter: AgentCheck) -> None:
        self._adapter = adapter
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._received = b""
        self._line: bytes | None = None  # what is asked, once it is there
        self._answered = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, or close it where the peer may not have it."""
        self._transport = transport = cast(asyncio.Transport, transport)  # a stream's loop gives no other
        context = self._adapter.context
        peer = transport.get_extra_info("peername")
        if peer is None:  # gone already
            transport.abort()
        elif not is_allowed(peer[0], context.settings.allow):
            context.refuse(peer[0])
            transport.abort()
        elif len(self._adapter.open) >= self._adapter.max_connections:
            context.count("busy")
            context.complaints.say("busy", f"more than {self._adapter.max_connections} connections at once")
            transport.abort()
        else:
            self._adapter.open.add(self)
            loop = asyncio.get_running_loop()
            self._deadline = loop.call_later(self._adapter.connection_seconds, self._too_late)

    def data_received(self, data: bytes) -> None:
        """Collect the line, and answer it when it is there."""
        if self._line is not None:
            return  # one line is all that a check sends
        self._received += data
        line, end, _ = self._received.partition(b"\n")
        if end or len(line) > MAX_LINE:
            self._line = line
            self.answer()

    def eof_received(self) -> bool:
        """Take what is there for the line: some clients end it by ending."""
        if self._received and self._line is None:
            self._line = self._received
            self.answer()
        return self._line is not None  # it is closed behind the answer

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._adapter.open.discard(self)
        if self._deadline is not None:
            self._deadline.cancel()

    def abort(self) -> None:
        """End it at once."""
        if self._transport is not None:
            self._transport.abort()

    def answer(self) -> None:
        """Answer the line, or wait until that can be done."""
        adapter, context, transport = self._adapter, self._adapter.context, self._transport
        if self._line is None or transport is None or transport.is_closing():
            return
        try:
            found = None if adapter.is_waiting else self._found(self._line)
        except Exception:  # noqa: BLE001 - the last resort; the log has it, and HAProxy changes nothing
            log.exception("%s: a fault of ours", context.name)
            context.count("failed")
            self._answered = True
            self.abort()
            return
        if found is None:
            adapter.wait(self)
            return
        self._answered = True
        context.count(found.result)
        if found.complaint:
            context.complaints.say(found.result, found.complaint)
        transport.write(found.line)
        transport.close()

    def _found(self, line: bytes) -> Answer | None:
        if len(line) > MAX_LINE:
            return MALFORMED
        return answer(line, self._adapter.groups, self._adapter.context.plane.publisher.fleet)

    def _too_late(self) -> None:
        if not self._answered:
            self._adapter.context.count("timeout")
        self.abort()
