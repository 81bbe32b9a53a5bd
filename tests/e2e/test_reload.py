"""SIGHUP and SIGTERM: all or nothing, and nothing left behind."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.support.servers import PATIENCE_SECONDS, Server, alive, serving, wait_until


def hup(server: Server) -> None:
    assert server.process is not None
    server.process.send_signal(signal.SIGHUP)


def reloads(server: Server) -> int:
    return server.said().count("reloaded ") - server.said().count("not reloaded")


def test_a_reload_serves_new_zones_pools_and_nodes_and_keeps_drains(server: Server) -> None:
    """A record, a pool and a node that were not there, without a restart; what was drained is still drained."""
    server.cli("drain", "edge-1", "--reason", "kernel", "--wait", "applied")
    before = {worker.pid for worker in server.workers()}
    zone = server.folder / "example.org.zone"
    zone.write_text(zone.read_text() + "new-record A 192.0.2.77\n")
    more = (
        '\n[[pool]]\nname = "all.example.org."\nrole = "edge"\n'
        '\n[[node]]\nid = "edge-4"\naddresses = ["192.0.2.14"]\nroles = ["edge"]\n'
    )
    server.config.write_text(server.config.read_text() + more)
    server.reload()
    assert server.addresses("new-record.example.org") == {"192.0.2.77"}
    assert server.addresses("all.example.org") == {"192.0.2.12", "192.0.2.13", "192.0.2.14"}
    assert server.addresses("edge-4.nodes.example.org") == {"192.0.2.14"}
    assert {worker.pid for worker in server.workers()} == before


def test_a_bad_file_leaves_the_old_state_serving_and_is_reported(server: Server) -> None:
    """Every reason with file and line in the log, the failure in the metrics, the answers as before; then it heals."""
    good = server.config.read_text()
    zone = server.folder / "example.org.zone"
    good_zone = zone.read_text()
    zone.write_text(good_zone.replace("192.0.2.2\n", "192.0.2.999\n"))
    server.config.write_text(good.replace('role = "ingest"', 'role = "video"') + "\ncolour = 1\n")
    hup(server)
    reasons = ("not reloaded", "[unknown-key]", "[unknown-role]", "example.org.zone:8:")
    wait_until(lambda: all(reason in server.said() for reason in reasons), "the failure is reported")
    assert len(server.addresses("edge.example.org")) == 3
    assert server.addresses("mail.example.org") == {"192.0.2.2"}
    server.cli("drain", "edge-1", "--reason", "still works", "--wait", "applied")
    assert len(server.addresses("edge.example.org")) == 2

    zone.write_text(good_zone.replace("192.0.2.2\n", "192.0.2.3\n"))
    server.config.write_text(good)
    server.reload()
    assert server.addresses("mail.example.org") == {"192.0.2.3"}


def test_what_only_a_restart_can_change_is_refused_by_name(server: Server) -> None:
    """Another listen address in the file: the reload says which key, and changes nothing else either."""
    text = server.config.read_text()
    zone = server.folder / "example.org.zone"
    zone.write_text(zone.read_text() + "new-record A 192.0.2.77\n")
    server.config.write_text(text.replace("workers = 2", "workers = 3"))
    hup(server)
    wait_until(lambda: "[needs-restart]" in server.said(), "the refusal is reported")
    assert "server.workers" in server.said()
    assert server.addresses("new-record.example.org") == set()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_is_clean(tmp_path: Path, number: signal.Signals) -> None:
    """Exit status 0, no process left, no complaint in the log, and the port free at once."""
    with serving(tmp_path) as server:
        family = server.family()
        assert server.process is not None
        server.process.send_signal(number)
        assert server.process.wait(PATIENCE_SECONDS) == 0
        wait_until(lambda: not any(alive(process) for process in family), "no process is left")
        assert "Traceback" not in server.said()
        assert "ERROR" not in server.said()
        server.start()


def test_a_broken_configuration_is_told_whole_and_exits_2(tmp_path: Path) -> None:
    """Unknown key, owner outside the zones, a clash and a broken zone: all at once, each with file, line and id."""
    server = Server(tmp_path)
    zone = tmp_path / "example.org.zone"
    zone.write_text(zone.read_text() + "broken A nonsense\nbroken2 AAAA 192.0.2.1\n")
    server.config.write_text(
        server.config.read_text()
        + '\n[[pool]]\nname = "www.example.org."\nrole = "edge"\n'
        + '\n[[pool]]\nname = "edge.example.com."\nrole = "edge"\n'
        + "\n[storage]\n"
    )
    lines = len(server.config.read_text().splitlines())
    server.start(ready=False)
    try:
        assert server.process is not None
        assert server.process.wait(PATIENCE_SECONDS) == 2
    finally:
        server.close()
    said = server.said()
    zone_lines = len(zone.read_text().splitlines())
    for expected in (
        f"config.toml:{lines}: storage: ",
        "[unknown-key]",
        "edge.example.com.",
        "[outside-zones]",
        f"example.org.zone:{zone_lines - 1}:",
        f"example.org.zone:{zone_lines}:",
    ):
        assert expected in said, said
    assert "Traceback" not in said
    checked = server.run("check", "--config", str(server.config))
    assert checked.returncode == 2


def test_a_second_server_on_the_same_address_is_refused(server: Server) -> None:
    """It says who has the address and exits 1; the first one goes on."""
    second = Server(server.folder)
    text = second.config.read_text().replace(str(second.dns_port), str(server.dns_port))
    second.config.write_text(text)
    second.log = server.folder / "second.log"
    second.start(ready=False)
    try:
        assert second.process is not None
        assert second.process.wait(PATIENCE_SECONDS) == 1
    finally:
        second.close()
    assert "served by another dnsd" in second.said()
    assert "Traceback" not in second.said()
    assert len(server.addresses("edge.example.org")) == 3
