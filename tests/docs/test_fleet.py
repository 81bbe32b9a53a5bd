"""A fleet on one machine, as `make fleet` runs it and the README shows it."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest

from dnsd.config.loading import load_settings
from tests.docs.example import ROOT
from tests.docs.fleet import HOSTS, ExampleFleet, example_fleet
from tests.docs.sessions import check_session, session_of
from tests.support.servers import wait_until

README = ROOT / "README.md"
BLOCKS = "console fleet"

# The last line of what the terminal shows once everything runs.
RUNS = "Stop with Ctrl-C"


def all_apply_a_drain(fleet: ExampleFleet) -> bool:
    """Drain edge-1 through the first server, and say whether all three have applied it; False: the store is away."""
    order = ".venv/bin/dnsd drain edge-1 --role edge --reason fans --wait applied --server http://127.0.0.11:8053"
    printed = fleet.shell(order)
    if "[store-unavailable]" in printed:
        return False
    assert re.findall(r"applied by (\w+)", printed) == ["ns1", "ns2", "ns3"], printed
    return True


def answers(fleet: ExampleFleet, name: str) -> list[set[str]]:
    """Return what each server answers."""
    return [set(fleet.shell(f"dig @{host} -p 5353 +short {name}").split()) for host in HOSTS]


def test_the_fleet_of_the_readme_runs_ends_and_keeps_drains(tmp_path: Path) -> None:
    """The README's commands are among those that the terminal names, and print what it says; a drain holds everywhere.

    SIGTERM then leaves no process and no listener, and the drain stands when the fleet is started again.
    """
    with example_fleet(tmp_path) as fleet:
        fleet.start()
        fleet.wait_for(RUNS)
        assert answers(fleet, "eu.edge.example.org") == [{"192.0.2.11", "192.0.2.12"}] * 3
        named = [line.strip() for line in fleet.said().splitlines() if line.startswith("  ")]
        shown = [step.command for step in session_of(README, blocks=BLOCKS)]
        assert len(shown) >= 8
        assert [command for command in shown if command not in named] == []

        check_session(README, fleet.shell, blocks=BLOCKS)

        fleet.wait_for("fleet | everything runs")
        assert "ns2 | " in fleet.said()
        wait_until(lambda: all_apply_a_drain(fleet), "drains are taken again")
        assert answers(fleet, "eu.edge.example.org") == [{"192.0.2.12"}] * 3
        assert len(fleet.left()) >= 8
        assert fleet.stop() == 0
        assert fleet.left() == []
        assert fleet.listening() == []

        fleet.start()
        fleet.wait_for(RUNS)
        assert answers(fleet, "eu.edge.example.org") == [{"192.0.2.12"}] * 3
        assert answers(fleet, "edge-1.nodes.example.org") == [{"192.0.2.11"}] * 3


def test_the_shared_store_of_the_readme_is_sound(tmp_path: Path) -> None:
    """The README's tables for a fleet, in its small configuration, pass every check without a warning."""
    small, tables = re.findall(r"^```toml\n(.*?)^```$", README.read_text(), re.DOTALL | re.MULTILINE)
    rest = small[small.index("[[zone]]") :]
    (tmp_path / "config.toml").write_text(f"version = 1\n{tables}\n{rest}")
    (tmp_path / "example.org.zone").write_text("@ 3600 SOA ns1 root 1 2 3 4 5\n@ 3600 NS ns1\nns1 3600 A 192.0.2.53\n")
    settings = load_settings(tmp_path / "config.toml")
    assert (settings.server_id, settings.min_replicas) == ("ns1", 1)
    assert settings.state_file == Path("/var/lib/dnsd/last-state")
    assert settings.warnings == ()


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("redis", "run-fleet: redis cannot start: another program listens on 127.0.0.1:6390"),
        ("admin", "run-fleet: ns2 cannot start: another program listens on 127.0.0.12:8053"),
        ("dns", "run-fleet: ns2 cannot start: dnsd: cannot listen on 127.0.0.12:5353: another program "),
    ],
)
def test_a_taken_port_ends_everything_with_one_line(tmp_path: Path, place: str, says: str) -> None:
    """Where another program has an address of the fleet, nothing of the fleet stays, and one line tells why."""
    with example_fleet(tmp_path) as fleet, socket.socket() as other:
        address = {
            "redis": ("127.0.0.1", fleet.redis_port),
            "admin": (HOSTS[1], fleet.admin_port),
            "dns": (HOSTS[1], fleet.dns_port),
        }[place]
        other.bind(address)
        other.listen()
        fleet.start()
        assert fleet.ended() == 1
        assert fleet.left() == []
        first, *reasons = fleet.said().splitlines()
        assert first.startswith("starting Redis and 3 servers")
        assert len(reasons) == 1
        assert reasons[0].startswith(says)
        assert fleet.listening() == [address]


def test_a_folder_has_one_fleet(tmp_path: Path) -> None:
    """A second start in the folder of a fleet that runs is refused with its process id, and changes nothing there."""
    with example_fleet(tmp_path) as fleet:
        fleet.start()
        fleet.wait_for("starting Redis")
        assert fleet.process is not None
        pid = (tmp_path / "var" / "fleet" / "fleet.pid").read_text()
        assert pid == f"{fleet.process.pid}\n"
        command = f".venv/bin/python {ROOT}/scripts/run-fleet .venv/bin/dnsd config.example.toml; echo status $?"
        assert fleet.shell(command) == f"run-fleet: a fleet runs in var/fleet already, process {pid}status 1\n"
        fleet.process.terminate()
        assert fleet.ended() == 0  # told to end while it starts
        assert fleet.left() == []
