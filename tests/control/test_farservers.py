"""What is known of secondaries: what they have against stopping a node, and how they are listed and counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from dnsd.config.transfer import Secondary, TransferSettings
from dnsd.control.farserials import STEPS_REMEMBERED, FarSerials
from dnsd.control.farservers import FarServers, Standing, ZoneWithdrawal
from dnsd.control.progress import RESOLVER_SLACK_SECONDS
from dnsd.control.rivalry import LONGEST_PAUSE_SECONDS, OVERTAKEN_SECONDS, PAUSES_IN_PEACE, Rivalry
from dnsd.core.constants import SOA
from dnsd.core.names import from_text
from dnsd.core.serials import is_newer
from dnsd.core.zoneversion import ZoneDiff, ZoneRecord, ZoneVersion
from dnsd.model.endpoint import Endpoint
from tests.control.rig import ABC, BreakableStore, Site, acknowledged, settings_of, site_of
from tests.support.fleets import NOW, pool

APEX, OTHER = from_text("example.org."), from_text("example.net.")


def secondary(name: str, *, zones: frozenset[bytes] | None = None, address: bool = True) -> Secondary:
    where = Endpoint("192.0.2.53", 53) if address else None
    return Secondary(name=name, address=where, key=None, sources=(), zones=zones, notify=True)


def version(serial: int, *, revision: int, generation: int) -> ZoneVersion:
    soa = ZoneRecord(APEX, SOA, 60, b"")
    return ZoneVersion(
        apex=APEX, serial=serial, revision=revision, generation=generation, soa=soa, records=lambda: iter(())
    )


@dataclass
class FakeVersions:
    """Versions that are there because a test says so: each is the first with its generation."""

    made: dict[bytes, list[ZoneVersion]] = field(default_factory=dict)

    def current(self, apex: bytes) -> ZoneVersion | None:
        return self.made[apex][-1] if self.made.get(apex) else None

    def since(self, apex: bytes, serial: int) -> Sequence[ZoneDiff] | None:
        return None

    def serial_with(self, apex: bytes, generation: int) -> int | None:
        return next((each.serial for each in self.made.get(apex, ()) if each.generation >= generation), None)


@dataclass
class World:
    """Secondaries, and what is known of them."""

    site: Site
    versions: FakeVersions
    far: FarServers
    secondaries: list[Secondary]
    overtaken: list[bytes]
    heard: list[int]

    def make(self, serial: int, *, generation: int = 1, revision: int = 0) -> None:
        made = version(serial, generation=generation, revision=revision)
        self.versions.made.setdefault(made.apex, []).append(made)
        self.far.note_version(made)

    def standing(self, *, generation: int = 2, ttl: int = 30) -> Standing:
        return self.far.standing([ZoneWithdrawal(APEX, generation, ttl)])


async def world(*names: str) -> World:
    site, versions = await site_of(), FakeVersions()
    secondaries = [secondary(name) for name in names or ("s1",)]
    overtaken: list[bytes] = []
    heard: list[int] = []
    far = FarServers(
        site.plane.publisher,
        versions,
        secondaries=lambda: secondaries,
        zones=lambda: site.plane.settings.zones,
        clock=lambda: site.clock.wall,
        steady=lambda: site.clock.steady,
        rivalry=Rivalry(heard=lambda apex, serial: heard.append(serial), overtaken=overtaken.append),
    )
    made = World(site, versions, far, secondaries, overtaken, heard)
    made.make(17)
    return made


async def test_a_secondary_counts_from_when_it_was_first_seen_with_the_serial() -> None:
    """Not asked, behind, there; a newer serial does not make it later."""
    known = await world()
    known.make(19, generation=2)
    assert known.standing().blockers == ("secondary s1 has not answered yet (example.org.: it is not asked)",)
    known.far.answered("s1", APEX, 17)
    assert known.standing().blockers == ("secondary s1 has serial 17 of example.org., not 19 yet",)
    known.site.clock.advance(10)
    known.far.answered("s1", APEX, 19)
    assert known.standing() == Standing((), 30 + RESOLVER_SLACK_SECONDS, 30)
    known.site.clock.advance(10)
    known.make(20, generation=3)
    known.far.answered("s1", APEX, 20)
    assert known.standing() == Standing((), 20 + RESOLVER_SLACK_SECONDS, 30)
    known.site.clock.advance(25)
    known.far.answered("s1", APEX, 20)
    assert known.standing() == Standing((), 0.0, 30)


async def test_the_last_secondary_counts_and_each_that_lags_is_named() -> None:
    """One that has it does not help the others; one without an address, or without the zone, is not asked."""
    known = await world("s1", "s2", "s3")
    known.secondaries += [secondary("hidden", address=False), secondary("other", zones=frozenset({OTHER}))]
    known.make(19, generation=2)
    for name, serial in (("s1", 19), ("s2", 17), ("s3", 18)):
        known.far.answered(name, APEX, serial)
    assert known.standing().blockers == (
        "secondary s2 has serial 17 of example.org., not 19 yet",
        "secondary s3 has serial 18 of example.org., not 19 yet",
    )
    known.site.clock.advance(5)
    known.far.answered("s2", APEX, 19)
    known.site.clock.advance(5)
    known.far.answered("s3", APEX, 19)
    assert known.standing().seconds_left == 30 + RESOLVER_SLACK_SECONDS


async def test_what_is_not_in_a_version_yet_blocks() -> None:
    """Changes are being gathered, or the zone has no version at all."""
    known = await world()
    known.far.answered("s1", APEX, 17)
    none = ("the zone example.org. has no version without it yet",)
    assert known.standing(generation=2).blockers == none
    known.versions.made.clear()
    assert known.standing(generation=1).blockers == none
    known.secondaries.clear()
    assert known.standing() == Standing((), 0.0, None)


async def test_silence_blocks_and_counts_anew_when_it_ends() -> None:
    """What it answered others meanwhile, nobody knows."""
    known = await world()
    known.make(19, generation=2)
    known.far.answered("s1", APEX, 19)
    known.site.clock.advance(100)
    known.far.failed("s1", APEX, "no answer within 2 s")
    (blocker,) = known.standing().blockers
    assert blocker == "secondary s1 has not answered since 2023-11-14T22:13:20Z (example.org.: no answer within 2 s)"
    known.far.answered("s1", APEX, 19)
    assert known.standing() == Standing((), 30 + RESOLVER_SLACK_SECONDS, 30)


async def test_what_was_heard_long_ago_is_not_known() -> None:
    """Where nobody asks any more, the last answer is no ground."""
    known = await world()
    known.far.answered("s1", APEX, 17)
    known.site.clock.advance(30)
    assert known.standing(generation=1).blockers == ()
    known.site.clock.advance(0.1)
    (blocker,) = known.standing(generation=1).blockers
    assert blocker.endswith("(example.org.: it is not asked)")
    assert known.far.states() == {("s1", "level"): 0, ("s1", "behind"): 0, ("s1", "silent"): 1}


async def test_a_secondary_that_goes_back_has_lost_what_it_had() -> None:
    """As after its restart with an older file; its time counts anew."""
    known = await world()
    known.make(19, generation=2)
    known.far.answered("s1", APEX, 19)
    known.site.clock.advance(100)
    known.far.answered("s1", APEX, 17)
    assert known.standing().blockers == ("secondary s1 has serial 17 of example.org., not 19 yet",)
    known.far.answered("s1", APEX, 19)
    assert known.standing().seconds_left == 30 + RESOLVER_SLACK_SECONDS


async def test_an_earlier_withdrawal_with_a_longer_ttl_counts_for_itself() -> None:
    """Of several, the one whose answers are last out of caches decides."""
    known = await world()
    known.far.answered("s1", APEX, 17)
    known.make(19, generation=2)
    known.site.clock.advance(10)
    known.far.answered("s1", APEX, 19)
    both = [ZoneWithdrawal(APEX, 1, 300), ZoneWithdrawal(APEX, 2, 30)]
    assert known.far.standing(both) == Standing((), 290 + RESOLVER_SLACK_SECONDS, 300)


async def test_a_serial_of_another_server_is_no_ground_until_it_is_ours_as_well() -> None:
    """It is asked about, not more often than need be; once it is known to be of the same records, it counts."""
    known = await world()
    known.make(19, generation=2)
    known.far.answered("s1", APEX, 21)
    foreign = (
        "secondary s1 has serial 21 of example.org., which another server made: what is in it is not known here",
    )
    assert (known.standing().blockers, known.overtaken) == (foreign, [])
    known.site.clock.advance(OVERTAKEN_SECONDS)
    known.far.answered("s1", APEX, 21)
    assert known.standing().blockers == known.standing().blockers == foreign
    assert known.overtaken == [APEX]
    assert set(known.heard) == {21}
    known.make(21, generation=3)
    assert known.standing() == Standing((), 30 + RESOLVER_SLACK_SECONDS - OVERTAKEN_SECONDS, 30)


async def test_a_serial_of_another_server_in_between_lets_time_count_anew() -> None:
    """It may have named the node again."""
    known = await world()
    known.make(19, generation=2)
    known.far.answered("s1", APEX, 19)
    known.site.clock.advance(20)
    known.far.answered("s1", APEX, 20)
    known.make(21, generation=3)
    known.far.answered("s1", APEX, 21)
    assert known.standing().seconds_left == 30 + RESOLVER_SLACK_SECONDS


async def test_serials_go_round() -> None:
    """3 is newer than 4294967295 (RFC 1982)."""
    known = await world()
    known.make(2**32 - 1, generation=2)
    known.make(3, generation=3)
    known.far.answered("s1", APEX, 2**32 - 1)
    assert known.standing(generation=3).blockers == ("secondary s1 has serial 4294967295 of example.org., not 3 yet",)
    known.far.answered("s1", APEX, 3)
    assert known.standing(generation=3).blockers == ()


def test_steps_are_bounded_and_never_seen_too_early() -> None:
    """Of very many, some are taken as seen with the next one: later than they were, and not by much."""
    seen = FarSerials()
    count = 3 * STEPS_REMEMBERED
    for serial in range(count):
        seen.answered(serial, ours=True, at=float(serial), at_wall=NOW)
    for serial in range(0, count, 101):
        since, age = seen.since(serial), count - serial
        assert since is not None
        assert 0 <= since - serial <= (age / 16 if age > STEPS_REMEMBERED // 2 else 0)


async def test_a_secondary_is_a_consumer_with_the_revision_of_its_serial() -> None:
    """Behind until it has what holds the newest change; never seen before it was heard, as with a wrong address."""
    known = await world()
    (info,) = known.far.infos()
    assert (info.id, info.applied_revision, info.lag_ms) == ("s1", 0, None)
    assert (info.behind, info.last_seen, info.live) == (True, None, False)
    await known.site.drain("a")
    await acknowledged()
    generation = known.site.plane.publisher.generation
    known.far.answered("s1", APEX, 17)
    (info,) = known.far.infos()
    assert (info.kind, info.id, info.applied_revision, info.behind, info.live) == ("secondary", "s1", 0, True, True)
    known.make(19, generation=generation, revision=1)
    known.site.clock.advance(0.25)
    known.far.answered("s1", APEX, 19)
    (info,) = known.far.infos()
    assert (info.applied_revision, info.behind, info.lag_ms) == (1, False, 250.0)
    assert known.far.states() == {("s1", "level"): 1, ("s1", "behind"): 0, ("s1", "silent"): 0}
    known.far.answered("s1", APEX, 20)  # another server's: what is in it is not known
    assert known.far.states() == {("s1", "level"): 0, ("s1", "behind"): 1, ("s1", "silent"): 0}
    known.far.failed("s1", APEX, "no answer")
    assert [info.live for info in known.far.infos()] == [False]


async def test_what_is_no_longer_configured_is_forgotten() -> None:
    """Also its counters, so that metrics list nobody who has gone."""
    known = await world("s1", "s2")
    for name in ("s1", "s2"):
        known.far.answered(name, APEX, 17)
        known.far.notified(name, "ok")
    del known.secondaries[0]
    known.far.forget_others()
    assert [info.id for info in known.far.infos()] == ["s2"]
    assert known.far.notifies == {("s2", "ok"): 1}


async def test_all_zones_are_gone_through_no_more_often_where_there_are_many() -> None:
    """For metrics, the list of consumers and a version, so that a thousand zones do not cost a million looks."""
    known, apexes, asked = await world(), [from_text(f"z{number}.example.") for number in range(300)], 0

    def zones() -> Sequence[bytes]:
        nonlocal asked
        asked += 1
        return apexes

    known.far._zones = zones
    for apex in apexes:
        known.versions.made[apex] = [version(17, revision=0, generation=1)]
        known.far.answered("s1", apex, 17)
    known.far.forget_others()
    asked = 0
    assert known.far.states()["s1", "level"] == len(apexes)
    assert [info.live for info in known.far.infos()] == [True]
    known.make(19)
    assert asked < 10


# --- as status has it -----------------------------------------------------------------------------------------------


def transfer(*secondaries: Secondary) -> TransferSettings:
    return TransferSettings(
        listen=(Endpoint("127.0.0.1", 5354),),
        keys={},
        secondaries=secondaries or (secondary("s1"),),
        coalesce_seconds=0.0,
        history_records=1000,
    )


async def versioned(**options: object) -> Site:
    """Return a site whose zone has its first version."""
    site = await site_of(transfer=transfer(), **options)  # type: ignore[arg-type]
    assert site.plane.versions is not None
    await site.plane.versions.begin()
    return site


async def next_version(site: Site) -> int:
    """Make the version that holds what has changed; return its serial."""
    versions = site.plane.versions
    assert versions is not None
    before = serial_of(site)
    await versions._make()
    assert serial_of(site) != before
    return serial_of(site)


def serial_of(site: Site) -> int:
    assert site.plane.versions is not None
    current = site.plane.versions.current(APEX)
    assert current is not None
    return current.serial


def answered(site: Site, serial: int) -> None:
    assert site.plane.secondaries is not None
    site.plane.secondaries.answered("s1", APEX, serial)


async def test_a_node_is_not_safe_before_secondaries_and_their_caches_have_let_go() -> None:
    """A day after the drain the secondary is what stands against it; caches count from when it followed."""
    site = await versioned()
    answered(site, serial_of(site))
    await site.drain("a", indefinite=True)
    await acknowledged()
    site.tick(86_400)
    await site.beat()
    await site.hear()
    assert site.status("a").blockers == ["edge: the zone example.org. has no version without it yet"]
    before = serial_of(site)
    serial = await next_version(site)
    answered(site, before)
    status = site.status("a")
    assert status.blockers == [f"edge: secondary s1 has serial {before} of example.org., not {serial} yet"]
    assert status.roles["edge"].dns.caches_clear_at is None
    assert not status.roles["edge"].safe_to_stop
    answered(site, serial)
    status = site.status("a")
    assert status.blockers == ["edge: caches may still answer with it for 31s"]
    assert status.roles["edge"].dns.caches_clear_at == site.clock.wall + 30 + RESOLVER_SLACK_SECONDS
    assert status.roles["edge"].dns.max_ttl == 30
    site.clock.advance(29)
    answered(site, serial)
    site.clock.advance(2)
    await site.hear()
    assert site.status("a").safe_to_stop


async def test_after_a_restart_the_version_of_the_start_is_needed() -> None:
    """Who was drained before is out of it; the secondary has to be heard anew."""
    first = await versioned()
    await first.drain("a", indefinite=True)
    await next_version(first)
    site = await versioned(store=first.store, clock=first.clock)
    site.clock.advance(1000)
    await site.beat()
    await site.hear()
    assert site.status("a").blockers == ["edge: secondary s1 has not answered yet (example.org.: it is not asked)"]
    answered(site, serial_of(site))
    assert site.status("a").blockers == ["edge: caches may still answer with it for 31s"]


async def test_records_of_a_server_that_is_cut_off_or_gone_do_not_stay_at_a_secondary() -> None:
    """It has made more versions without the store than we have with it; nobody waits, and ours become the newest."""
    store = BreakableStore()
    await store.open()
    gone, here = await versioned(store=store), await versioned(store=store)
    store.writes_fail = True
    for number in range(1500):
        gone.plane.reload(settings_of(ABC, [pool(ttl=100 + number)], transfer=transfer()))
        last = await next_version(gone)
    store.writes_fail = False
    await here.drain("a", indefinite=True)
    await acknowledged()
    assert is_newer(last, await next_version(here))
    answered(here, last)
    here.clock.advance(OVERTAKEN_SECONDS)
    answered(here, last)
    assert is_newer(await next_version(here), last)
    answered(here, serial_of(here))
    await here.beat()
    assert not any("secondary" in each for each in here.status("a").blockers)


async def test_a_role_that_was_taken_from_a_node_stands_at_secondaries_too() -> None:
    """It is not listed among the roles any more, and still has to leave."""
    site = await versioned(pools=(pool(),))
    await site.register("x", roles=["edge", "storage"], monitor="none")
    await acknowledged()
    await next_version(site)
    await site.register("x", roles=["storage"], monitor="none")
    await site.drain("x", indefinite=True)
    await acknowledged()
    site.tick(1000)
    await site.beat()
    await site.hear()
    former = [each for each in site.status("x").blockers if each.startswith("edge: ")]
    assert former == ["edge: the zone example.org. has no version without it yet"]


async def test_a_serial_of_another_server_is_claimed_against_ever_more_rarely_unless_somebody_waits() -> None:
    """So that servers that do not agree about records do not outbid each other all the time; after a peace, anew."""
    known = await world()
    began = known.site.clock.steady
    claimed_at: list[float] = []

    def hear(serial: int) -> None:
        known.far.answered("s1", APEX, serial)
        if len(known.overtaken) > len(claimed_at):
            claimed_at.append(known.site.clock.steady - began)

    for second in range(2000):
        hear(21 + second // 1000 * 2)
        known.site.clock.advance(1)
    assert claimed_at == [5, 15, 35, 75, 155, 315, 635, 1275, 1915]
    known.make(23, generation=2)
    known.site.clock.advance(PAUSES_IN_PEACE * LONGEST_PAUSE_SECONDS)
    hear(23)
    assert len(claimed_at) == 9  # it is ours by now
    known.site.clock.advance(1)
    again = known.site.clock.steady - began
    for _ in range(16):
        hear(25)
        known.site.clock.advance(1)
    assert claimed_at[9:] == [again + 5, again + 15]


async def test_waiting_for_applied_does_not_wait_for_secondaries() -> None:
    """They are listed as consumers, and nobody's acknowledgement depends on them."""
    site = await versioned()
    answered(site, serial_of(site))
    outcome = await site.drain("a")
    await acknowledged()
    outcome = await site.plane.with_applied(outcome, wait_seconds=1.0)
    assert [each.consumer for each in outcome.applied] == ["ns1"]
    assert outcome.pending == []
    assert [each.kind for each in await site.plane.consumers()] == ["dns", "secondary"]


