"""The servers that an agent speaks to, tried in turn: one is kept until it fails.

It knows which failures another server, or a later attempt, may not have, and tells the log when one is left for the
next; what is asked is the caller's.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self, TypeVar

from dnsd.agent.tokenfile import read_token
from dnsd.api.client import Client
from dnsd.api.errors import ApiError, ClientError

log = logging.getLogger(__name__)

ResultT = TypeVar("ResultT")
Work = Callable[[Client], Awaitable[ResultT]]

UNAUTHENTICATED = 401
FIRST_SERVER_ERROR = 500

# Between attempts of a request that somebody waits for. Unit: seconds.
RETRY_SECONDS = 0.5


class Servers:
    """Clients of all servers; use it as an asynchronous context manager.

    Args:
        urls: at least one.
        token_file: None: no token.
        timeout_seconds: of one request.
    """

    def __init__(self, urls: Sequence[str], *, token_file: Path | None, timeout_seconds: float) -> None:
        self._urls = tuple(urls)
        self._token_file = token_file
        self._timeout_seconds = timeout_seconds
        self._stack = AsyncExitStack()
        self._clients: list[Client] = []
        self._token: str | None = None
        self._turn = 0
        self._failed = 0

    async def __aenter__(self) -> Self:
        await self._open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def url(self) -> str:
        """The server whose turn it is."""
        return self._urls[self._turn]

    @property
    def has_token(self) -> bool:
        """Requests carry a token, whose name is that of the actor."""
        return self._token is not None

    @property
    def all_failed(self) -> bool:
        """Each one has failed since the last that answered."""
        return self._failed >= len(self._urls)

    async def ask(self, work: Work[ResultT]) -> ResultT:
        """Ask the server whose turn it is; where that fails, it is the next one's turn.

        Raises:
            ClientError: as the client says.
        """
        turn = self._turn
        try:
            result = await work(self._clients[turn])
        except ClientError as error:
            if isinstance(error, ApiError) and error.problem.status == UNAUTHENTICATED:
                await self._renew_token()
            if not may_pass(error):
                raise
            if self._turn == turn:  # or another request has found it out already
                self._turn = (turn + 1) % len(self._urls)
                self._failed += 1
                if not self.all_failed:
                    log.warning("%s; trying the next server", error)
            raise
        self._failed = 0
        return result

    async def ask_until(self, work: Work[ResultT], *, seconds: float) -> ResultT:
        """Ask one server after the other until one answers or the time is over.

        Raises:
            ClientError: a refusal, or the last failure.
        """
        deadline = time.monotonic() + seconds
        while True:
            try:
                return await self.ask(work)
            except ClientError as error:
                left = deadline - time.monotonic()
                if not may_pass(error) or left <= 0:
                    raise
            if self._failed % len(self._urls) == 0:
                await asyncio.sleep(min(RETRY_SECONDS, left))

    async def _open(self) -> None:
        if self._token_file is not None:
            self._token = read_token(self._token_file)
        for url in self._urls:
            client = Client(url, token=self._token, timeout_seconds=self._timeout_seconds)
            self._clients.append(await self._stack.enter_async_context(client))

    async def _renew_token(self) -> None:
        """Take another token from the file, where there is one; requests that are under way keep theirs."""
        if self._token_file is None:
            return
        try:
            token = read_token(self._token_file)
        except ValueError:
            return
        if token != self._token:
            self._clients = []
            await self._open()


def may_pass(error: ClientError) -> bool:
    """Say whether another server, or this one later, may do what this one did not."""
    return not isinstance(error, ApiError) or error.problem.status >= FIRST_SERVER_ERROR
