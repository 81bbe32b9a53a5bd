"""Addresses of the server's own machine and link: registered nodes do not have them tried, configured ones do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from dnsd.control.checks.assignment import is_local
from dnsd.model.node import Monitor
from tests.control.checks.rig import CHECK, CHECKED, REFUSED, FakeProber, all_are, checked_site, healths
from tests.control.rig import Site, settings_of
from tests.support.fleets import node, pool
from tests.support.waiting import until

LOCAL = (
    "127.0.0.1",
    "127.255.0.9",
    "169.254.1.1",
    "0.0.0.0",
    "::1",
    "::",
    "fe80::1",
    "febf::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
)
OTHERS = ("192.0.2.1", "10.0.0.1", "128.0.0.1", "169.253.0.1", "2001:db8::1", "fec0::1", "fd00::1", "::ffff:192.0.2.1")


def reason(site: Site, name: str) -> str:
    return site.plane.node(name).roles["edge"].reason or ""


def reload(site: Site, *, check_local: bool) -> None:
    site.plane.reload(settings_of(CHECKED, (pool(),), checks=(CHECK,), check_local=check_local))


@pytest.mark.parametrize(("addresses", "local"), [(LOCAL, True), (OTHERS, False)])
def test_an_address_of_this_machine_or_link_is_told_from_others(addresses: Sequence[str], local: bool) -> None:
    """Loopback, link-local and unspecified ones, in each way of writing them; private ones are none of them."""
    assert {each: is_local(each) for each in addresses} == dict.fromkeys(addresses, local)


@pytest.mark.parametrize("address", LOCAL)
async def test_a_registered_node_is_not_tried_there_and_says_why(network: FakeProber, address: str) -> None:
    """Its health stays unknown, though its other address answers, and although it was up elsewhere before."""
    async with checked_site(network=network) as site:
        await site.register("d", "192.0.2.50", monitor="check")
        await all_are(site, a="up", b="up", c="up", d="up")
        await site.register("d", "192.0.2.50", address, monitor="check")
        await all_are(site, a="up", b="up", c="up", d="unknown")
        await network.more_of("192.0.2.50")
        assert healths(site)["d"] == "unknown"
        assert "not tried" in reason(site, "d")
        assert "check_local" in reason(site, "d")
        assert network.tries_of(address) == 0


async def test_an_address_that_is_not_tried_hides_no_failure(network: FakeProber) -> None:
    """A node with an agent, whose reports say up, is down where its other address fails."""
    network.outcomes["192.0.2.50"] = REFUSED
    async with checked_site(network=network) as site:
        await site.register("d", "192.0.2.50", "127.0.0.1")
        await site.report("d")
        await all_are(site, a="up", b="up", c="up", d="down")
        assert reason(site, "d").startswith("check tcp 192.0.2.50:80: refused, ")


async def test_a_configured_node_is_tried_wherever_it_is(network: FakeProber) -> None:
    """Also where a registered one has the same address, which is not judged by it."""
    local = node("l", "127.0.0.1", monitor=Monitor.CHECK)
    async with checked_site((*CHECKED, local), network=network) as site:
        await site.register("d", "127.0.0.1", monitor="check")
        await all_are(site, a="up", b="up", c="up", l="up", d="unknown")


async def test_the_configuration_may_allow_it_and_a_reload_takes_that_back(network: FakeProber) -> None:
    """With `check_local` it is tried and serves; without, from the reload on, no more."""
    async with checked_site(network=network) as site:
        await site.register("d", "127.0.0.1", monitor="check")
        await until(lambda: "not tried" in reason(site, "d"), "the reason is told")
        reload(site, check_local=True)
        await all_are(site, a="up", b="up", c="up", d="up")
        reload(site, check_local=False)
        await all_are(site, a="up", b="up", c="up", d="unknown")
        assert site.plane.checks.states() == {"up": 3, "down": 0, "unknown": 0}


async def test_where_only_the_other_family_is_checked_nothing_is_barred(network: FakeProber) -> None:
    """An address that no check is for holds up nothing."""
    async with checked_site(checks=(replace(CHECK, versions=(4,)),), network=network) as site:
        await site.register("d", "192.0.2.50", "::1", monitor="check")
        await all_are(site, a="up", b="up", c="up", d="up")
