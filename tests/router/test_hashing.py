"""Where keys go: who moves when the fleet changes, how weights hold, and that it is the same everywhere."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnsd.model.drain import Mode
from dnsd.model.state import Change, ChangeRecord, Entity
from dnsd.router import AllDrained, Router, hashing, tree
from dnsd.router.members import ATTEMPTS, Member
from tests.router.fleets import NOW, ROLE, a_drain, a_node, a_router, placement

# Standard deviations of a chi-square sum that a fair choice exceeds less than once in 100,000 fleets.
DEVIATIONS = 4.5

names = st.lists(st.from_regex(r"[a-z][a-z0-9]{0,5}", fullmatch=True), min_size=2, max_size=40, unique=True)
weights = st.integers(1, 1000)


def is_fair(found: Mapping[str, str], parts: Mapping[str, float]) -> bool:
    """Say whether keys are on nodes by their parts: chi-square, which has a mean of its degrees of freedom."""
    counts, whole = Counter(found.values()), sum(parts.values())
    assert set(counts) <= set(parts)
    expected = {node: len(found) * part / whole for node, part in parts.items()}
    chi_square = sum((counts[node] - each) ** 2 / each for node, each in expected.items())
    degrees = len(parts) - 1
    return chi_square <= degrees + DEVIATIONS * math.sqrt(2 * degrees)


def changed(router: Router, drains: list[str], *, mode: Mode = Mode.DRAINING) -> None:
    """Drain nodes in a router's view."""
    view = router.view
    for name in drains:
        drain = a_drain(name, mode=mode)
        change = Change(Entity.DRAIN, drain.key.text, drain)
        view.apply([ChangeRecord(view.revision + 1, NOW, change)], now=NOW)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_drain_moves_the_drained_nodes_keys_and_no_others(data: st.DataObject) -> None:
    """Whoever is drained already: keys of other nodes stay, and when all return, each is where it was."""
    fleet = data.draw(st.dictionaries(st.from_regex(r"[a-z][a-z0-9]{0,5}", fullmatch=True), weights, min_size=2))
    order = data.draw(st.permutations(sorted(fleet)))
    router = a_router([a_node(name, weight=weight) for name, weight in fleet.items()])
    first = before = placement(router, 200)
    for name in order[: len(order) - 1]:
        changed(router, [name], mode=data.draw(st.sampled_from([Mode.DRAINING, Mode.MAINTENANCE])))
        after = placement(router, 200)
        assert name not in after.values()
        assert {key for key in before if before[key] != after[key]} == {key for key in before if before[key] == name}
        before = after
    for drain in router.view.drains.values():
        record = ChangeRecord(router.view.revision + 1, NOW, Change(Entity.DRAIN, drain.key.text, None))
        router.view.apply([record], now=NOW)
    assert placement(router, 200) == first


def test_draining_one_of_a_hundred_moves_its_part_of_the_keys() -> None:
    """Of 20,000 keys, one hundredth within five standard deviations."""
    router = a_router([a_node(f"edge-{number}") for number in range(100)])
    before = placement(router, 20_000)
    changed(router, ["edge-42"])
    after = placement(router, 20_000)
    moved = sum(before[key] != after[key] for key in before)
    assert abs(moved - 200) <= 5 * math.sqrt(200)


@pytest.mark.parametrize("drained", [0, 30, 55, 58], ids=lambda count: f"{count}-of-60-drained")
def test_weights_hold_within_statistical_error(drained: int) -> None:
    """Chi-square over those that are left, also where nearly all are drained and few draws find anybody."""
    fleet = {f"edge-{number}": 10 + 40 * (number % 5) for number in range(60)}
    out = list(fleet)[:drained]
    router = a_router([a_node(name, weight=weight) for name, weight in fleet.items()], map(a_drain, out))
    parts = {name: float(weight) for name, weight in fleet.items() if name not in out}
    assert is_fair(placement(router, 20_000), parts)


def test_weights_hold_over_a_thousand_nodes() -> None:
    """As many nodes as the selection is measured with."""
    fleet = {f"edge-{number}": 50 + number % 101 for number in range(1000)}
    router = a_router([a_node(name, weight=weight) for name, weight in fleet.items()])
    assert is_fair(placement(router, 50_000), {name: float(weight) for name, weight in fleet.items()})


def test_a_ramp_holds_as_a_part_of_the_weight() -> None:
    """At the first of ten steps, a node has a tenth of its keys, and the others' keys stay where they are."""
    nodes = [a_node(f"edge-{number}") for number in range(10)]
    ramp = a_drain("edge-3", mode=Mode.NORMAL, expires_at=NOW + 900)
    full, ramping = placement(a_router(nodes), 20_000), placement(a_router(nodes, [ramp]), 20_000)
    assert is_fair(ramping, {node.id: 10.0 if node.id == "edge-3" else 100.0 for node in nodes})
    assert all(full[key] in (ramping[key], "edge-3") for key in full)


