"""DNS over TLS and HTTPS as clients see it: the whole server with kdig, dig and curl before it."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import urllib.error
from collections.abc import Iterator
from pathlib import Path

import dns.message
import pytest

from tests.support.certificates import NAME, Pair, make_pair, serial_of
from tests.support.servers import PATIENCE_SECONDS, Server, free_port, started, wait_until

EDGE = "edge.example.org"
FLEET = {"192.0.2.11", "192.0.2.12", "192.0.2.13"}
PATH = "/dns-query"


class SecureServer(Server):
    """A server with TLS and HTTPS beside plain DNS, and a certificate of its own."""

    def __init__(self, folder: Path, *, store: str = "memory", workers: int = 2) -> None:
        self.tls_port, self.https_port = free_port(), free_port()
        more = (
            f'[tls]\nlisten = ["127.0.0.1:{self.tls_port}", "[::1]:{self.tls_port}"]\n'
            'certificate = "cert.pem"\nkey = "key.pem"\n'
            f'[https]\nlisten = ["127.0.0.1:{self.https_port}"]\n'
        )
        super().__init__(folder, store=store, workers=workers, more=more)
        self.pair = make_pair()
        self.pair.write(folder)

    def kdig(self, *words: str, port: int = 0) -> str:
        """Return what kdig prints; it trusts our certificate and no other."""
        trust = (f"+tls-ca={self.folder / 'cert.pem'}", f"+tls-hostname={NAME}")
        command = ["kdig", "@127.0.0.1", "-p", str(port or self.tls_port), "+time=5", "+retry=0", *trust, *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=True).stdout

    def curl(self, *words: str, target: str = PATH) -> tuple[str, str, bytes]:
        """Return the version of HTTP, the status and the body that curl gets."""
        url = f"https://{NAME}:{self.https_port}{target}"
        resolve = ("--resolve", f"{NAME}:{self.https_port}:127.0.0.1", "--cacert", str(self.folder / "cert.pem"))
        command = ["curl", "--silent", "--show-error", "--write-out", "\n%{http_version} %{http_code}", *resolve]
        done = subprocess.run([*command, *words, url], capture_output=True, timeout=PATIENCE_SECONDS, check=True)
        body, _, last = done.stdout.rpartition(b"\n")
        version, status = last.decode().split()
        return version, status, body

    def shown(self, pair: Pair) -> int:
        """Return the serial number of the certificate that a new client is shown; it trusts a pair's."""
        with self.connected(pair) as tls:
            return serial_of(tls)

    @contextlib.contextmanager
    def connected(self, pair: Pair) -> Iterator[ssl.SSLSocket]:
        """Connect over TLS for a while, trusting a pair's certificate."""
        with (
            socket.create_connection(("127.0.0.1", self.tls_port), timeout=PATIENCE_SECONDS) as plain,
            pair.trust("dot").wrap_socket(plain, server_hostname="127.0.0.1") as tls,
        ):
            yield tls


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureServer]:
    server = SecureServer(tmp_path_factory.mktemp("secure"))
    with started(server):
        yield server


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[SecureServer]:
    server = SecureServer(tmp_path)
    with started(server):
        yield server


def addresses(text: str) -> set[str]:
    return set(text.split())


# --- clients --------------------------------------------------------------------------------------------------------


def test_kdig_over_tls_and_https(standing: SecureServer) -> None:
    """With a certificate that is checked by name: the fleet over TLS, and over HTTPS by POST and GET."""
    assert addresses(standing.kdig("+tls", EDGE, "+short")) == FLEET
    for method in ("+nohttps-get", "+https-get"):
        words = (f"+https=/{PATH.strip('/')}", method, EDGE, "+short")
        assert addresses(standing.kdig(*words, port=standing.https_port)) == FLEET
    said = standing.kdig("+tls", "nowhere.example.org")
    assert ("(TLS1.3)" in said, "status: NXDOMAIN" in said) == (True, True)


def test_responses_are_padded_where_nobody_else_can_read_them(standing: SecureServer) -> None:
    """To whole blocks of 468 bytes over TLS and HTTPS, for clients that pad (RFC 8467)."""
    for words, port in ((("+tls",), standing.tls_port), ((f"+https=/{PATH.strip('/')}",), standing.https_port)):
        said = standing.kdig(*words, "+padding=128", "ns1.example.org", port=port)
        assert ";; Received 468 B" in said


