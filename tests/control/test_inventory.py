"""Registrations and reports: whose node it is, which report counts, and what survives."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from dnsd.api.schemas import NodeRequest, ReportRequest
from dnsd.errors import InvalidRequest, NodeConflict, UnknownNode
from dnsd.model.node import Monitor
from dnsd.model.state import Action
from tests.control.rig import ABC, ALICE, EDGE, BreakableStore, Site, settings_of, site_of
from tests.support.fleets import node, pool


async def remove(site: Site, name: str) -> bool:
    return (await site.plane.remove_node(name, actor=ALICE, if_revision=None)).changed


async def test_a_registration_is_idempotent_and_a_replacement_is_told() -> None:
    """The same again changes nothing; other addresses replace, with before and after in the history."""
    site = await site_of()
    assert [await site.register("n", address) for address in ("192.0.2.50", "192.0.2.50", "192.0.2.51")] == [
        True,
        False,
        True,
    ]
    entries = (await site.store.history())[0]
    assert [each.action for each in entries] == [Action.NODE_REPLACED, Action.NODE_REGISTERED]
    assert (entries[0].before[0]["addresses"], entries[0].after[0]["addresses"]) == (["192.0.2.50"], ["192.0.2.51"])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a", "declared in the configuration"),
        ("N", "differs from node n only by case"),
        ("edge", "edge.nodes.example.org. is a pool"),
    ],
)
async def test_a_name_that_belongs_to_something_else_is_a_conflict(name: str, words: str) -> None:
    """A configured node, one that differs by case, and a pool's name; nothing is written."""
    site = await site_of(ABC, [pool(), pool("edge.nodes.example.org.")])
    await site.register("n")
    with pytest.raises(NodeConflict, match=words):
        await site.register(name, "192.0.2.77")
    assert site.plane.revision == 1


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"addresses": []}, "addresses"),
        ({"addresses": ["fe80::1%eth0"]}, "addresses"),
        ({"addresses": ["192.0.2.300"]}, "addresses"),
        ({"roles": []}, "roles"),
        ({"roles": ["video"]}, "roles"),
        ({"location": [91.0, 0.0]}, "location"),
        ({"location": [1.0]}, "location"),
        ({"labels": {"x" * 256: "y"}}, "labels"),
        ({"labels": {str(number): "y" for number in range(65)}}, "labels"),
    ],
)
async def test_what_makes_no_sense_is_refused_with_its_field(fields: dict[str, Any], field: str) -> None:
    """Each bad value alone; nothing is written."""
    site = await site_of()
    request = NodeRequest(**{"addresses": ["192.0.2.50"], "roles": ["edge"], **fields})
    with pytest.raises(InvalidRequest) as refusal:
        await site.plane.register_node("n", request, actor=ALICE, if_revision=None)
    assert (refusal.value.field, site.plane.revision) == (field, 0)


async def test_a_configured_node_wins_over_a_registered_one_of_its_id_or_name() -> None:
    """Registered first, then declared: after the reload the declaration holds, also where only the case differs."""
    site = await site_of(ABC)
    await site.register("n", "192.0.2.50", monitor="none")
    await site.register("m", "192.0.2.51", monitor="none")
    site.plane.reload(settings_of([*ABC, node("n", "192.0.2.60"), node("M", "192.0.2.61")], [pool()]))
    assert (site.plane.node("n").configured, site.plane.node("n").addresses) == (True, ["192.0.2.60"])
    assert site.plane.node("M").names == ["m.nodes.example.org."]
    assert site.plane.node("m").names == []
    with pytest.raises(NodeConflict):
        await remove(site, "n")


async def test_an_older_report_is_dropped_and_changes_nothing() -> None:
    """The sequence decides, not the order of arrival."""
    site = await site_of()
    await site.register("n")
    assert [await site.report("n", sequence=sequence, up=sequence != 6) for sequence in (5, 7, 6, 7)] == [
        True,
        True,
        False,
        False,
    ]
    assert site.plane.node("n").roles["edge"].health == "up"


async def test_a_dropped_report_is_told_the_last_sequence() -> None:
    """An agent that has lost its own can go on from there."""
    site = await site_of()
    await site.register("n")
    request = {"observed_at": 1.0, "health": {"edge": "up"}}
    answers = [site.plane.report("n", ReportRequest(sequence=sequence, **request)) for sequence in (7, 5)]  # type: ignore[arg-type]
    assert [(each.accepted, each.last_sequence) for each in answers] == [(True, 7), (False, 7)]


async def test_an_end_that_was_announced_is_told_from_a_silence(caplog: pytest.LogCaptureFixture) -> None:
    """The log says how an agent went and came, once for each time, and the node shows that it has left."""
    caplog.set_level(logging.INFO, logger="dnsd.control.absence")
    site = await site_of()
    await site.register("n")
    await site.report("n", sequence=1)
    site.clock.advance(5)
    await site.report("n", sequence=2)
    await site.report("n", sequence=3, leaving=True)
    assert site.plane.node("n").left
    site.clock.advance(7)
    await site.report("n", sequence=4)
    assert not site.plane.node("n").left
    site.clock.advance(60)
    await site.report("n", sequence=5)
    assert caplog.messages == [
        "n: its agent leaves, as it says",
        "n: its agent is back after 7s",
        "n: its agent is heard again after 1m of silence that it had not announced",
    ]


