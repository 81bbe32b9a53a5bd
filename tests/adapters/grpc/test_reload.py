"""A server that is told of `[grpc]`, and told to be without, while it runs."""

from __future__ import annotations

import contextlib
import signal
import socket
from pathlib import Path
from typing import Any

import grpc

from dnsd.adapters.grpc.v1 import control_pb2 as pb
from dnsd.adapters.grpc.v1 import control_pb2_grpc
from tests.support.certificates import make_pair
from tests.support.servers import PATIENCE_SECONDS, Server, free_port, serving, wait_until


def _reload(server: Server, text: str) -> None:
    """Have the server read a configuration, and wait until it has."""
    assert server.process is not None
    before = server.said().count("reloaded ")
    server.config.write_text(text)
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: server.said().count("reloaded ") > before, "it has read its configuration")


def _has_grpc(pid: int) -> bool:
    """Say whether a process has the library in memory."""
    return "cygrpc" in Path(f"/proc/{pid}/maps").read_text()


def _speak_nonsense(address: str) -> None:
    """Send what is no TLS, and wait until the server ends the connection."""
    host, port = address.split(":")
    reached: list[socket.socket] = []

    def reaches() -> bool:
        with contextlib.suppress(ConnectionRefusedError):
            reached.append(socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS))
        return bool(reached)

    wait_until(reaches, "it listens")
    with reached[0] as stranger, contextlib.suppress(ConnectionError):
        stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
        while stranger.recv(4096):
            pass


def _nodes(channel: grpc.Channel) -> int:
    control: Any = control_pb2_grpc.ControlStub(channel)
    return len(control.ListNodes(pb.ListNodesRequest(), timeout=PATIENCE_SECONDS, wait_for_ready=True).nodes)


def test_a_reload_starts_it_renews_its_certificate_and_ends_it(tmp_path: Path) -> None:
    """Only a server with `[grpc]` loads the library, its workers never do; a reload takes another certificate."""
    address = f"127.0.0.1:{free_port()}"
    with serving(tmp_path, workers=1) as server:
        assert server.process is not None
        plain = server.config.read_text()
        assert not _has_grpc(server.process.pid)
        listening = f'{plain}\n[grpc]\nlisten = "{address}"\n'
        for serial in (1, 2):
            pair = make_pair(serial=serial)
            pair.write(tmp_path)
            _reload(server, listening + 'certificate = "cert.pem"\nkey = "key.pem"\n')
            _speak_nonsense(address)
            with grpc.secure_channel(address, grpc.ssl_channel_credentials(pair.certificate)) as channel:
                assert _nodes(channel) == 5
        _reload(server, listening)
        with grpc.insecure_channel(address) as channel:
            assert _nodes(channel) == 5
        assert _has_grpc(server.process.pid)
        assert not any(_has_grpc(worker.pid) for worker in server.workers())
        _reload(server, plain)
        wait_until(lambda: "dnsd_adapter_up{" not in server.get("/metrics"), "the adapter has ended")
        assert server.addresses("edge.example.org.") == {"192.0.2.11", "192.0.2.12", "192.0.2.13"}
        assert server.stop() == 0
        assert "Traceback" not in server.said()
        assert "andshake" not in server.said()  # of which the library would tell, once for each stranger
