"""One connection: its queries are answered one after the other, in the order of their arrival.

waiting for a query ──one is whole──► answering ──sent──► waiting for a query
    │                        │ a transfer               ▲
    │ end, rubbish,          ├──► waiting for a slot ───┤ none: put off
    │ idle too long          │ does not read, too long  │
    └────────► closed ◄──────┴──────────────────────────┘

It must not know what is in a message.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from dnsd.adapters.transfer.answering import BUSY, FAILED, MALFORMED, Reply, TransferResponder
from dnsd.adapters.transfer.connections import Connections
from dnsd.adapters.transfer.limits import (
    IDLE_SECONDS,
    MAX_QUERY_BYTES,
    MAX_TRANSFER_SECONDS,
    MAX_TRANSFERS,
    STALL_SECONDS,
    UNSENT_BYTES,
    WAIT_SECONDS,
)
from dnsd.transports.tcp import LENGTH_BYTES

# A transfer whose client left, did not read, or read too slowly; as it is counted.
CUT = "cut"


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long is waited for what. Units: seconds; see `limits`."""

    idle_seconds: float = IDLE_SECONDS
    stall_seconds: float = STALL_SECONDS
    transfer_seconds: float = MAX_TRANSFER_SECONDS
    wait_seconds: float = WAIT_SECONDS


@dataclass(slots=True, kw_only=True)
class Floor:
    """What all conversations share.

    Args:
        responder: answers each query.
        connections: those that are open.
        noted: told of each reply what it was in the end, and of the complaint in it.
        failed: told of faults of ours.
        slots: of transfers that run.
        turn: whose it is makes a message; the event loop goes round before the next one has it, so that all transfers
            together never take longer than one message does.
    """

    responder: TransferResponder
    noted: Callable[[str, tuple[str, str] | None], None]
    failed: Callable[[Exception], None]
    connections: Connections = field(default_factory=Connections)
    patience: Patience = field(default_factory=Patience)
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_TRANSFERS))
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class Conversation:
    """One client's connection.

    Args:
        reader, writer: as asyncio gives them.
        floor: see `Floor`.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, floor: Floor) -> None:
        self._reader = reader
        self._writer = writer
        self._floor = floor
        peer = writer.get_extra_info("peername")
        self.peer: str = peer[0] if peer else ""  # a client that has gone by now has no name
        writer.transport.set_write_buffer_limits(high=UNSENT_BYTES)

    def abort(self) -> None:
        """See `Connection.abort`."""
        self._writer.transport.abort()

    async def run(self) -> None:
        """Answer until the client leaves or must go, and close the connection; raises nothing."""
        floor = self._floor
        try:
            if not floor.connections.admit(self):
                floor.noted(BUSY, None)
                return
            while (query := await self._next_query()) is not None:
                floor.connections.busy(self)
                if not await self._answer(query):
                    return
                floor.connections.idle(self)
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(floor.patience.stall_seconds):
                    self._writer.close()
                    await self._writer.wait_closed()
        finally:
            floor.connections.leave(self)
            self.abort()  # where it is not closed yet: what is unsent would never be read

    async def _next_query(self) -> bytes | None:
        """Return the next message; None: no further one comes, or none that we would read."""
        try:
            async with asyncio.timeout(self._floor.patience.idle_seconds):
                size = int.from_bytes(await self._reader.readexactly(LENGTH_BYTES), "big")
                if 0 < size <= MAX_QUERY_BYTES:
                    return await self._reader.readexactly(size)
        except (asyncio.IncompleteReadError, OSError, TimeoutError):
            return None
        self._floor.noted(MALFORMED, None)
        return None

    async def _answer(self, query: bytes) -> bool:
        """Answer a query; returns whether the conversation goes on."""
        floor = self._floor
        try:
            reply = floor.responder.answer(query, peer=self.peer, over_tcp=True)
        except Exception as failure:  # noqa: BLE001 - one query's fault must not be the listener's
            floor.failed(failure)
            reply = floor.responder.failure(query)
        if reply is None:
            floor.noted(MALFORMED, None)
            return False  # whoever sends responses or rubbish has nothing to ask
        result = CUT
        try:
            result = await self._send(reply)
        except (OSError, TimeoutError):  # it left, or does not read
            return False
        except Exception as failure:  # noqa: BLE001 - as above; half of an answer is sent, and nothing can follow it
            floor.failed(failure)
            result = FAILED
            return False
        finally:
            floor.noted(result, reply.complaint)
        return True

    async def _send(self, reply: Reply) -> str:
        """Send a whole reply.

        Returns:
            What it is counted as.

        Raises:
            OSError: the client has left.
            TimeoutError: it did not read in time.
        """
        if reply.busy is None:
            await self._send_all(reply.messages)
            return reply.outcome.result
        floor = self._floor
        try:
            async with asyncio.timeout(floor.patience.wait_seconds):
                await floor.slots.acquire()
        except TimeoutError:
            await self._send_all(iter((reply.busy(),)))
            return BUSY
        try:
            async with asyncio.timeout(floor.patience.transfer_seconds):
                await self._send_all(reply.messages)
        finally:
            floor.slots.release()
        return reply.outcome.result

    async def _send_all(self, messages: Iterator[bytes]) -> None:
        writer, turn = self._writer, self._floor.turn
        while True:
            async with turn:
                message = next(messages, None)
                if message:
                    # RFC 7766 §8: length and message "at the same time".
                    writer.write(len(message).to_bytes(LENGTH_BYTES, "big") + message)
                await asyncio.sleep(0)
            if message is None:
                return
            async with asyncio.timeout(self._floor.patience.stall_seconds):
                await writer.drain()
