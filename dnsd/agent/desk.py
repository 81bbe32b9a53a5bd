"""Listens for local requests on the agent's socket. What they mean is decided by whoever handles them."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

from pydantic import ValidationError

from dnsd.agent.local import MAX_LINE_SIZE, LocalAnswer, LocalFailure, LocalRequest
from dnsd.errors import StartError

Handler = Callable[[LocalRequest], Awaitable[LocalAnswer]]

# Whoever connects and says nothing is cut off. Unit: seconds.
REQUEST_SECONDS = 10.0


class Desk:
    """The socket, which only its user and root may open, and the lock that keeps a second agent from it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handler: Handler | None = None
        self._server: asyncio.Server | None = None
        self._lock: int | None = None
        self._talks: set[asyncio.Task[None]] = set()

    def lock(self) -> None:
        """Take the lock, which ends with the process at the latest.

        Raises:
            StartError: another agent has it, or it cannot be made.
        """
        path = self._path.with_name(f"{self._path.name}.lock")
        try:
            self._lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StartError(f"another agent runs with the socket {self._path}") from None
        except OSError as error:
            raise StartError(f"{path} cannot be made: {error.strerror}") from None

    async def open(self, handler: Handler) -> None:
        """Begin to listen; the lock must be taken.

        Raises:
            StartError: the socket cannot be made.
        """
        try:
            # Whoever has the lock is the only agent: what is there was left by one that died.
            self._path.unlink(missing_ok=True)
            sock = _bound(self._path)
        except OSError as error:
            raise StartError(f"the socket {self._path} cannot be made: {error.strerror}") from None
        self._handler = handler
        self._server = await asyncio.start_unix_server(self._accept, sock=sock, limit=MAX_LINE_SIZE)

    async def close(self) -> None:
        """End all conversations and remove the socket."""
        if self._server is not None:
            self._server.close()
            for talk in self._talks:
                talk.cancel()
            await asyncio.gather(*self._talks, return_exceptions=True)
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)
        if self._lock is not None:
            os.close(self._lock)  # the file stays: to remove it would let two lock two files of one name

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            raise AssertionError("a conversation is always a task")
        self._talks.add(task)
        try:
            await self._talk(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # it has left, or the agent ends
        finally:
            self._talks.discard(task)
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                line = await reader.readline()
            request = LocalRequest.model_validate_json(line)
        except (TimeoutError, ValueError) as error:
            why = "it is no request" if isinstance(error, ValidationError) else str(error) or "no request in time"
            answer = LocalAnswer(failure=LocalFailure(kind="other", text=f"the agent does not understand: {why}"))
        else:
            if self._handler is None:
                raise AssertionError("nobody is heard before the desk is open")
            answer = await self._handler(request)
        writer.write(answer.model_dump_json(exclude_unset=True).encode() + b"\n")
        await writer.drain()


def _bound(path: Path) -> socket.socket:
    """Return a listening socket of mode 0600; nobody may connect in between."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    before = os.umask(0o177)
    try:
        sock.bind(str(path))
    except OSError:
        sock.close()
        raise
    finally:
        os.umask(before)
    return sock
