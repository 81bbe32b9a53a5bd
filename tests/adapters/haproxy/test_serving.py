"""The sockets of HAProxy's agent-check: one line in, one line out, and bounds for everything else."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import Any

import pytest

from dnsd.adapters import groups
from dnsd.adapters.context import AdapterContext
from dnsd.adapters.haproxy.answering import MAX_LINE
from dnsd.adapters.haproxy.serving import AgentCheck
from dnsd.config.settings import AdapterSettings
from dnsd.errors import StartError
from dnsd.model.endpoint import Endpoint
from dnsd.model.node import Monitor, Node
from tests.adapters.running import running
from tests.control.rig import site_of
from tests.support.fleets import node
from tests.support.servers import free_port
from tests.support.waiting import until

UP = b"ready up 100%\n"


@asynccontextmanager
async def agent(
    *, host: str = "127.0.0.1", allow: str = "127.0.0.0/8", nodes: Sequence[Node] | None = None, **options: Any
) -> AsyncIterator[tuple[AgentCheck, int]]:
    """Run the adapter over a small fleet; give it and its port."""
    port = free_port()
    settings = AdapterSettings(listen=Endpoint(host, port), allow=(ip_network(allow),))
    site = await (site_of() if nodes is None else site_of(nodes))
    check = AgentCheck(AdapterContext(site.plane, "haproxy", settings), **options)
    async with running(check, check.context):
        yield check, port
    assert not check.open
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, port)).close()


async def ask(port: int, *parts: bytes, host: str = "127.0.0.1", end: bool = False) -> bytes:
    """Send bytes in parts, and return all that comes until the other end closes; of a reset, what came before."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)
        if end:
            writer.write_eof()
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def test_one_line_gets_one_line_and_the_end() -> None:
    """In one packet or in many, with more behind it, or ended by the end of the connection; all are counted."""
    async with agent() as (check, port):
        assert await ask(port, b"edge/a\n") == UP
        assert await ask(port, b"ed", b"ge/", b"a", b"\r\n") == UP
        assert await ask(port, b"edge/a\nedge/nobody\n") == UP
        assert await ask(port, b"edge/a", end=True) == UP
        assert await ask(port, b"edge/nobody\n") == b"unknown-node\n"
        assert await ask(port, b"\x16\x03\x01\n") == b"malformed-request\n"
        assert check.context.counts == {
            ("haproxy", "ok"): 4,
            ("haproxy", "unknown"): 1,
            ("haproxy", "malformed"): 1,
        }
        await until(lambda: not check.open, "all are closed")


async def test_many_at_once_are_all_answered() -> None:
    """Each gets its own answer, whoever is slow."""
    async with agent() as (_, port):
        _, slow = await asyncio.open_connection("127.0.0.1", port)
        slow.write(b"edge/")
        found = await asyncio.gather(*(ask(port, f"edge/{name}\n".encode()) for name in "abcd" * 25))
        assert found == [UP, UP, UP, b"unknown-node\n"] * 25
        slow.close()


async def test_what_takes_several_turns_to_find_out_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that ask are answered, who has ended its side as well; one that is gone is no trouble."""
    monkeypatch.setattr(groups, "LOOKS_AT_ONCE", 1)
    fleet = [node(f"n{i}", f"192.0.2.{i}", monitor=Monitor.AGENT) for i in range(50)]
    async with agent(nodes=fleet) as (check, port):
        gone = socket.create_connection(("127.0.0.1", port))
        gone.sendall(b"edge/n1\n")
        gone.close()
        found = await asyncio.gather(*(ask(port, b"edge/n1\n", end=end) for end in (True, False) * 5))
        assert len(set(found)) == 1
        assert found[0].startswith(b"ready up 100% # nobody serves in edge")
        await until(lambda: not check.open, "all are closed")
        assert check.context.counts["haproxy", "ok"] >= 10
        assert check.context.counts["haproxy", "failed"] == 0


async def test_over_ipv6_as_well() -> None:
    """The listener may have an address of either family."""
    async with agent(host="::1", allow="::1/128") as (_, port):
        assert await ask(port, b"edge/a\n", host="::1") == UP


@pytest.mark.parametrize("sent", [b"x" * (MAX_LINE + 1), b"edge/" + b"a" * 100_000 + b"\n"])
async def test_too_long_a_line_is_malformed(sent: bytes) -> None:
    """It is not waited for to its end."""
    async with agent() as (check, port):
        assert await ask(port, sent) in (b"malformed-request\n", b"")  # a reset may overtake it
        assert check.context.counts == {("haproxy", "malformed"): 1}


async def test_the_longest_name_fits() -> None:
    """A pool's owner of 255 bytes and an id of 63 are within the limit."""
    async with agent() as (_, port):
        assert await ask(port, b"a." * 127 + b"/" + b"n" * 63 + b"\n") == b"unknown-group\n"


async def test_who_says_nothing_is_closed() -> None:
    """After its time, without an answer; who says half a line as well."""
    async with agent(connection_seconds=0.05) as (check, port):
        assert await ask(port) == b""
        assert await ask(port, b"edge/a") == b""
        assert check.context.counts == {("haproxy", "timeout"): 2}


async def test_more_connections_than_there_may_be_are_closed_at_once() -> None:
    """The ones that are open go on, and when one has ended there is room again."""
    async with agent(max_connections=2) as (check, port):
        first, second = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        await until(lambda: len(check.open) == 2, "both are open")
        assert await ask(port, b"edge/a\n") == b""
        assert check.context.counts == {("haproxy", "busy"): 1}
        for reader, writer in (first, second):
            writer.write(b"edge/a\n")
            assert await reader.read() == UP
            writer.close()
        await until(lambda: not check.open, "both have ended")
        assert await ask(port, b"edge/a\n") == UP


async def test_an_address_that_is_not_allowed_gets_nothing() -> None:
    """It is counted, and told to the log once."""
    async with agent(allow="192.0.2.0/24") as (check, port):
        assert [await ask(port, b"edge/a\n") for _ in range(3)] == [b"", b"", b""]
        assert check.context.counts == {("haproxy", "refused"): 3}


async def test_what_goes_wrong_is_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """However often it comes."""
    async with agent() as (_, port):
        for _ in range(5):
            await ask(port, b"edge/nobody\n")
    assert [line for line in caplog.messages if "nobody" in line] == [
        "haproxy: unknown: there is no node 'nobody' in 'edge'"
    ]


async def test_a_fault_of_ours_is_no_answer(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is in the log and counted, HAProxy hears nothing, and the next request is answered."""

    def broken(*_: object) -> None:
        raise RuntimeError("unthought of")

    async with agent() as (check, port):
        with monkeypatch.context() as patched:
            patched.setattr("dnsd.adapters.haproxy.serving.answer", broken)
            assert await ask(port, b"edge/a\n") == b""
        assert await ask(port, b"edge/a\n") == UP
        assert check.context.counts == {("haproxy", "failed"): 1, ("haproxy", "ok"): 1}
    assert "RuntimeError: unthought of" in caplog.text


async def test_an_address_that_is_taken_is_a_clean_error() -> None:
    """One line that says why, for the host of adapters to log and try again."""
    async with agent() as (check, port):
        context = AdapterContext(check.context.plane, "haproxy", check.context.settings)
        with pytest.raises(StartError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use"):
            await AgentCheck(context).run()
