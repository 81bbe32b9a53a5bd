"""Floors, selectors, per-node names and health, as pure functions of what is declared and reported."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsd.model.node import Monitor, Node
from dnsd.model.pool import Floor, NodeRecordSpec, PoolSpec
from dnsd.model.report import Health, Report, health_of

NOW = 1_800_000_000.0
STALE_AFTER = 30.0
NODE = Node(id="Edge-1", addresses=("192.0.2.1",), roles=("edge", "ingest"), region="eu", labels={"rack": "7"})


@pytest.mark.parametrize(
    ("value", "floor"),
    [
        (0, Floor(count=0)),
        (3, Floor(count=3)),
        ("0%", Floor(count=0, share=0.0)),
        ("50%", Floor(count=0, share=0.5)),
        ("12.5%", Floor(count=0, share=0.125)),
        ("100%", Floor(count=0, share=1.0)),
    ],
)
def test_a_floor_is_read_and_written(value: int | str, floor: Floor) -> None:
    """A floor is a count or a percentage, and is written as it was read."""
    assert Floor.of(value) == floor
    assert floor.text == str(value)


@pytest.mark.parametrize("value", [-1, "", "50", "101%", "-5%", "5 %", "%", "half", "50%%", "1e1%"])
def test_what_is_no_floor_is_refused(value: int | str) -> None:
    """A negative count, a bare number as text, or a share beyond 0% to 100% is refused."""
    with pytest.raises(ValueError, match=r"makes no sense|neither a count"):
        Floor.of(value)


@pytest.mark.parametrize(
    ("floor", "serving", "serving_weight", "total_weight", "holds"),
    [
        (1, 1, 100, 300, True),
        (1, 0, 0, 300, False),
        (0, 0, 0, 300, True),
        (2, 1, 300, 300, False),  # a count is of nodes, whatever they weigh
        ("50%", 1, 150, 300, True),  # at the floor is not below it
        ("50%", 5, 149, 300, False),
        ("0%", 0, 0, 300, True),
        ("100%", 3, 300, 300, True),
        ("100%", 3, 299, 300, False),
        ("30%", 1, 3, 10, True),  # 0.3 has no exact binary form
        ("50%", 0, 0, 0, True),
    ],
)
def test_a_floor_holds_at_its_own_measure(
    floor: int | str, serving: int, serving_weight: int, total_weight: int, holds: bool
) -> None:
    """A count looks at nodes alone, a share at weight alone."""
    found = Floor.of(floor).holds(serving=serving, serving_weight=serving_weight, total_weight=total_weight)
    assert found is holds


@given(st.integers(0, 100), st.integers(0, 10_000))
def test_a_share_is_decided_as_in_whole_numbers(percent: int, serving_weight: int) -> None:
    """For every whole percentage of a weight of 10 000, binary rounding never tips the decision."""
    found = Floor.of(f"{percent}%").holds(serving=1, serving_weight=serving_weight, total_weight=10_000)
    assert found is (serving_weight >= percent * 100)


@pytest.mark.parametrize(
    ("role", "match", "selected"),
    [
        ("edge", {}, True),
        ("storage", {}, False),
        ("edge", {"region": "eu"}, True),
        ("edge", {"region": "us"}, False),
        ("edge", {"cluster": "one"}, False),
        ("edge", {"rack": "7"}, True),
        ("edge", {"rack": "7", "region": "us"}, False),
        ("edge", {"colour": "red"}, False),
    ],
)
def test_a_pool_selects_by_role_and_every_key(role: str, match: dict[str, str], selected: bool) -> None:
    """A node belongs to a pool if it has the role and each key of the selector has its value."""
    assert PoolSpec(owner="edge.example.org.", role=role, match=match).selects(NODE) is selected


def test_a_node_record_names_its_node() -> None:
    """A template's fields are filled in and folded; where the node lacks one, it gets no name of it."""
    assert NodeRecordSpec(template="{id}.nodes.example.org.").owner_of(NODE) == "edge-1.nodes.example.org."
    assert NodeRecordSpec(template="{id}.{region}.Example.org.").owner_of(NODE) == "edge-1.eu.example.org."
    assert NodeRecordSpec(template="{id}.{cluster}.example.org.").owner_of(NODE) is None


REPORT = Report(
    node="edge-1", sequence=1, observed_at=NOW, received_at=NOW - 29.999, health={"edge": True, "ingest": False}
)


@pytest.mark.parametrize(
    ("report", "role", "health"),
    [
        (None, "edge", Health.UNKNOWN),
        (REPORT, "edge", Health.UP),
        (REPORT, "ingest", Health.DOWN),
        (REPORT, "storage", Health.UNKNOWN),
        (dataclasses.replace(REPORT, received_at=NOW - 30), "edge", Health.STALE),
        (dataclasses.replace(REPORT, received_at=NOW - 3000), "ingest", Health.STALE),
        # The node's own clock may be years wrong: freshness is counted on ours.
        (dataclasses.replace(REPORT, observed_at=0.0), "edge", Health.UP),
    ],
)
def test_health_is_what_a_fresh_report_says(report: Report | None, role: str, health: Health) -> None:
    """No report or no word on the role is unknown; an old report is stale whatever it says; only up serves."""
    node = dataclasses.replace(NODE, monitor=Monitor.AGENT)
    found = health_of(node, role, report, now=NOW, stale_after=STALE_AFTER)
    assert found is health
    assert found.serves is (health is Health.UP)


@pytest.mark.parametrize("report", [None, REPORT, dataclasses.replace(REPORT, received_at=0.0)])
def test_a_node_that_nobody_monitors_is_up(report: Report | None) -> None:
    """With `monitor = "none"` a node is taken as healthy, whatever was reported."""
    node = dataclasses.replace(NODE, monitor=Monitor.NONE)
    assert health_of(node, "ingest", report, now=NOW, stale_after=STALE_AFTER) is Health.UP


@pytest.mark.parametrize("report", [None, REPORT])
@pytest.mark.parametrize(
    ("checked", "health"),
    [(None, Health.UNKNOWN), (Health.UNKNOWN, Health.UNKNOWN), (Health.UP, Health.UP), (Health.DOWN, Health.DOWN)],
)
def test_a_checked_node_is_what_its_checks_found(report: Report | None, checked: Health | None, health: Health) -> None:
    """With `monitor = "check"` no report counts, and without a result nothing is known."""
    node = dataclasses.replace(NODE, monitor=Monitor.CHECK)
    assert health_of(node, "edge", report, now=NOW, stale_after=STALE_AFTER, checked=checked) is health


@pytest.mark.parametrize(
    ("role", "checked", "health"),
    [
        ("edge", Health.UP, Health.UP),
        ("edge", Health.DOWN, Health.DOWN),
        ("edge", Health.UNKNOWN, Health.UP),
        ("ingest", Health.UP, Health.DOWN),
        ("storage", Health.UP, Health.UNKNOWN),
        ("storage", Health.DOWN, Health.DOWN),
    ],
)
def test_of_reports_and_checks_the_worse_counts(role: str, checked: Health, health: Health) -> None:
    """A check that fails takes out a node that reports to be up, and none brings in one that does not."""
    node = dataclasses.replace(NODE, monitor=Monitor.AGENT)
    assert health_of(node, role, REPORT, now=NOW, stale_after=STALE_AFTER, checked=checked) is health
