"""A TCP relay in front of a Redis server, in a thread of its own, that does what a bad network does."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Coroutine, Iterator
from typing import Any

from tests.support.servers import PATIENCE_SECONDS, free_port, started

# With this SO_LINGER a close throws away what is unsent, and tells the other side with a RST.
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class _End(asyncio.Protocol):
    """One end of a relayed connection: takes bytes, and passes them on to the other end unless they are held."""

    def __init__(self, relay: Relay, *, is_server: bool) -> None:
        self.relay = relay
        self.is_server = is_server
        self.other: _End | None = None  # once that one is connected
        self.transport: asyncio.Transport
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting = b""
        self.allowance: int | None = None  # how many more bytes may pass on from here; None: any number

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.allowance = self.relay.allowance if self.is_server else None
        self.relay.ends.add(self)

    def data_received(self, data: bytes) -> None:
        self.waiting += data
        self.pass_on()

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone.set_result(None)
        self.pass_on()

    def pause_writing(self) -> None:
        if self.other is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None:
            self.other.transport.resume_reading()

    def pass_on(self) -> None:
        """Write to the other end what has come in, and this end's end, as far as the relay lets them through."""
        if self.other is None or self.relay.holding:
            return
        data, self.waiting = self.waiting, b""
        if self.is_server:
            data, self.waiting = self.relay.rewritten(data)
        if self.gone.done():
            data, self.waiting = data + self.waiting, b""
        if self.allowance is not None:
            if data and len(data) >= self.allowance:
                self.other.transport.write(data[: self.allowance])
                self.other.abort()
                self.abort()
                return
            self.allowance -= len(data)
        self.other.transport.write(data)
        if self.gone.done():
            self.other.transport.close()
            self.relay.ends.discard(self)

    def abort(self) -> None:
        """End the connection with a RST."""
        if not self.gone.done():
            sock = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            self.transport.abort()


class Relay:
    """A relay on a free loopback port; each fault may be asked for in any thread, and is there on return.

    Args:
        server_port: where the server listens on 127.0.0.1.
    """

    def __init__(self, server_port: int) -> None:
        self.server_port = server_port
        self.port = free_port()
        self.connections = 0  # accepted so far
        self.ends: set[_End] = set()  # those that have something left to do
        self.holding = False
        self.allowance: int | None = None  # what each new connection may get from the server
        self._rewrites: dict[bytes, bytes] = {}
        self._joining: set[asyncio.Task[None]] = set()
        self._listener: socket.socket | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"relay-{self.port}", daemon=True)

    @property
    def url(self) -> str:
        """Where clients find the relay."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Listen."""
        self._thread.start()
        self._do(self._listen())

    def close(self) -> None:
        """Abort all connections and end the thread; for the end of a test, however it went."""
        if self._thread.is_alive():
            self._do(self._refuse())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(PATIENCE_SECONDS)
        self._loop.close()

    # --- faults -------------------------------------------------------------------------------------------------

    def cut(self) -> None:
        """Abort all present connections."""
        self._do(self._abort())

    def cut_within_replies(self, after_bytes: int) -> None:
        """From now on abort each connection, present or new, once so many further bytes came from the server."""
        self._do(self._allow(after_bytes))

    def refuse(self) -> None:
        """Abort all present connections, and refuse new ones."""
        self._do(self._refuse())

    def hold(self) -> None:
        """Take connections, bytes and ends, but pass nothing on, either way."""
        self._do(self._hold())

    def heal(self) -> None:
        """End every fault, and pass on what was held; bytes are still rewritten."""
        self._do(self._heal())

    def rewrite(self, old: bytes, new: bytes) -> None:
        """From now on pass on `new` for `old` in what the server sends; `rewrite(old, old)` ends that."""
        assert len(old) == len(new) > 0, "a reply's length must stay true"
        assert b"\n" not in old, "what may be the beginning of it is kept back, and a reply's end must not be"
        self._do(self._add_rewrite(old, new))

    # --- in the relay's thread ----------------------------------------------------------------------------------

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_SECONDS)

    async def _listen(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._listener.setblocking(False)
        self._loop.add_reader(self._listener, self._accept, self._listener)

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):  # a client may have gone again
            sock, _ = listener.accept()
            sock.setblocking(False)
            self.connections += 1
            task = self._loop.create_task(self._join(sock))
            self._joining.add(task)
            task.add_done_callback(self._joining.discard)

    async def _join(self, sock: socket.socket) -> None:
        client, server = _End(self, is_server=False), _End(self, is_server=True)
        await self._loop.connect_accepted_socket(lambda: client, sock)
        server.other = client
        try:
            await self._loop.create_connection(lambda: server, "127.0.0.1", self.server_port)
        except OSError:
            client.abort()
            self.ends.discard(client)
            return
        client.other = server
        client.pass_on()

    async def _abort(self) -> None:
        await asyncio.gather(*self._joining)
        ends = list(self.ends)
        for end in ends:
            end.abort()
        await asyncio.gather(*(end.gone for end in ends))
        self.ends.difference_update(ends)

    async def _refuse(self) -> None:
        if self._listener is not None:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None
        await self._abort()

    async def _allow(self, after_bytes: int) -> None:
        self.allowance = after_bytes
        for end in self.ends:
            if end.is_server:
                end.allowance = after_bytes

    async def _hold(self) -> None:
        self.holding = True

    async def _heal(self) -> None:
        self.holding = False
        self.allowance = None
        for end in list(self.ends):
            end.allowance = None
            end.pass_on()
        if self._listener is None:
            await self._listen()

    async def _add_rewrite(self, old: bytes, new: bytes) -> None:
        self._rewrites.pop(old, None)
        if old != new:
            self._rewrites[old] = new

    def rewritten(self, data: bytes) -> tuple[bytes, bytes]:
        """Return what to pass on, and the rest, which may be the beginning of what is to be rewritten."""
        kept = 0
        for old, new in self._rewrites.items():
            data = data.replace(old, new)
            kept = max([kept, *(size for size in range(1, len(old)) if data.endswith(old[:size]))])
        return data[: len(data) - kept], data[len(data) - kept :]


@contextlib.contextmanager
def relay_to(port: int) -> Iterator[Relay]:
    """Run a relay in front of a port for the length of a test."""
    relay = Relay(port)
    with started(relay):
        yield relay