async def test_a_server_that_another_has_overtaken_claims_again() -> None:
    """For the same records it learns the serial that these have; for others it gets a newer one."""
    one = await versioned()
    two = await versioned(store=one.store, clock=one.clock)
    assert serial_of(one) == serial_of(two)
    await one.drain("a", indefinite=True)
    await acknowledged()
    await two.drain("b", indefinite=True)  # which knows of the one before it only now
    await acknowledged()
    await next_version(two)
    behind = await next_version(one)
    await one.hear()
    await acknowledged()
    newest = await next_version(one)
    assert is_newer(newest, behind)
    answered(two, newest)  # records that two has had before, with an older serial
    await two.beat()
    two.clock.advance(OVERTAKEN_SECONDS)
    answered(two, newest)
    assert any("which another server made" in each for each in two.status("a").blockers)
    assert await next_version(two) == newest
    versions = two.plane.versions
    assert versions is not None
    current = versions.current(APEX)
    assert current is not None
    versions.on_version[0](current)  # as it is told once answers show it
    assert not any("another server" in each for each in two.status("a").blockers)
    await one.drain("c", indefinite=True, force=True)
    await acknowledged()
    await next_version(one)
    answered(two, serial_of(one))
    two.clock.advance(OVERTAKEN_SECONDS)
    two.status("a")
    assert is_newer(await next_version(two), serial_of(one))
