"""What tests of the Redis store rely on: servers that die and come back, a network that fails, a failover."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from redis import Redis

from tests.support.redis import RedisServer, redis_server
from tests.support.relay import Relay, relay_to
from tests.support.sentinels import in_step, sentinel_fleet
from tests.support.servers import wait_until

LONG = "x" * 1000


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=5)


def ask(sock: socket.socket, command: bytes, size: int) -> bytes:
    """Send a command and return so many bytes of what comes back."""
    sock.sendall(command)
    return sock.makefile("rb").read(size)


def reset(sock: socket.socket) -> bytes:
    """Return what still comes before the connection is reset."""
    got = b""
    with contextlib.suppress(ConnectionResetError):
        while data := sock.recv(65536):
            got += data
        raise AssertionError(f"the connection ended properly after {got!r}")
    return got


def test_what_was_written_outlives_a_kill_where_it_is_kept_on_disk(tmp_path: Path) -> None:
    """A server that starts again on its folder and port has what it acknowledged, with `append_only` alone."""
    for append_only, left in ((True, "1"), (False, "")):
        with redis_server(tmp_path / str(append_only), append_only=append_only) as server:
            server.cli("set", "key", "1")
            server.kill()
            assert not server.running
            server.start()
            assert server.cli("get", "key") == left
            assert server.stop() == 0


def test_a_password_is_asked_for_and_in_the_urls(tmp_path: Path) -> None:
    """Clients get in over TCP and the Unix socket with the URLs as they are, also where the folder's path is long."""
    with redis_server(tmp_path / ("long" * 25), password="s3cret", options=("--maxmemory", "8mb")) as server:
        for url in (server.url, server.unix_url):
            with Redis.from_url(url) as client:
                assert client.config_get("maxmemory") == {"maxmemory": str(8 << 20)}
        assert server.cli("debug", "sleep", "0") == "OK"
        with connected(server.port) as sock:
            assert ask(sock, b"PING\r\n", 7) == b"-NOAUTH"
        short = server.socket_path().parent
    assert not short.exists()


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    """The error of a start has the log in it."""
    server = RedisServer(tmp_path, options=("--maxmemory", "much"))
    with pytest.raises(AssertionError, match="argument must be a memory value"):
        server.start()
    server.close()


def test_a_paused_server_takes_connections_but_answers_nothing(tmp_path: Path) -> None:
    """A pause looks like a server that hangs, and its end like nothing at all; a paused server can be ended."""
    with redis_server(tmp_path) as server:
        server.pause()
        with connected(server.port) as sock:
            sock.settimeout(0.1)
            with pytest.raises(TimeoutError):
                ask(sock, b"PING\r\n", 7)
            server.resume()
            sock.settimeout(5)
            assert sock.recv(7) == b"+PONG\r\n"
        server.pause()
    assert not server.running


def test_the_shared_server_ends_with_the_process_that_shares_it() -> None:
    """Every caller gets the same server, and nothing of it outlives the process, even if nobody stops it."""
    lines = (
        "from tests.support.redis import shared_redis",
        "server = shared_redis()",
        "assert shared_redis() is server and server.cli('ping') == 'PONG'",
        "print(server.process.pid, server.folder)",
    )
    done = subprocess.run([sys.executable, "-c", "; ".join(lines)], capture_output=True, text=True, check=True)
    pid, folder = done.stdout.split()
    assert not psutil.pid_exists(int(pid))
    assert not Path(folder).exists()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server for all tests of the relay."""
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        server.cli("set", "long", LONG)
        yield server


@pytest.fixture
def relay(server: RedisServer) -> Iterator[Relay]:
    with relay_to(server.port) as relay:
        yield relay


def test_a_relay_cuts_in_the_middle_of_a_reply(relay: Relay) -> None:
    """A present and a new connection each end after so many bytes of their own, and no more do once it is healed."""
    with connected(relay.port) as old, connected(relay.port) as new:
        assert ask(old, b"PING\r\n", 7) == b"+PONG\r\n"
        relay.cut_within_replies(100)
        for sock in (old, new):
            sock.sendall(b"GET long\r\n")
            assert reset(sock) == f"$1000\r\n{LONG}".encode()[:100]
    relay.heal()
    with connected(relay.port) as sock:
        assert ask(sock, b"GET long\r\n", 1009) == f"$1000\r\n{LONG}\r\n".encode()
    assert relay.connections == 3


def test_a_relay_cuts_and_refuses(relay: Relay, server: RedisServer) -> None:
    """A cut leaves the way open for new connections, a refusal does not until it is healed."""
    before = int(server.cli("info", "clients").split("connected_clients:")[1].split()[0])
    with connected(relay.port) as first:
        assert ask(first, b"PING\r\n", 7) == b"+PONG\r\n"
        relay.cut()
        assert reset(first) == b""
    with connected(relay.port) as second:
        assert ask(second, b"PING\r\n", 7) == b"+PONG\r\n"
        relay.refuse()
        assert reset(second) == b""
        with pytest.raises(ConnectionRefusedError):
            connected(relay.port)
    relay.heal()
    with Redis.from_url(relay.url) as client:
        assert client.ping()
    wait_until(lambda: f"connected_clients:{before}\n" in server.cli("info", "clients").replace("\r", ""), "all left")
    assert relay.connections == 3


def test_a_relay_holds_and_goes_on(relay: Relay, server: RedisServer) -> None:
    """What a client sends while bytes are held reaches the server afterwards, even if the client has left since."""
    server.cli("set", "count", "0")
    with connected(relay.port) as stays, connected(relay.port) as leaves:
        relay.hold()
        leaves.sendall(b"INCR count\r\n")
        leaves.close()
        stays.settimeout(0.1)
        with pytest.raises(TimeoutError):
            ask(stays, b"INCR count\r\n", 1)
        assert server.cli("get", "count") == "0"
        relay.heal()
        stays.settimeout(5)
        assert stays.recv(1) == b":"
    wait_until(lambda: server.cli("get", "count") == "2", "both have counted")


def test_a_relay_makes_a_server_report_another_version(relay: Relay) -> None:
    """Rewritten text differs also where it comes in pieces; nothing that only begins like it is kept back."""
    relay.rewrite(b"redis_version:7", b"redis_version:5")
    with Redis.from_url(relay.url, decode_responses=True) as client:
        assert str(client.info("server")["redis_version"]).startswith("5.")
        assert client.echo("redis_ver") == "redis_ver"
    assert relay.rewritten(b"a redis_ver") == (b"a ", b"redis_ver")
    relay.rewrite(b"redis_version:7", b"redis_version:7")
    with Redis.from_url(relay.url, decode_responses=True) as client:
        assert str(client.info("server")["redis_version"]).startswith("7.")


def test_sentinels_make_a_replica_the_master_after_a_kill(tmp_path: Path) -> None:
    """After a failover a replica takes writes, and the other follows it."""
    with sentinel_fleet(tmp_path, password="s3cret") as fleet:
        assert fleet.present_master() is fleet.master
        fleet.master.cli("set", "key", "1")
        fleet.master.cli("wait", "2", "5000")
        fleet.master.kill()
        wait_until(lambda: fleet.present_master() is not fleet.master, "another is master")
        present = fleet.present_master()
        assert present.cli("get", "key") == "1"
        assert present.cli("set", "key", "2") == "OK"
        (other,) = set(fleet.replicas) - {present}
        wait_until(lambda: in_step(other) and other.cli("get", "key") == "2", "the other replica follows it")
