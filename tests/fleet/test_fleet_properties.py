"""Over random fleets: whom a pool may name, what a drain leaves alone, and that stepping equals building anew."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st

from dnsd.core.engine import Engine
from dnsd.model.drain import Mode
from dnsd.model.node import Node
from dnsd.model.pool import PoolSpec, WhenEmpty
from tests.fleet.steps import Step, Stepper, steps
from tests.support.fleets import (
    addresses_in,
    answered,
    ask,
    drains,
    nodes,
    pool_sets,
    snapshot_of,
)

# Enough questions to see every variant that five nodes can make.
QUESTIONS = 16


@given(pool_sets(), st.lists(steps(), max_size=25))
@settings(max_examples=150, deadline=None)
def test_stepping_equals_building_anew(pools: tuple[PoolSpec, ...], taken: list[Step]) -> None:
    """After any steps the overlay is the one that a server started at that moment would compile."""
    stepper = Stepper(pools)
    for step in taken:
        stepper.take(step)
    assert stepper.anew().overlay == stepper.fleet.overlay


@given(pool_sets(), st.lists(steps(), max_size=25))
@settings(max_examples=150, deadline=None)
def test_no_drained_node_is_in_a_pooled_answer(pools: tuple[PoolSpec, ...], taken: list[Step]) -> None:
    """An answer holds only addresses of nodes that the documented tiers allow, and none in maintenance."""
    stepper = Stepper(pools)
    for step in taken:
        stepper.take(step)
    for spec in pools:
        allowed = _allowed(stepper, spec)
        assert answered(stepper.fleet, spec.owner, times=QUESTIONS) <= allowed
        if allowed:
            assert answered(stepper.fleet, spec.owner, times=QUESTIONS)


def _allowed(stepper: Stepper, spec: PoolSpec) -> set[str]:
    """Say by the documentation alone, and without the code under test, what a pool may answer."""

    def mode(each: Node) -> Mode:
        modes = [
            drain.mode  # type: ignore[attr-defined]
            for drain in stepper.drains.values()
            if drain.node == each.id  # type: ignore[attr-defined]
            and drain.role in (spec.role, "*")  # type: ignore[attr-defined]
            and drain.starts_at <= stepper.now  # type: ignore[attr-defined]
            and (drain.expires_at is None or stepper.now < drain.expires_at)  # type: ignore[attr-defined]
        ]
        return max(modes, default=Mode.NORMAL)

    def healthy(each: Node) -> bool:
        report = stepper.reports.get(each.id)
        if each.monitor.value == "none":
            return True
        return report is not None and stepper.now - report.received_at < 30 and report.health.get(spec.role) is True

    members = [
        each
        for each in stepper.nodes.values()
        if spec.role in each.roles
        and each.weight > 0
        and all(getattr(each, key) == value for key, value in spec.match.items())
    ]
    undrained = [each for each in members if mode(each) is Mode.NORMAL]
    if undrained:
        return _addresses([each for each in undrained if healthy(each)] or undrained)
    if spec.when_empty is WhenEmpty.DRAINING:
        draining = [each for each in members if mode(each) is Mode.DRAINING]
        return _addresses([each for each in draining if healthy(each)] or draining)
    if spec.when_empty is WhenEmpty.POOL:
        return _allowed(stepper, next(other for other in stepper.spec.pools if other.owner == spec.fallback))
    return set()


def _addresses(members: Iterable[Node]) -> set[str]:
    return {address for member in members for address in member.addresses}


@given(pool_sets(), st.lists(nodes("n0"), min_size=1, max_size=1), st.lists(drains("n0"), max_size=5), st.data())
@settings(max_examples=100, deadline=None)
def test_per_node_names_are_the_same_before_during_and_after_a_drain(
    pools: tuple[PoolSpec, ...], there: list[Node], placed: list[object], data: st.DataObject
) -> None:
    """No drain, and no end of one, changes what a per-node name resolves to."""
    stepper = Stepper(pools)
    stepper.take(("node", there[0]))
    before = answered(stepper.fleet, "n0.nodes.example.org.")
    assert before == set(there[0].addresses)
    for drain in placed:
        stepper.take(("drain", drain))
        assert answered(stepper.fleet, "n0.nodes.example.org.") == before
    stepper.take(("clock", data.draw(st.integers(0, 200))))
    assert answered(stepper.fleet, "n0.nodes.example.org.") == before
    for drain in placed:
        stepper.take(("drain-gone", drain))
        assert answered(stepper.fleet, "n0.nodes.example.org.") == before


@given(pool_sets(), st.lists(steps(), max_size=20))
@settings(max_examples=75, deadline=None)
def test_an_answer_keeps_to_max_answers_and_names_no_address_twice(
    pools: tuple[PoolSpec, ...], taken: list[Step]
) -> None:
    """Every answer has at most max_answers addresses of a family, each once; a pool's name always exists."""
    stepper = Stepper(pools)
    for step in taken:
        stepper.take(step)
    engine = Engine(snapshot_of(stepper.fleet))
    for spec in pools:
        for rdtype in ("A", "AAAA") * 4:
            response = ask(engine, spec.owner, rdtype)
            found = addresses_in(response)
            assert len(found) == len(set(found)) <= spec.max_answers
            assert response.rcode() in (0, 2)
