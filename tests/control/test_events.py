"""The event hub: who hears what, from where one may go on, and what becomes of a listener that does not keep up."""

from __future__ import annotations

import asyncio

import pytest

from dnsd.api.schemas import Event
from dnsd.control import events
from dnsd.control.events import EventHub
from dnsd.errors import ChangesTrimmed
from tests.control.rig import PATIENCE_SECONDS
from tests.support.fleets import NOW


def event(revision: int | None) -> Event:
    return Event(revision=revision, at=NOW, type="drain")


async def heard(hub: EventHub, after: int | None) -> list[int | None]:
    """Return what a listener gets that begins now, with the hub closed behind it."""
    found: list[int | None] = []

    async def listen() -> None:
        found.extend([each.revision async for each in hub.listen(after=after)])

    task = asyncio.create_task(listen())
    await asyncio.sleep(0)
    hub.close()
    await task
    return found


async def test_a_listener_goes_on_behind_its_revision() -> None:
    """What follows the revision comes first, what made no revision included; then what is new."""
    hub = EventHub(revision=4)
    for revision in (5, None, 6, None, 7):
        hub.publish(event(revision))
    listener = hub.listen(after=6)
    assert [(await anext(listener)).revision for _ in range(2)] == [None, 7]
    hub.publish(event(8))
    assert (await anext(listener)).revision == 8
    await listener.aclose()  # type: ignore[attr-defined]


@pytest.mark.parametrize(("after", "expected"), [(None, []), (4, [5, 6]), (5, [6]), (6, [])])
async def test_everybody_hears_from_where_they_were(after: int | None, expected: list[int]) -> None:
    """From now on, from the hub's own beginning, from the middle, from the end."""
    hub = EventHub(revision=4)
    hub.publish(event(5))
    hub.publish(event(6))
    assert await heard(hub, after) == expected


@pytest.mark.parametrize("after", [3, 7])
async def test_a_revision_before_what_is_kept_or_in_the_future_is_refused(after: int) -> None:
    """Neither can be resumed without a gap."""
    hub = EventHub(revision=4)
    hub.publish(event(5))
    with pytest.raises(ChangesTrimmed):
        await anext(hub.listen(after=after))


async def test_what_is_kept_is_bounded_and_says_from_where(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest go; a listener from before them is refused, one behind them is not."""
    monkeypatch.setattr(events, "EVENTS_KEPT", 3)
    hub = EventHub(revision=0)
    hub._kept = type(hub._kept)(maxlen=3)
    for revision in range(1, 6):
        hub.publish(event(revision))
    with pytest.raises(ChangesTrimmed):
        await anext(hub.listen(after=1))
    assert await heard(hub, 2) == [3, 4, 5]


async def test_a_listener_that_does_not_keep_up_is_cut_off_and_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets what was waiting for it and then its end; another listener misses nothing."""
    monkeypatch.setattr(events, "LISTENER_BACKLOG", 3)
    hub = EventHub(revision=0)
    slow, quick = hub.listen(after=None), hub.listen(after=None)
    waiting = [asyncio.ensure_future(anext(each)) for each in (slow, quick)]
    await asyncio.sleep(0)
    got = []
    for revision in range(1, 7):
        hub.publish(event(revision))
        got.append((await waiting[1]).revision)
        waiting[1] = asyncio.ensure_future(anext(quick))
        await asyncio.sleep(0)
    assert got == [1, 2, 3, 4, 5, 6]
    assert [(await waiting[0]).revision, *[each.revision async for each in slow]] == [1, 2, 3, 4]
    hub.close()
    with pytest.raises(StopAsyncIteration):
        await waiting[1]


async def test_a_gap_ends_listeners_and_leads_nowhere() -> None:
    """After missed changes nobody goes on as if nothing was between; from the new revision on it goes well."""
    hub = EventHub(revision=0)
    hub.publish(event(1))
    listening = asyncio.create_task(heard_until_end(hub))
    await asyncio.sleep(0)
    hub.skip_to(9)
    assert await listening == []
    with pytest.raises(ChangesTrimmed):
        await anext(hub.listen(after=1))
    hub.publish(event(10))
    assert await heard(hub, 9) == [10]


async def heard_until_end(hub: EventHub) -> list[int | None]:
    return [each.revision async for each in hub.listen(after=None)]


async def test_a_hub_that_is_closed_takes_nobody_in() -> None:
    """Whoever comes after the close is told the end at once, rather than kept waiting."""
    hub = EventHub(revision=0)
    hub.close()
    assert await asyncio.wait_for(heard_until_end(hub), PATIENCE_SECONDS) == []
