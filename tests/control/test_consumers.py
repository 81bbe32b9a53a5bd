"""Other consumers of the store: who is live, who lags, and waiting for them."""

from __future__ import annotations

import asyncio

import pytest

from dnsd.control import consumers
from dnsd.model.state import Consumer
from tests.control.rig import PATIENCE_SECONDS, BreakableStore, Site, acknowledged, site_of


async def tell(site: Site, applied: int, *, seen_at: float, name: str = "lb-1") -> None:
    """Have another consumer say how far it is."""
    await site.store.heartbeat(Consumer(id=name, kind="router", applied=applied, applied_at=seen_at, seen_at=seen_at))


async def test_a_live_router_that_lags_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait ends when it has applied the revision, and says who has."""
    monkeypatch.setattr(consumers, "LOOK_SECONDS", 0.002)
    site = await site_of()
    await tell(site, 0, seen_at=site.clock.wall)
    await site.beat()
    outcome = await site.drain("a")
    await acknowledged()
    late = await site.plane.with_applied(outcome, wait_seconds=0.02)
    assert [(each.consumer, each.kind, each.applied_revision) for each in late.pending] == [("lb-1", "router", 0)]
    waiting = asyncio.create_task(site.plane.with_applied(outcome, wait_seconds=PATIENCE_SECONDS))
    await asyncio.sleep(0.01)
    await tell(site, 1, seen_at=site.clock.wall)
    done = await waiting
    assert ({each.consumer for each in done.applied}, done.pending) == ({"ns1", "lb-1"}, [])


async def test_a_silent_one_is_listed_and_not_waited_for() -> None:
    """Ten seconds of silence: not live, still behind."""
    site = await site_of()
    await tell(site, 0, seen_at=site.clock.wall)
    await site.beat()
    outcome = await site.drain("a")
    await acknowledged()
    site.clock.advance(10)
    assert (await site.plane.with_applied(outcome, wait_seconds=PATIENCE_SECONDS)).pending == []
    infos = {each.id: each for each in await site.plane.consumers()}
    assert (infos["lb-1"].live, infos["lb-1"].behind, infos["ns1"].live, infos["ns1"].behind) == (
        False,
        True,
        True,
        False,
    )


async def test_one_whose_clock_is_wrong_is_live_while_it_is_heard() -> None:
    """Heartbeats with instants of an hour ago still come: it is there."""
    site = await site_of()
    for beat in range(2):
        site.clock.advance(2)
        await tell(site, 0, seen_at=site.clock.wall - 3600 + beat)
        await site.beat()
    (other,) = [each for each in await site.plane.consumers() if each.id == "lb-1"]
    assert other.live is True
    site.clock.advance(10)
    (other,) = [each for each in await site.plane.consumers() if each.id == "lb-1"]
    assert other.live is False


async def test_a_store_that_fails_during_the_wait_does_not_undo_the_drain(monkeypatch: pytest.MonkeyPatch) -> None:
    """The drain is committed: the answer says who was pending when they were last heard, and is no error."""
    monkeypatch.setattr(consumers, "LOOK_SECONDS", 0.002)
    site = await site_of()
    await tell(site, 0, seen_at=site.clock.wall)
    await site.beat()
    outcome = await site.drain("a")
    await acknowledged()
    site.store.reads_fail = True
    late = await site.plane.with_applied(outcome, wait_seconds=0.02)
    assert [each.consumer for each in late.pending] == ["lb-1"]


async def test_the_server_tells_the_store_what_its_workers_have_applied() -> None:
    """Not what it has published."""
    site = await site_of()
    site.workers.holding = True
    await site.drain("a")
    await site.beat()
    assert [(each.id, each.applied) for each in await site.store.consumers()] == [("ns1", 0)]
    site.workers.acknowledge()
    await site.beat()
    assert [(each.id, each.applied) for each in await site.store.consumers()] == [("ns1", 1)]


async def test_two_servers_with_one_id_do_not_hide_each_other(caplog: pytest.LogCaptureFixture) -> None:
    """The other's heartbeat under our id counts as another consumer's, and is complained of once."""
    first = await site_of()
    second = await site_of(store=first.store, clock=first.clock)
    second.workers.holding = True
    await first.drain("a")
    await acknowledged()
    await second.hear()
    for site in (first, second, first, second):
        first.clock.advance(2)
        await site.beat()
    await first.beat()
    assert first.status("a").blockers[0] == "edge: ns1 (dns) has not applied revision 1"
    assert caplog.text.count("another server uses the id ns1") == 2  # each of the two says it once


async def test_a_server_is_not_taken_for_another_after_a_restart_or_an_outage() -> None:
    """What it wrote itself, before its restart or without an acknowledgement, is its own."""
    first = await site_of()
    first.clock.advance(2)
    again = await site_of(store=first.store, clock=first.clock)
    for writes_fail in (False, True, True, False):
        again.clock.advance(2)
        again.store.writes_fail = writes_fail
        await again.beat()
    assert [each.id for each in await again.plane.consumers()] == ["ns1"]


async def test_one_that_is_gone_for_a_day_is_removed() -> None:
    """Only once this server has watched its silence for an hour itself: a clock may be wrong, its or ours."""
    site = await site_of()
    await tell(site, 0, seen_at=site.clock.wall - 86_400)
    await site.beat()
    site.clock.advance(3_599)
    await site.beat()
    assert [each.id for each in await site.store.consumers()] == ["lb-1", "ns1"]
    site.clock.advance(1)
    await site.beat()
    assert [each.id for each in await site.store.consumers()] == ["ns1"]


async def test_one_that_speaks_now_and_then_is_kept() -> None:
    """However long ago its clock says that was."""
    site = await site_of()
    for beat in range(30):
        await tell(site, 0, seen_at=site.clock.wall - 10 * 86_400 + beat)
        await site.beat()
        site.clock.advance(3_500)
    assert [each.id for each in await site.store.consumers()] == ["lb-1", "ns1"]


async def test_one_that_vanished_with_what_the_store_lost_is_waited_for() -> None:
    """While it would be live, then it counts as silent, until it says that it lives."""
    site = await site_of()
    await tell(site, 0, seen_at=site.clock.wall)
    await tell(site, 0, seen_at=site.clock.wall, name="lb-2")
    await site.beat()
    for name in ("lb-1", "lb-2"):
        await site.store.forget_consumer(name)
    await site.beat()  # before anybody noticed that the store was flushed
    site.plane._consumers.store_diverged()
    await site.beat()
    outcome = await site.drain("a")
    await acknowledged()
    assert {each.consumer for each in (await site.plane.with_applied(outcome, wait_seconds=0.01)).pending} == {
        "lb-1",
        "lb-2",
    }
    await tell(site, 1, seen_at=site.clock.wall)
    late = await site.plane.with_applied(outcome, wait_seconds=0.01)
    assert [each.consumer for each in late.pending] == ["lb-2"]
    site.clock.advance(10)
    await tell(site, 1, seen_at=site.clock.wall)
    assert (await site.plane.with_applied(outcome, wait_seconds=PATIENCE_SECONDS)).pending == []
    assert "lb-2 (router) is silent since 10s and had not applied revision 1" in str(site.status("a").blockers)
    await tell(site, 1, seen_at=site.clock.wall, name="lb-2")
    await site.beat()
    assert "lb-2" not in str(site.status("a").blockers)


async def test_one_that_leaves_in_order_is_not_waited_for() -> None:
    """A store that lost nothing says so by its absence."""
    site = await site_of()
    await tell(site, 0, seen_at=site.clock.wall)
    await site.beat()
    await site.store.forget_consumer("lb-1")
    outcome = await site.drain("a")
    await acknowledged()
    assert (await site.plane.with_applied(outcome, wait_seconds=PATIENCE_SECONDS)).pending == []


async def test_a_server_whose_own_word_is_gone_waits_for_those_who_vanished_with_it() -> None:
    """Another server may have completed the store by then: nothing else tells this one that it was emptied."""
    site = await site_of()
    await tell(site, 0, seen_at=site.clock.wall)
    await site.beat()
    for name in ("ns1", "lb-1"):
        await site.store.forget_consumer(name)
    outcome = await site.drain("a")
    await acknowledged()
    late = await site.plane.with_applied(outcome, wait_seconds=0.01)
    assert [each.consumer for each in late.pending] == ["lb-1"]


async def test_nothing_is_kept_of_those_who_left() -> None:
    """Routers that come and go under ever new names do not fill this server's memory."""
    site = await site_of()
    for number in range(20):
        await tell(site, 0, seen_at=site.clock.wall, name=f"lb-{number}")
        await site.beat()
        await site.store.forget_consumer(f"lb-{number}")
        site.clock.advance(11)
        await site.beat()
    others = site.plane._consumers._others
    for details in (others._silent_since, others._same_since, others._applied, others._vanished):
        assert len(details) <= 1


