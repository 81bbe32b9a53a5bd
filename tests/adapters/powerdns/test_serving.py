"""The sockets on which PowerDNS asks: their file, their connections, and what is answered to bad input."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from dnsd.adapters.context import AdapterContext
from dnsd.adapters.powerdns import socketfile, unixsocket
from dnsd.adapters.powerdns.adapter import PowerDnsAdapter
from dnsd.adapters.powerdns.methods import Backend
from dnsd.config.settings import PowerDnsSettings
from dnsd.core.names import from_text
from dnsd.errors import StartError
from dnsd.model.endpoint import Endpoint
from tests.control.rig import Site, site_of
from tests.support.servers import free_port
from tests.support.waiting import until

LOOKUP = b'{"method":"lookup","parameters":{"qname":"%s.example.org.","qtype":"A"}}\n'
INITIALIZE = b'{"method":"initialize","parameters":{"path":"x"}}\n'
TRUE = b'{"result":true}\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "powerdns.sock"


class Running:
    """An adapter that serves.

    Args:
        url: of its HTTP address.
    """

    def __init__(self, site: Site, context: AdapterContext[PowerDnsSettings], url: str) -> None:
        self.site = site
        self.context = context
        self.url = url

    @property
    def counts(self) -> dict[str, int]:
        """Requests by what became of them."""
        return {result: count for (_, result), count in self.context.counts.items()}


@asynccontextmanager
async def running(path: Path | None, *, http: bool = False, kept_seconds: float = 0.0) -> AsyncIterator[Running]:
    """Run the adapter for the length of a test."""
    port = free_port()
    settings = PowerDnsSettings(
        listen=Endpoint("127.0.0.1", port) if http else None,
        allow=(ip_network("127.0.0.0/8"),),
        socket=path,
        cache_seconds=kept_seconds,
    )
    site = await site_of()
    context = AdapterContext(site.plane, "powerdns", settings)
    task = asyncio.create_task(PowerDnsAdapter(context).run())
    try:
        await until(lambda: task.done() or (_listens(port) if http else context.up), "it listens")
        if task.done():
            await task
        yield Running(site, context, f"http://127.0.0.1:{port}")
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _listens(port: int) -> bool:
    with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


def mode_of(path: Path) -> int | None:
    """Return a file's mode; None: there is none."""
    return stat.S_IMODE(path.stat().st_mode) if path.exists() else None


def put_in_place_of(path: Path, text: str) -> None:
    """Put a file in the place of another one."""
    path.unlink(missing_ok=True)
    path.write_text(text)


def text_of(path: Path) -> str:
    """Return what is in a file."""
    return path.read_text()


def open_files() -> int:
    """Return how many files this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


async def asked(path: Path, *lines: bytes) -> list[dict[str, Any]]:
    """Return the replies to calls on one connection."""
    reader, writer = await asyncio.open_unix_connection(path)
    writer.writelines(lines)
    replies = [json.loads(await reader.readline()) for _ in lines]
    writer.close()
    return replies


# --- the file -------------------------------------------------------------------------------------------------------


async def test_the_socket_is_for_the_group_and_gone_at_the_end(path: Path) -> None:
    """Its mode is 0660; what a dead server has left is replaced; a file that is another one by then stays."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with running(path):
        assert mode_of(path) == 0o660
        assert await asked(path, INITIALIZE) == [{"result": True}]
    assert mode_of(path) is None
    async with running(path):
        put_in_place_of(path, "another")
    assert text_of(path) == "another"


@pytest.mark.parametrize("busy", [False, True])
async def test_a_live_servers_socket_is_left_to_it(path: Path, busy: bool) -> None:
    """The start fails with one line, and the other server goes on; also where it has no time to accept."""
    with socket.socket(socket.AF_UNIX) as alive, contextlib.ExitStack() as stack:
        alive.bind(str(path))
        alive.listen(0)
        while busy:
            waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
            waiting.setblocking(False)
            try:
                waiting.connect(str(path))
            except BlockingIOError:
                break
        with pytest.raises(StartError, match=f"cannot listen on {path}: another server does"):
            async with running(path):
                pass
        assert mode_of(path) is not None


async def test_of_two_servers_that_start_at_once_one_has_the_socket(path: Path) -> None:
    """The other one's start fails, and takes nothing from it: not while it has not begun to listen, nor afterwards."""
    with socketfile.bound(path), pytest.raises(StartError, match="another server does"):
        async with running(path):
            pass
    assert mode_of(path) is None
    async with running(path):
        with pytest.raises(StartError, match="another server does"):
            async with running(path):
                pass
        assert await asked(path, INITIALIZE) == [{"result": True}]
    async with running(path):
        assert await asked(path, INITIALIZE) == [{"result": True}]