def test_a_changed_weight_moves_keys_to_or_from_its_node_and_few_others() -> None:
    """Twice the weight, one of a hundred nodes: it loses no key, and less than a tenth of all keys move."""
    nodes = [a_node(f"edge-{number}") for number in range(100)]
    before = placement(a_router(nodes), 5000)
    after = placement(a_router([*nodes[1:], a_node("edge-0", weight=200)]), 5000)
    assert all(after[key] == "edge-0" for key in before if before[key] == "edge-0")
    assert sum(before[key] != after[key] for key in before) < 500


def test_roles_place_the_same_key_differently() -> None:
    """A node that is lost takes not the same keys from every role: their placements are independent."""
    nodes = [a_node(f"n{number}", roles=("edge", "ingest")) for number in range(20)]
    router = a_router(nodes)
    same = sum(
        router.select("edge", key=key).node.id == router.select("ingest", key=key).node.id
        for key in map(str, range(2000))
    )
    assert abs(same - 100) <= 5 * math.sqrt(100)


def test_every_process_places_keys_alike() -> None:
    """Whatever Python's own hash seed is, and in whatever order the fleet was put together."""
    code = (
        "import json; from tests.router.fleets import *; import random;"
        "nodes = [a_node(f'edge-{n}', weight=1 + n) for n in range(30)]; random.shuffle(nodes);"
        "print(json.dumps(placement(a_router(nodes), 200)))"
    )
    found = []
    for seed in ("1", "2"):
        run = [sys.executable, "-c", code]
        env = {**os.environ, "PYTHONHASHSEED": seed}
        found.append(json.loads(subprocess.run(run, capture_output=True, text=True, check=True, env=env).stdout))
    assert (
        found[0] == found[1] == dict(placement(a_router([a_node(f"edge-{n}", weight=1 + n) for n in range(30)]), 200))
    )


def test_where_keys_go_stays_from_version_to_version() -> None:
    """Routers of two versions run side by side while a fleet is upgraded: they must agree."""
    router = a_router([a_node(f"edge-{number}", weight=100 + number) for number in range(8)])
    found = [router.select(ROLE, key=f"live/{number}").node.id for number in range(8)]
    assert found == [f"edge-{number}" for number in (0, 0, 2, 6, 5, 0, 3, 4)]


@settings(max_examples=60, deadline=None)
@given(names, st.randoms(use_true_random=False))
def test_a_tree_is_the_same_however_it_was_made(ids: list[str], order: object) -> None:
    """As a whole, leaf by leaf in any order, and with leaves that came and went."""
    members = {name: Member(a_node(name)) for name in ids}
    whole = tree.tree_of(sorted(members.values(), key=lambda member: member.place))
    shuffled = list(members.values())
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    grown: tree.Fork[Member] | Member | None = None
    for member in [*shuffled, Member(a_node("x-1")), Member(a_node("x-2"))]:
        grown = tree.with_leaf(grown, member)
    for name in ("x-1", "x-2"):
        grown = tree.without_leaf(grown, hashing.place_of(name))
    assert whole is not None
    assert grown is not None
    person = hashing.person_of(ROLE)
    for key in map(str, range(50)):
        drawn = [tree.drawn(each, key.encode(), person, 0) for each in (whole, grown)]
        assert drawn[0] is drawn[1]


def test_leaves_far_down_are_drawn_by_further_digests() -> None:
    """Places that agree in their first 40 bits: deeper than the draws of one digest, and still half and half."""
    members = [Member(a_node(f"n{number}")) for number in range(2)]
    for number, member in enumerate(members):
        member.place = number << (hashing.PLACE_BITS - 41)
    found = tree.tree_of(members)
    assert found is not None
    person = hashing.person_of(ROLE)
    counts = Counter(tree.drawn(found, str(key).encode(), person, 0).id for key in range(2000))
    assert abs(counts["n0"] - 1000) <= 5 * math.sqrt(500)


def test_one_node_that_is_left_of_many_is_found() -> None:
    """More draws than are made meet drained nodes; then each that is left is looked at."""
    nodes = [a_node(f"edge-{number}") for number in range(50 * ATTEMPTS)]
    router = a_router(nodes, [a_drain(node.id) for node in nodes[1:]])
    assert set(placement(router, 20).values()) == {"edge-0"}
    changed(router, ["edge-0"])
    with pytest.raises(AllDrained):
        router.select(ROLE, key="k")


def test_any_text_is_a_key() -> None:
    """The empty one, other scripts, and what UTF-8 cannot carry."""
    router = a_router([a_node("edge-1")])
    assert {router.select(ROLE, key=key).node.id for key in ("", "поток", "\ud800")} == {"edge-1"}
