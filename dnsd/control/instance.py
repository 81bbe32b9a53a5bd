"""One control process per listen address, and how a new one follows one that has died.

Owns the locks: an abstract Unix socket for each listen address, which the kernel lets go of when its process ends,
however it ends. It must not know of workers of its own.

The order of a start, which leaves no moment without an answer and none with a stale one after an acknowledgement:

1. `acquire`: take the locks. Where the addresses are still listened on, workers of a dead control process
   (orphans) are behind it, or a foreign server. Orphans look for the lock every `LOOK_SECONDS`, so that they are given
   a few times that to say hello. A worker on the address that does not (it hangs) is killed; anybody else there is
   a foreign server.
2. Start one's own workers. Orphans still answer beside them.
3. `take_over`: tell the orphans to retire, and wait until they are gone. Only now acknowledge drains.

An orphan that shows up later than that is told to retire at once.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import signal
import socket
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import cast

from dnsd.control.holders import Holder, holders_of
from dnsd.errors import StartError
from dnsd.transports.sockets import Address, address_text, someone_listens
from dnsd.workers.takeover import HELLO, LOOK_SECONDS, RETIRE, lock_name, peer_of

# How long orphans of a dead control process have to say hello: a few of their looks. Unit: seconds.
HELLO_SECONDS = 3 * LOOK_SECONDS

# How long it takes to believe that whoever listens is no orphan, on a machine that is busy. Unit: seconds.
FOREIGN_SECONDS = 3.0

# From telling an orphan to retire to killing it; slow TCP clients have 1 s for their last answers. Unit: seconds.
RETIRE_SECONDS = 3.0

# How often it is looked whether the addresses are free. Unit: seconds.
PROBE_SECONDS = 0.05

# Orphans and rival starts that may wait to be accepted. Unit: connections.
LOCK_BACKLOG = 64

_log = logging.getLogger(__name__)


class _Orphan(asyncio.Protocol):
    """A connection to a lock: an orphan's once it has said hello."""

    def __init__(self, instance: Instance) -> None:
        self.gone = asyncio.Event()
        self.pid = 0
        self._instance = instance
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # a stream's loop gives no other
        peer = peer_of(transport.get_extra_info("socket"))
        self.pid = peer.pid
        if peer.uid != os.geteuid():  # anybody on the machine can connect
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if data == HELLO:
            self._instance.met(self)
        else:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone.set()
        self._instance.left(self)

    def retire(self) -> None:
        self._transport.write(RETIRE)

    def kill(self) -> None:
        if self.pid <= 0:  # the kernel names no process of another PID namespace; 0 would mean our own group
            _log.error("a worker of an earlier dnsd, in another PID namespace, does not retire; end it by hand")
            return
        # Its connection is open, so that the process lives and its pid is still its own.
        _log.warning("worker (pid %d) of an earlier dnsd did not retire and is killed", self.pid)
        with suppress(ProcessLookupError):  # it has ended this very moment
            os.kill(self.pid, signal.SIGKILL)

    def abandon(self) -> None:
        self._transport.abort()


