"""Long responses: whole to who reads them, and no burden where somebody does not."""

from __future__ import annotations

import asyncio
import socket

import psutil
import pytest

from dnsd.adapters import sending
from dnsd.adapters.sending import PIECE_SIZE
from tests.adapters.consul.rig import consul
from tests.adapters.running import counted_passes
from tests.control.rig import PATIENCE_SECONDS, site_of
from tests.support.fleets import node, pool
from tests.support.waiting import until

# Long enough for a response that no socket's buffers take in whole.
FLEET = tuple(node(f"n{place}", "192.0.2.1", labels={"text": "x" * 12_000}) for place in range(400))
SMALL_BUFFER = 4096


def mute_reader(url: str, index: int) -> socket.socket:
    """Return a connection that has asked for the next answer, and does not read."""
    host, port = url.removeprefix("http://").partition("/")[0].split(":")
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
    sock.connect((host, int(port)))
    sock.sendall(f"GET /v1/health/service/edge?index={index} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return sock


async def test_a_long_answer_is_sent_in_pieces_and_whole() -> None:
    """With its length, like a short one; a client that goes in the middle is no fault of ours."""
    async with consul(await site_of(FLEET, [pool()])) as client:
        told = await client.ask("health/service/edge")
        assert len(told.text) == int(told.headers["Content-Length"]) > 4 * PIECE_SIZE
        assert len(told.body) == len(FLEET)
        sock = mute_reader(client.url, 0)
        await asyncio.get_running_loop().run_in_executor(None, sock.recv, 10)
        sock.close()
        await until(lambda: client.context.counts["consul", "ok"] == 2, "it has ended")
        assert client.context.counts == {("consul", "ok"): 2}


async def test_many_long_answers_at_once_leave_everything_else_its_turns() -> None:
    """One piece of one of them goes out in each pass of the event loop, however much the system would take."""
    async with consul(await site_of(FLEET, [pool()])) as client:
        pieces = 5 * (len((await client.ask("health/service/edge")).text) // PIECE_SIZE)
        async with counted_passes() as passes:
            told = await asyncio.gather(*(client.ask("health/service/edge") for _ in range(5)))
            assert passes() >= pieces
        assert {len(each.body) for each in told} == {len(FLEET)}


async def test_who_does_not_read_is_cut_off_and_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others get the same answer meanwhile."""
    monkeypatch.setattr(sending, "SEND_SECONDS", PATIENCE_SECONDS)
    site = await site_of(FLEET, [pool()])
    async with consul(site) as client:
        index = (await client.ask("health/service/edge")).index
        patient = mute_reader(client.url, index)
        await until(lambda: client.adapter._answers.blocked == 1, "it waits")
        await site.drain("n1", reason="x")
        told = await client.ask("health/service/edge")
        assert told.index > index
        await until(lambda: client.context.counts["consul", "ok"] == 2, "it is sent")
        assert patient.getsockname() in peers_of(patient.getpeername()[1])
        patient.close()
        await until(lambda: client.context.counts["consul", "ok"] == 3, "it has gone")

        monkeypatch.setattr(sending, "SEND_SECONDS", 0.2)
        sock = mute_reader(client.url, 0)
        await until(lambda: client.context.counts["consul", "ok"] == 4, "the mute one is let go")
        await until(lambda: sock.getsockname() not in peers_of(sock.getpeername()[1]), "its connection is cut off")
        sock.close()


def peers_of(port: int) -> set[tuple[str, int]]:
    """Return whom this process has connections to, at a port of its own."""
    found = psutil.Process().net_connections(kind="tcp4")
    return {(each.raddr[0], each.raddr[1]) for each in found if each.laddr and each.raddr and each.laddr[1] == port}
