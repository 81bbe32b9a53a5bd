"""What every store does with claims for serials of zones: one rule, atomic, and kept."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis as redis_py
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dnsd.core.serials import SERIALS, is_newer
from dnsd.errors import StoreUnavailable
from dnsd.stores.base import DrainStore
from dnsd.stores.claims import KeptSerial, SerialClaim, decided
from tests.stores.kinds import Kind
from tests.stores.redis_stores import opened
from tests.support.redis import shared_redis

ZONE = "example.org."
ONE, OTHER = "0a" * 32, "f7" * 32

# Around the places where numbers go round, or are half the way apart.
_serials = st.sampled_from([0, SERIALS // 2, SERIALS - 1, 1_800_000_000]).flatmap(
    lambda serial: st.integers(-3, 3).map(lambda more: (serial + more) % SERIALS)
)
_claims = st.builds(
    SerialClaim,
    zone=st.sampled_from([ZONE, "a\\046b.example."]),
    digest=st.sampled_from([ONE, OTHER]),
    at_least=_serials,
    first=_serials,
    known=st.none() | _serials,
    anew=st.booleans(),
)


@st.composite
def _near(draw: st.DrawFn) -> tuple[SerialClaim, KeptSerial]:
    """Draw a claim and what is kept whose serials are less than half the way apart, as those of a zone are."""
    base = draw(st.sampled_from([0, SERIALS // 2, SERIALS - 5, 1_800_000_000]))
    serials = st.integers(0, 10).map(lambda more: (base + more) % SERIALS)
    at_least = draw(serials)
    first = (at_least + draw(st.integers(0, 9))) % SERIALS
    claim = replace(draw(_claims), at_least=at_least, first=first, known=draw(st.none() | serials))
    return claim, KeptSerial(draw(serials), draw(st.sampled_from([ONE, OTHER])))


def claim(digest: str = ONE, *, at_least: int = 5, **fields: Any) -> SerialClaim:
    return SerialClaim(**{"zone": ZONE, "digest": digest, "at_least": at_least, "first": at_least, **fields})


@given(_near())
def test_a_serial_is_newer_but_for_the_same_content(claim_and_kept: tuple[SerialClaim, KeptSerial]) -> None:
    """What a store gives is what it has, for the very content, or newer; and it is not older than what is wanted."""
    claim, kept = claim_and_kept
    given = decided(claim, kept)
    assert given.digest == claim.digest
    if given.serial == kept.serial:
        assert given == kept
        assert not claim.anew
    else:
        assert is_newer(given.serial, kept.serial)
    assert not is_newer(claim.at_least, given.serial)
    if given.serial != kept.serial:
        assert given.serial % 2 == 0  # the odd ones are for servers without a store
    if claim.known is not None and is_newer(claim.known, kept.serial):
        assert not is_newer(claim.first, given.serial)


async def test_the_first_claim_begins_and_the_same_content_keeps_its_serial(store: DrainStore) -> None:
    """Whoever comes with the same content gets the same serial; with other content, the next even one."""
    assert await store.claim_serials([claim(at_least=7, first=99)]) == (100,)
    assert await store.claim_serials([claim(), claim(at_least=99)]) == (100, 100)
    assert await store.claim_serials([claim(OTHER)]) == (102,)
    assert await store.claim_serials([claim()]) == (104,)
    assert await store.claim_serials([]) == ()


async def test_a_claim_may_ask_for_a_newer_one(store: DrainStore) -> None:
    """By a number, by asking for another one, and where the store has lost what is known."""
    await store.claim_serials([claim(at_least=10)])
    assert await store.claim_serials([claim(at_least=19)]) == (20,)
    assert await store.claim_serials([claim(anew=True)]) == (22,)
    assert await store.claim_serials([claim(known=22, first=5000)]) == (22,)
    assert await store.claim_serials([claim(known=23, first=5000)]) == (5000,)


async def test_zones_are_apart(store: DrainStore) -> None:
    """One call has the claims of many zones, each with its own serial; more than go in one packet."""
    claims = [claim(at_least=2 * number, zone=f"z{number}.example.") for number in range(501)]
    assert await store.claim_serials(claims) == tuple(range(0, 1002, 2))


async def test_serials_go_round(store: DrainStore) -> None:
    """After the greatest number comes 0 (RFC 1982 §3.1)."""
    assert await store.claim_serials([claim(at_least=SERIALS - 2)]) == (SERIALS - 2,)
    assert await store.claim_serials([claim(OTHER, at_least=SERIALS - 1)]) == (0,)
    assert await store.claim_serials([claim(at_least=SERIALS - 1)]) == (2,)


async def test_of_many_at_once_each_content_has_a_serial_of_its_own(store: DrainStore) -> None:
    """Thirty claims at once with different contents, each made twice: no serial stands for two of them."""
    digests = [f"{number:064x}" for number in range(30)]

    async def ask(digest: str) -> tuple[int, str]:
        (serial,) = await store.claim_serials([claim(digest)])
        return serial, digest

    given = await asyncio.gather(*(ask(digest) for digest in digests * 2))
    assert len({digest for _, digest in given}) == 30
    assert len({serial for serial, _ in given}) == len(set(given))


async def test_a_claim_makes_no_revision(store: DrainStore) -> None:
    """The state that followers see is as it was."""
    before = await store.load()
    await store.claim_serials([claim()])
    assert await store.load() == before
    assert await store.history() == ((), None)


async def test_a_closed_store_gives_none(kind: Kind, tmp_path: Path) -> None:
    """Before it is open and after it was closed."""
    store = kind.fresh(tmp_path)
    with pytest.raises(StoreUnavailable):
        await store.claim_serials([claim()])
    await store.open()
    await store.close()
    with pytest.raises(StoreUnavailable):
        await store.claim_serials([claim()])


def test_every_store_gives_what_the_rule_says(kind: Kind) -> None:
    """Over random claims, with the store opened anew in between where it keeps anything."""

    @settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(st.lists(_claims, min_size=1, max_size=3), min_size=1, max_size=8))
    def run(calls: list[list[SerialClaim]]) -> None:
        with tempfile.TemporaryDirectory() as folder, asyncio.Runner() as runner:

            def wait(call: Coroutine[Any, Any, Any]) -> Any:
                return runner.run(call)

            store = kind.fresh(Path(folder))
            wait(store.open())
            kept: dict[str, KeptSerial] = {}
            for number, claims in enumerate(calls):
                expected = []
                for each in claims:
                    kept[each.zone] = decided(each, kept.get(each.zone))
                    expected.append(kept[each.zone].serial)
                assert wait(store.claim_serials(claims)) == tuple(expected)
                if kind.durable and number == 3:
                    wait(store.close())
                    store = kind.fresh(Path(folder))
                    wait(store.open())
            wait(store.close())

    run()


@pytest.mark.parametrize("text", ["{}", '{"serial":4294967296,"digest":"aa"}', '{"serial":5}', "x"])
async def test_what_redis_cannot_read_is_not_written_over(text: str) -> None:
    """A value of somebody else's: no claim of that call is taken, and the error shows it."""
    server, prefix = shared_redis(), f"serials.{abs(hash(text))}"
    key = f"{{{prefix}}}:serials"
    with redis_py.Redis(port=server.port, decode_responses=True) as client:
        client.hset(key, ZONE, text)
        async with opened(f"redis://127.0.0.1:{server.port}", prefix=prefix) as store:
            with pytest.raises(StoreUnavailable, match="a serial in"):
                await store.claim_serials([claim(zone="other."), claim()])
        assert client.hgetall(key) == {ZONE: text}


async def test_the_layout_in_redis() -> None:
    """As docs/redis.md has it: a hash from a zone to the last serial and the digest of its content."""
    server = shared_redis()
    async with opened(f"redis://127.0.0.1:{server.port}", prefix="serials.layout") as store:
        await store.claim_serials([claim(at_least=SERIALS - 2)])
    with redis_py.Redis(port=server.port, decode_responses=True) as client:
        assert client.hgetall("{serials.layout}:serials") == {ZONE: f'{{"serial":{SERIALS - 2},"digest":"{ONE}"}}'}
