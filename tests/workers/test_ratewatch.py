"""When a worker limits answers, and what it tells the log."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from dnsd.core.engine import Engine
from dnsd.core.ratelimit import RateLimit
from dnsd.core.via import TCP, UDP, Via
from dnsd.workers.ratewatch import CALM_SECONDS, LOOK_SECONDS, RateWatch
from tests.workers.fleet import query, snapshot, until

LIMIT = RateLimit(responses_per_second=1, window_seconds=1, starts_at=100)


class Site:
    """An engine that is watched, and a clock of its own."""

    def __init__(self, limit: RateLimit | None = LIMIT) -> None:
        self.engine = Engine(snapshot())
        self.watch = RateWatch(self.engine)
        self.watch.configure(limit)
        self.now = 1000.0
        self.watch.look(self.now)

    @property
    def limits(self) -> bool:
        return self.engine.limiter is not None

    def asked(self, queries: int, *, seconds: float = LOOK_SECONDS, via: Via = UDP, peer: str = "192.0.2.1") -> bool:
        """Let queries come in, and have the watch look; return whether there are limits then."""
        for _ in range(queries):
            self.engine.respond(query(), now=self.now, via=via, peer=peer)
        self.now += seconds
        self.watch.look(self.now)
        return self.limits


def test_below_the_threshold_there_is_no_limiter() -> None:
    """The engine pays nothing for answers that are fewer than what limits start at."""
    site = Site()
    assert not any(site.asked(9) for _ in range(50))
    assert not site.engine.events


def test_limits_begin_with_the_traffic_and_end_after_it() -> None:
    """From the first look on that sees as many answers as the threshold; and not before it was calm for a while."""
    site = Site()
    assert site.asked(11)
    looks = round(CALM_SECONDS / LOOK_SECONDS)
    assert all(site.asked(5) for _ in range(looks - 1))
    assert not any([site.asked(0), site.asked(0)][1:])


def test_answers_that_are_not_sent_keep_limits_up() -> None:
    """A flood of which nearly all is dropped is one all the same."""
    site = Site(replace(LIMIT, slip=0))
    assert all(site.asked(11) for _ in range(round(3 * CALM_SECONDS / LOOK_SECONDS)))
    assert site.engine.events["rate_limited", "dropped"] > 2000


def test_traffic_over_streams_counts_for_nothing() -> None:
    """However many queries come over TCP, nobody is limited."""
    site = Site()
    assert not any(site.asked(1000, via=TCP) for _ in range(3))


def test_a_threshold_of_zero_limits_always() -> None:
    """From the first look on."""
    assert Site(replace(LIMIT, starts_at=0)).asked(0)


def test_a_reload_changes_limits_at_once() -> None:
    """While there is a flood, another limit holds from the next query on; the same one keeps its accounts."""
    site = Site()
    site.asked(100)
    before = site.engine.limiter
    site.watch.configure(replace(LIMIT))
    assert site.engine.limiter is before
    site.watch.configure(replace(LIMIT, slip=1))
    assert site.engine.limiter is not None
    assert site.engine.limiter.limit.slip == 1
    site.watch.configure(None)
    assert not site.asked(1000)
    site.watch.configure(LIMIT)
    assert not site.limits
    assert not site.asked(0)
    assert site.asked(100)


def test_the_log_has_a_line_when_it_begins_and_one_when_it_ends(caplog: pytest.LogCaptureFixture) -> None:
    """Each names how many answers were over the limit, and the network that most of them were for."""
    site = Site()
    with caplog.at_level(logging.WARNING, logger="dnsd.workers.ratewatch"):
        site.asked(100)
        for _ in range(10):
            site.asked(20)
            site.asked(3, peer="198.51.100.1")
        site.asked(0, seconds=59)
        assert len(caplog.messages) == 1
        site.asked(0, seconds=2)
        site.asked(0, seconds=300)
    begun, ended = caplog.messages
    assert begun == "rate limiting has begun: 19 answers are over the limit, most of them to 192.0.2.0/24"
    assert ended.startswith("rate limiting has ended: 2")
    assert ended.endswith(" answers were over the limit, most of them to 192.0.2.0/24")


def test_the_log_has_a_line_a_minute_at_most(caplog: pytest.LogCaptureFixture) -> None:
    """A flood that comes and goes for an hour is told of once a minute or less."""
    site = Site()
    with caplog.at_level(logging.WARNING, logger="dnsd.workers.ratewatch"):
        for _ in range(3600 // 65):
            site.asked(100)
            site.asked(50)
            site.asked(0, seconds=65)
    assert 2 <= len(caplog.messages) <= 60


async def test_it_looks_by_itself() -> None:
    """Once started it finds a flood, with nothing else to call it."""
    engine = Engine(snapshot())
    watch = RateWatch(engine)
    watch.configure(LIMIT)
    watch.start()

    def flood() -> bool:
        for _ in range(50):
            engine.respond(query(), now=0.0, via=UDP, peer="192.0.2.1")
        return engine.limiter is not None

    await until(flood)
