"""Pools of services and names in zones: what becomes of good ones, and every fault of the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from dnsd.config.owner_names import absolute
from dnsd.model.pool import NodeRecordSpec, PoolSpec, PoolType, Service
from tests.config.files import GOOD_START, ZONE, brief, load, problems
from tests.config.service_cases import FOUND, NAMES, NODE, POOL, RECORD, SERVICES, SRV, SVCB

TARGETS = NodeRecordSpec(template="{id}.nodes.example.org.")


def pools(folder: Path, text: str, *, zone: str = ZONE) -> list[PoolSpec]:
    return list(load(folder, GOOD_START + text, zone=zone).pools)


@pytest.mark.parametrize(("added", "expected"), [case for case in [*SERVICES, *NAMES] if case[1]])
def test_a_fault_is_reported_where_it_stands(tmp_path: Path, added: str, expected: list[tuple[str, int, str]]) -> None:
    """Exactly the faults of the text are reported."""
    assert brief(problems(tmp_path, GOOD_START + added)) == sorted(expected)


def test_a_pool_is_of_addresses_unless_it_says_otherwise(tmp_path: Path) -> None:
    """The defaults of a pool that says nothing of types."""
    (pool,) = pools(tmp_path, POOL)
    assert (pool.type, pool.service, pool.targets, pool.https) == (PoolType.ADDRESS, Service(), None, None)


def test_an_srv_pool_has_the_one_template_there_is(tmp_path: Path) -> None:
    """Port and priority are its own, nodes may have theirs."""
    node = NODE + "ports = { edge = 1936 }\npriority = 7\n"
    settings = load(tmp_path, GOOD_START + node + FOUND + "port = 1935\npriority = 5\n")
    (pool,) = settings.pools
    assert (pool.type, pool.targets) == (PoolType.SRV, TARGETS)
    assert pool.service == Service(port=1935, priority=5)
    assert (settings.nodes["n1"].ports, settings.nodes["n1"].priority) == ({"edge": 1936}, 7)
    assert pool.port_of(settings.nodes["n1"]) == 1936


def test_priorities_begin_at_zero_or_one(tmp_path: Path) -> None:
    """0 in SRV, 1 in SVCB and HTTPS, where 0 would be an alias."""
    https = SVCB.replace("svcb", "https").replace("_x", "_y")
    found = pools(tmp_path, FOUND + "port = 1\n" + SVCB.replace("_x", "_z") + https)
    assert [(pool.type, pool.service.priority) for pool in found] == [
        (PoolType.SRV, 0),
        (PoolType.SVCB, 1),
        (PoolType.HTTPS, 1),
    ]


def test_protocols_of_a_service_and_of_https_beside_addresses(tmp_path: Path) -> None:
    """Both say them in the same words; the table `https` turns the record on, also when it is empty."""
    service = RECORD + SVCB + 'alpn = ["dot", "doq"]\nno_default_alpn = true\nport = 853\n'
    web = POOL + 'https = { alpn = ["h2"], no_default_alpn = true, port = 8443 }\n'
    bare = POOL.replace("edge.ex", "b.ex") + "https = {}\n"
    svcb, edge, empty = pools(tmp_path, service + web + bare)
    assert svcb.service == Service(port=853, priority=1, alpn=("dot", "doq"), default_alpn=False)
    assert edge.https == Service(port=8443, priority=1, alpn=("h2",), default_alpn=False)
    assert empty.https == Service(priority=1)


def test_protocols_may_take_1024_bytes(tmp_path: Path) -> None:
    """Four ids of the greatest length fit, each with the byte that says how long it is."""
    ids = [f"{number:0255}" for number in range(4)]
    (pool,) = pools(tmp_path, POOL + f"https = {{ alpn = {ids} }}\n")
    assert pool.https == Service(priority=1, alpn=tuple(ids))


def test_of_several_templates_the_pool_names_one(tmp_path: Path) -> None:
    """As it is written there, in any case, or relative to the pool's zone."""
    more = '[[node_record]]\nname = "{id}.{region}.nodes.example.org."\n'
    for targets in ('"{id}.NODES.example.org."', '"{id}.nodes.example.org"', '"{id}.nodes"\nzone = "example.org."'):
        (pool,) = pools(tmp_path, RECORD + more + SRV + f"port = 1\ntargets = {targets}\n")
        assert pool.targets == TARGETS


