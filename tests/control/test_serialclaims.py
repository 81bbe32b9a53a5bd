"""Serials of zones over restarts, between servers of one store, and while the store is away."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dnsd.control import zoneversions
from dnsd.control.recovery import Restoration
from dnsd.control.serialclaims import MARGIN, Content, SerialClaims
from dnsd.core.serials import SERIALS, is_newer
from dnsd.core.zoneversion import ZoneRecord, ZoneVersion
from dnsd.errors import StoreUnavailable
from dnsd.model.pool import Floor
from dnsd.stores import laststate
from dnsd.stores.claims import SerialClaim
from dnsd.stores.laststate import HandedSerial
from tests.control.rig import ABC, BreakableStore, Clock, Site, site_of
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
from tests.stores.kinds import Kind
from tests.support.fleets import NOW, pool
from tests.support.waiting import until

ZONE = "example.org."
START = int(NOW)


async def change(site: Site) -> ZoneVersion:
    """Have something else in the zone, and return its version."""
    drained = bool(site.plane.publisher.fleet.all_drains())
    await (site.release("a") if drained else site.drain("a"))
    await keeper(site)._make()
    return version(site)


# --- restarts and other servers, over every store ---------------------------------------------------------------


async def test_a_restart_goes_on_from_where_it_was(kind: Kind, tmp_path: Path) -> None:
    """With the same content and a store that lasts, at the same serial; with other content, at the next one."""
    store = kind.fresh(tmp_path)
    await store.open()
    site = await transferring(store=store)
    serial = (await change(site)).serial
    if kind.durable:
        await store.close()
        store = kind.fresh(tmp_path)
        await store.open()
    again = await transferring(store=store)
    assert version(again).serial == serial == shown_serial(again)
    assert records(version(again)) == records(version(site))
    assert keeper(again).since(APEX, serial) == ()
    assert (await change(again)).serial == serial + 2
    third = await transferring(ABC[1:], store=store)
    assert version(third).serial == serial + 4
    await store.close()


async def test_servers_of_one_store_agree_on_serials(kind: Kind, tmp_path: Path) -> None:
    """Whoever comes first has a new one for new content, the other one gets the same for the same."""
    store = kind.fresh(tmp_path)
    await store.open()
    one, other = await transferring(store=store), await transferring(store=store)
    assert version(one).serial == version(other).serial
    for _ in range(3):
        serial = (await change(one)).serial
        await other.hear()
        await keeper(other)._make()
        assert version(other).serial == serial
        assert records(version(other)) == records(version(one))
    # A server that sees a node otherwise has other content, and a serial of its own.
    await other.report("b", up=False)
    await change(one)
    different = await transferring(ABC[1:], store=store)
    assert version(different).serial == version(one).serial + 2
    assert (await change(one)).serial == version(different).serial + 2
    await store.close()


# --- the store is away ------------------------------------------------------------------------------------------


async def outage(site: Site) -> None:
    """Lose the store, and have something change by time alone."""
    await site.drain("a", expires_at=site.clock.wall + 10)
    await keeper(site)._make()
    site.store.writes_fail = True
    site.tick(11)
    await keeper(site)._make()


async def test_while_the_store_is_away_serials_rise_by_themselves() -> None:
    """To odd ones; a secondary that has such a one gets the whole zone, since another server may have used it too."""
    site = await transferring()
    first, had = version(site).serial, records(version(site))
    await outage(site)
    assert version(site).serial == first + 3 == shown_serial(site)
    assert applied(had, keeper(site).since(APEX, first) or ()) == records(version(site))
    site.plane.reload(site.plane.settings)
    await keeper(site)._make()
    assert version(site).serial == first + 3
    assert keeper(site).since(APEX, first + 3) == ()
    assert keeper(site).serial_with(APEX, 1) is None
    site.clock.advance(1)
    await site.report("b")
    await site.report("b", up=False)


async def test_when_the_store_is_back_every_serial_of_that_time_is_replaced(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """By a newer one that nobody has had, without any change, and soon; the outage is logged once, and its end."""
    monkeypatch.setattr(zoneversions, "RETRY_SECONDS", 0.01)
    caplog.set_level("INFO")
    site = await transferring()
    await outage(site)
    alone = version(site)
    told: list[int] = []
    keeper(site).on_version.append(lambda version: told.append(version.serial))
    async with running(site):
        await until(lambda: alone.serial in told, "the version of that time is told of")
        site.store.writes_fail = False
        await until(lambda: version(site) is not alone, "the version after it")
        after = await seen(site)
        await site.drain("b")
        last = await seen(site)
    assert after.serial == alone.serial + MARGIN + 1
    assert records(after) == records(alone)
    assert keeper(site).since(APEX, alone.serial) is None
    assert len(keeper(site).since(APEX, after.serial) or ()) == 1
    assert keeper(site).serial_with(APEX, 1) == after.serial
    assert shown_serial(site) == last.serial
    lines = [record.message for record in caplog.records if "serials of zones" in record.message]
    assert lines == [
        "serials of zones are made without the store: the disk is full",
        "the store gives serials of zones again",
    ]


async def test_two_servers_that_were_cut_off_collide_and_part() -> None:
    """Both have made the same serial; once the store is back, each gets one that is newer than all of that time."""
    store = BreakableStore()
    await store.open()
    one, other = await transferring(store=store), await transferring(ABC, [pool(ttl=9)], store=store)
    await one.drain("a", expires_at=one.clock.wall + 10)
    for site in (one, other):
        await site.hear()
        await keeper(site)._make()
    store.writes_fail = True
    for site in (one, other):
        site.tick(11)
        await keeper(site)._make()
    alone = [version(site).serial for site in (one, other)]
    store.writes_fail = False
    for site in (one, other):
        await keeper(site)._make()
    back = [version(site).serial for site in (one, other)]
    assert len({*alone, *back}) == len(set(alone)) + 2
    assert all(is_newer(after, before) for after, before in zip(back, alone, strict=True))
    assert [keeper(site).since(APEX, serial) for site, serial in zip((one, other), alone, strict=True)] == [None, None]


async def test_a_store_that_has_forgotten_gets_what_was_handed_out() -> None:
    """After a flush nothing goes back: the next serial follows what this server has handed out."""
    site = await transferring()
    before = await change(site)
    site.store._serials.clear()
    assert (await change(site)).serial == before.serial + 2
    assert site.store._serials[ZONE].serial == before.serial + 2


# --- what is heard of others, and doubts ------------------------------------------------------------------------


async def given_to(claims: SerialClaims, digest: str = "aa") -> tuple[int, bool]:
    """Claim a serial; return it, and whether the store has given it."""
    (given,) = await claims.claim([Content(zone=ZONE, digest=digest, file_serial=0)])
    return given.serial, given.confirmed


async def two_servers() -> tuple[BreakableStore, SerialClaims, SerialClaims]:
    """Return a store and two servers of it that have both had the same."""
    store, clock = BreakableStore(), Clock()
    await store.open()
    one, other = (SerialClaims(store, clock=lambda: clock.wall) for _ in range(2))
    assert await given_to(one) == await given_to(other) == (START, True)
    return store, one, other


async def test_a_serial_that_the_store_does_not_know_is_left_well_behind() -> None:
    """Whoever has made it alone may be gone for ever: the next claim goes beyond it, whatever is in the zone."""
    for digest in ("aa", "bb"):
        store, one, other = await two_servers()
        store.writes_fail = True
        for number in range(3 * MARGIN):
            alone, _ = await given_to(one, f"{number:x}")
        store.writes_fail = False
        other.heard(ZONE, alone)
        assert await given_to(other, digest) == (alone + MARGIN + 1, True)
        assert await given_to(other, "cc") == (alone + MARGIN + 3, True)


async def test_a_serial_that_the_store_has_given_is_shared_or_followed() -> None:
    """Of the same content it is ours as well; of other content, ours is the next one, and not further."""
    _, one, other = await two_servers()
    newer, _ = await given_to(one, "bb")
    other.heard(ZONE, newer)
    assert await given_to(other, "bb") == (newer, True)
    newest, _ = await given_to(one, "cc")
    other.heard(ZONE, newest)
    assert await given_to(other, "bb") == (newest + 2, True)


async def test_no_serial_of_an_outage_is_given_by_the_store_meanwhile() -> None:
    """One server is cut off while the other one goes on: they never have the same, whatever they have in the zone."""
    store, one, other = await two_servers()
    serials = []
    for number in range(10):
        store.writes_fail = True
        alone, sure = await given_to(one, f"a{number}")
        store.writes_fail = False
        assert not sure
        serials += [alone, (await given_to(other, f"b{number}"))[0]]
    assert len(set(serials)) == len(serials)


async def test_after_a_doubt_each_zone_gets_a_serial_well_beyond() -> None:
    """Once; also where the claim was under way when the doubt came up, and where nothing was handed out yet."""
    store, one, other = await two_servers()
    one.doubt()
    assert one.needed(Content(zone=ZONE, digest="aa", file_serial=0))
    assert await given_to(one) == (START + MARGIN, True)
    assert not one.needed(Content(zone=ZONE, digest="aa", file_serial=0))
    claim_serials = store.claim_serials

    async def doubted(claims: Sequence[SerialClaim]) -> tuple[int, ...]:
        serials = await claim_serials(claims)
        other.doubt()
        return serials

    store.claim_serials = doubted  # type: ignore[method-assign]
    assert await given_to(other, "bb") == (START + MARGIN + 2, False)
    store.claim_serials = claim_serials  # type: ignore[method-assign]
    assert await given_to(other, "bb") == (START + 2 * MARGIN + 2, True)
    started = SerialClaims(store, clock=lambda: NOW, kept={ZONE: HandedSerial(START + 2 * MARGIN + 2, True)})
    started.doubt()
    assert await given_to(started, "bb") == (START + 2 * MARGIN + 4, True)


async def test_a_store_that_has_lost_writes_may_give_serials_twice_so_all_begin_anew() -> None:
    """Differences from before are not told any more, and nothing is said of which serial has what until then."""
    site = await transferring()
    before = await change(site)
    site.plane.restored(Restoration(state=site.plane.publisher.fleet.state, lost_from=3, lost_to=9))
    assert keeper(site).serial_with(APEX, 1) is None
    await keeper(site)._make()
    after = version(site)
    assert (after.serial, records(after)) == (before.serial + MARGIN, records(before))
    assert keeper(site).since(APEX, before.serial) is None
    assert keeper(site).serial_with(APEX, 1) == after.serial


# --- the last state ---------------------------------------------------------------------------------------------


async def test_a_server_that_starts_without_the_store_goes_ahead_of_what_it_last_kept() -> None:
    """By more than it can have handed out since; and it gets another serial as soon as the store is there."""
    store = BreakableStore()
    await store.open()
    store.writes_fail = True
    kept = {ZONE: HandedSerial(START + 500, True)}
    site = await site_of(store=store, serials=kept, transfer=transfers())
    await keeper(site).begin()
    assert version(site).serial == START + 500 + MARGIN + 1 == shown_serial(site)
    store.writes_fail = False
    await keeper(site)._make()
    assert version(site).serial == START + 500 + 2 * MARGIN + 2


@pytest.mark.parametrize(
    ("kept", "serial"),
    [
        (HandedSerial(START, True), START),  # the store has the same
        (HandedSerial(START - 6, True), START),  # the store has gone on
        (HandedSerial(START + 6, True), START + 6 + MARGIN),  # the store has lost what was kept
        (HandedSerial(START + 5, False), START + 6 + MARGIN),  # the store never had it
        (HandedSerial(START - 1, False), START + 2),  # the store has gone on, and may have had other content
        (HandedSerial(START, True, "other"), START + 2),  # the store has lost it, and given it once more
    ],
)
async def test_what_was_kept_is_held_against_the_store(kept: HandedSerial, serial: int) -> None:
    """With the same content as the store has last given a serial for."""
    before = await transferring()
    assert version(before).serial == START
    site = await site_of(store=before.store, serials={ZONE: kept}, transfer=transfers())
    await keeper(site).begin()
    assert version(site).serial == serial


async def test_the_last_state_has_the_serials(tmp_path: Path) -> None:
    """With who has given them, written at once where the server has made one by itself."""

    class Remote(BreakableStore):
        remote = True

    store = Remote()
    await store.open()
    path = tmp_path / "last-state"
    site = await site_of(store=store, state_file=path, transfer=transfers())
    await keeper(site).begin()

    def kept() -> HandedSerial | None:
        last = laststate.read(path)
        return None if last is None or ZONE not in last.serials else last.serials[ZONE]._replace(digest="")

    assert site.plane._keeper is not None
    task = asyncio.create_task(site.plane._keeper.run())
    await until(lambda: kept() == HandedSerial(START, True), "the serial is in the file")
    await outage(site)
    await until(lambda: kept() == HandedSerial(START + 3, False), "the serial of that time is in the file")
    task.cancel()
    await asyncio.wait([task])


# --- properties -------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["claim", "claim", "claim", "hear", "away", "back", "restart", "lose"]),
            st.integers(0, 1),
            st.sampled_from(["aa", "bb", "cc"]),
            st.sampled_from([0, START, START + 3, START + 2000, SERIALS - 1]),
        ),
        max_size=30,
    )
)
def test_no_server_goes_back_and_no_given_serial_stands_for_two_contents(
    steps: list[tuple[str, int, str, int]],
) -> None:
    """Whatever two servers ask for, with restarts from the last state, outages, and a store that loses all."""

    async def run() -> None:
        store, clock = BreakableStore(), Clock()
        await store.open()
        servers = [SerialClaims(store, clock=lambda: clock.wall) for _ in range(2)]
        last: dict[int, tuple[int, str]] = {}
        given_for: dict[int, str] = {}
        heard: dict[int, int] = {}
        for action, who, digest, file_serial in steps:
            server = servers[who]
            if action in ("away", "back"):
                store.writes_fail = action == "away"
            elif action == "restart":
                servers[who] = SerialClaims(store, clock=lambda: clock.wall, kept=server.handed)
                heard.pop(who, None)  # secondaries are asked anew
            elif action == "lose":
                store._serials.clear()
                given_for.clear()
            elif action == "hear":
                if {0, 1} <= last.keys() and is_newer(last[1 - who][0], last[who][0]):
                    server.heard(ZONE, last[1 - who][0])
                    heard[who] = last[1 - who][0]
            else:
                content = Content(zone=ZONE, digest=digest, file_serial=file_serial)
                needed = server.needed(content)
                (given,) = await server.claim([content])
                before, had = last.get(who, (given.serial, digest))
                assert before == given.serial or is_newer(given.serial, before)
                if needed and had != digest:
                    assert given.serial != before
                assert given.serial % 2 == (not given.confirmed)
                if given.confirmed and needed:
                    if who in heard:
                        assert not is_newer(heard.pop(who), given.serial)
                    assert given_for.setdefault(given.serial, digest) == digest
                last[who] = given.serial, digest
                assert not (given.confirmed and server.needed(content)) or is_newer(file_serial, given.serial)

    asyncio.run(run())


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["drain", "release", "later", "tick", "register", "reload", "away", "back", "make", "flush"]),
        st.sampled_from("abc"),
    ),
    max_size=12,
)


@settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))
@given(STEPS)
def test_from_any_version_that_is_known_differences_lead_to_the_current_one(steps: list[tuple[str, str]]) -> None:
    """Serials rise if, and but for outages only if, records differ; what was handed on earlier stays as it was."""

    async def run() -> None:
        unbound = pool(floor=Floor(count=0))
        site = await transferring(ABC, [unbound])
        versions: list[tuple[ZoneVersion, set[ZoneRecord]]] = [(version(site), records(version(site)))]
        away = flushed = False
        for action, name in steps:
            await step(site, action, name)
            away = away or action == "away"
            flushed = flushed or action == "flush"
            await keeper(site)._make()
            current = version(site)
            if current is not versions[-1][0]:
                assert is_newer(current.serial, versions[-1][0].serial)
                assert away or records(current) != versions[-1][1]
                versions.append((current, records(current)))
            assert records(current) == versions[-1][1]
            for earlier, content in versions:
                assert records(earlier) == content
                diffs = keeper(site).since(APEX, earlier.serial)
                if diffs is not None:
                    assert applied(content, diffs) == records(current)
            assert shown_serial(site) == current.serial
        if not away:
            assert keeper(site).since(APEX, versions[0][0].serial) is not None
        if not away:
            anew = await transferring(ABC, [unbound], store=site.store, clock=site.clock)
            assert records(version(anew)) == records(version(site))
            assert flushed or version(anew).serial == version(site).serial

    asyncio.run(run())


async def step(site: Site, action: str, name: str) -> None:
    """Do one thing; what the store or the fleet refuses is not done."""
    try:
        match action:
            case "drain":
                await site.drain(name)
            case "release":
                await site.release(name)
            case "later":
                await site.drain(name, starts_at=site.clock.wall + 5, expires_at=site.clock.wall + 9)
            case "tick":
                site.tick(3)
            case "register":
                await site.register(f"n{name}", f"192.0.2.{ord(name)}", monitor="none")
            case "reload":
                site.plane.reload(site.plane.settings)
            case "away" | "back":
                site.store.writes_fail = action == "away"
            case "flush":
                site.store._serials.clear()
    except StoreUnavailable:
        assert site.store.writes_fail
