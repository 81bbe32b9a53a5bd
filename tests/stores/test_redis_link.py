"""Finding the Redis that takes writes, losing it, and finding it again."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dnsd.errors import NotReplicated, StoreRefused, StoreUnavailable
from dnsd.stores.base import DrainStore
from dnsd.stores.claims import SerialClaim
from dnsd.stores.redis import confirming, connecting, link
from dnsd.stores.redis.store import LOAD_SECONDS, RedisStore
from tests.stores.redis_stores import opened, refusal, store_at
from tests.stores.samples import put_drain
from tests.support.certificates import make_pair
from tests.support.redis import RedisServer, redis_server, shared_redis
from tests.support.relay import relay_to
from tests.support.sentinels import sentinel_fleet
from tests.support.servers import PATIENCE_SECONDS, free_port, wait_until

# While the link is down a call fails without asking anybody: within so many passes of the event loop.
FEW_PASSES = 100


async def eventually(call: Callable[[], Awaitable[object]]) -> float:
    """Call until it works; return how long that took, in seconds."""
    began = time.monotonic()
    while True:
        try:
            await call()
        except StoreUnavailable:
            assert time.monotonic() - began < PATIENCE_SECONDS
            await asyncio.sleep(0.01)
        else:
            return time.monotonic() - began


async def fails_at_once(store: DrainStore) -> None:
    """See that every kind of call fails without a wait."""
    claim = SerialClaim(zone="example.org.", digest="aa", at_least=1, first=1)
    for call in (
        store.load(),
        put_drain(store, 0),
        store.changes(after=0, wait_seconds=60),
        store.consumers(),
        store.claim_serials([claim]),
    ):
        failing = asyncio.ensure_future(call)
        for _ in range(FEW_PASSES):
            await asyncio.sleep(0)
        assert failing.done()
        with pytest.raises(StoreUnavailable):
            await failing


async def test_a_server_that_is_killed_and_comes_back(tmp_path: Path) -> None:
    """Those who wait learn at once; calls fail at once; then it is found again without anybody's doing."""
    with redis_server(tmp_path, append_only=True) as server:
        async with opened(server.url) as store:
            await put_drain(store, 0)
            waiting = asyncio.create_task(store.changes(after=1, wait_seconds=60))
            await asyncio.sleep(0.05)
            server.kill()
            with pytest.raises(StoreUnavailable):
                await waiting
            await fails_at_once(store)
            server.start()
            await eventually(store.load)
            assert await put_drain(store, 1) == 2
            assert [record.revision for record in await store.changes(after=0)] == [1, 2]


async def test_a_server_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The call that finds out takes its time; those after it fail at once; what failed does not land later."""
    monkeypatch.setattr(connecting, "DIAL_SECONDS", 0.2)
    with redis_server(tmp_path) as server:
        async with opened(server.url) as store:
            await put_drain(store, 0)
            server.pause()
            with pytest.raises(StoreUnavailable, match="does not answer in time"):
                await put_drain(store, 1, node="late")
            await fails_at_once(store)
            server.resume()
            await eventually(store.load)
            assert (await store.load()).revision == 1
            assert await put_drain(store, 1) == 2


async def test_a_clock_of_the_server_that_is_set_stops_one_write_at_most() -> None:
    """A write that seems to come late is refused, and the clock is read anew."""
    server = shared_redis()
    async with opened(server.url, prefix="clock") as store:
        connected = store._link._connected
        assert connected is not None
        store._link._connected = replace(connected, clock_ahead=connected.clock_ahead - 3600)
        with pytest.raises(StoreUnavailable, match="its clock was set"):
            await put_drain(store, 0)
        assert await eventually(lambda: put_drain(store, 0)) < PATIENCE_SECONDS
        assert (await store.load()).revision == 1


async def test_a_server_that_is_not_there_is_found_when_it_comes(tmp_path: Path) -> None:
    """Opening fails, and says so; the store goes on trying."""
    port = free_port()
    store = store_at(f"redis://127.0.0.1:{port}")
    try:
        with pytest.raises(StoreUnavailable, match="it cannot be reached: Connection refused"):
            await store.open()
        await fails_at_once(store)
        with redis_server(tmp_path, port=port):
            await eventually(store.load)
            assert await put_drain(store, 0) == 1
    finally:
        await store.close()


async def test_retries_are_spread_and_slow_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the first delay they double up to the last one, each less a random part."""
    delays: list[float] = []
    sleep = asyncio.sleep

    async def note(seconds: float) -> None:
        delays.append(seconds)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", note)
    store = store_at(f"redis://127.0.0.1:{free_port()}")
    with pytest.raises(StoreUnavailable):
        await store.open()
    while len(delays) < 12:
        await sleep(0.001)
    await store.close()
    full = [min(link.FIRST_RETRY_SECONDS * 2**turn, link.LAST_RETRY_SECONDS) for turn in range(len(delays))]
    assert all(most / 2 <= delay <= most for delay, most in zip(delays, full, strict=True))
    assert len(set(delays)) > 6


