"""The addresses that secondaries ask at: their sockets, from their opening to their end.

It must not know what is in a message. Beside the workers' addresses, these are another way in: nothing that happens
here is on the way of an answer of theirs.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack

from dnsd.adapters.context import AdapterContext, log
from dnsd.adapters.transfer.answering import MALFORMED, TransferResponder
from dnsd.adapters.transfer.conversation import Conversation, Floor, Patience
from dnsd.adapters.transfer.limits import FAILURE_LOG_SECONDS, MAX_QUERY_BYTES
from dnsd.config.transfer import TransferSettings
from dnsd.core.via import Via
from dnsd.core.zoneversion import ZoneVersions
from dnsd.errors import StartError
from dnsd.model.endpoint import Endpoint
from dnsd.transports.sockets import TCP_BACKLOG, open_tcp, open_udp, someone_listens
from dnsd.transports.udp import UdpShell


class TransferEndpoint:
    """Answers secondaries over UDP and TCP.

    Args:
        context: of the adapter.
        versions: what there is to transfer.
        patience: with clients.
    """

    def __init__(
        self,
        context: AdapterContext[TransferSettings],
        versions: ZoneVersions,
        *,
        patience: Patience | None = None,
    ) -> None:
        self._context = context
        self._responder = TransferResponder(versions, context.settings, clock=time.time)
        self._floor = Floor(
            responder=self._responder, noted=self._noted, failed=self._failed, patience=patience or Patience()
        )
        self._talking: set[asyncio.Task[None]] = set()
        self._failure_logged_at = -FAILURE_LOG_SECONDS

    async def run(self) -> None:
        """Serve until cancelled, and leave nothing open.

        Raises:
            StartError: an address cannot be had; then none is listened on.
        """
        listen = self._context.settings.listen
        with ExitStack() as opened:
            for endpoint in listen:
                _check_free(endpoint)
            udp = [opened.enter_context(open_udp(endpoint)) for endpoint in listen]
            tcp = [opened.enter_context(open_tcp(endpoint)) for endpoint in listen]
            loop = asyncio.get_running_loop()
            servers: list[asyncio.Server] = []
            shells = [UdpShell(sock, self) for sock in udp]
            try:
                for shell in shells:
                    shell.start(loop)
                for sock in tcp:
                    server = await asyncio.start_server(
                        self._accepted, sock=sock, backlog=TCP_BACKLOG, limit=MAX_QUERY_BYTES
                    )
                    servers.append(server)
                self._context.listening(", ".join(endpoint.text for endpoint in listen))
                await asyncio.Event().wait()
            finally:
                for server in servers:
                    server.close()
                for shell in shells:
                    shell.stop()
                await self._end_conversations()

    def respond(self, packet: bytes, *, now: float, via: Via, peer: str) -> bytes | None:
        """Answer a datagram; see `Responder.respond`."""
        try:
            reply = self._responder.answer(packet, peer=peer, over_tcp=False)
            message = None if reply is None else next(reply.messages)
        except Exception as failure:  # noqa: BLE001 - one query's fault must not be the listener's
            self._failed(failure)
            reply = self._responder.failure(packet)
            message = next(reply.messages)
        if reply is None:
            self._noted(MALFORMED, None)
        else:
            self._noted(reply.outcome.result, reply.complaint)
        return message

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(Conversation(reader, writer, self._floor).run(), name="transfer conversation")
        self._talking.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._talking.discard(task)
        if not task.cancelled() and (failure := task.exception()) is not None:
            self._failed(failure)

    async def _end_conversations(self) -> None:
        talking = tuple(self._talking)
        for task in talking:
            task.cancel()
        await asyncio.gather(*talking, return_exceptions=True)

    def _noted(self, result: str, complaint: tuple[str, str] | None) -> None:
        self._context.count(result)
        if complaint is not None:
            self._context.complaints.say(*complaint)

    def _failed(self, failure: BaseException) -> None:
        now = time.monotonic()
        if now - self._failure_logged_at >= FAILURE_LOG_SECONDS:
            self._failure_logged_at = now
            log.error("%s: a request met a fault of ours", self._context.name, exc_info=failure)


def _check_free(endpoint: Endpoint) -> None:
    # What `open_udp` and `open_tcp` open is shared with whoever else does; here, nobody may have a share.
    if endpoint.port and someone_listens(endpoint):
        raise StartError(f"cannot listen on {endpoint.text}: the address is in use")
