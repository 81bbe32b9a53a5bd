"""Random steps of a fleet, and a fleet that takes them beside one that is built anew."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import strategies as st

from dnsd.core.fleet import Fleet, FleetSpec
from dnsd.model.node import Node
from dnsd.model.pool import PoolSpec
from dnsd.model.report import Report
from dnsd.model.state import ChangeRecord, FleetState
from tests.support.fleets import NOW, PER_NODE, ZONES, drains, gone, nodes, put, reports

NAMES = tuple(f"n{index}" for index in range(5))

Step = tuple[str, object]

# What a store hears of a node, by kind of step.
CHANGES: dict[str, Callable[[str], st.SearchStrategy[object]]] = {
    "node": nodes,
    "node-gone": nodes,
    "drain": drains,
    "drain-gone": drains,
    "report": reports,
}


@st.composite
def steps(draw: st.DrawFn) -> Step:
    """Draw a step: a change of a node, or seconds that pass."""
    name = draw(st.sampled_from(NAMES))
    kind = draw(st.sampled_from((*CHANGES, "clock")))
    if kind in CHANGES:
        return kind, draw(CHANGES[kind](name))
    return kind, draw(st.integers(0, 40))


class Stepper:
    """Takes steps with one fleet, and can build the same fleet anew from what a store would then hold."""

    def __init__(self, pools: tuple[PoolSpec, ...]) -> None:
        self.spec = FleetSpec(zones=ZONES, pools=pools, node_records=(PER_NODE,))
        self.now = NOW
        self.fleet = Fleet(self.spec, {}, FleetState(), now=NOW)
        self.nodes: dict[str, Node] = {}
        self.drains: dict[object, object] = {}
        self.reports: dict[str, Report] = {}

    def take(self, step: Step) -> None:
        kind, value = step
        revision = self.fleet.revision + 1
        if kind == "clock":
            assert isinstance(value, int)
            self.now += value
            self.fleet.tick(now=self.now)
        elif kind == "report":
            assert isinstance(value, Report)
            if value.node in self.nodes:
                self.reports[value.node] = value
                self.fleet.report(value, now=self.now)
        elif kind == "node":
            assert isinstance(value, Node)
            self.nodes[value.id] = value
            self._apply(put(value, revision))
        elif kind == "node-gone":
            assert isinstance(value, Node)
            self.nodes.pop(value.id, None)
            self.reports.pop(value.id, None)
            self._apply(gone(value, revision))
        elif kind == "drain":
            self.drains[value.key] = value  # type: ignore[attr-defined]
            self._apply(put(value, revision))  # type: ignore[arg-type]
        else:
            self.drains.pop(value.key, None)  # type: ignore[attr-defined]
            self._apply(gone(value, revision))  # type: ignore[arg-type]

    def _apply(self, record: ChangeRecord) -> None:
        self.fleet.apply([record], now=self.now)

    def anew(self) -> Fleet:
        state = FleetState(
            revision=self.fleet.revision,
            nodes=self.nodes,
            drains=self.drains,  # type: ignore[arg-type]
            reports=self.reports,
        )
        return Fleet(self.spec, {}, state, now=self.now)