class Instance:
    """The claim of a control process on its listen addresses.

    Args:
        listen: IP addresses and ports that it answers on over UDP and TCP.
        listen_tcp: those that it answers on over TCP alone, whatever is spoken there.
    """

    def __init__(self, listen: Sequence[Address], listen_tcp: Sequence[Address] = ()) -> None:
        # For each address, whether UDP matters there.
        self._listen = dict.fromkeys(listen_tcp, False) | dict.fromkeys(listen, True)
        self._locks: list[asyncio.Server] = []
        self._orphans: set[_Orphan] = set()
        self._took_over = False

    async def acquire(self) -> None:
        """Take the locks, and find out who listens on the addresses.

        Raises:
            StartError: another dnsd lives there, or a foreign server; one line that names it.
        """
        loop = asyncio.get_running_loop()
        try:
            for sock in _take_locks(self._listen):
                server = await loop.create_unix_server(lambda: _Orphan(self), sock=sock, backlog=LOCK_BACKLOG)
                self._locks.append(server)
            await self._meet_orphans()
        except BaseException:
            await self.release()
            raise

    async def take_over(self) -> int:
        """Make the workers of an earlier control process end; called when one's own workers answer.

        Returns:
            How many there were; none of them answers any more, but for one that the log names.
        """
        self._took_over = True
        orphans = tuple(self._orphans)
        for orphan in orphans:
            orphan.retire()
        gone = [asyncio.ensure_future(orphan.gone.wait()) for orphan in orphans]
        if gone:
            await asyncio.wait(gone, timeout=RETIRE_SECONDS)
            for orphan in orphans:
                if not orphan.gone.is_set():
                    orphan.kill()
            await asyncio.wait(gone, timeout=RETIRE_SECONDS)
            _log.info("took over from %d workers of an earlier dnsd", len(orphans))
        return len(orphans)

    async def release(self) -> None:
        """Let go of the locks; orphans that were not told to retire look for the next control process."""
        for lock in self._locks:
            lock.close()
        self._locks.clear()
        for orphan in tuple(self._orphans):
            orphan.abandon()
        await asyncio.sleep(0)

    def met(self, orphan: _Orphan) -> None:
        """Take note of an orphan."""
        self._orphans.add(orphan)
        if self._took_over:
            orphan.retire()

    def left(self, orphan: _Orphan) -> None:
        """Take note that a connection has ended."""
        self._orphans.discard(orphan)

    async def _meet_orphans(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        while taken := [each for each, udp in self._listen.items() if someone_listens(each, over_udp=udp)]:
            waited = loop.time() - began
            if waited >= HELLO_SECONDS and self._orphans and not self._silent_holders():
                return
            if waited >= FOREIGN_SECONDS:
                if not self._kill_silent_workers():
                    raise StartError(
                        f"cannot listen on {address_text(taken[0])}: {self._foreign(taken[0])} has the address"
                    )
                began = loop.time()
            await asyncio.sleep(PROBE_SECONDS)

    def _silent_holders(self) -> list[Holder]:
        known = {orphan.pid for orphan in self._orphans}
        return [holder for address in self._listen for holder in self._holders(address) if holder.pid not in known]

    def _holders(self, address: Address) -> list[Holder]:
        return holders_of(address, over_udp=self._listen[address])

    def _foreign(self, address: Address) -> str:
        pids = sorted({holder.pid for holder in self._holders(address)})
        return f"another program (pid {', '.join(map(str, pids))})" if pids else "another program"

    def _kill_silent_workers(self) -> bool:
        # The lock is ours: a worker on this very address has no control process, and if it hangs, it would come back
        # with stale answers one day.
        silent = {holder.pid for holder in self._silent_holders() if holder.worker}
        for pid in silent:
            _log.warning("worker (pid %d) of an earlier dnsd gave no sign of life and is killed", pid)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return bool(silent)


def _take_locks(addresses: Iterable[Address]) -> list[socket.socket]:
    locks: list[socket.socket] = []
    try:
        for address in addresses:
            lock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            locks.append(lock)
            lock.setblocking(False)
            lock.bind(lock_name(address))
            lock.listen(LOCK_BACKLOG)
    except OSError as error:
        for lock in locks:
            lock.close()
        if error.errno != errno.EADDRINUSE:
            raise StartError(f"cannot claim {address_text(address)}: {error}") from error
        raise StartError(f"{address_text(address)} is served by another dnsd{_holder(address)}") from error
    return locks


def _holder(address: Address) -> str:
    """Say who holds a lock, as far as it can be known."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.setblocking(False)
        try:
            sock.connect(lock_name(address))
            return f" (pid {peer_of(sock).pid})"
        except OSError:  # it has just ended, or is busy
            return ""
