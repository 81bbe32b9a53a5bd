"""A zone so large that a process of its own reads it, and that every process has in memory once."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from bench.zones import write_zone
from dnsd.zonefile.apart import LARGE_FILE_SIZE
from tests.support.servers import Server, serving, wait_until

RECORDS = 40_000

MORE = '\n[[zone]]\nname = "large.example."\nfile = "large.zone"\n'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("large")
    write_zone(folder / "large.zone", RECORDS)
    assert (folder / "large.zone").stat().st_size > LARGE_FILE_SIZE
    with serving(folder, more=MORE) as running:
        yield running


def descriptors(server: Server) -> list[int]:
    """Return how many descriptors the control process and its workers have open."""
    return [process.num_fds() for process in server.family()]


def images(process: psutil.Process) -> int:
    """Return how many images a process has mapped."""
    return Path(f"/proc/{process.pid}/maps").read_text().count("/memfd:dnsd")


def _everyone_says(server: Server, name: str, address: str) -> bool:
    """Say whether a name has an address, asked so often that every worker has answered."""
    return all(server.addresses(name) == {address} for _ in range(8))


def test_its_names_are_answered(server: Server) -> None:
    """Addresses, aliases and delegations are as in the file, and every worker has the one image."""
    assert server.addresses("host1234.large.example") == {"10.0.4.210"}
    assert "host6.large.example." in server.dig("+noall", "+answer", "www6.large.example", "CNAME")
    assert "ns.sub8.large.example." in server.dig("+noall", "+authority", "x.sub8.large.example")
    assert "NXDOMAIN" in server.dig("none.large.example")
    assert {images(worker) for worker in server.workers()} == {1}


def test_reloads_leave_nothing_behind(server: Server) -> None:
    """After several reloads there are the descriptors and images of the first, and the new records are answered."""
    server.reload()
    before = descriptors(server)
    zone = server.folder / "large.zone"
    for number in range(3):
        zone.write_text(zone.read_text() + f"new{number} A 192.0.2.{number}\n")
        server.reload()
        wait_until(partial(_everyone_says, server, f"new{number}.large.example", f"192.0.2.{number}"), "it is answered")
    wait_until(lambda: descriptors(server) == before, "every descriptor is closed")
    assert {images(worker) for worker in server.workers()} == {1}


def test_a_worker_that_is_replaced_has_the_zone(server: Server) -> None:
    """The new one maps the image that the others have."""
    old = {worker.pid for worker in server.workers()}
    server.kill(min(old))
    wait_until(lambda: len({worker.pid for worker in server.workers()} - old) == 1, "there is another worker")
    wait_until(lambda: {images(worker) for worker in server.workers()} == {1}, "it has the zone")
    wait_until(server.is_ready, "the server is ready")
    assert server.addresses("host1234.large.example") == {"10.0.4.210"}


def _reader(server: Server) -> psutil.Process | None:
    for process in server.family():
        try:
            if "dnsd.zonefile" in process.cmdline():
                return process
        except psutil.Error:
            continue
    return None


def _reader_is_killed(server: Server) -> bool:
    reader = _reader(server)
    if reader is not None:
        reader.kill()
    return reader is not None


def test_a_reader_that_is_killed_leaves_the_old_zone_serving(server: Server) -> None:
    """It is reported as a zone that could not be read, and the next reload is as any other."""
    assert server.process is not None
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: _reader_is_killed(server), "a process reads the zone")
    wait_until(lambda: "[not-read]" in server.said(), "the end of the reader is reported")
    assert "ended by signal 9" in server.said()
    assert server.addresses("host1234.large.example") == {"10.0.4.210"}
    server.reload()


def test_the_end_of_the_server_waits_for_no_reader(server: Server) -> None:
    """SIGTERM during a reload ends the process that reads as well."""
    assert server.process is not None
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: _reader(server) is not None, "a process reads the zone")
    assert server.stop() == 0
