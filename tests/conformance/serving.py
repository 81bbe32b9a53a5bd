"""The zones of the cases behind an engine, and behind a real server."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from dnsd.core import names
from dnsd.core.engine import Engine
from dnsd.core.policy import AnswerPolicy
from dnsd.core.records import Snapshot, Zone
from dnsd.core.via import UDP, Transport, Via
from dnsd.zonefile.zone import Request, read_requested
from tests.conformance.cases import Case, CaseFile
from tests.support.options import HTTPS, TCP, TLS
from tests.support.servers import PATIENCE_SECONDS, Server

NSID = "ns1"
SECRET = "e5e973e5a6b2a43f48e7dc849e37bfcf"

# As the server is configured, and other ways to answer.
USUAL = AnswerPolicy(
    nsid=NSID, version_text="dnsd", id_text=NSID, cookies=True, cookie_secrets=(bytes.fromhex(SECRET),)
)
POLICIES = {
    "": USUAL,
    "silent": AnswerPolicy(),
    "strict": replace(USUAL, require_cookies=True),
    "rolled": replace(
        USUAL,
        cookie_secrets=(
            bytes.fromhex("445536bcd2513298075a5d379663c962"),
            bytes.fromhex("dd3bdf9344b678b185a6f5cb60fca715"),
        ),
    ),
}

VIAS = {"udp": UDP, "tcp": TCP, "tls": TLS, "https": HTTPS}

CONFIG_TEXT = """\
version = 1

[server]
id = "ns1"
nsid = "{nsid}"
version_bind = "dnsd"
id_server = true
listen = ["127.0.0.1:{dns}", "[::1]:{dns}"]
workers = 1

[admin]
listen = "127.0.0.1:{admin}"

[store]
url = "memory://"

[cookies]
secret_file = "secrets"
"""


def zones_of(files: Iterable[CaseFile], folder: Path) -> dict[bytes, Zone]:
    """Read the zones of all files as the server does; each stands in one file alone.

    Args:
        folder: gets the master files.
    """
    zones: dict[bytes, Zone] = {}
    for apex, text in _texts(files).items():
        path = folder / f"{apex}zone"
        path.write_text(text)
        found = read_requested(Request(path=path, apex=names.from_text(apex)))
        assert found.zone is not None, found.problems
        zones[found.zone.apex] = found.zone
    return zones


def _texts(files: Iterable[CaseFile]) -> dict[str, str]:
    texts: dict[str, str] = {}
    for file in files:
        assert not texts.keys() & file.zones.keys(), f"RFC {file.rfc} has a zone that another has"
        texts |= file.zones
    return texts


def engine_for(case: Case, snapshot: Snapshot) -> Engine:
    """Return an engine that answers as a case asks for; a fault of its own fails the test."""
    return Engine(snapshot, policy=POLICIES[case.value("policy")], on_failure=_raise)


def _raise(failure: Exception) -> None:
    raise failure


def via(transport: str) -> Via:
    """Return the way to the engine that a transport is."""
    found = VIAS[transport]
    assert found.transport is Transport[transport.upper()]
    return found


def server_for(files: Iterable[CaseFile], folder: Path) -> Server:
    """Return a server of the zones of all files, not started."""
    server = Server(folder, store="memory")
    secrets = folder / "secrets"
    secrets.write_text(f"{SECRET}\n")
    secrets.chmod(0o600)
    config = CONFIG_TEXT.format(nsid=NSID, dns=server.dns_port, admin=server.admin_port)
    for apex, text in _texts(files).items():
        (folder / f"{apex}zone").write_text(text)
        config += f'\n[[zone]]\nname = "{apex}"\nfile = "{apex}zone"\n'
    server.config.write_text(config)
    return server


class Asker:
    """A client of a server, over UDP and over TCP.

    Args:
        port: of the server, on the loopback.
    """

    def __init__(self, port: int) -> None:
        self._address = ("127.0.0.1", port)
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.settimeout(PATIENCE_SECONDS)
        self._udp.connect(self._address)

    def close(self) -> None:
        """Let go of the socket."""
        self._udp.close()

    def ask(self, packet: bytes, transport: str, *, then: bytes) -> bytes | None:
        """Return the response to a packet.

        Args:
            transport: `udp` or `tcp`.
            then: a query that is answered, sent behind the packet; where its response is the first one over UDP, the
                packet had none.
        """
        if transport == "tcp":
            return self._ask_tcp(packet)
        self._udp.send(packet)
        self._udp.send(then)
        response = self._udp.recv(65535)
        if response[:2] == then[:2]:
            return None
        assert self._udp.recv(65535)[:2] == then[:2]
        return response

    def _ask_tcp(self, packet: bytes) -> bytes:
        with socket.create_connection(self._address, timeout=PATIENCE_SECONDS) as sock, sock.makefile("rb") as reader:
            sock.sendall(struct.pack("!H", len(packet)) + packet)
            (size,) = struct.unpack("!H", reader.read(2))
            return reader.read(size)