async def test_nobody_is_taken_as_silent_for_an_outage() -> None:
    """After it each has its time to be heard again: a drain that is placed at once waits for all who were there."""
    for ending in ("reads_fail", "writes_fail"):
        site = await site_of()
        await tell(site, 0, seen_at=site.clock.wall)
        await site.beat()
        setattr(site.store, ending, True)
        await site.beat()
        for _ in range(8):
            site.clock.advance(2)
            await site.beat()
        setattr(site.store, ending, False)
        await site.hear()
        await site.beat()
        outcome = await site.drain("a")
        await acknowledged()
        late = await site.plane.with_applied(outcome, wait_seconds=0.01)
        assert (ending, [each.consumer for each in late.pending]) == (ending, ["lb-1"])
        site.clock.advance(10)
        assert (await site.plane.with_applied(outcome, wait_seconds=0.01)).pending == []


async def test_a_wall_clock_that_is_set_makes_nobody_silent() -> None:
    """Nor does it make a dead one live, whose last word is of the future."""
    site = await site_of()
    await tell(site, 0, seen_at=site.clock.wall)
    await tell(site, 0, seen_at=site.clock.wall + 1e6, name="lb-2")
    await site.beat()
    site.clock.set_by(3600)
    outcome = await site.drain("a")
    await acknowledged()
    late = await site.plane.with_applied(outcome, wait_seconds=0.01)
    assert {each.consumer for each in late.pending} == {"lb-1", "lb-2"}
    site.clock.advance(10)
    assert (await site.plane.with_applied(outcome, wait_seconds=0.01)).pending == []


