"""A small zone whose pooled name tells the generation, and clients that ask for it."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable

from dnsd.core.constants import NS, SOA, A
from dnsd.core.names import from_text
from dnsd.core.records import Delta, RRset, Snapshot, Zone, ZoneNode

APEX = from_text("example.org.")
POOL = from_text("edge.example.org.")

# How long anything that a test waits for may take on a machine that is busy, or stands still. Unit: seconds.
PATIENCE_SECONDS = 30.0


def generation_address(generation: int) -> bytes:
    return bytes([10, generation >> 16 & 255, generation >> 8 & 255, generation & 255])


def pool_node(generation: int) -> ZoneNode:
    return ZoneNode({A: RRset(A, 30, (generation_address(generation),))})


def snapshot(generation: int = 1) -> Snapshot:
    soa = APEX + APEX + struct.pack("!5I", 1, 3600, 600, 86400, 60)
    apex = ZoneNode({SOA: RRset(SOA, 300, (soa,)), NS: RRset(NS, 300, (from_text("ns1.example.org."),))})
    zone = Zone(APEX, {APEX: apex}, 60)
    return Snapshot(generation, generation, {APEX: zone}, {POOL: pool_node(generation)})


def delta(generation: int) -> Delta:
    return Delta(generation, generation, {POOL: pool_node(generation)})


def query(number: int = 1, name: bytes = POOL) -> bytes:
    return struct.pack("!6H", number & 0xFFFF, 0, 1, 0, 0, 0) + name + struct.pack("!2H", A, 1)


def answered_generation(answer: bytes) -> int:
    """Read the one address of an answer."""
    _, flags, _, answers, _, _ = struct.unpack_from("!6H", answer)
    assert flags & 15 == 0, f"RCODE {flags & 15}"
    assert answers == 1
    start = len(query()) + 12
    first, *rest = answer[start : start + 4]
    assert first == 10
    return int.from_bytes(bytes(rest), "big")


def ask(address: tuple[str, int], *, timeout_seconds: float = PATIENCE_SECONDS) -> int:
    """Ask once over UDP from a fresh port; return the generation in the answer."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as client:
        client.settimeout(timeout_seconds)
        client.connect(address)
        client.send(query())
        return answered_generation(client.recv(4096))


def ask_at_once(address: tuple[str, int], *, queries: int) -> set[int]:
    """Send queries from as many ports without a pause, so that they reach every worker; return the generations."""
    clients = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(queries)]
    try:
        for client in clients:
            client.settimeout(PATIENCE_SECONDS)
            client.sendto(query(), address)
        return {answered_generation(client.recv(4096)) for client in clients}
    finally:
        for client in clients:
            client.close()


def process_is_there(pid: int) -> bool:
    """Say whether a process exists and is not merely waiting to be reaped."""
    try:
        with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def until(condition: Callable[[], bool], *, within_seconds: float = PATIENCE_SECONDS) -> float:
    """Wait for a condition; return the seconds that it took."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while not condition():
        assert loop.time() - began < within_seconds, "it did not come to that"
        await asyncio.sleep(0.005)
    return loop.time() - began
