"""The fleet that is measured is the same in every server's words, and its questions are what they are said to be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import dns.zone
import pytest

from bench import large, servers, zones
from bench.fleets import APEX, BenchFleet, mixed_case
from bench.owned import share_cores
from dnsd.config.loading import load_settings

FLEET = BenchFleet(nodes=12, pools=3)


def test_dnsd_takes_its_configuration(tmp_path: Path) -> None:
    """Every pool has its nodes, and an answer has room for all of them."""
    server = servers.dnsd(tmp_path, FLEET.dnsd_tables())
    settings = load_settings(server.folder / "config.toml")
    assert len(settings.nodes) == FLEET.nodes
    assert [pool.max_answers for pool in settings.pools] == [4, 4, 4]


def test_the_static_zone_has_the_same_names_and_addresses() -> None:
    """A pool's records are its nodes' addresses."""
    zone = dns.zone.from_text(FLEET.static_zone(), origin=APEX)
    pool = zone.find_rdataset("pool-1.streams", "A")
    assert {rdata.address for rdata in pool} == {FLEET.v4(number) for number in FLEET.members(1)}
    assert zone.find_rdataset("edge-4.nodes", "AAAA")[0].address == FLEET.v6(4)
    assert list(FLEET.members(1)) == [1, 4, 7, 10]


def test_gdnsd_has_every_node_in_its_resources() -> None:
    """Each pool is a resource with both families."""
    lines = FLEET.gdnsd_resources().splitlines()
    assert len(lines) == FLEET.pools
    assert all(FLEET.v4(number) in lines[1] for number in FLEET.members(1))


def test_every_name_is_asked_where_names_repeat() -> None:
    """Pools and nodes are asked about as often, each in both families."""
    asked = list(FLEET.repeating())
    assert {line.split()[0] for line in asked} == {
        *(FLEET.pool_name(pool) for pool in range(FLEET.pools)),
        *(FLEET.node_name(number) for number in range(FLEET.nodes)),
    }
    assert sum("pool" in line for line in asked) * 2 == len(asked)


def test_nothing_is_asked_twice_where_nothing_repeats() -> None:
    """Questions differ within a run and between runs, also in case alone, and half of the names exist."""
    asked = [line for run in range(3) for line in FLEET.never_twice(4_000, run=run)]
    assert len(set(asked)) == len(asked)
    names = {line.split()[0].lower() for line in asked if "pool" in line}
    assert names == {FLEET.pool_name(pool) for pool in range(FLEET.pools)}
    assert sum("missing" in line for line in asked) * 2 == len(asked)


def test_mixed_case_changes_letters_alone() -> None:
    """Each bit of the number is one letter's, and what is no letter stays."""
    assert mixed_case("a-1.b", 0b11) == "A-1.B"
    assert mixed_case("a-1.b", 0b10) == "a-1.B"


def test_a_reload_finds_another_serial(tmp_path: Path) -> None:
    """Only the SOA record of a large zone's file changes."""
    file = tmp_path / "zone"
    zones.write_zone(file, 100)
    before = file.read_text().splitlines()
    large.renew(file)
    after = file.read_text().splitlines()
    assert [line.split()[5] for line in after if " SOA " in line] == ["2"]
    assert [line for line in after if " SOA " not in line] == [line for line in before if " SOA " not in line]


@pytest.mark.parametrize("size", [10, 1_000])
def test_questions_about_a_large_zone_are_for_names_in_it(tmp_path: Path, size: int) -> None:
    """Whoever asks them gets addresses."""
    zones.write_zone(tmp_path / "zone", size)
    large.write_questions(tmp_path / "questions", size)
    zone = dns.zone.from_file(str(tmp_path / "zone"), origin=APEX)
    for line in (tmp_path / "questions").read_text().splitlines():
        name, kind = line.split()
        assert zone.find_rdataset(f"{name}.", kind)


@pytest.mark.parametrize(
    ("available", "expected"),
    [([3], (3, 3, {3})), ([0, 1], (0, 1, {1})), ([0, 1, 2, 5], (0, 1, {2, 5}))],
)
def test_what_is_measured_has_a_cpu_for_itself(available: list[int], expected: tuple[int, int, set[int]]) -> None:
    """With two CPUs the client shares its own with the rest, with one all share it."""
    cores = share_cores(available)
    assert (cores.server, cores.client, set(cores.others)) == expected


def test_what_is_not_installed_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer is looked for by its program."""
    found: Callable[[str], str | None] = {"nsd": "/usr/sbin/nsd"}.get
    monkeypatch.setattr(servers, "find_program", found)
    assert [peer.name for peer in servers.PEERS if peer.installed()] == ["NSD"]
