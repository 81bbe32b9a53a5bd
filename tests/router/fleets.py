"""Fleets for the router's tests: nodes, drains and reports, and a view of them at an instant of the test's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from dnsd.model.drain import ALL_ROLES, Drain, Mode
from dnsd.model.node import Monitor, Node
from dnsd.model.report import Report
from dnsd.model.state import FleetState
from dnsd.router import FleetView, Router
from dnsd.router.members import Member

NOW = 1_800_000_000.0
ROLE = "edge"


def a_node(name: str, **more: Any) -> Node:
    """Return a node that is taken as healthy."""
    fields: dict[str, Any] = {"addresses": ("192.0.2.1",), "roles": (ROLE,), "monitor": Monitor.NONE}
    return Node(id=name, **{**fields, **more})


def a_drain(node: str, *, role: str = ALL_ROLES, mode: Mode = Mode.DRAINING, **more: Any) -> Drain:
    """Return a drain that holds from `NOW` on and is never over."""
    fields: dict[str, Any] = {
        "holder": "ops", "reason": "a test", "actor": "alice", "created_at": NOW, "starts_at": NOW, "expires_at": None,
    }  # fmt: skip
    return Drain(node=node, role=role, mode=mode, **{**fields, **more})


def a_report(node: str, *, sequence: int = 1, at: float = NOW, up: bool = True, sessions: int = 0) -> Report:
    """Return a report of a node about `ROLE`."""
    return Report(
        node=node,
        sequence=sequence,
        observed_at=at,
        received_at=at,
        health={ROLE: up},
        sessions={ROLE: {"viewers": sessions}},
    )


def a_state(
    nodes: Iterable[Node], drains: Iterable[Drain] = (), reports: Iterable[Report] = (), *, revision: int = 1
) -> FleetState:
    """Return a state of these."""
    return FleetState(
        revision=revision,
        nodes={each.id: each for each in nodes},
        drains={each.key: each for each in drains},
        reports={each.node: each for each in reports},
    )


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        """Return what it was set to."""
        return self.now


def a_view(nodes: Iterable[Node], drains: Iterable[Drain] = (), reports: Iterable[Report] = ()) -> FleetView:
    """Return a view of these."""
    view = FleetView()
    view.replace(a_state(nodes, drains, reports), now=NOW)
    return view


def member_of(view: FleetView, name: str) -> Member:
    """Return a node in `ROLE`, which it must have."""
    found = view.member(name, ROLE)
    assert found is not None
    return found


def a_router(
    nodes: Iterable[Node], drains: Iterable[Drain] = (), reports: Iterable[Report] = (), **more: Any
) -> Router:
    """Return a router over a view of these, whose clock stands at `NOW`."""
    return Router(a_view(nodes, drains, reports), **{"clock": Clock(), **more})


def placement(router: Router, count: int = 1000, **more: Any) -> Mapping[str, str]:
    """Return which node each of so many keys gets."""
    return {key: router.select(ROLE, key=key, **more).node.id for key in map(str, range(count))}