async def test_a_report_changes_no_mode_and_answers_the_desired_one() -> None:
    """Decision 3: a drained node that reports up stays drained and is told so."""
    site = await site_of()
    await site.register("n")
    await site.drain("n", mode="maintenance")
    assert await site.report("n")
    assert (site.plane.node("n").roles["edge"].mode, "192.0.2.99" in site.plane.pool(EDGE).answers) == (
        "maintenance",
        False,
    )


async def test_a_report_of_nobody_or_of_another_role_is_refused() -> None:
    """An unknown node; a role that it lacks, wherever it is named."""
    site = await site_of()
    with pytest.raises(UnknownNode):
        await site.report("nobody")
    with pytest.raises(InvalidRequest, match="does not have the role"):
        await site.report("a", sessions={"ingest": {"jobs": 0}})
    with pytest.raises(InvalidRequest, match="does not have the role"):
        await site.report("a", local_drains=["ingest"])


async def test_what_a_node_drained_by_itself_is_shown_and_changes_no_mode() -> None:
    """A report's local drains are told with the node; only a drain that was placed changes a mode."""
    site = await site_of()
    await site.report("a", local_drains=["edge"])
    assert site.plane.node("a").roles["edge"].mode == "normal"
    assert site.plane.node("a").local_drains == ["edge"]


async def test_reports_are_kept_over_a_restart() -> None:
    """The last report of each node is in the store after a flush, and a new server serves from it."""
    site = await site_of()
    await site.register("n")
    await site.report("n", sequence=1)
    await site.report("n", sequence=2)
    await site.plane._inventory.flush()
    again = await site_of(store=site.store, clock=site.clock)
    assert again.plane.node("n").roles["edge"].serving is True
    assert await again.report("n", sequence=2) is False


async def test_reports_that_cannot_be_kept_are_kept_later_and_younger_ones_win() -> None:
    """An outage loses none; what came in meanwhile is the one that is written."""
    site = await site_of()
    await site.register("n")
    await site.register("m", "192.0.2.98")
    await site.report("n", sequence=1)
    await site.report("m", sequence=1)
    site.store.writes_fail = True
    await site.plane._inventory.flush()
    assert site.plane.store_health.up is False
    await site.report("n", sequence=2)
    site.store.writes_fail = False
    await site.plane._inventory.flush()
    kept = (await site.store.load()).reports
    assert {name: report.sequence for name, report in kept.items()} == {"n": 2, "m": 1}
    assert site.plane.store_health.up is True


async def test_a_removed_node_leaves_its_drains_and_takes_its_report_along() -> None:
    """It comes back drained, unreported, and may count its reports from the start again."""
    site = await site_of()
    await site.register("n")
    await site.report("n", sequence=9)
    await site.drain("n", indefinite=True)
    assert await remove(site, "n")
    await site.plane._inventory.flush()
    assert (await site.store.load()).reports == {}
    assert [each.node for each in site.plane.drains()] == ["n"]
    with pytest.raises(UnknownNode):
        site.status("n")
    with pytest.raises(UnknownNode):
        await site.drain("n")
    await site.register("n")
    state = site.plane.node("n").roles["edge"]
    assert (state.mode, state.health) == ("draining", "unknown")
    assert await site.report("n", sequence=1)
    await remove(site, "n")
    assert (await site.release("n")).changed is True


async def test_a_removal_stands_though_its_report_could_not_be_dropped() -> None:
    """The commit has landed: the caller is told so, and the report does not come back by a flush."""

    class Store(BreakableStore):
        async def drop_report(self, node: str) -> None:
            self.writes_fail = True
            await super().drop_report(node)

    store = Store()
    await store.open()
    site = await site_of(store=store)
    await site.register("n")
    await site.report("n")
    assert await remove(site, "n")
    store.writes_fail = False
    await site.plane._inventory.flush()
    assert (await store.load()).reports == {}


async def test_another_servers_removal_is_not_undone_by_a_report_that_waits() -> None:
    """Reported here, removed there: the next flush here writes nothing of it."""
    store = BreakableStore()
    await store.open()
    first, second = await site_of(store=store), await site_of(store=store, server_id="ns2")
    await first.register("n")
    await second.hear()
    await second.report("n")
    await remove(first, "n")
    await second.hear()
    await second.plane._inventory.flush()
    assert (await store.load()).reports == {}
    assert second.plane.publisher.fleet.reports == {}


async def test_a_node_without_reports_is_not_served_and_one_without_a_monitor_is() -> None:
    """Registered nodes are watched unless they say otherwise."""
    site = await site_of([])
    await site.register("n", "192.0.2.50")
    await site.register("m", "192.0.2.51", monitor=Monitor.NONE.value)
    assert site.plane.pool(EDGE).answers == ["192.0.2.51"]
