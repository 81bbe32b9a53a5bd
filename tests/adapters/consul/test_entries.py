"""What is said of a node in Consul's words."""

from __future__ import annotations

import pytest

from dnsd.adapters.consul.entries import MAX_CONSUL_WEIGHT, MAX_META, Entry, entry_of
from dnsd.core.fleet import Fleet
from dnsd.model.drain import Drain, Mode
from dnsd.model.node import MAX_WEIGHT, Monitor
from dnsd.model.report import Report
from tests.support.fleets import NOW, drain, fleet_of, node, pool, put

EDGE = "edge"


def entry(fleet: Fleet, *, now: float = NOW) -> Entry:
    found = entry_of(fleet, "a", now=now)
    assert found is not None
    return found


def statuses(found: Entry, role: str = EDGE) -> dict[str, str]:
    return {check.id: check.status for check in (*found.checks, *found.services[role].checks)}


@pytest.mark.parametrize("mode", [Mode.DRAINING, Mode.MAINTENANCE])
def test_a_drained_node_is_in_maintenance(mode: Mode) -> None:
    """A drain of the whole node is a check of the node, critical, with the reason; both modes, told apart beside it."""
    fleet = fleet_of([node("a")], [pool()])
    fleet.apply([put(drain("a", mode=mode, reason="kernel"), 1)], now=NOW)
    found = entry(fleet)
    assert statuses(found) == {"serfHealth": "passing", "_node_maintenance": "critical", "service:a:edge": "passing"}
    check = found.checks[1]
    assert (check.name, check.notes, check.output) == ("Node Maintenance Mode", "kernel", f"{mode.text}, by ops")
    assert found.services[EDGE].meta == {"dnsd-mode": mode.text, "dnsd-health": "up"}


def test_a_drain_of_one_role_is_maintenance_of_that_service() -> None:
    """The other role's instance has no such check; without a reason, the holder is named."""
    fleet = fleet_of([node("a", roles=("edge", "ingest"))], [pool()])
    fleet.apply([put(drain("a", role="ingest", reason=""), 1)], now=NOW)
    found = entry(fleet)
    assert "_service_maintenance:a:ingest" not in statuses(found)
    assert statuses(found, "ingest") == {
        "serfHealth": "passing",
        "service:a:ingest": "passing",
        "_service_maintenance:a:ingest": "critical",
    }
    assert found.services["ingest"].checks[1].notes == "drained by ops, without a reason"


def test_of_several_drains_the_strongest_gives_the_reason() -> None:
    """All holders are named; one that is only scheduled, or over, counts for nothing."""
    orders: list[Drain] = [
        drain("a", holder="x", reason="light"),
        drain("a", holder="y", mode=Mode.MAINTENANCE, reason="heavy"),
        drain("a", holder="later", mode=Mode.MAINTENANCE, reason="later", starts_at=NOW + 60),
        drain("a", holder="over", mode=Mode.MAINTENANCE, reason="over", starts_at=NOW - 60, expires_at=NOW - 1),
    ]
    fleet = fleet_of([node("a")], [pool()])
    fleet.apply([put(order, place) for place, order in enumerate(orders, 1)], now=NOW)
    check = entry(fleet).checks[1]
    assert (check.notes, check.output) == ("heavy", "maintenance, by x, y")


def test_health_is_a_check_of_the_service() -> None:
    """Up passes; down, silent, never heard and weightless are critical; a silent node is as one that Serf has lost."""
    fleet = fleet_of([node("a", monitor=Monitor.AGENT)], [pool()])
    assert statuses(entry(fleet)) == {"serfHealth": "critical", "service:a:edge": "critical"}
    for up, sequence in ((True, 1), (False, 2)):
        report = Report(node="a", sequence=sequence, observed_at=NOW, received_at=NOW, health={EDGE: up})
        fleet.report(report, now=NOW)
        expected = "passing" if up else "critical"
        assert statuses(entry(fleet)) == {"serfHealth": "passing", "service:a:edge": expected}
    assert statuses(entry(fleet, now=NOW + 60))["serfHealth"] == "critical"
    weightless = entry(fleet_of([node("a", weight=0)], [pool()])).services[EDGE]
    assert [(each.status, each.output) for each in weightless.checks] == [("critical", "its weight is 0")]
    assert weightless.weight == 1


def test_tags_and_metadata_are_what_an_operator_calls_the_node_by() -> None:
    """Region, cluster, labels and pools as tags; metadata keeps within what Consul takes."""
    labels = {"rack": "r1", "traefik.enable": "true", **{f"label-{place:03}": "x" * 600 for place in range(80)}}
    fleet = fleet_of([node("a", "192.0.2.1", "2001:db8::1", cluster="c1", labels=labels)], [pool()])
    found = entry(fleet)
    assert {"region=eu", "cluster=c1", "rack=r1", "traefik.enable=true", "pool=edge.example.org"} <= set(
        found.services[EDGE].tags
    )
    meta = found.node.meta
    assert len(meta) == MAX_META
    assert (meta["region"], meta["traefik_enable"]) == ("eu", "true")
    assert max(map(len, meta.values())) == 512
    assert found.node.tagged == {
        "lan": "192.0.2.1",
        "wan": "192.0.2.1",
        "lan_ipv4": "192.0.2.1",
        "wan_ipv4": "192.0.2.1",
        "lan_ipv6": "2001:db8::1",
        "wan_ipv6": "2001:db8::1",
    }


def test_a_weight_is_one_that_consul_takes() -> None:
    """It follows a ramp, and stays between 1 and Consul's largest."""
    fleet = fleet_of([node("a", weight=50)], [pool()])
    ramp = drain("a", mode=Mode.NORMAL, starts_at=NOW, expires_at=NOW + 90)
    fleet.apply([put(ramp, 1)], now=NOW)
    assert entry(fleet).services[EDGE].weight == 5
    assert entry(fleet, now=NOW + 90).services[EDGE].weight == 50
    heavy = fleet_of([node("a", weight=MAX_WEIGHT)], [pool()])
    assert entry(heavy).services[EDGE].weight == MAX_CONSUL_WEIGHT


def test_a_node_that_is_not_there_has_no_entry() -> None:
    """Nothing is made up for it."""
    assert entry_of(fleet_of([node("a")], [pool()]), "b", now=NOW) is None