def test_why_a_node_is_out_of_reach_is_said_with_one_of_them(tmp_path: Path) -> None:
    """The first node stands for the others; nodes of other pools are nobody's concern."""
    nodes = NODE + NODE.replace("n1", "n2").replace(".1", ".2") + NODE.replace("n1", "n3").replace("edge", "ingest")
    head = 'node "n1" is in the pool, and cannot be pointed to: '
    (of_ports,) = problems(tmp_path, GOOD_START + nodes + FOUND)
    assert of_ports.message == f"{head}it has no port for the role edge, and the pool has none for all; and 1 more"
    by_region = RECORD.replace("id", "region") + SRV + "port = 1\n"
    (of_names,) = problems(tmp_path, GOOD_START + NODE + by_region)
    assert of_names.message == head + "it has no name by the template {region}.nodes.example.org."


@pytest.mark.parametrize(
    ("record", "pool", "clashes"),
    [
        ("a SRV 0 0 1 ns1", SRV, True),
        ("a A 192.0.2.9", SRV, False),
        ("a HTTPS 1 .", SRV, False),
        ("a CNAME ns1", SRV, True),
        ("a SRV 0 0 1 ns1", POOL, False),
        ("a HTTPS 1 .", POOL, False),
        ("a HTTPS 1 .", POOL + "https = {}\n", True),
        ("a SVCB 1 .", POOL + "https = {}\n", False),
        ("a SVCB 1 .", SVCB, True),
        ("a A 192.0.2.9", SVCB, False),
    ],
)
def test_a_pool_has_its_own_types_to_itself(tmp_path: Path, record: str, pool: str, clashes: bool) -> None:
    """Records of other types in the zone file stay beside it; nothing stands beside a CNAME."""
    named = pool.replace("edge.example", "a.example").replace("_x._tcp.example", "a.example")
    text = RECORD + named + ("port = 1\n" if pool == SRV else "")
    zone = ZONE + record + "\n"
    if clashes:
        (problem,) = problems(tmp_path, GOOD_START + text, zone=zone)
        assert (problem.id, problem.place) == ("clash", "pool[0].name")
    else:
        assert len(pools(tmp_path, text, zone=zone)) == 1


def test_the_type_of_a_pool_that_is_not_known_clashes_with_nothing(tmp_path: Path) -> None:
    """Who mistypes it hears of that, and not of records that may not be in the way."""
    text = POOL.replace("edge.ex", "taken.ex") + 'type = "srvs"\n'
    assert brief(problems(tmp_path, GOOD_START + text)) == [("bad-value", 8, "pool[0].type")]


# --- names --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "owner"),
    [
        ("edge", "edge.example.org."),
        ("Edge.EU", "edge.eu.example.org."),
        ("@", "example.org."),
        ("*", "*.example.org."),
        ("*.cdn", "*.cdn.example.org."),
        ("edge.example.org.", "edge.example.org."),
        ("example", "example.example.org."),
        ("xexample.org", "xexample.org.example.org."),
    ],
)
def test_a_name_is_relative_to_the_zone_that_is_named(tmp_path: Path, name: str, owner: str) -> None:
    """Without its final dot; `@` is the zone; all is folded to lower case."""
    text = POOL.replace("edge.example.org.", name) + 'zone = "EXAMPLE.org"\n'
    assert [pool.owner for pool in pools(tmp_path, text)] == [owner]


def test_templates_and_fallbacks_are_relative_as_well(tmp_path: Path) -> None:
    """A template to its own zone, what a pool falls back to to the pool's."""
    record = '[[node_record]]\nname = "{id}.Nodes"\nzone = "example.org"\n'
    edge = '[[pool]]\nname = "edge"\nzone = "example.org"\nrole = "edge"\nwhen_empty = "pool:B"\n'
    settings = load(tmp_path, GOOD_START + NODE + record + edge + POOL.replace("edge.ex", "b.ex"))
    assert settings.pools[0].fallback == "b.example.org."
    assert [spec.owner_of(settings.nodes["n1"]) for spec in settings.node_records] == ["n1.nodes.example.org."]


def test_a_name_that_may_be_meant_in_two_ways_says_so(tmp_path: Path) -> None:
    """Nothing is guessed: both readings are shown."""
    text = POOL.replace("org.", "org") + 'zone = "example.org"\n'
    (problem,) = problems(tmp_path, GOOD_START + text)
    both = "edge.example.org. or edge.example.org.example.org."
    assert problem.message == (
        f"'edge.example.org' is {both}: write it with its final dot, or without the name of the zone"
    )


def test_relative_to_the_root_is_the_name_itself() -> None:
    """The root zone adds nothing but the dot."""
    assert absolute("edge", zone=".") == absolute("edge", zone=None) == "edge."


def test_names_of_a_zone_whose_own_name_is_faulty_are_not_blamed(tmp_path: Path) -> None:
    """The zone that a pool means may be the one that is mistyped."""
    text = GOOD_START.replace("example.org", "exa mple.org") + POOL + 'zone = "example.org"\n'
    assert brief(problems(tmp_path, text)) == [("bad-name", 3, "zone[0].name")]
