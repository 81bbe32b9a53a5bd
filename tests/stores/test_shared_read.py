"""One read for all who ask at the same time, and what of consumers is news."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from dnsd.model.state import Consumer
from dnsd.stores.following import SharedRead, says_more
from tests.stores.samples import NOW
from tests.support.servers import PATIENCE_SECONDS

REST_SECONDS = 0.1

NS1 = Consumer(id="ns1", kind="dns", applied=7, applied_at=NOW, seen_at=NOW, mark="ab")


class Source:
    """Something that is slow to read: each read returns its number.

    Args:
        rest_seconds: after each read.
    """

    def __init__(self, *, rest_seconds: float = 0.0) -> None:
        self.begun: list[float] = []
        self.is_reading = asyncio.Event()
        self.fails = False
        self.shared = SharedRead(self._read, rest_seconds=lambda _: rest_seconds)

    async def _read(self) -> int:
        assert not self.is_reading.is_set()
        self.begun.append(asyncio.get_running_loop().time())
        number = len(self.begun)
        self.is_reading.set()
        await asyncio.sleep(0.001)
        self.is_reading.clear()
        if self.fails:
            raise ConnectionError(number)
        return number


async def test_all_who_ask_before_a_read_begins_share_it() -> None:
    """Those who ask while it is under way share the next one: it might have missed what they ask about."""
    source = Source()
    first = [asyncio.create_task(source.shared.read()) for _ in range(5)]
    await source.is_reading.wait()
    second = [asyncio.create_task(source.shared.read()) for _ in range(5)]
    assert await asyncio.gather(*first, *second) == [1] * 5 + [2] * 5


async def test_there_is_a_rest_between_two_reads_and_none_before_the_first() -> None:
    """Who asks again at once waits for it; who asks later does not."""
    source = Source(rest_seconds=REST_SECONDS)
    await source.shared.read()
    await source.shared.read()
    first, second = source.begun
    assert second - first >= REST_SECONDS
    lasting = Source(rest_seconds=600.0)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await lasting.shared.read()  # without a rest before it
    again = asyncio.create_task(lasting.shared.read())
    await asyncio.sleep(REST_SECONDS)
    assert len(lasting.begun) == 1
    again.cancel()


async def test_who_asks_after_the_rest_waits_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time that has passed since the last read is part of the rest."""
    source = Source(rest_seconds=600.0)
    await source.shared.read()
    loop = asyncio.get_running_loop()
    later = loop.time() + 601.0
    monkeypatch.setattr(loop, "time", lambda: later)
    slept: list[float] = []
    sleep = asyncio.sleep

    async def noted(seconds: float) -> None:
        slept.append(seconds)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", noted)
    assert await source.shared.read() == 2
    assert slept[0] == 0.0


async def test_who_is_cancelled_leaves_the_read_to_the_others() -> None:
    """It goes on, and they have it."""
    source = Source()
    first, second = (asyncio.create_task(source.shared.read()) for _ in range(2))
    await source.is_reading.wait()
    first.cancel()
    assert await second == 1


async def test_a_read_that_fails_fails_for_all_who_asked_and_for_nobody_else() -> None:
    """The next one is a new attempt."""
    source = Source()
    source.fails = True
    failed = await asyncio.gather(*(source.shared.read() for _ in range(3)), return_exceptions=True)
    assert [type(each) for each in failed] == [ConnectionError] * 3
    source.fails = False
    assert await source.shared.read() == 2


@pytest.mark.parametrize(
    ("found", "more"),
    [
        ((NS1,), False),
        ((replace(NS1, seen_at=NOW + 2, applied_at=NOW + 1),), False),
        ((replace(NS1, applied=8),), True),
        ((replace(NS1, mark="cd"),), True),
        ((replace(NS1, kind="router"),), True),
        ((), True),
        ((NS1, replace(NS1, id="ns2")), True),
    ],
)
def test_a_sign_of_life_is_no_news(found: tuple[Consumer, ...], more: bool) -> None:
    """Who is there and what each has applied is; and everything is to whom has nothing."""
    assert says_more(found, (NS1,)) is more
    assert says_more(found, None) is True