async def test_what_is_no_socket_or_cannot_be_made_is_told(path: Path, tmp_path: Path) -> None:
    """A file of somebody's is not removed; a folder that is not there is named."""
    put_in_place_of(path, "kept")
    with pytest.raises(StartError, match="there is a file that is no socket"):
        async with running(path):
            pass
    assert text_of(path) == "kept"
    with pytest.raises(StartError, match=f"there is no folder {tmp_path / 'none'}$"):
        async with running(tmp_path / "none" / "x.sock"):
            pass


# --- calls ----------------------------------------------------------------------------------------------------------


async def test_both_ways_have_the_same_answers(path: Path) -> None:
    """The same records over socket and HTTP, for a pool as it is now."""
    async with running(path, http=True) as served, aiohttp.ClientSession() as client:

        async def over_http() -> Any:
            async with client.get(f"{served.url}/lookup/edge%2eexample%2eorg%2e/A") as answer:
                assert (answer.status, answer.content_type) == (200, "application/json")
                return await answer.json()

        for addresses in ({"192.0.2.10", "192.0.2.11", "192.0.2.12"}, {"192.0.2.10", "192.0.2.12"}):
            (reply,) = await asked(path, LOOKUP % b"edge")
            for each in (reply, await over_http()):
                assert {record["content"] for record in each["result"]} == addresses
            await served.site.drain("b")
        assert served.counts == {"ok": 4}


async def test_a_serial_is_that_of_dnsds_own_answers(path: Path) -> None:
    """As soon as the publisher has given a zone one, for secondaries."""
    soa = b'{"method":"lookup","parameters":{"qname":"example.org.","qtype":"SOA"}}\n'
    async with running(path) as served:
        served.site.plane.publisher.give_serials({from_text("example.org."): 4_000_000_000})
        ((record,),) = [reply["result"] for reply in await asked(path, soa)]
        assert record["content"].split()[2] == "4000000000"
        assert served.site.workers.snapshot.serials == {from_text("example.org."): 4_000_000_000}