async def test_replies_that_break_off_never_mislead(tmp_path: Path) -> None:
    """Connections that end after any number of bytes: each call says what is true, or that it failed."""
    with redis_server(tmp_path) as server, relay_to(server.port) as relay:
        async with opened(relay.url) as store, opened(server.url) as truth:
            revision = 0
            failed = 0
            for after_bytes in [*range(0, 40, 3), *range(40, 1200, 60)]:
                relay.cut_within_replies(after_bytes)
                try:
                    for _ in range(3):
                        assert await store.load() == await truth.load()
                        assert [each.revision for each in await store.changes(after=0)] == list(range(1, revision + 1))
                        revision = await put_drain(store, revision, node=f"edge-{revision}")
                except StoreUnavailable:
                    failed += 1
                relay.heal()
                await eventually(store.load)
                found = await store.load()
                # What was not acknowledged may be written, and as a whole then.
                assert found.revision in (revision, revision + 1)
                revision = found.revision
                assert len(found.drains) == revision == len((await store.history())[0])
            assert failed > 10


async def test_a_unix_socket_is_an_address() -> None:
    """With the same keys behind it."""
    server = shared_redis()
    async with opened(server.unix_url, prefix="by-socket") as one, opened(server.url, prefix="by-socket") as other:
        await put_drain(one, 0)
        assert (await other.load()).revision == 1


async def test_databases_and_prefixes_are_apart() -> None:
    """One Redis for several fleets."""
    server = shared_redis()
    async with opened(f"redis://127.0.0.1:{server.port}/5", prefix="apart") as one:
        await put_drain(one, 0)
        for url, prefix in ((f"redis://127.0.0.1:{server.port}/6", "apart"), (f"{one.label[6:]}", "apart2")):
            async with opened(url if "://" in url else f"redis://{url}", prefix=prefix) as other:
                assert (await other.load()).revision == 0


