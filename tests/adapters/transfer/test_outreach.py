"""Couriers come and go with the zones, and each hears of its own."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import cast

import pytest

from dnsd.adapters.context import AdapterContext
from dnsd.adapters.transfer import outreach
from dnsd.adapters.transfer.outreach import Outreach
from dnsd.config.transfer import Secondary
from dnsd.control.farservers import FarServers, ZoneWithdrawal
from dnsd.control.plane import ControlPlane
from dnsd.control.publisher import Publisher
from dnsd.control.rivalry import Rivalry
from dnsd.core.names import from_text
from dnsd.model.endpoint import Endpoint
from tests.adapters.transfer.world import APEX, FIRST_SERIAL, ZONE, Versions, records, settings
from tests.support.servers import free_port
from tests.support.waiting import until

OTHER = from_text("example.net.")


@dataclass
class FakeSettings:
    zones: dict[bytes, None] = field(default_factory=dict)


@dataclass
class FakePlane:
    """What couriers need to know of a server."""

    settings: FakeSettings = field(default_factory=FakeSettings)


def hidden(name: str, **fields: object) -> Secondary:
    """Return a secondary at an address where nobody is."""
    given: dict[str, object] = {
        "address": Endpoint("127.0.0.1", free_port()),
        "key": None,
        "sources": (),
        "zones": None,
        "notify": True,
    }
    return Secondary(name=name, **{**given, **fields})  # type: ignore[arg-type]


async def test_there_is_a_courier_for_each_zone_at_each_secondary_that_may_have_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One that comes is told of at once, one that has gone is asked for no more."""
    monkeypatch.setattr(outreach, "LOOK_SECONDS", 0.01)
    plane, versions = FakePlane(), Versions(records(ZONE))
    secondaries = (hidden("all"), hidden("other", zones=frozenset({OTHER})), hidden("unseen", address=None))
    far = FarServers(
        cast(Publisher, None),
        versions,
        secondaries=lambda: secondaries,
        zones=lambda: plane.settings.zones,
        clock=lambda: 0.0,
        steady=asyncio.get_running_loop().time,
        rivalry=Rivalry(heard=lambda apex, serial: None, overtaken=lambda apex: None),
    )
    context = AdapterContext(cast(ControlPlane, plane), "transfer", settings(*secondaries))
    running = Outreach(context, versions, far)
    task = asyncio.create_task(running.run())
    try:
        plane.settings.zones[APEX] = None
        current = versions.current(APEX)
        assert current is not None
        assert current.serial == FIRST_SERIAL
        running.made(current)
        await until(lambda: far.notifies["all", "unreachable"])
        assert {name for name, _ in far.notifies} == {"all"}
        assert [name for name, _ in running._couriers] == ["all"]
        await until(lambda: "Connection refused" in str(far.standing([ZoneWithdrawal(APEX, 0, 0)]).blockers))
        assert far.notifies == {("all", "unreachable"): 1}  # RFC 1996 §3.6: nobody is there to tell again
        plane.settings.zones[OTHER] = None  # of which no version has been made yet
        plane.settings.zones.pop(APEX)
        await until(lambda: not running._couriers)
        versions.apex = OTHER
        await until(lambda: sorted(name for name, _ in running._couriers) == ["all", "other"])
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
