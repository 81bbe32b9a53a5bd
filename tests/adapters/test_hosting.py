"""The host of adapters: what is configured runs, and what fails is by itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from dnsd.adapters import hosting
from dnsd.adapters.context import COMPLAINT_INTERVAL_SECONDS, MAX_COMPLAINTS, AdapterContext, Complaints
from dnsd.adapters.hosting import AdapterHost
from dnsd.errors import StartError
from tests.control.rig import site_of
from tests.support.waiting import until


class Steps:
    """Adapters that do as they are told, and what they did."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.failures: list[BaseException] = []
        self.wanted: dict[str, object] = {}

    def make(self, context: AdapterContext[str]) -> One:
        return One(context, self)

    @asynccontextmanager
    async def hosted(self) -> AsyncIterator[AdapterHost]:
        site = await site_of()
        host = AdapterHost(site.plane, {"one": self.make, "other": self.make}, wanted=lambda: dict(self.wanted))
        running = asyncio.create_task(host.run())
        try:
            yield host
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


class One:
    """An adapter that serves until it is ended, or fails as its steps say."""

    def __init__(self, context: AdapterContext[str], steps: Steps) -> None:
        self._context = context
        self._steps = steps

    async def run(self) -> None:
        label = f"{self._context.name} {self._context.settings}"
        if self._steps.failures:
            raise self._steps.failures.pop(0)
        self._context.listening("nowhere")
        self._steps.said.append(f"began {label}")
        try:
            await asyncio.Event().wait()
        finally:
            self._steps.said.append(f"ended {label}")


async def test_adapters_follow_the_settings(caplog: pytest.LogCaptureFixture) -> None:
    """One that is added begins, one with other settings begins anew, one that is gone ends; the others go on."""
    caplog.set_level(logging.INFO, "dnsd.adapters")
    steps = Steps()
    steps.wanted = {"one": "a", "other": "a"}
    async with steps.hosted() as host:
        await until(lambda: len(steps.said) == 2, "both have begun")
        assert host.up == {"one": True, "other": True}
        steps.wanted = {"one": "b", "other": "a"}
        host.follow()
        await until(lambda: "began one b" in steps.said, "one begins anew")
        steps.wanted = {"other": "a"}
        host.follow()
        await until(lambda: "ended one b" in steps.said, "one ends")
        await until(lambda: host.up == {"other": True}, "the other is left")
        assert steps.said == ["began one a", "began other a", "ended one a", "began one b", "ended one b"]
    assert steps.said[-1] == "ended other a"
    assert [each.message for each in caplog.records if "ended" in each.message] == [
        "one: ended, since it is no longer configured"
    ]


async def test_one_that_fails_is_started_again_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A taken address is a line of log, a fault of ours a traceback; all are tried again, and the others serve on."""
    monkeypatch.setattr(hosting, "FIRST_BACK_OFF_SECONDS", 0.0)
    steps = Steps()
    steps.failures = [StartError("one cannot listen"), RuntimeError("unthought of"), asyncio.CancelledError()]
    steps.wanted = {"one": "a"}
    async with steps.hosted() as host:
        await until(lambda: host.up == {"one": True}, "it serves at last")
        steps.failures = [StartError("other cannot listen")] * 1000
        monkeypatch.setattr(hosting, "FIRST_BACK_OFF_SECONDS", 1000.0)
        steps.wanted = {"one": "a", "other": "a"}
        host.follow()
        await until(lambda: "other: cannot listen" in caplog.text, "the other has failed")
        assert host.up == {"one": True, "other": False}
    assert "one: cannot listen; it is tried again" in caplog.text
    assert "RuntimeError: unthought of" in caplog.text
    assert "one: something in it was cancelled by nobody here" in caplog.text
    assert steps.said == ["began one a", "ended one a"]


def test_a_mistake_that_a_peer_repeats_is_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """Each kind has a line a minute, which tells how many came meanwhile."""
    now = 100.0
    complaints = Complaints("one", steady=lambda: now)
    for _ in range(3):
        complaints.say("refused", "192.0.2.1")
        complaints.say("malformed", "no line")
    now += COMPLAINT_INTERVAL_SECONDS
    complaints.say("refused", "192.0.2.2")
    assert [record.getMessage() for record in caplog.records] == [
        "one: refused: 192.0.2.1",
        "one: malformed: no line",
        "one: refused: 192.0.2.2 (2 more like it in the minute before)",
    ]


def test_kinds_of_mistakes_that_are_remembered_are_bounded(caplog: pytest.LogCaptureFixture) -> None:
    """More kinds than fit are not logged, until those before them are old."""
    now = 100.0
    complaints = Complaints("one", steady=lambda: now)
    for number in range(2 * MAX_COMPLAINTS):
        complaints.say(str(number), "")
    assert len(caplog.records) == MAX_COMPLAINTS
    now += COMPLAINT_INTERVAL_SECONDS
    complaints.say("new", "")
    assert len(caplog.records) == MAX_COMPLAINTS + 1
