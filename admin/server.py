"""The listening socket of the admin interface, or of an adapter that speaks HTTP, and its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import web

from admin.app import LANE
from admin.connections import HEADER_TIMEOUT_SECONDS, MAX_CONNECTIONS, Connection, Connections, prove_connection
from admin.problems import malformed_request
from dnsd.errors import StartError
from dnsd.model.endpoint import Endpoint
from dnsd.oserrors import reason_of

# How long requests in flight may take to end when the server stops; aiohttp takes up to twice that. Unit: seconds.
SHUTDOWN_GRACE_SECONDS = 1.0

# How long an idle connection is kept. Unit: seconds.
KEEPALIVE_SECONDS = 75.0

# Connections that the kernel holds until they are accepted; all of them may be over the limit for a moment.
# Unit: connections.
BACKLOG = 128


class AdminServer:
    """Serves an application on one address.

    Args:
        host: an IP address without brackets.
        port: 0: any free one; `endpoint` says which.
        max_connections: open at once.
        header_timeout_seconds: for the header of a connection's first request.
        what: what it is called where it cannot listen, and in the log.
        malformed: makes the response to what is no HTTP, from the reason.
    """

    def __init__(
        self,
        app: web.Application,
        host: str,
        port: int,
        *,
        max_connections: int = MAX_CONNECTIONS,
        header_timeout_seconds: float = HEADER_TIMEOUT_SECONDS,
        what: str = "the admin interface",
        malformed: Callable[[str], web.Response] = malformed_request,
    ) -> None:
        app.middlewares.insert(0, prove_connection)
        self._runner = web.AppRunner(app, shutdown_timeout=SHUTDOWN_GRACE_SECONDS)
        self._lane = app.get(LANE)
        self._connections = Connections(
            limit=max_connections, header_timeout_seconds=header_timeout_seconds, what=what, malformed=malformed
        )
        self._listener: asyncio.Server | None = None
        self._wanted = Endpoint(host, port)
        self._what = what

    @property
    def endpoint(self) -> Endpoint:
        """Where it listens; before the start, where it is to."""
        sockets = self._listener.sockets if self._listener is not None else ()
        return Endpoint(self._wanted.host, sockets[0].getsockname()[1]) if sockets else self._wanted

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self.endpoint.port

    async def start(self) -> None:
        """Listen and serve.

        Raises:
            StartError: the address cannot be had.
        """
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        try:
            self._listener = await loop.create_server(
                self._connection, self._wanted.host, self._wanted.port, backlog=BACKLOG
            )
        except OSError as error:
            await self._runner.cleanup()
            raise StartError(f"{self._what} cannot listen on {self._wanted.text}: {reason_of(error)}") from None

    def _connection(self) -> Connection:
        if self._runner.server is None:
            raise RuntimeError("a connection came in before the application was set up")
        return Connection(
            self._runner.server,
            connections=self._connections,
            lane=self._lane,
            keepalive_timeout=KEEPALIVE_SECONDS,
            access_log=None,  # who changed what is in the history
        )

    async def stop(self) -> None:
        """Stop listening, end event streams, let requests in flight finish for a moment, and close."""
        if self._listener is not None:
            self._listener.close()
        await self._runner.cleanup()