async def test_bad_lines_get_the_protocols_own_error(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """They are counted and logged once; the connection goes on, and the next call is answered."""
    async with running(path) as served:
        no_json, nothing, unknown, lacking, good = await asked(
            path, b"no JSON\n", b"\n", b'{"method":"x"}\n', b'{"method":"lookup"}\n', INITIALIZE
        )
        assert no_json["result"] is nothing["result"] is unknown["result"] is False
        assert no_json["log"][0].startswith("this is no JSON")
        # PowerDNS would answer NXDOMAIN for `false`.
        assert lacking == {"result": None, "log": ["the parameter 'qname' is a text"]}
        assert good == {"result": True}
        assert served.counts == {"malformed": 3, "ok": 2}
    assert len(caplog.records) == 1


async def test_bad_requests_have_their_status(path: Path) -> None:
    """400 for what is malformed, 404 for no method at all, 413 for too much, and 200 for a method that is not known."""
    async with running(None, http=True) as served, aiohttp.ClientSession() as client:

        async def asked(method: str, url: str, **more: Any) -> tuple[int, Any]:
            async with client.request(method, served.url + url, **more) as answer:
                return answer.status, (await answer.json())["result"]

        assert await asked("GET", "/lookup/a%2e") == (400, False)
        assert await asked("GET", "/lookup/a%2e/NO-TYPE") == (400, False)
        assert await asked("POST", "/", data=b"no JSON") == (400, False)
        assert await asked("GET", "/") == (404, False)
        assert await asked("POST", "/", data=b"x" * 1_000_000) == (413, False)
        assert await asked("PATCH", "/setDomainMetadata/a%2e/X", data={"value[]": "1"}) == (200, False)
        assert await asked("DELETE", "/removeDomainKey/a%2e/1") == (200, False)
        assert await asked("GET", "/noSuchMethod") == (200, False)
        assert served.counts == {"malformed": 5, "ok": 3}


async def test_a_fault_of_ours_is_no_answer(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged with its traceback and counted; PowerDNS answers SERVFAIL, and the socket serves on."""

    def broken(*_: object) -> Any:
        raise RuntimeError("unthought of")

    monkeypatch.setattr(Backend, "answer", broken)
    async with running(path, http=True) as served, aiohttp.ClientSession() as client:
        for reply in await asked(path, INITIALIZE, INITIALIZE):
            assert reply == {"result": None, "log": ["the server failed; its log says how"]}
        async with client.get(f"{served.url}/getAllDomains") as answer:
            assert answer.status == 500
        assert served.counts == {"failed": 3}
    assert "RuntimeError: unthought of" in caplog.text


# --- connections ----------------------------------------------------------------------------------------------------


async def test_a_line_that_is_too_long_ends_its_connection(path: Path) -> None:
    """With or without its end, alone or behind a good one; others do not notice."""
    async with running(path) as served:
        for text in (b"x" * 200_000, INITIALIZE + b"x" * unixsocket.MAX_LINE_SIZE + b"x\n"):
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(text)
            *_, last = (await reader.read()).splitlines()
            assert json.loads(last) == {"result": False, "log": ["a call has at most 16384 bytes"]}
            writer.close()
        just = b'{"method":"initialize"}'
        assert await asked(path, just + b" " * (unixsocket.MAX_LINE_SIZE - len(just)) + b"\n") == [{"result": True}]
        assert served.counts == {"malformed": 2, "ok": 2}


async def test_many_calls_at_once_are_answered_in_order_and_others_have_turns(path: Path) -> None:
    """A connection that floods is read no faster than it reads, and one beside it is answered meanwhile."""
    async with running(path) as served:
        flooding, flooded = await asyncio.open_unix_connection(path)
        many = 20_000
        flooded.write(INITIALIZE * many)
        assert await asked(path, LOOKUP % b"none") == [{"result": []}]
        assert served.counts["ok"] < many
        assert await flooding.readexactly(len(TRUE) * many) == TRUE * many
        flooded.close()


async def test_who_stops_in_the_middle_is_closed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line without its end and replies that are not read are waited for; a connection that is idle stays."""
    monkeypatch.setattr(unixsocket, "STALL_SECONDS", 0.05)
    async with running(path) as served:
        idle, idler = await asyncio.open_unix_connection(path)
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(INITIALIZE + b'{"method":')
        assert await reader.read() == TRUE
        writer.close()
        with socket.socket(socket.AF_UNIX) as deaf:
            deaf.connect(str(path))
            deaf.setblocking(False)
            with contextlib.suppress(BlockingIOError, BrokenPipeError):
                while True:
                    deaf.send(INITIALIZE * 1000)
            await until(lambda: served.counts.get("stalled") == 2, "it is closed")
        idler.write(INITIALIZE)
        assert await idle.readline() == TRUE
        idler.close()


async def test_over_the_limit_the_one_that_is_idle_longest_makes_room(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new connection is served; the one that called least recently is closed."""
    monkeypatch.setattr(unixsocket, "MAX_CONNECTIONS", 2)
    async with running(path) as served:
        first, second = [await asyncio.open_unix_connection(path) for _ in range(2)]
        for reader, writer in (second, first):
            writer.write(INITIALIZE)
            assert await reader.readline() == TRUE
        third = await asyncio.open_unix_connection(path)
        third[1].write(INITIALIZE)
        assert await third[0].readline() == TRUE
        assert await second[0].read() == b""
        first[1].write(INITIALIZE)
        assert await first[0].readline() == TRUE
        assert served.counts == {"ok": 4, "evicted": 1}
        for _, writer in (first, second, third):
            writer.close()


async def test_a_peer_that_dies_leaves_nothing(path: Path) -> None:
    """Files and connections are as many as before, also where it died with replies on their way."""
    async with running(path):
        before = open_files()
        for _ in range(20):
            with socket.socket(socket.AF_UNIX) as peer:
                peer.connect(str(path))
                peer.send(INITIALIZE * 100)
        assert await asked(path, INITIALIZE) == [{"result": True}]
        await until(lambda: open_files() <= before, "all are closed")


# --- what it means for drains ---------------------------------------------------------------------------------------


async def test_what_powerdns_may_keep_is_waited_for(path: Path) -> None:
    """Nobody asked a worker, and still a drain waits for the pool's TTL, a second, and PowerDNS's own caches."""
    async with running(path, kept_seconds=40.0) as served:
        site = served.site
        await site.drain("b")
        await until(lambda: site.status("b").roles["edge"].dns.withdrawn_at is not None, "workers have applied it")
        progress = site.status("b").roles["edge"].dns
        assert progress.caches_clear_at == site.clock.wall + 30 + 1 + 40
        assert progress.last_named_at is None
        site.clock.advance(70)
        assert "caches may still answer with it for 1s" in " ".join(site.status("b").blockers)
        site.clock.advance(1)
        assert "caches" not in " ".join(site.status("b").blockers)