async def test_of_several_hosts_the_primary_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A replica and a dead host are passed over; when the primary is gone and the replica promoted, that one is."""
    with redis_server(tmp_path / "a") as primary, redis_server(tmp_path / "b", replica_of=primary) as replica:
        url = f"redis://127.0.0.1:{free_port()},127.0.0.1:{replica.port},127.0.0.1:{primary.port}/0"
        async with opened(url, min_replicas=1) as store:
            await store.confirm(revision=await put_drain(store, 0))
            primary.kill()
            with pytest.raises(StoreUnavailable):
                await store.load()
            replica.cli("replicaof", "no", "one")
            await eventually(store.load)
            assert (await store.load()).revision == 1
            assert await put_drain(store, 1) == 2
            monkeypatch.setattr(confirming, "REPLICA_SECONDS", 0.1)
            with pytest.raises(NotReplicated, match="it is written, but 0 of 1 replicas have it"):
                await store.confirm(revision=2)


async def test_of_two_primaries_the_one_further_on_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """In whatever order they are named, and told in one line; a server under two names is one."""
    monkeypatch.setattr(link, "LOOK_SECONDS", 0.05)
    with redis_server(tmp_path / "a") as behind, redis_server(tmp_path / "b") as ahead:
        async with opened(ahead.url) as store:
            await put_drain(store, 0)
            await put_drain(store, 1, node="edge-2")
        async with opened(behind.url) as store:
            await put_drain(store, 0)
        for ports in ((behind.port, ahead.port), (ahead.port, behind.port)):
            caplog.clear()
            async with opened(f"redis://127.0.0.1:{ports[0]},127.0.0.1:{ports[1]}/0") as store:
                assert (await store.load()).revision == 2
                await asyncio.sleep(0.3)  # it looks again, and has nothing new to say
                assert (await store.load()).revision == 2
            (line,) = [record.getMessage() for record in caplog.records if "more than one" in record.getMessage()]
            assert f"127.0.0.1:{ahead.port} is used, at revision 2; make a replica of 127.0.0.1:{behind.port}" in line
        caplog.clear()
        async with opened(f"redis://127.0.0.1:{ahead.port},localhost:{ahead.port}/0") as store:
            assert (await store.load()).revision == 2
        assert "more than one" not in caplog.text


async def test_another_primary_is_found_while_the_old_one_still_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a failover that the old primary has slept through; those who wait for changes notice it too."""
    monkeypatch.setattr(link, "LOOK_SECONDS", 0.05)
    with redis_server(tmp_path / "a") as old, redis_server(tmp_path / "b", replica_of=old) as new:
        async with opened(f"redis://127.0.0.1:{old.port},127.0.0.1:{new.port}/0") as store:
            await put_drain(store, 0)
            await asyncio.to_thread(wait_until, lambda: new.cli("get", "{dnsd}:revision") == "1", "the replica has it")
            waiting = asyncio.create_task(store.changes(after=1, wait_seconds=60))
            new.cli("replicaof", "no", "one")
            async with opened(new.url) as other:
                await put_drain(other, 1, node="edge-2")
            assert [record.revision for record in await asyncio.wait_for(waiting, PATIENCE_SECONDS)] == [2]
            assert await put_drain(store, 2, node="edge-3") == 3
            assert (old.cli("get", "{dnsd}:revision"), new.cli("get", "{dnsd}:revision")) == ("1", "3")


