"""How many tries a node may have under way, and what becomes of those that wait for it."""

from __future__ import annotations

import pytest

from dnsd.control.checks import checking
from dnsd.control.checks.slots import MAX_PER_NODE, Slots
from dnsd.model.check import Target
from dnsd.model.node import Monitor
from tests.control.checks.rig import (
    CHECK,
    CHECKED,
    PROBE,
    FakeProber,
    all_are,
    checked_site,
    healths,
    reload,
)
from tests.support.fleets import node
from tests.support.waiting import until


def target(number: int) -> Target:
    return Target(f"10.0.0.{number}", PROBE)


def swallowing(network: FakeProber, name: str, block: int, count: int = 64) -> tuple[str, ...]:
    """Return addresses of a node that swallow every packet."""
    addresses = tuple(f"10.0.{block}.{number}" for number in range(count))
    network.hung |= set(addresses)
    return addresses


async def test_nodes_that_swallow_everything_take_their_own_slots_alone(
    network: FakeProber, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three with 64 addresses each leave room for the others, which are tried again and again meanwhile."""
    monkeypatch.setattr(checking, "MAX_AT_ONCE", 3 * MAX_PER_NODE + 1)
    monkeypatch.setattr(checking, "FIRST_ROUND_SECONDS", 0.0)
    bad = [node(name, *swallowing(network, name, block), monitor=Monitor.CHECK) for block, name in enumerate("xyz")]
    async with checked_site((*bad, *CHECKED), network=network) as site:
        hanging = set(network.hung)
        await until(
            lambda: (
                sum(network.under_way[each] for each in network.under_way if each.address in hanging)
                == 3 * MAX_PER_NODE
            ),
            "each of the three has all that it may",
        )
        for each in CHECKED:
            await network.more_of(each.addresses[0], 10)
        assert [healths(site)[each] for each in "abcxyz"] == ["up"] * 3 + ["unknown"] * 3
        assert network.most_at_once <= 3 * MAX_PER_NODE + 1
        network.answer_again()
        await all_are(site, a="up", b="up", c="up", x="up", y="up", z="up")
        assert {each.address for each in network.tries} >= hanging


async def test_a_reload_lets_go_of_what_waits(network: FakeProber) -> None:
    """Addresses that a node has no more are not tried, and those that it keeps are, once there is room."""
    addresses = swallowing(network, "x", 0, 3 * MAX_PER_NODE)
    async with checked_site((node("x", *addresses, monitor=Monitor.CHECK),), network=network) as site:
        await until(lambda: network.under_way.total() == MAX_PER_NODE, "it has all that it may")
        under_way = {each.address for each, count in network.under_way.items() if count}
        waiting = [each for each in addresses if each not in under_way]
        kept, dropped = waiting[:MAX_PER_NODE], waiting[MAX_PER_NODE:]
        reload(site, (node("x", *under_way, *kept, monitor=Monitor.CHECK),), (CHECK,))
        network.answer_again()
        await all_are(site, x="up")
        assert all(network.tries_of(each) for each in kept)
        assert not any(network.tries_of(each) for each in dropped)


def test_what_is_held_is_given_back_in_its_order() -> None:
    """One for each try that ends, with the instant at which it was due."""
    slots = Slots()
    assert [slots.take(target(number), {"n"}, due=number) for number in range(MAX_PER_NODE)] == ["n"] * MAX_PER_NODE
    assert [slots.take(target(number), {"n"}, due=number) for number in (100, 101)] == [None, None]
    assert [slots.give_back("n") for _ in range(3)] == [(target(100), 100), (target(101), 101), None]
    assert slots.take(target(102), {"n"}, due=102) == "n"


def test_what_nodes_share_counts_for_one_that_has_room() -> None:
    """A node that has taken all that it may holds up nothing that another one shares with it."""
    slots = Slots()
    for number in range(MAX_PER_NODE):
        slots.take(target(number), {"n"}, due=0.0)
    assert slots.take(target(100), {"n", "m"}, due=0.0) == "m"


def test_a_node_that_changes_lets_go_of_what_is_held() -> None:
    """All of it at once; a try that is under way still counts until it ends."""
    slots = Slots()
    for number in range(MAX_PER_NODE + 2):
        slots.take(target(number), {"n"}, due=number)
    assert [each.address for each, _ in slots.let_go("n")] == ["10.0.0.8", "10.0.0.9"]
    assert list(slots.let_go("n")) == []
    assert slots.take(target(100), {"n"}, due=0.0) is None
