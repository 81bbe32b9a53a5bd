"""Control planes whose zones are transferred, and what a secondary makes of their versions."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable
from typing import Any

import dns.message

from dnsd.config.transfer import TransferSettings
from dnsd.control.zoneversions import VersionKeeper
from dnsd.core.engine import Engine
from dnsd.core.serials import is_newer, serial_of
from dnsd.core.zoneversion import ZoneDiff, ZoneRecord, ZoneVersion
from tests.control.rig import Site, site_of
from tests.support.fleets import ZONE, ask
from tests.support.waiting import under_way, until

APEX = ZONE.apex


def transfers(*, coalesce_seconds: float = 0.0, history_records: int = 10_000) -> TransferSettings:
    """Return settings of transfers to nobody in particular."""
    return TransferSettings(
        listen=(), keys={}, secondaries=(), coalesce_seconds=coalesce_seconds, history_records=history_records
    )


async def transferring(*args: Any, **fields: Any) -> Site:
    """Return a plane with its first versions; `args` and `fields` are those of `site_of`."""
    site = await site_of(*args, **{"transfer": transfers(), **fields})
    await keeper(site).begin()
    return site


def keeper(site: Site) -> VersionKeeper:
    """Return what keeps a plane's versions."""
    assert site.plane.versions is not None
    return site.plane.versions


def version(site: Site, apex: bytes = APEX) -> ZoneVersion:
    """Return the current version of a zone that is there."""
    found = keeper(site).current(apex)
    assert found is not None
    return found


@contextlib.asynccontextmanager
async def running(*sites: Site) -> AsyncIterator[None]:
    """Let planes make versions by themselves for a while."""
    async with under_way(*(keeper(site).run() for site in sites)):
        yield


async def seen(site: Site) -> ZoneVersion:
    """Wait until all that is published is in versions, and return the zone's."""
    await until(lambda: keeper(site).serial_with(APEX, site.plane.publisher.generation) is not None, "a version")
    return version(site)


def records(of: ZoneVersion) -> set[ZoneRecord]:
    """Return the records of a version, of which none is there twice."""
    found = list(of.records())
    assert len(found) == len(set(found))
    return set(found)


def applied(held: Iterable[ZoneRecord], diffs: Iterable[ZoneDiff]) -> set[ZoneRecord]:
    """Do what a secondary does with differences (RFC 1995 §4), each of which must fit what there is."""
    content, before = set(held), None
    for diff in diffs:
        assert before in (None, diff.before)
        assert is_newer(serial_of(diff.after.rdata), serial_of(diff.before.rdata))
        assert set(diff.removed) <= content
        content -= set(diff.removed)
        assert content.isdisjoint(diff.added)
        content |= set(diff.added)
        before = diff.after
    return content


def shown_serial(site: Site) -> int:
    """Return the serial in the SOA that workers answer with."""
    message: dns.message.Message = ask(Engine(site.workers.snapshot), "example.org.", "SOA")
    return int(message.answer[0][0].serial)