async def test_a_primary_that_is_used_is_not_left_for_one_that_is_no_further(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither while it is slow to be looked at, nor for another one at the same revision."""
    monkeypatch.setattr(link, "LOOK_SECONDS", 0.05)
    with redis_server(tmp_path / "a") as used, redis_server(tmp_path / "b", append_only=True) as left:
        for server in (used, left):
            async with opened(server.url) as store:
                await put_drain(store, 0)
        for ports in ((used.port, left.port), (left.port, used.port)):
            left.kill()
            async with opened(f"redis://127.0.0.1:{ports[0]},127.0.0.1:{ports[1]}/0") as store:
                left.start()
                await asyncio.sleep(0.3)
                await _is_at(store, used)
                with monkeypatch.context() as hurried:
                    hurried.setattr(connecting, "DIAL_SECONDS", 0.2)
                    used.pause()
                    await asyncio.sleep(0.5)  # less than a call may take
                    used.resume()
                    await asyncio.sleep(0.3)
                await _is_at(store, used)
                assert (await store.load()).revision == 1


async def test_a_sentinel_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A primary that hangs while another takes its place is left, even where it answers again at once."""
    monkeypatch.setattr(link, "LOOK_SECONDS", 0.05)
    with sentinel_fleet(tmp_path, replicas=2) as fleet:
        async with opened(fleet.url) as store:
            await put_drain(store, 0)
            before = fleet.present_master()
            fleet.group.sentinels[0].cli("sentinel", "failover", "fleet")
            # The old one is up all the time; no write of ours makes it say that it is no primary any more.
            await asyncio.to_thread(wait_until, lambda: fleet.present_master() is not before, "another is the primary")
            await eventually(lambda: _is_at(store, fleet.present_master()))
            assert await put_drain(store, 1) == 2


async def test_a_cancellation_that_gets_lost_holds_up_no_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever looks for another primary may take it for its own: the store closes all the same."""
    monkeypatch.setattr(link, "LOOK_SECONDS", 0.01)
    looks = asyncio.Event()

    async def deaf(*_: object) -> None:
        if not looks.is_set():
            looks.set()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(60)
        await asyncio.sleep(60)

    monkeypatch.setattr("dnsd.stores.redis.dialling.Dialler.better_than", deaf)
    with redis_server(tmp_path / "a") as one, redis_server(tmp_path / "b", replica_of=one) as two:
        async with opened(f"redis://127.0.0.1:{one.port},127.0.0.1:{two.port}/0") as store:
            await looks.wait()
            async with asyncio.timeout(30):
                await store.close()


async def _is_at(store: RedisStore, server: RedisServer) -> None:
    connected = store._link._connected
    if connected is None or connected.host is None or connected.host[1] != server.port:
        raise StoreUnavailable("elsewhere")


async def test_a_large_read_holds_up_no_write(tmp_path: Path) -> None:
    """While a server hangs, whoever writes learns of it as soon as if nobody were reading."""
    with redis_server(tmp_path) as server:
        async with opened(server.url) as store:
            await put_drain(store, 0)
            await store.load()
            server.pause()
            reading = [asyncio.create_task(store.load()), asyncio.create_task(store.reports())]
            await asyncio.sleep(0.1)
            began = time.monotonic()
            with pytest.raises(StoreUnavailable, match="does not answer in time"):
                await put_drain(store, 1)
            assert time.monotonic() - began < LOAD_SECONDS / 2
            for read in reading:
                with pytest.raises(StoreUnavailable):
                    await read
            assert time.monotonic() - began < LOAD_SECONDS / 2


async def test_a_primary_that_becomes_a_replica_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that leads to another server by now: the refused write makes us look again."""
    monkeypatch.setattr(link, "LOOK_SECONDS", 0.05)
    with redis_server(tmp_path / "a") as old, redis_server(tmp_path / "b") as new, relay_to(old.port) as relay:
        async with opened(relay.url) as store:
            await put_drain(store, 0)
            new.cli("replicaof", "127.0.0.1", str(old.port))
            await eventually(lambda: _in_step(new))
            new.cli("replicaof", "no", "one")
            old.cli("replicaof", "127.0.0.1", str(new.port))
            with pytest.raises(StoreUnavailable, match="read-only replica"):
                await put_drain(store, 1)
            await eventually(store.load)  # what is there can be read
            old.cli("replicaof", "no", "one")
            await eventually(lambda: put_drain(store, 1))


async def _in_step(replica: RedisServer) -> None:
    if "master_link_status:up" not in replica.cli("info", "replication"):
        raise StoreUnavailable("not in step")


async def test_sentinels_lead_to_the_primary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And to the next one when it dies; what was acknowledged with a replica is there."""
    monkeypatch.setattr(connecting, "DIAL_SECONDS", 3.0)
    with sentinel_fleet(tmp_path, replicas=2) as fleet:
        assert "no sentinel that can be reached knows a primary of 'other'" in await refusal(
            fleet.url.replace("/fleet/", "/other/"), StoreUnavailable
        )
        fleet.group.sentinels[0].pause()  # one that hangs hides no other
        async with opened(fleet.url, min_replicas=1) as store:
            fleet.group.sentinels[0].resume()
            for revision in range(5):
                await store.confirm(revision=await put_drain(store, revision, node=f"edge-{revision}"))
            fleet.present_master().kill()
            with pytest.raises(StoreUnavailable):
                await store.load()
            await eventually(store.load)
            assert len((await store.load()).drains) == 5
            assert await put_drain(store, 5) == 6
            await store.confirm(revision=6)


async def test_a_cluster_leads_to_the_node_with_our_slot(tmp_path: Path) -> None:
    """Whichever of its nodes the URL names; and every script keeps to one slot."""
    with (
        redis_server(tmp_path / "a", options=_clustered()) as one,
        redis_server(tmp_path / "b", options=_clustered()) as two,
    ):
        two.cli("cluster", "addslotsrange", "0", "16383")
        bus_port = two.options[-1]
        one.cli("cluster", "meet", "127.0.0.1", str(two.port), bus_port)
        for node in (one, two):
            await eventually(functools.partial(_settled, node))
        async with opened(one.url) as store, opened(two.url) as other:
            assert await put_drain(store, 0) == 1
            assert (await other.load()).drains == (await store.load()).drains
            assert [record.revision for record in await store.changes(after=0, wait_seconds=1)] == [1]
        assert "a cluster has no database but 0" in await refusal(f"redis://127.0.0.1:{one.port}/1", StoreRefused)


async def test_a_slot_that_moves_is_followed(tmp_path: Path) -> None:
    """While it moves, what cannot be done is told in words; afterwards it is found where it is, with all in it."""
    with (
        redis_server(tmp_path / "a", options=_clustered()) as one,
        redis_server(tmp_path / "b", options=_clustered()) as two,
    ):
        one.cli("cluster", "addslotsrange", "0", "16383")
        one.cli("cluster", "meet", "127.0.0.1", str(two.port), two.options[-1])
        for node in (one, two):
            await eventually(functools.partial(_settled, node))
        slot = one.cli("cluster", "keyslot", "{dnsd}:revision")
        ids = [node.cli("cluster", "myid") for node in (one, two)]
        async with opened(one.url) as store:
            await put_drain(store, 0)
            two.cli("cluster", "setslot", slot, "importing", ids[0])
            one.cli("cluster", "setslot", slot, "migrating", ids[1])
            keys = one.cli("cluster", "getkeysinslot", slot, "100").split()
            one.cli("migrate", "127.0.0.1", str(two.port), keys[0], "0", "1000")
            with pytest.raises(StoreUnavailable, match="its cluster is moving these keys to"):
                await put_drain(store, 1, node="edge-2")
            one.cli("migrate", "127.0.0.1", str(two.port), "", "0", "1000", "keys", *keys[1:])
            with pytest.raises(StoreUnavailable, match=rf"its cluster is moving these keys to 127.0.0.1:{two.port}"):
                await store.load()
            for node in (two, one):
                node.cli("cluster", "setslot", slot, "node", ids[1])
            await eventually(lambda: put_drain(store, 1, node="edge-2"))
            assert [record.revision for record in await store.changes(after=0)] == [1, 2]
            assert two.cli("get", "{dnsd}:revision") == "2"


def _clustered() -> tuple[str, ...]:
    return ("--cluster-enabled", "yes", "--cluster-port", str(free_port()))


async def _settled(node: RedisServer) -> None:
    if "cluster_state:ok" not in node.cli("cluster", "info"):
        raise StoreUnavailable("not settled")


async def test_tls_is_checked(tmp_path: Path) -> None:
    """With the authority that signed the server's certificate; not with the system's, and not without TLS."""
    make_pair().write(tmp_path)
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    port = free_port()
    options = (
        "--tls-port", str(port), "--tls-cert-file", str(cert), "--tls-key-file", str(key), "--tls-auth-clients", "no",
    )  # fmt: skip
    with redis_server(tmp_path / "redis", options=options):
        async with opened(f"rediss://127.0.0.1:{port}/0?ca={cert}") as store:
            assert await put_drain(store, 0) == 1
        assert "its certificate is not trusted" in await refusal(f"rediss://127.0.0.1:{port}/0", StoreRefused)
        assert ": " in await refusal(f"redis://127.0.0.1:{port}/0", StoreUnavailable)