async def test_a_store_that_cannot_say_who_is_there_acknowledges_for_nobody() -> None:
    """What was known of the others stands: they have not applied it."""
    site = await site_of()
    await tell(site, 0, seen_at=site.clock.wall)
    await site.beat()
    site.clock.advance(9)
    outcome = await site.drain("a")
    await acknowledged()
    site.store.reads_fail = True
    late = await site.plane.with_applied(outcome, wait_seconds=0.01)
    site.clock.advance(60)
    later = await site.plane.with_applied(outcome, wait_seconds=0.01)
    for each in (late, later):
        assert [consumer.consumer for consumer in each.pending] == ["lb-1"]


async def test_nobody_has_applied_what_nobody_could_be_asked_about() -> None:
    """The drain was taken, and then the store could not be read: that no other is known is no word of theirs."""
    for heard in (False, True):
        site = await site_of(heard=heard)
        outcome = await site.drain("a")
        await acknowledged()
        site.store.reads_fail = True
        late = await site.plane.with_applied(outcome, wait_seconds=0.01)
        assert ([each.consumer for each in late.applied], late.pending) == (["ns1"], [consumers.UNKNOWN])


async def test_without_a_wait_those_who_were_never_read_are_asked() -> None:
    """In the first moments of a server; where that fails, they are not taken for nobody."""
    site = await site_of(heard=False)
    await tell(site, 0, seen_at=site.clock.wall)
    outcome = await site.drain("a")
    site.store.reads_fail = True
    late = await site.plane.with_applied(outcome, wait_seconds=0)
    assert {each.consumer for each in late.pending} <= {"ns1", "others"} != set()
    site.store.reads_fail = False
    late = await site.plane.with_applied(outcome, wait_seconds=0)
    assert "lb-1" in {each.consumer for each in late.pending}


async def test_a_store_that_can_be_read_again_during_the_wait_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked again until the time is over."""
    monkeypatch.setattr(consumers, "LOOK_SECONDS", 0.002)
    site = await site_of()
    outcome = await site.drain("a")
    await acknowledged()
    site.store.reads_fail = True
    waiting = asyncio.create_task(site.plane.with_applied(outcome, wait_seconds=PATIENCE_SECONDS))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    site.store.reads_fail = False
    assert (await waiting).pending == []


class CountingStore(BreakableStore):
    """A store that counts how many wait for consumers."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting = 0
        self.most = 0
        self.waits = 0

    async def consumers(self, *, wait_seconds: float = 0.0, **options: object) -> tuple[Consumer, ...]:
        if not wait_seconds:
            return await super().consumers(**options)  # type: ignore[no-any-return]
        self.waits += 1
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        try:
            return await super().consumers(wait_seconds=wait_seconds, **options)  # type: ignore[no-any-return]
        finally:
            self.waiting -= 1


async def test_those_who_wait_at_the_same_time_share_one_question(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many heartbeats come meanwhile; all end with the word that they wait for."""
    monkeypatch.setattr(consumers, "LOOK_SECONDS", PATIENCE_SECONDS)
    store = CountingStore()
    await store.open()
    site = await site_of(store=store)
    await tell(site, 0, seen_at=site.clock.wall)
    await tell(site, 1, seen_at=site.clock.wall, name="lb-2")
    outcome = await site.drain("a")
    await acknowledged()
    waiting = [asyncio.create_task(site.plane.with_applied(outcome, wait_seconds=PATIENCE_SECONDS)) for _ in range(10)]
    for beat in range(50):
        await tell(site, 1, seen_at=site.clock.wall + beat, name="lb-2")
        await asyncio.sleep(0.001)
    assert (store.most, store.waits) == (1, 1)
    await tell(site, 1, seen_at=site.clock.wall)
    assert [(await each).pending for each in waiting] == [[]] * 10


async def test_one_who_gives_up_waiting_leaves_the_others_their_question() -> None:
    """A request whose client has gone is cancelled; the next one is still told."""
    site = await site_of()
    await tell(site, 0, seen_at=site.clock.wall)
    outcome = await site.drain("a")
    await acknowledged()
    first, second = (
        asyncio.create_task(site.plane.with_applied(outcome, wait_seconds=PATIENCE_SECONDS)) for _ in range(2)
    )
    await asyncio.sleep(0.01)
    first.cancel()
    await tell(site, 1, seen_at=site.clock.wall)
    assert (await second).pending == []
    assert first.cancelled()


async def test_one_that_has_said_nothing_takes_nothing_back() -> None:
    """What stands under its id is another's, or its announcement's to take back."""
    site = await site_of(heard=False)
    await tell(site, 0, seen_at=site.clock.wall, name="ns1")
    await site.plane._consumers.leave()
    assert [each.id for each in await site.store.consumers()] == ["ns1"]
    await site.beat()
    await site.plane._consumers.leave()
    assert await site.store.consumers() == ()