def test_dig_over_tls_and_https(standing: SecureServer) -> None:
    """BIND's client agrees, and what is truncated over UDP comes whole."""
    for words in (("+tls", f"-p{standing.tls_port}"), ("+https", f"-p{standing.https_port}")):
        assert standing.addresses(EDGE, *words) == FLEET
        assert standing.dig("+short", "big.example.org", "TXT", *words).count('"') == 16


@pytest.mark.parametrize("version", ["1.1", "2"])
def test_curl_over_both_versions_of_http(standing: SecureServer, version: str) -> None:
    """GET and POST with their types and life times, and the status of what is no query."""
    query = dns.message.make_query("ns1.example.org.", "A", id=0)
    file = standing.folder / "query"
    file.write_bytes(query.to_wire())
    post = ("--data-binary", f"@{file}", "--header", "content-type: application/dns-message")
    coded = base64.urlsafe_b64encode(query.to_wire()).rstrip(b"=").decode()
    http = f"--http{version}"
    for words, target in ((post, PATH), ((), f"{PATH}?dns={coded}")):
        found, status, body = standing.curl(http, *words, target=target)
        assert (found, status) == (version, "200")
        assert dns.message.from_wire(body).answer[0].to_text() == "ns1.example.org. 300 IN A 192.0.2.1"
    head = standing.curl(http, "--include", target=f"{PATH}?dns={coded}")[2].lower()
    assert b"content-type: application/dns-message\r\n" in head
    assert b"cache-control: max-age=300\r\n" in head
    assert standing.curl(http)[1] == "400"
    assert standing.curl(http, *post, target="/")[1] == "404"
    assert standing.curl(http, "--request", "DELETE")[1] == "405"
    assert standing.curl(http, "--data-binary", f"@{file}")[1] == "415"
    file.write_bytes(bytes(70_000))
    assert standing.curl(http, *post)[1] == "413"


def test_curl_resolves_by_it(standing: SecureServer) -> None:
    """A client that resolves its names over DNS over HTTPS finds an address of the fleet, and tries it."""
    command = ["curl", "--silent", "--show-error", "--doh-insecure", "--connect-timeout", "0.2", "--verbose"]
    url = f"https://127.0.0.1:{standing.https_port}{PATH}"
    done = subprocess.run([*command, "--doh-url", url, "http://ns1.example.org/"], capture_output=True, text=True)
    assert "192.0.2.1" in done.stderr


def test_what_is_done_is_counted(standing: SecureServer) -> None:
    """Queries by transport, and handshakes by what became of them."""
    standing.kdig("+tls", EDGE)
    standing.kdig("+https", EDGE, port=standing.https_port)
    with socket.create_connection(("127.0.0.1", standing.tls_port)) as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        client.recv(100)
    for line in (
        'dnsd_queries_total{rcode="NOERROR",transport="tls"}',
        'dnsd_queries_total{rcode="NOERROR",transport="https"}',
        'dnsd_tls_handshakes_total{result="ok"}',
        'dnsd_tls_handshakes_total{result="failed"}',
    ):
        wait_until(lambda line=line: line in standing.get("/metrics"), line)  # type: ignore[misc]


# --- certificates ---------------------------------------------------------------------------------------------------


def hup(server: Server) -> None:
    assert server.process is not None
    server.process.send_signal(signal.SIGHUP)


def ready_workers(server: Server) -> int:
    try:
        return int(server.readiness()["workers"])
    except urllib.error.HTTPError:  # none is
        return 0


def test_a_new_certificate_comes_by_a_reload(secure: SecureServer) -> None:
    """New connections are shown it by every worker, the open one goes on; a worker that comes later has it too."""
    old, new = secure.pair, make_pair(serial=2)
    with secure.connected(old) as kept:
        new.write(secure.folder)
        secure.reload()
        query = dns.message.make_query("ns1.example.org.", "A").to_wire()
        kept.sendall(len(query).to_bytes(2, "big") + query)
        assert int.from_bytes(kept.recv(2), "big") > len(query)
    assert {secure.shown(new) for _ in range(20)} == {2}
    with pytest.raises(ssl.SSLCertVerificationError):
        secure.shown(old)
    # No worker reads a file: they may be gone, or not theirs to read.
    for name in ("cert.pem", "key.pem"):
        (secure.folder / name).unlink()
    before = secure.workers()
    for worker in before:
        secure.kill(worker.pid)
    wait_until(lambda: not set(before) & set(secure.workers()) and ready_workers(secure) == 2, "new workers")
    assert {secure.shown(new) for _ in range(20)} == {2}


