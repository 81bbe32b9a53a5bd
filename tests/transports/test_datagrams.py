"""Many datagrams with one system call: each reply is the right one, from the right address, whatever came between."""

from __future__ import annotations

import ctypes
import errno
import socket
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dnsd.core.engine import Engine
from dnsd.core.fastpath import FastPath
from dnsd.core.ratelimit import Limiter, RateLimit
from dnsd.core.via import Transport, Via
from dnsd.transports import datagrams
from dnsd.transports.datagrams import BATCH, MAX_QUERY_BYTES, NotSupportedError
from dnsd.transports.sockets import open_udp
from dnsd.transports.udp import AddressedBatch, Batch, ManyBatch, PlainBatch, UdpCounts, batch_for
from tests.support.dnsmessages import decode, query, shown, snapshot_of, zone_of
from tests.support.servers import free_port
from tests.transports.stand_ins import Echo

ZONE = zone_of("www A 192.0.2.1\nmail A 192.0.2.2\nalias CNAME www")
KNOWN, OTHER, MISSING = (query(f"{name}.example.org. A", edns=0) for name in ("www", "alias", "missing"))


class Place:
    """A socket with a batch that answers from it, and clients that ask it.

    Args:
        host: what it is bound to.
        asked: the address that clients send to.
    """

    def __init__(self, responder: object, host: str = "127.0.0.1", asked: str | None = None) -> None:
        self.counts = UdpCounts()
        self.address = (asked or host, free_port())
        self.sock = open_udp((host, self.address[1]))
        self.batch: Batch = batch_for(self.sock, responder, self.counts)  # type: ignore[arg-type]
        self.client = socket.socket(self.sock.family, socket.SOCK_DGRAM)
        self.client.settimeout(3)

    def received(self) -> list[bytes]:
        """Return what has arrived; over the loopback that is all that was sent."""
        self.client.setblocking(False)
        found = []
        try:
            while True:
                packet, sender = self.client.recvfrom(65535)
                assert sender[:2] == self.address
                found.append(packet)
        except BlockingIOError:
            return found
        finally:
            self.client.settimeout(3)

    def exchange(self, *packets: bytes) -> list[bytes]:
        """Send packets at once, and return what comes back."""
        for packet in packets:
            self.client.sendto(packet, self.address)
        found = []
        while self.batch.run():
            found += self.received()
        return found


def engine() -> Engine:
    return Engine(snapshot_of(ZONE), on_failure=_raise)


def _raise(failure: Exception) -> None:
    raise failure


@pytest.fixture
def place() -> Iterator[Callable[..., Place]]:
    """Makes places, and closes them."""
    made: list[Place] = []

    def make(*args: str, responder: object = None) -> Place:
        made.append(Place(responder or engine(), *args))
        return made[-1]

    yield make
    for each in made:
        each.sock.close()
        each.client.close()


def numbered(packet: bytes, number: int) -> bytes:
    return number.to_bytes(2, "big") + packet[2:]


