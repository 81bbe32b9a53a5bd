"""Streams of events over a service that tests turn: slow watchers, watchers that go, and too many of them."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from admin.streams import MAX_STREAMS
from dnsd.adapters.grpc import frame
from dnsd.adapters.grpc.v1 import control_pb2 as pb
from dnsd.api.schemas import Event
from tests.adapters.grpc.reading import Failure, plain
from tests.adapters.grpc.site import PATIENCE_SECONDS, FakePlane, GrpcSite, grpc_site, stopped
from tests.admin.fakebackend import FOLLOWER_BACKLOG, NOW
from tests.support.waiting import until

# More than one connection holds on its way. Unit: characters.
LARGE = 60_000


def _event(revision: int | None = None, **detail: Any) -> Event:
    return Event(revision=revision, at=NOW, type="test", detail=detail)


async def _watch(site: GrpcSite, **resume: int) -> Any:
    call = site.control.Watch(pb.WatchRequest(**resume))
    await call.initial_metadata()
    return call


async def _failure_of(call: Any) -> tuple[int, Failure]:
    """Read a stream to its end; return how many events came, and how it ended."""
    count = 0
    try:
        async for _ in call:
            count += 1
    except grpc.aio.AioRpcError as error:
        return count, Failure(error)
    raise AssertionError("the stream has ended well")


async def test_a_watcher_that_takes_nothing_in_for_too_long_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for a watcher that does not read is bounded; its call ends, also where it never reads that."""
    monkeypatch.setattr(frame, "ABORT_TIMEOUT_SECONDS", 0.2)
    ended, abort = asyncio.Event(), frame._abort

    async def noted(*args: Any) -> None:
        await abort(*args)
        ended.set()

    monkeypatch.setattr(frame, "_abort", noted)
    async with grpc_site() as site:
        slow = aiter(await _watch(site))
        site.plane.emit(_event())
        assert (await anext(slow)).type == "test"
        site.watches._send_timeout_seconds = 0.2
        while len(site.watches):
            site.plane.emit(_event(text="x" * LARGE))
            await asyncio.sleep(0.001)
        await until(lambda: site.counted("ended") == 1)
        await until(ended.is_set)
        assert not site.plane.followers
        site.watches._send_timeout_seconds = PATIENCE_SECONDS
        other = await _watch(site)  # one that reads is not held up
        site.plane.emit(_event())
        assert (await other.read()).type == "test"
        count, failure = await _failure_of(slow)
        assert (failure.code, failure.problem["id"], failure.retry_seconds) == ("UNAVAILABLE", "watch-ended", 1)
        assert count < FOLLOWER_BACKLOG


async def test_a_watcher_that_falls_too_far_behind_is_ended() -> None:
    """Where more waits with the service than it keeps for one, the stream ends with what was there until then."""
    async with grpc_site() as site:
        call = await _watch(site)
        for revision in range(1, FOLLOWER_BACKLOG + 100):  # at once: nothing is sent meanwhile
            site.plane.emit(_event(revision))
        events = [(await call.read()).revision for _ in range(FOLLOWER_BACKLOG)]
        assert events == list(range(1, FOLLOWER_BACKLOG + 1))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
        assert Failure(caught.value).problem["id"] == "watch-ended"


async def test_a_watcher_that_goes_leaves_nothing() -> None:
    """The subscription ends with the call, whether it is cancelled or its connection is gone."""
    async with grpc_site() as site:
        call = await _watch(site)
        call.cancel()
        await until(lambda: not site.plane.followers)
        async with grpc.aio.insecure_channel(site.address) as channel:
            site.channel, kept = channel, site.channel
            await _watch(site)
            assert len(site.plane.followers) == 1
        await until(lambda: not site.plane.followers)
        site.channel = kept
        await until(lambda: site.counted("cancelled") == 2)
        assert len(site.watches) == 0


async def test_too_many_watchers_are_told_so() -> None:
    """One more than there may be gets the problem that HTTP has for it, and there is room again when one goes."""
    async with grpc_site() as site:
        async with grpc.aio.insecure_channel(site.address, [("grpc.use_local_subchannel_pool", 1)]) as second:
            calls = [await _watch(site) for _ in range(90)]  # as many as a connection has, nearly
            first, site.channel = site.channel, second
            calls += [await _watch(site) for _ in range(MAX_STREAMS - 90)]
            _, failure = await _failure_of(site.control.Watch(pb.WatchRequest()))
            assert (failure.code, failure.problem["id"]) == ("UNAVAILABLE", "too-many-streams")
            assert failure.retry_seconds == 10
            calls[0].cancel()
            await until(lambda: len(site.watches) < MAX_STREAMS)
            await _watch(site)
        site.channel = first


async def test_what_is_not_known_any_more_begins_with_a_reset() -> None:
    """Behind a revision whose events are trimmed, the first event is a reset, and the others are from now on."""
    async with grpc_site() as site:
        for _ in range(2):
            await site.control.Drain(pb.DrainRequest(node="edge-1", reason="x"))
            await site.control.Undrain(pb.UndrainRequest(node="edge-1"))
        site.plane.trim()
        call = await _watch(site, after_revision=1)
        site.plane.emit(_event(5, names=("a", "b"), more={"count": 2, "none": None}))
        events = [await call.read() for _ in range(2)]
        assert [(event.type, event.revision) for event in events] == [("reset", 4), ("test", 5)]
        assert plain(events[1])["detail"] == {"names": ["a", "b"], "more": {"count": 2, "none": None}}


async def test_a_fault_of_ours_is_told_without_its_words(caplog: pytest.LogCaptureFixture) -> None:
    """A failure that nobody expects ends a stream as an internal error; the log has the rest."""

    class Broken(FakePlane):
        def events(self, *, after: int | None) -> Any:
            raise RuntimeError("the secret reason")

    async with grpc_site(Broken()) as site:
        _, failure = await _failure_of(site.control.Watch(pb.WatchRequest()))
        assert (failure.code, failure.problem["id"]) == ("INTERNAL", "internal-error")
        assert "secret" not in failure.text
        assert site.counted("failed") == 1
    assert "the secret reason" in caplog.text


async def test_the_end_of_the_server_ends_its_watchers() -> None:
    """A server that stops tells its watchers to come again, and does not wait for them."""
    async with grpc_site() as site:
        call = await _watch(site)
        await stopped(site.task)
        _, failure = await _failure_of(call)
        assert (failure.code, failure.problem["id"]) == ("UNAVAILABLE", "watch-ended")