def test_a_bad_pair_is_refused_and_the_old_one_serves_on(secure: SecureServer) -> None:
    """A key of another certificate: the log names it, and nothing of that reload is taken over."""
    (secure.folder / "key.pem").write_bytes(make_pair().key)
    zone = secure.folder / "example.org.zone"
    zone.write_text(zone.read_text() + "new-record A 192.0.2.77\n")
    hup(secure)
    wait_until(lambda: "not reloaded" in secure.said(), "the refusal")
    wait_until(lambda: "[key-mismatch]" in secure.said(), "the reason")
    assert secure.shown(secure.pair) == 1
    assert addresses(secure.kdig("+tls", "new-record.example.org", "+short")) == set()
    checked = secure.run("check", "--config", str(secure.config))
    assert (checked.returncode, "[key-mismatch]" in checked.stdout + checked.stderr) == (2, True)


def test_a_start_with_a_bad_pair_is_refused(tmp_path: Path) -> None:
    """One line with file and place, exit status 2, and nothing is left running."""
    server = SecureServer(tmp_path)
    (tmp_path / "key.pem").write_text("no key")
    server.start(ready=False)
    try:
        assert server.process is not None
        assert server.process.wait(PATIENCE_SECONDS) == 2
    finally:
        server.close()
    (line,) = server.said().splitlines()
    assert ("tls.key" in line, "[bad-key]" in line) == (True, True)


# --- life -----------------------------------------------------------------------------------------------------------


def test_a_tls_address_in_use_is_named(tmp_path: Path) -> None:
    """Whoever listens there, over TCP, is found before anything is started."""
    server = SecureServer(tmp_path)
    with socket.create_server(("127.0.0.1", server.https_port)):
        server.start(ready=False)
        try:
            assert server.process is not None
            assert server.process.wait(PATIENCE_SECONDS) == 1
        finally:
            server.close()
    said = server.said().splitlines()[-1]
    assert f"cannot listen on 127.0.0.1:{server.https_port}: another program (pid {os.getpid()})" in said


def test_udp_beside_it_may_be_anothers(tmp_path: Path) -> None:
    """DNS over QUIC on the same port, by another program, is in nobody's way."""
    server = SecureServer(tmp_path)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as quic:
        quic.bind(("127.0.0.1", server.tls_port))
        try:
            server.start()
            assert addresses(server.kdig("+tls", EDGE, "+short")) == FLEET
        finally:
            server.close()


def test_orphans_answer_and_are_taken_over(secure: SecureServer) -> None:
    """After the death of the control process TLS goes on; a new one, with another certificate, takes it over."""
    orphans = secure.workers()
    secure.kill()
    assert addresses(secure.kdig("+tls", EDGE, "+short")) == FLEET
    second = make_pair(serial=2)
    second.write(secure.folder)
    secure.start()
    wait_until(lambda: not any(orphan.is_running() for orphan in orphans), "the orphans have gone")
    assert {secure.shown(second) for _ in range(20)} == {2}
    assert secure.stop() == 0


def test_a_second_server_on_the_tls_address_is_refused(secure: SecureServer, tmp_path: Path) -> None:
    """The address is claimed like that of plain DNS."""
    other = tmp_path / "other"
    other.mkdir()
    second = SecureServer(other)
    text = second.config.read_text().replace(str(second.tls_port), str(secure.tls_port))
    second.config.write_text(text)
    second.start(ready=False)
    try:
        assert second.process is not None
        assert second.process.wait(PATIENCE_SECONDS) == 1
    finally:
        second.close()
    assert f"127.0.0.1:{secure.tls_port} is served by another dnsd" in second.said()


def test_a_stop_ends_connections_in_order(secure: SecureServer) -> None:
    """An idle client over TLS gets TLS's goodbye rather than a reset."""
    with secure.connected(secure.pair) as tls:
        assert secure.stop() == 0
        assert tls.recv(100) == b""
    assert "Traceback" not in secure.said()


def test_misbehaviour_harms_nobody_else(secure: SecureServer) -> None:
    """Clients that stop in the handshake, lie about lengths or never read leave every transport serving."""
    held = [socket.create_connection(("127.0.0.1", secure.tls_port)) for _ in range(60)]
    for number, client in enumerate(held):
        client.sendall((b"", b"\x16\x03\x01\x02\x00\x01", b"\x16")[number % 3])
    try:
        assert addresses(secure.kdig("+tls", EDGE, "+short")) == FLEET
        assert secure.addresses(EDGE) == FLEET
        assert secure.addresses(EDGE, "+tcp") == FLEET
        assert secure.curl(target="/")[1] == "404"
    finally:
        for client in held:
            client.close()
    assert json.loads(secure.get("/readyz"))["workers"] == 2
    assert "Traceback" not in secure.said()
