"""From what is published to what secondaries transfer: versions, their differences, and when there is none."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from dnsd.control import zoneversions
from dnsd.core.names import from_text
from dnsd.core.records import Zone
from dnsd.core.serials import is_newer
from dnsd.core.zonemirror import Mirror
from dnsd.core.zoneversion import ZoneRecord, ZoneVersion
from dnsd.model.pool import Floor
from tests.control.rig import ABC, Site, acknowledged, settings_of, site_of
from tests.control.versions import (
    APEX,
    applied,
    keeper,
    records,
    running,
    seen,
    shown_serial,
    transferring,
    transfers,
    version,
)
from tests.support.dnsmessages import records_of, zone_of
from tests.support.fleets import NOW, ZONE, node, pool
from tests.support.images import image_of
from tests.support.waiting import until

EDGE = from_text("edge.example.org.")
UNBOUND = pool(floor=Floor(count=0))


async def test_without_transfers_there_are_no_versions_and_no_cost() -> None:
    """Nobody hears of generations, and no answer has another serial than the zone file."""
    site = await site_of()
    hook = site.plane.publisher.on_generation
    assert site.plane.versions is None
    await site.drain("a")
    assert hook.__name__ == "<lambda>"
    assert [delta.serials for delta in site.workers.published] == [{}]
    assert shown_serial(site) == 1


async def test_the_first_version_begins_at_the_time_or_at_the_files_serial() -> None:
    """Whichever is newer, so that a store that forgets does not lead back; of an odd one, the one that follows."""
    site = await transferring()
    assert version(site).serial == int(NOW) == shown_serial(site)
    zone = zone_of("@ SOA ns1 hostmaster 2023111501 7200 900 1209600 60\n@ NS ns1")
    site = await transferring(zones={zone.apex: zone})
    assert version(site).serial == 2_023_111_502 == shown_serial(site)


async def test_a_drain_makes_a_version_of_what_it_changes() -> None:
    """One record less, a serial that follows, the workers show it, and whoever wants to is told of it."""
    site = await transferring()
    told: list[ZoneVersion] = []
    keeper(site).on_version.append(told.append)
    before, had = version(site), records(version(site))
    async with running(site):
        await until(lambda: told == [before], "the first version is told of")
        await site.drain("a")
        after = await seen(site)
        await until(lambda: told == [before, after], "the second version is told of")
    gone = ZoneRecord(EDGE, 1, 30, bytes([192, 0, 2, 10]))
    (diff,) = keeper(site).since(APEX, before.serial) or ()
    assert (diff.removed, diff.added) == ((gone,), ())
    assert (diff.before, diff.after) == (before.soa, after.soa)
    assert records(after) == had - {gone}
    assert (after.serial, after.revision) == (before.serial + 2, site.plane.revision)
    assert shown_serial(site) == after.serial
    assert f" {after.serial} 7200 " in site.plane.explain("example.org.", "SOA", client=None).answer.answer[0]
    assert keeper(site).since(APEX, after.serial) == ()
    assert keeper(site).since(APEX, before.serial - 1) is None


async def test_content_comes_before_its_serial() -> None:
    """The generation with a serial follows the one with what it stands for, and pools are all it forgets."""
    site = await transferring()
    site.workers.published.clear()
    async with running(site):
        await site.drain("a")
        await seen(site)
    content, serial = site.workers.published
    assert (set(content.put), content.serials) == ({EDGE}, {})
    assert (serial.put, serial.removed, serial.zones) == ({}, (), None)
    assert serial.serials == {APEX: version(site).serial}
    assert serial.changed_pools({}) == ()


async def test_what_changes_no_record_makes_no_version() -> None:
    """A role without a pool, a drain that is for later, other weights: the serial stays, and has their generations."""
    others, pools = [*ABC[1:], node("s", "192.0.2.20", roles=("storage",))], [pool(max_answers=2)]
    site = await transferring([node("a", "192.0.2.10"), *others], pools)
    before, published = version(site), len(site.workers.published)
    async with running(site):
        await site.drain("s")
        await site.drain("a", starts_at=site.clock.wall + 60)
        site.plane.reload(settings_of([node("a", "192.0.2.10", weight=7), *others], pools, transfer=transfers()))
        assert await seen(site) is before
    assert len(site.workers.published) == published + 3
    assert keeper(site).serial_with(APEX, site.plane.publisher.generation) == before.serial


async def test_each_generation_leads_to_the_first_serial_that_has_it() -> None:
    """Also where generations between change nothing of the zone; a generation that is yet to come has none."""
    site = await transferring()
    first, generations = version(site).serial, [site.plane.publisher.generation]
    assert keeper(site).serial_with(APEX, site.plane.publisher.generation + 1) is None
    for name in ("a", "b"):
        await site.drain(name)
        generations.append(site.plane.publisher.generation)
        assert keeper(site).serial_with(APEX, generations[-1]) is None
        assert keeper(site).serial_with(APEX, generations[-2]) is not None
        await keeper(site)._make()
    assert [keeper(site).serial_with(APEX, each) for each in generations] == [first, first + 2, first + 4]
    assert keeper(site).serial_with(APEX, 0) == first
    assert keeper(site).serial_with(from_text("elsewhere."), 1) is None
    assert keeper(site).current(from_text("elsewhere.")) is None
    assert keeper(site).since(from_text("elsewhere."), first) is None


async def test_changes_within_the_moment_share_a_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the first change on, until the moment is over; what comes and goes within it makes none."""
    moment, waits, sleep = asyncio.Event(), asyncio.Event(), asyncio.sleep

    async def until_it_is_over(seconds: float) -> None:
        if seconds == 17.0:
            waits.set()
            await moment.wait()
        else:
            await sleep(seconds)

    monkeypatch.setattr(asyncio, "sleep", until_it_is_over)
    site = await transferring(ABC, [UNBOUND], transfer=transfers(coalesce_seconds=17.0))
    before = version(site)
    async with running(site):
        await site.drain("a")
        await waits.wait()
        await site.drain("b")
        await site.drain("c")
        await site.release("c")
        assert version(site) is before
        moment.set()
        after = await seen(site)
    assert after.serial == before.serial + 2
    (diff,) = keeper(site).since(APEX, before.serial) or ()
    assert (len(diff.removed), len(diff.added)) == (2, 0)


