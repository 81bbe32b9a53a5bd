"""What the page on gRPC shows, run as it is printed against the example fleet, and what it lists, beside the code."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from admin.streams import MAX_STREAMS, SEND_TIMEOUT_SECONDS
from dnsd.adapters.grpc import adapter, frame
from dnsd.adapters.grpc.problems import MAX_ROWS_SIZE, MAX_TEXT_SIZE, code_of
from dnsd.adapters.grpc.v1 import control_pb2
from dnsd.control.events import LISTENER_BACKLOG
from tests.docs.blocks import blocks_of, replaced
from tests.docs.example import ROOT, ExampleServer
from tests.support.servers import PATIENCE_SECONDS, free_port, wait_until

PAGE = ROOT / "docs" / "integrations" / "grpc.md"
ADDRESS = "127.0.0.1:8054"


@dataclass
class Client:
    """The folder of a client with the generated code, and the server that it speaks to."""

    folder: Path
    server: ExampleServer
    address: str

    def write(self, number: int) -> Path:
        """Write a program of the page, with the address that the server has here."""
        program = self.folder / f"client{number}.py"
        program.write_text(replaced(blocks_of(PAGE, "python")[number], {ADDRESS: self.address}))
        return program

    def run(self, program: Path, *words: str) -> list[str]:
        """Return the lines that a program prints."""
        done = subprocess.run(
            [sys.executable, program, *words], capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.splitlines()


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """The example fleet with the page's first configuration, and a client that has made its code as the page says."""
    folder = tmp_path_factory.mktemp("client")
    shutil.copytree(ROOT / "proto", folder / "proto")
    command = blocks_of(PAGE, "sh")[1].replace("python -m", f"{sys.executable} -m")
    subprocess.run(["/bin/sh", "-ec", command], cwd=folder, check=True)
    server = ExampleServer(tmp_path_factory.mktemp("server"))
    address = f"127.0.0.1:{free_port()}"
    with server.config.open("a") as config:
        config.write(replaced(blocks_of(PAGE, "toml")[0], {ADDRESS: address}))
    try:
        server.start()
        wait_until(lambda: "grpc: listens on" in server.said(), "the adapter listens")
        yield Client(folder, server, address)
    finally:
        server.close()


def test_the_clients_of_the_page_drain_and_watch(client: Client) -> None:
    """The first program drains a node and is refused another one; the second has seen it, and comes again."""
    watcher = subprocess.Popen([sys.executable, client.write(1)], stdout=subprocess.PIPE, text=True)
    try:
        assert watcher.stdout is not None
        metric = 'dnsd_adapter_requests_total{adapter="grpc",result="ok"} 1.0'  # it has listed drains, and watches
        wait_until(lambda: metric in client.server.get("/metrics"), "the second program watches")
        program = client.write(0)
        drained, blocked = client.run(program, "edge-1")
        assert re.fullmatch(r"edge-1 is drained since revision \d+: ns1", drained)
        assert blocked.startswith("not yet safe to stop: edge: ")
        assert watcher.stdout.readline().split()[:2] == ["drain", "edge-1"]

        lines = client.run(program, "edge-2", "edge-3", "edge-4")
        refusal = next(place for place, line in enumerate(lines) if line.startswith("FAILED_PRECONDITION "))
        told = r"FAILED_PRECONDITION capacity-floor: draining edge-\d breaks a floor: .*"
        assert re.fullmatch(told, lines[refusal])
        assert re.fullmatch(r"  \S+ would have \d of \d, its floor is .*", lines[refusal + 1])

        client.server.stop()
        client.server.start()
        client.server.cli("undrain", "edge-1")
        seen = iter(watcher.stdout.readline, "")
        assert any(line.split()[:2] == ["drain-removed", "edge-1"] for line in seen)
    finally:
        watcher.kill()
        watcher.communicate()


def _rows(heading: str) -> list[list[str]]:
    """Return the cells of the table under a heading, without its first two lines."""
    section = PAGE.read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:]]


def test_the_page_lists_every_call() -> None:
    """The table of calls has those of the definition, in their order."""
    methods = control_pb2.DESCRIPTOR.services_by_name["Control"].methods
    assert [row[0].strip("`") for row in _rows("Calls")] == [method.name for method in methods]


def test_the_page_lists_the_codes() -> None:
    """Each problem of the table of errors has the code that it is told with."""
    for status, code, ids in _rows("Errors"):
        for each in re.findall(r"`([\w-]+)`", ids):
            if each != "allow":
                assert f"`{code_of(each, int(status)).name}`" == code, each
    assert f"{MAX_TEXT_SIZE} bytes of each sentence and {MAX_ROWS_SIZE // 1024} KiB of rows" in PAGE.read_text()


def test_the_page_tells_the_limits() -> None:
    """The figures of the page are those of the code."""
    options = dict(adapter.OPTIONS)
    told = dict(_rows("Limits"))
    assert told["a message to the server"] == f"{adapter.MAX_MESSAGE_SIZE // 1024} KiB"
    assert told["calls at once; of one connection"] == f"{adapter.MAX_CALLS}; {options['grpc.max_concurrent_streams']}"
    assert told["connections"] == (
        f"{options['grpc.max_allowed_incoming_connections']}; one that says nothing within "
        f"{options['grpc.server_handshake_timeout_ms'] // 1000} s is closed, "
        f"an idle one after {options['grpc.max_connection_idle_ms'] // 60_000} minutes"
    )
    assert told["a call without its message"] == f"ended after {frame.MESSAGE_TIMEOUT_SECONDS:g} s"
    assert told["streams of events"] == str(MAX_STREAMS)
    assert told["streams of health and reflection together"] == str(frame.MAX_OPEN_STREAMS)
    assert told["a watcher that takes nothing in"] == (
        f"cut off after {SEND_TIMEOUT_SECONDS:g} s, or where {LISTENER_BACKLOG:,} events wait for it"
    )
    noticed = (options["grpc.keepalive_time_ms"] + options["grpc.keepalive_timeout_ms"]) // 1000
    assert told["a peer that is gone"] == f"noticed within {noticed} s, by keepalive"
