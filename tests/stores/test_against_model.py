"""Each store beside a plain dictionary: whatever is done to both, they say the same."""

from __future__ import annotations

import asyncio
import dataclasses
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from dnsd.errors import ChangesTrimmed, RevisionConflict
from dnsd.model.drain import Drain
from dnsd.model.node import Node
from dnsd.model.report import Report
from dnsd.model.state import Change, ChangeRecord, Entity, FleetState, HistoryEntry
from tests.model import strategies
from tests.stores.kinds import Kind
from tests.stores.samples import NOW

ResultT = TypeVar("ResultT")

CHANGES_KEPT = 6

# Few ids, so that steps meet.
_ids = st.sampled_from(["a", "b", "c"])
_nodes = st.builds(lambda node, name: dataclasses.replace(node, id=name), strategies.nodes, _ids)
_drains = st.builds(
    lambda drain, name, role, holder: dataclasses.replace(drain, node=name, role=role, holder=holder),
    strategies.drains,
    _ids,
    st.sampled_from(["edge", "*"]),
    st.sampled_from(["ops", "os-update"]),
)
_entries = st.builds(lambda entry, name: dataclasses.replace(entry, node=name), strategies.entries, _ids)
_steps = st.lists(st.tuples(st.booleans(), _nodes | _drains), min_size=1, max_size=3)
_reports = st.lists(
    st.builds(
        lambda report, name, sequence: dataclasses.replace(report, node=name, sequence=sequence),
        strategies.reports,
        _ids,
        st.integers(0, 5),
    ),
    max_size=3,
)


class StoreBesideModel(RuleBasedStateMachine):
    """Commits, conflicts, reports and reopenings, compared after each step."""

    kind: Kind

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.revision = 0
        self.nodes: dict[str, Node] = {}
        self.drains: dict[str, Drain] = {}
        self.reports: dict[str, Report] = {}
        self.log: list[ChangeRecord] = []
        self.told: list[HistoryEntry] = []

    def wait(self, call: Coroutine[Any, Any, ResultT]) -> ResultT:
        return self.runner.run(call)

    @initialize()
    def begin(self) -> None:
        self.store = self.kind.fresh(Path(self.folder.name), changes_kept=CHANGES_KEPT)
        self.wait(self.store.open())

    @rule(steps=_steps, entries=st.lists(_entries, max_size=2), behind=st.sampled_from([0, 0, 0, 1, -1]))
    def commit(self, steps: list[tuple[bool, Node | Drain]], entries: list[HistoryEntry], behind: int) -> None:
        expected = max(0, self.revision - behind)
        last = expected + len(steps)
        changes = [_change(put, value, expected + place) for place, (put, value) in enumerate(steps, 1)]
        history = [dataclasses.replace(entry, revision=last) for entry in entries]
        call = self.store.commit(expected_revision=expected, changes=changes, history=history, at=NOW)
        if expected != self.revision:
            with pytest.raises(RevisionConflict):
                self.wait(call)
            return
        assert self.wait(call) == last
        self._apply(changes, history)

    @rule(reports=_reports)
    def report(self, reports: list[Report]) -> None:
        self.wait(self.store.put_reports(reports))
        for report in reports:
            kept = self.reports.get(report.node)
            if kept is None or kept.sequence < report.sequence:
                self.reports[report.node] = report

    @rule(node=_ids)
    def drop_report(self, node: str) -> None:
        self.wait(self.store.drop_report(node))
        self.reports.pop(node, None)

    @rule()
    def reopen(self) -> None:
        if self.kind.durable:
            self.wait(self.store.close())
            self.begin()

    @rule(after=st.integers(-1, 12), limit=st.integers(1, 4))
    def follow(self, after: int, limit: int) -> None:
        call = self.store.changes(after=after, limit=limit)
        if max(0, self.revision - CHANGES_KEPT) <= after <= self.revision:
            assert self.wait(call) == tuple(self.log[after : after + limit])
        else:
            with pytest.raises(ChangesTrimmed):
                self.wait(call)

    @rule(node=st.none() | _ids, limit=st.integers(1, 3))
    def page_through_history(self, node: str | None, limit: int) -> None:
        found: list[HistoryEntry] = []
        before: int | None = None
        while True:
            page, before = self.wait(self.store.history(node=node, before=before, limit=limit))
            found += page
            if before is None:
                break
        assert found == [entry for entry in reversed(self.told) if node in (None, entry.node)]

    @invariant()
    def they_agree(self) -> None:
        if hasattr(self, "store"):
            assert self.wait(self.store.load()) == FleetState(
                revision=self.revision,
                nodes=self.nodes,
                drains={drain.key: drain for drain in self.drains.values()},
                reports=self.reports,
            )

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.wait(self.store.close())
        self.runner.close()
        self.folder.cleanup()

    def _apply(self, changes: list[Change], history: list[HistoryEntry]) -> None:
        for change in changes:
            self.revision += 1
            self.log.append(ChangeRecord(self.revision, NOW, change))
            if isinstance(change.value, Node):
                self.nodes[change.key] = change.value
            elif isinstance(change.value, Drain):
                self.drains[change.key] = change.value
            else:
                (self.nodes if change.entity is Entity.NODE else self.drains).pop(change.key, None)
        self.told += history


def _change(put: bool, value: Node | Drain, revision: int) -> Change:
    if isinstance(value, Drain):
        return Change(Entity.DRAIN, value.key.text, dataclasses.replace(value, revision=revision) if put else None)
    return Change(Entity.NODE, value.id, value if put else None)


def test_a_store_says_what_a_dictionary_says(kind: Kind) -> None:
    """Over random commits, conflicts, reports and reopenings, a store and a dictionary agree after each step."""
    machine = type("Machine", (StoreBesideModel,), {"kind": kind})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=20,
            stateful_step_count=15,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