async def test_a_version_stays_what_it_is_while_others_are_made() -> None:
    """A transfer that has begun goes on with what it began with."""
    site = await transferring(ABC, [UNBOUND])
    before = version(site)
    expected = records(before)
    under_way: Iterator[ZoneRecord] = before.records()
    got = {next(under_way)}
    for name in "abc":
        await site.drain(name)
        await keeper(site)._make()
        got.add(next(under_way))
    assert got | set(under_way) == expected == records(before)
    assert records(version(site)) != expected


async def test_a_thousand_changes_in_a_row_end_with_the_zone_as_it_is() -> None:
    """Each is seen, or shares a version with others; differences and records agree with a zone made from scratch."""
    site = await transferring()
    first, had = version(site), records(version(site))
    async with running(site):
        for number in range(500):
            await site.drain("abc"[number % 3])
            await site.release("abc"[number % 3])
            if number % 7 == 0:
                await site.register(f"n{number}", "192.0.2.99", monitor="none")
        after = await seen(site)
    anew = await transferring(store=site.store)
    assert records(after) == records(version(anew))
    assert version(anew).serial == after.serial
    diffs = keeper(site).since(APEX, first.serial)
    assert diffs is not None
    assert applied(had, diffs) == records(after)


async def test_history_is_bounded_and_the_newest_is_kept() -> None:
    """By records, the SOAs included: what no longer fits is forgotten from its oldest end."""
    site = await transferring(transfer=transfers(history_records=8))
    serials = [version(site).serial]
    for number in range(6):
        await (site.drain("a") if number % 2 == 0 else site.release("a"))
        await keeper(site)._make()
        serials.append(version(site).serial)
    kept = [keeper(site).since(APEX, serial) for serial in serials]
    assert kept[:-3] == [None] * 4
    assert [len(diffs or ()) for diffs in kept[-3:]] == [2, 1, 0]