@pytest.fixture(params=["many", "one by one"])
def calls(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Which system calls there are."""
    if request.param != "many":
        monkeypatch.setattr(datagrams, "_system_calls", _none)
    return str(request.param)


def _none() -> None:
    raise NotSupportedError("there are none")


HOSTS = [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("0.0.0.0", "127.0.0.9"), ("::", "::1")]


@pytest.mark.parametrize(("host", "asked"), HOSTS)
def test_each_query_gets_its_own_answer(place: Callable[..., Place], calls: str, host: str, asked: str) -> None:
    """Known and unknown ones, in any case, and what is answered with silence or an error in between."""
    there = place(host, asked)
    assert isinstance(there.batch, ManyBatch) is (calls == "many")
    shouted = KNOWN.replace(b"www", b"WwW")
    packets = [
        KNOWN,
        b"",
        OTHER,
        b"\7",
        MISSING,
        KNOWN[:11],
        KNOWN,
        shouted,
        KNOWN[:2],
        b"x" * 5000,
        MISSING,
        KNOWN + b"!",
    ]
    wanted = [
        "NOERROR",
        None,
        "NOERROR",
        None,
        "NXDOMAIN",
        None,
        "NOERROR",
        "NOERROR",
        None,
        "?",
        "NXDOMAIN",
        "FORMERR",
    ]
    for turn in range(3):
        first = turn * len(packets)
        sent = [packet[:2] if len(packet) < 3 else numbered(packet, first + n) for n, packet in enumerate(packets)]
        found = {int.from_bytes(answer[:2], "big"): answer for answer in there.exchange(*sent)}
        for number, (packet, rcode) in enumerate(zip(sent, wanted, strict=True), first):
            answer = found.pop(number, None)
            if rcode is None:
                assert answer is None
            elif rcode != "?":
                assert answer is not None
                assert shown(decode(answer)).startswith(rcode)
                assert answer[12:17] == packet[12:17]
        assert not found
    assert there.counts == UdpCounts()


def test_an_answer_is_counted_once(place: Callable[..., Place]) -> None:
    """By its RCODE, known or not."""
    there_engine = engine()
    there = place(responder=there_engine)
    for _ in range(3):
        assert len(there.exchange(*[KNOWN, MISSING, b"short", OTHER] * 20)) == 60
    counts = there_engine.counts[Transport.UDP]
    assert (counts[0], counts[3], sum(counts), there_engine.dropped) == (120, 60, 180, 60)


@pytest.mark.parametrize("count", [1, BATCH - 1, BATCH, BATCH + 1, 3 * BATCH + 1])
def test_however_many_are_queued_each_is_answered(place: Callable[..., Place], count: int) -> None:
    """A batch more or less is no matter, nor that the last one was larger."""
    there = place()
    for _ in range(2):
        sent = [numbered(KNOWN, number) for number in range(count)]
        assert [answer[:2] for answer in there.exchange(*sent)] == [packet[:2] for packet in sent]
        (answer,) = there.exchange(KNOWN)
        assert answer[:2] == KNOWN[:2]


def test_answers_of_one_batch_leave_from_each_address_asked(place: Callable[..., Place], calls: str) -> None:
    """On a wildcard address, from where each query was sent to."""
    there = place("0.0.0.0", "127.0.0.1")
    asked = [f"127.0.0.{1 + number % 5}" for number in range(20)]
    for number, host in enumerate(asked):
        there.client.sendto(numbered(KNOWN, number), (host, there.address[1]))
    assert there.batch.run() == 20
    found = [there.client.recvfrom(512) for _ in asked]
    assert {int.from_bytes(answer[:2], "big"): sender[0] for answer, sender in found} == dict(enumerate(asked))
    assert calls


def _link_local() -> tuple[str, int] | None:
    """Return a link-local address of the machine, and its interface."""
    table = Path("/proc/net/if_inet6")
    for line in table.read_text().splitlines() if table.exists() else ():
        digits, index, _, scope, *_ = line.split()
        if scope == "20":
            return socket.inet_ntop(socket.AF_INET6, bytes.fromhex(digits)), int(index, 16)
    return None


@pytest.mark.skipif(_link_local() is None, reason="the machine has no link-local address")
def test_a_link_local_address_answers_over_its_own_interface(place: Callable[..., Place], calls: str) -> None:
    """Also among queries to other addresses in the same batch."""
    local = _link_local()
    assert local is not None
    host, interface = local
    there = place("::", "::1")
    targets = [("::1", there.address[1], 0, 0), (host, there.address[1], 0, interface)] * 3
    for number, target in enumerate(targets):
        there.client.sendto(numbered(KNOWN, number), target)
    assert there.batch.run() == 6
    found = {answer[:2]: sender for answer, sender in (there.client.recvfrom(512) for _ in targets)}
    assert [found[bytes([0, number])] for number in range(6)] == targets
    assert there.counts == UdpCounts()
    assert calls


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_refused_reply_keeps_no_other_from_its_client(place: Callable[..., Place], host: str, calls: str) -> None:
    """First, in the middle, next to each other, at the end, beside silence: each is counted."""
    there = place(host, "127.0.0.1", responder=Echo(repeat=100))
    large, silent = b"x" * 1000, b"silent"  # 100,000 bytes fit in no datagram
    for packets in (
        [large, b"1", b"2"],
        [b"1", large, large, b"2", silent, large, b"3", large],
        [silent, large, silent, b"1", silent, silent],
        [large] * 3,
        [silent] * 3,
    ):
        before = there.counts.send_errors
        small = [packet * 100 for packet in packets if packet not in (large, silent)]
        assert there.exchange(*packets) == small
        assert there.counts.send_errors - before == packets.count(large)
    assert there.counts.receive_errors == 0
    assert calls


def test_a_long_datagram_is_cut_and_the_next_one_whole(place: Callable[..., Place]) -> None:
    """None is written over another's place."""
    there = place(responder=Echo())
    sent = [bytes([number]) * (MAX_QUERY_BYTES + 100 * (number % 3 - 1)) for number in range(1, 21)]
    assert there.exchange(*sent) == [packet[:MAX_QUERY_BYTES] for packet in sent]


def test_only_an_engine_is_trusted_to_begin_a_reply_with_the_id(place: Callable[..., Place], calls: str) -> None:
    """Others may reply with whatever they like, be it a byte."""

    class Reverse(Echo):
        def respond(self, packet: bytes, *, now: float, via: Via, peer: str) -> bytes | None:
            return packet[::-1] if packet else b"!"

    there = place(responder=Reverse())
    assert there.exchange(b"abc", b"", b"x", b"12") == [b"cba", b"!", b"x", b"21"]
    assert calls


def test_who_asked_is_told_by_address(place: Callable[..., Place], monkeypatch: pytest.MonkeyPatch) -> None:
    """However many have asked before."""
    monkeypatch.setattr(datagrams, "MAX_REMEMBERED", 3)

    class Whose(Echo):
        def respond(self, packet: bytes, *, now: float, via: Via, peer: str) -> bytes | None:
            return peer.encode()

    there = place(responder=Whose())
    for last in (1, 2, 3, 4, 5, 1, 5):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.bind((f"127.0.0.{last}", 0))
            client.settimeout(3)
            client.sendto(b"who", there.address)
            there.batch.run()
            assert client.recv(100) == f"127.0.0.{last}".encode()
    assert place("::1", responder=Whose()).exchange(b"who") == [b"::1"]


def test_a_limit_holds_for_what_is_known(place: Callable[..., Place]) -> None:
    """What is over the limit is silence in the middle of a batch."""
    limited = engine()
    there = place(responder=limited)
    there.exchange(KNOWN, MISSING)
    limited.limiter = Limiter(RateLimit(responses_per_second=0.001, window_seconds=3000.0, slip=0))
    sent = [numbered((KNOWN, MISSING)[number % 2], number) for number in range(10)]
    assert [answer[:2] for answer in there.exchange(*sent)] == [packet[:2] for packet in sent[:6]]
    assert limited.events["rate_limited", "dropped"] == 4


# --- faults -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["recall", "exact", "an answer that ended"])
def test_a_fault_of_what_is_known_is_counted_and_all_are_answered(
    place: Callable[..., Place], monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """The long way is still there, and what comes after is known again."""
    told: list[Exception] = []
    faulty = Engine(snapshot_of(ZONE), on_failure=told.append)
    there = place(responder=faulty)
    there.exchange(KNOWN, OTHER)
    with monkeypatch.context() as patch:
        if where == "recall":
            patch.setattr(FastPath, "recall", lambda *_, **__: 1 // 0)
        else:
            faulty.fast.exact[KNOWN[2:]] = (bytes(1 // number) for number in range(1 if where == "exact" else 0))
        sent = [numbered(packet, number) for number, packet in enumerate([KNOWN, MISSING, OTHER])]
        answers = there.exchange(*sent)
    assert [shown(decode(answer)).split()[0] for answer in answers] == ["NOERROR", "NXDOMAIN", "NOERROR"]
    assert [answer[:2] for answer in answers] == [packet[:2] for packet in sent]
    assert (faulty.failures, len(told)) == (1, 1)
    assert len(there.exchange(KNOWN, OTHER, MISSING, KNOWN)) == 4
    assert faulty.failures == 1
    assert there.counts == UdpCounts()


def test_a_socket_that_cannot_be_read_is_counted(place: Callable[..., Place], calls: str) -> None:
    """It raises nothing, and reads nothing."""
    there = place()
    there.sock.close()
    assert there.batch.run() == 0
    assert there.counts == UdpCounts(receive_errors=1)
    assert calls


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EPERM])
def test_where_the_calls_are_forbidden_there_is_one_for_each(
    place: Callable[..., Place], monkeypatch: pytest.MonkeyPatch, host: str, number: int
) -> None:
    """An old kernel, or a sandbox."""

    def refuse(*_: object) -> int:
        ctypes.set_errno(number)
        return -1

    monkeypatch.setattr(datagrams, "_system_calls", lambda: (refuse, refuse))
    there = place(host, "127.0.0.1")
    assert isinstance(there.batch, PlainBatch if host == "127.0.0.1" else AddressedBatch)
    assert len(there.exchange(KNOWN, b"short", OTHER)) == 2


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_nothing_grows_with_the_number_of_batches(place: Callable[..., Place], host: str) -> None:
    """Neither memory nor descriptors, whatever is in the batches."""
    there = place(host, "127.0.0.1")
    packets = [KNOWN, b"", MISSING, b"x" * 5000, OTHER, KNOWN.replace(b"www", b"wWw")]
    for _ in range(20):
        there.exchange(*packets)
    descriptors = sorted(each.name for each in Path("/proc/self/fd").iterdir())
    tracemalloc.start()
    try:
        there.exchange(*packets)
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(300):
            there.exchange(*packets)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 20_000
    assert len(sorted(each.name for each in Path("/proc/self/fd").iterdir())) == len(descriptors)
