"""The listening socket of the admin interface, and its end."""

from __future__ import annotations

import os

from aiohttp import web

from dnsd.config.settings import Endpoint
from dnsd.errors import StartError

# How long requests in flight may take to end when the server stops; aiohttp takes up to twice that. Unit: seconds.
SHUTDOWN_GRACE_SECONDS = 1.0

# How long an idle connection is kept. Unit: seconds.
KEEPALIVE_SECONDS = 75.0


class AdminServer:
    """Serves an application on one address.

    Args:
        host: an IP address without brackets.
        port: 0: any free one; `endpoint` says which.
    """

    def __init__(self, app: web.Application, host: str, port: int) -> None:
        self._runner = web.AppRunner(
            app,
            access_log=None,  # who changed what is in the history
            keepalive_timeout=KEEPALIVE_SECONDS,
            shutdown_timeout=SHUTDOWN_GRACE_SECONDS,
        )
        self._wanted = Endpoint(host, port)

    @property
    def endpoint(self) -> Endpoint:
        """Where it listens; before the start, where it is to."""
        addresses = self._runner.addresses
        return Endpoint(self._wanted.host, addresses[0][1]) if addresses else self._wanted

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
        try:
            await web.TCPSite(self._runner, self._wanted.host, self._wanted.port).start()
        except OSError as error:
            await self._runner.cleanup()
            reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
            raise StartError(f"the admin interface cannot listen on {self._wanted.text}: {reason}") from None

    async def stop(self) -> None:
        """Stop listening, end event streams, let requests in flight finish for a moment, and close."""
        await self._runner.cleanup()
