"""The example configuration: it serves as it is, and shows what there is."""

from __future__ import annotations

from pathlib import Path

import pytest

from dnsd.config.loading import load_settings
from dnsd.config.settings import Settings
from dnsd.core import constants, names
from dnsd.model.endpoint import Endpoint
from dnsd.model.pool import PoolSpec, PoolType, WhenEmpty

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "config.example.toml"


@pytest.fixture(scope="module")
def example() -> Settings:
    return load_settings(EXAMPLE)


def test_the_example_has_neither_problems_nor_warnings(example: Settings) -> None:
    """It loads, and nothing in it is odd."""
    assert example.warnings == ()


def test_the_example_listens_as_documented(example: Settings) -> None:
    """DNS on port 5353 of both loopback addresses, admin on 8053, a SQLite store beside the file."""
    assert example.listen == (Endpoint("127.0.0.1", 5353), Endpoint("::1", 5353))
    assert example.admin_listen == Endpoint("127.0.0.1", 8053)
    assert example.store_url == f"sqlite://{ROOT}/var/state.db"
    assert example.tokens == ()


def test_the_example_fleet_is_whole(example: Settings) -> None:
    """Two regions, all roles, both families, a dozen nodes and eleven pools; edge-1 is where the guide says."""
    nodes = example.nodes.values()
    assert len(nodes) == 12
    assert {node.region for node in nodes} == {"eu", "us"}
    assert {role for node in nodes for role in node.roles} == set(example.roles)
    edge = example.nodes["edge-1"]
    assert (edge.roles, edge.region, edge.addresses) == (("edge",), "eu", ("192.0.2.11", "2001:db8::11"))
    assert [spec.owner_of(edge) for spec in example.node_records] == ["edge-1.nodes.example.org."]
    assert len(example.pools) == 11


def test_the_example_pools_show_every_setting(example: Settings) -> None:
    """Each fallback, labels, a small answer, floors of both kinds, and records beside addresses are in use."""

    def size(pool: PoolSpec) -> int:
        return sum(pool.selects(node) for node in example.nodes.values())

    pools = example.pools
    assert {pool.when_empty for pool in pools} == set(WhenEmpty)
    assert any("tier" in pool.match for pool in pools)
    assert any(pool.max_answers < size(pool) for pool in pools)
    assert {pool.floor.share is None for pool in pools} == {True, False}
    assert any(pool.owner.startswith("*.") for pool in pools)
    assert all(size(pool) > 0 for pool in pools)
    assert {pool.type for pool in pools} == {PoolType.ADDRESS, PoolType.SRV}
    assert any(pool.https for pool in pools)


def test_the_example_zones_show_every_kind_of_answer(example: Settings) -> None:
    """Aliases, a delegation with glue, a wildcard, an empty non-terminal and an unknown type are there."""
    nodes = example.zones[names.from_text("example.org.")].nodes

    def types(owner: str) -> set[int]:
        return set(nodes[names.from_text(owner)].rrsets)

    assert types("example.org.") >= {constants.SOA, constants.NS, constants.MX, constants.TXT, 257}
    assert types("_hls._tcp.example.org.") == {constants.SRV}
    assert types("www.example.org.") == {constants.CNAME}
    assert types("legacy.example.org.") == {constants.DNAME}
    assert types("rack.example.org.") == set()
    assert types("*.apps.example.org.") == {constants.A, constants.TXT}
    assert types("badge.example.org.") == {65280}
    assert types("console-12.example.org.") == {constants.A}
    assert types("printer.office.example.org.") == {constants.A}
    assert nodes[names.from_text("partners.example.org.")].cut
    assert types("ns1.partners.example.org.") == {constants.A, constants.AAAA}


def test_an_alias_of_the_example_leads_over_both_zones_to_a_pool(example: Settings) -> None:
    """A chain of CNAMEs goes from one zone to the other and ends at a pool."""
    name = names.from_text("tv.example.org.")
    for apex in ("example.org.", "example.net."):
        name = example.zones[names.from_text(apex)].nodes[name].rrsets[constants.CNAME].pick().rdatas[0]
    assert names.to_text(name) in {pool.owner for pool in example.pools}
