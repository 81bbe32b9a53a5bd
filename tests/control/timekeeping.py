"""Timekeepers that run, and a clock that passes when a test says so."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.control.rig import Site
from tests.support.waiting import under_way


@asynccontextmanager
async def keeping_time(*sites: Site) -> AsyncIterator[None]:
    """Have the timekeepers of sites run for a while."""
    async with under_way(*(site.plane._timekeeper.run() for site in sites)):
        yield


def pass_time(seconds: float, *sites: Site) -> None:
    """Move the sites' one clock and have them look at it."""
    sites[0].clock.advance(seconds)
    look(*sites)


def look(*sites: Site) -> None:
    """Have timekeepers look at the clock."""
    for site in sites:
        site.plane.publisher.transitions_changed.set()
