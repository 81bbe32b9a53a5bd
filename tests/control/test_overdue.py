"""Overdue drains: told once each, when they pass the warning age."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from dnsd.api.schemas import Event
from tests.control.rig import Site, site_of
from tests.control.timekeeping import keeping_time, pass_time
from tests.support.waiting import under_way, until

OVERDUE = "drain-overdue"


@asynccontextmanager
async def listening(site: Site) -> AsyncIterator[list[Event]]:
    """Gather a site's events of overdue drains while its timekeeper runs."""
    found: list[Event] = []

    async def listen() -> None:
        async for event in site.plane.events(after=None):
            found.extend([event] if event.type == OVERDUE else [])

    async with under_way(listen()):
        await asyncio.sleep(0)
        async with keeping_time(site):
            yield found


async def looked(site: Site) -> None:
    """Wait until the timekeeper has looked at the present instant."""
    await until(lambda: site.plane._timekeeper._overdue._looked_at == site.clock.wall, "a look")


async def test_a_drain_that_passes_the_warning_age_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """One line of the log and one event, at the age and not before; a renewal does not make it young again."""
    site = await site_of(warn_after_seconds=3600.0)
    with caplog.at_level(logging.WARNING, logger="dnsd.control.overdue"):
        async with listening(site) as events:
            await site.drain("a", indefinite=True, reason="disk")
            pass_time(3599, site)
            await looked(site)
            assert (events, caplog.messages) == ([], [])
            for seconds in (1, 10, 5000):
                pass_time(seconds, site)
                await looked(site)
            await site.drain("a", expires_in=9000.0, reason="disk")
            pass_time(10, site)
            await looked(site)
            await until(lambda: bool(events), "the event")
    assert [(event.node, event.revision, event.detail["reason"]) for event in events] == [("a", None, "disk")]
    assert caplog.messages == ["the drain of a (role *, holder alice) has been in force for 1h: disk"]


async def test_a_drain_that_is_placed_anew_can_be_told_anew() -> None:
    """Released and drained again, it has an age of its own; one that is scheduled ages from its start."""
    site = await site_of(warn_after_seconds=100.0)
    async with listening(site) as events:
        await site.drain("a", indefinite=True)
        await site.drain("b", starts_at=site.clock.wall + 60, indefinite=True)
        pass_time(100, site)
        await until(lambda: [event.node for event in events] == ["a"], "a is told of")
        await site.release("a")
        pass_time(60, site)
        await until(lambda: [event.node for event in events] == ["a", "b"], "b is told of")
        await site.drain("a", indefinite=True)
        pass_time(100, site)
        await until(lambda: [event.node for event in events] == ["a", "b", "a"], "a is told of again")