async def test_a_difference_that_is_too_large_leaves_no_history() -> None:
    """A secondary takes the whole zone then."""
    site = await transferring(ABC, [UNBOUND], transfer=transfers(history_records=4))
    before = version(site)
    for name in "abc":
        await site.drain(name)
    await keeper(site)._make()
    assert version(site).serial == before.serial + 2
    assert keeper(site).since(APEX, before.serial) is None


async def test_many_changed_names_are_compared_in_a_thread_with_the_same_result(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The difference is that of the names one by one, and the event loop does not stand still for it."""
    monkeypatch.setattr(zoneversions, "MOST_NAMES", 1)
    monkeypatch.setattr(Mirror, "stepped", None)
    site = await transferring(ABC, [UNBOUND])
    before, had = version(site), records(version(site))
    await site.register("x", "192.0.2.99", monitor="none")
    await site.drain("a")
    await keeper(site)._make()
    diffs = keeper(site).since(APEX, before.serial) or ()
    assert [(len(diff.removed), len(diff.added)) for diff in diffs] == [(1, 2)]
    assert applied(had, diffs) == records(version(site))
    assert version(site).serial == before.serial + 2


# --- reloads ----------------------------------------------------------------------------------------------------


def reload(site: Site, *zones: Zone) -> None:
    by_apex = {each.apex: each for each in zones}
    site.plane.reload(settings_of(ABC, [pool()], zones=by_apex, transfer=transfers()))


async def test_another_zone_file_makes_a_difference() -> None:
    """Its records, those of the SOA, and a serial that the operator has raised by hand."""
    site = await transferring()
    before, had = version(site), records(version(site))
    more = "@ NS ns1\nns1 A 192.0.2.1\nwww A 192.0.2.80"
    reload(site, zone_of(more))
    await keeper(site)._make()
    after = version(site)
    (diff,) = keeper(site).since(APEX, before.serial) or ()
    assert [record.owner for record in diff.added] == [from_text("www.example.org.")]
    assert applied(had, [diff]) == records(after)
    reload(site, zone_of(f"@ SOA ns1 hostmaster 3 7200 900 1209600 60\n{more}"))  # an older serial, and no difference
    await keeper(site)._make()
    assert version(site) is after
    reload(site, zone_of(f"@ SOA ns1 hostmaster 1900000000 7200 900 1209600 60\n{more}"))
    await keeper(site)._make()
    assert version(site).serial == 1_900_000_000 == shown_serial(site)
    reload(site, zone_of(f"@ SOA ns1 hostmaster 1900000000 7200 901 1209600 60\n{more}"))
    await keeper(site)._make()
    assert version(site).serial == 1_900_000_002
    diffs = keeper(site).since(APEX, before.serial) or ()
    assert [len(diff.added) + len(diff.removed) for diff in diffs] == [1, 0, 0]


async def test_zones_come_and_go_and_take_their_names_along() -> None:
    """A child zone takes per-node names from its parent; one that comes back goes on from its serial."""
    site = await transferring()
    child = zone_of("@ NS ns1", apex="nodes.example.org.")
    had = records(version(site))
    reload(site, ZONE, child)
    await keeper(site)._make()
    moved = {record for record in had if record.owner.endswith(child.apex)}
    assert len(moved) == 3
    assert moved <= records(version(site, child.apex))
    assert records(version(site)) == had - moved
    serial = version(site, child.apex).serial
    reload(site, ZONE)
    await keeper(site)._make()
    assert keeper(site).current(child.apex) is None
    assert records(version(site)) == had
    reload(site, ZONE, child)
    assert site.workers.snapshot.serials[child.apex] == serial
    await keeper(site)._make()
    assert version(site, child.apex).serial == serial
    reload(site, ZONE)
    reload(site, ZONE, zone_of("@ NS ns2", apex="nodes.example.org."))
    await keeper(site)._make()
    assert version(site, child.apex).serial == serial + 2


async def test_a_large_zone_is_followed_by_its_changes_and_a_new_file_is_taken_whole() -> None:
    """A drain in it has its difference; of another file only the serial tells."""
    texts = ["@ SOA ns1 hostmaster 1 7200 900 1209600 60\n@ NS ns1\nns1 A 192.0.2.1", "\nwww A 192.0.2.80"]
    one, other = (image_of(APEX, records_of(text, "example.org.")) for text in (texts[0], "".join(texts)))
    site = await transferring(zones={APEX: one})
    before = version(site)
    await site.drain("a")
    await keeper(site)._make()
    drained = version(site)
    assert len(keeper(site).since(APEX, before.serial) or ()) == 1
    assert shown_serial(site) == drained.serial
    reload(site, other)
    await keeper(site)._make()
    assert version(site).serial == drained.serial + 2
    assert keeper(site).since(APEX, drained.serial) is None
    assert from_text("www.example.org.") in {record.owner for record in records(version(site))}
    assert from_text("www.example.org.") not in {record.owner for record in records(drained)}


# --- faults of ours ---------------------------------------------------------------------------------------------


async def test_a_fault_ends_nothing_and_is_made_up_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged with its traceback and counted; answers go on; the next version has all that was missed."""
    monkeypatch.setattr(zoneversions, "FIRST_PAUSE_SECONDS", 0.0)
    site = await transferring()
    before, stepped = version(site), Mirror.stepped
    monkeypatch.setattr(Mirror, "stepped", lambda *_: 1 / 0)
    async with running(site):
        await site.drain("a")
        await acknowledged()
        assert site.plane.publisher.applied_revision == 1
        await until(lambda: keeper(site).counts["failed"] > 0, "a fault")
        monkeypatch.setattr(Mirror, "stepped", stepped)
        after = await seen(site)
    assert records(before) - records(after) == {ZoneRecord(EDGE, 1, 30, bytes([192, 0, 2, 10]))}
    assert len(keeper(site).since(APEX, before.serial) or ()) == 1
    assert any(record.exc_info and record.exc_info[0] is ZeroDivisionError for record in caplog.records)


async def test_a_fault_does_not_end_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """The parts of a plane go on together, and drains are placed and answered as before."""
    site = await transferring()
    monkeypatch.setattr(Mirror, "stepped", lambda *_: 1 / 0)
    plane = asyncio.create_task(site.plane.run())
    await site.drain("a")
    await until(lambda: keeper(site).counts["failed"] > 0, "a fault")
    await site.drain("b")
    await acknowledged()
    assert site.plane.publisher.applied_revision == 2
    assert not plane.done()
    plane.cancel()
    await asyncio.wait([plane])


async def test_a_fault_at_the_start_leaves_answers_as_the_zone_files_have_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server starts all the same, and versions are made when it passes."""
    monkeypatch.setattr(zoneversions, "FIRST_PAUSE_SECONDS", 0.0)
    made = Mirror.of
    monkeypatch.setattr(Mirror, "of", lambda *_: 1 / 0)
    site = await transferring()
    assert keeper(site).counts["failed"] == 1
    assert keeper(site).current(APEX) is None
    assert keeper(site).serial_with(APEX, 1) is None
    assert shown_serial(site) == 1
    monkeypatch.setattr(Mirror, "of", made)
    async with running(site):
        assert (await seen(site)).serial == shown_serial(site)


async def test_of_those_who_hear_of_versions_one_that_fails_takes_nothing_from_the_others() -> None:
    """Each version reaches each of them, whatever one of them raises."""
    site = await transferring()
    told: list[int] = []

    def fail(version: ZoneVersion) -> None:
        raise ZeroDivisionError

    def hear(version: ZoneVersion) -> None:
        told.append(version.serial)

    keeper(site).on_version += [fail, hear]
    first = version(site).serial
    async with running(site):
        await site.drain("a")
        await until(lambda: told[-1:] == [first + 2], "the version is told of")
    assert told == [first, first + 2]
    assert keeper(site).counts["failed"] == 2
    assert is_newer(told[1], told[0])
