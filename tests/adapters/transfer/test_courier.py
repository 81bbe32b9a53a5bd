"""NOTIFY to a secondary, and asking it for its serial: what is sent, how often, and which answers count."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import cast

import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rrset
import pytest

from dnsd.adapters.context import Complaints
from dnsd.adapters.transfer import asking, courier
from dnsd.adapters.transfer.asking import Correspondent, correspondent_of
from dnsd.adapters.transfer.courier import Courier
from dnsd.adapters.transfer.slots import MAX_UNDER_WAY, MOST_PER_SECOND, Slots
from dnsd.config.transfer import Secondary, TransferKey
from dnsd.control.farservers import FarServers, ZoneWithdrawal
from dnsd.control.publisher import Publisher
from dnsd.control.rivalry import Rivalry
from dnsd.model.endpoint import Endpoint
from tests.adapters.transfer.world import (
    APEX,
    FIRST_SERIAL,
    ZONE,
    Versions,
    framed,
    key,
    keyring_of,
    read_framed,
    records,
    soa,
)
from tests.support.servers import free_port
from tests.support.waiting import until

# How long a secondary that does not answer is waited for, and one that does: this never runs out.
SILENT_WAITS = (0.05, 0.05, 0.05)
ANSWERED_WAITS = (600.0,)
KEY = key()

Reply = Callable[[dns.message.Message, bool], list[bytes]]


def soa_answer(query: dns.message.Message, serial: int, *, flags: int = dns.flags.AA) -> dns.message.Message:
    """Return the answer to an SOA question."""
    answer = dns.message.make_response(query)
    answer.flags |= flags
    text = soa(serial).rdata.hex()
    answer.answer.append(dns.rrset.from_text("example.org.", 60, "IN", "TYPE6", f"\\# {len(text) // 2} {text}"))
    return answer


class FakeSecondary(asyncio.DatagramProtocol):
    """Answers as told, over UDP and TCP, and keeps what it was sent.

    Args:
        reply: gives the packets that answer a query, and is told whether it came over TCP.
        signs: what it verifies queries and signs answers with.
    """

    def __init__(self, reply: Reply, signs: TransferKey | None = None) -> None:
        self.reply = reply
        self.heard: list[dns.message.Message] = []
        self.sources: set[str] = set()
        self._ring = None if signs is None else keyring_of(signs)
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        assert self._transport is not None
        self.sources.add(addr[0])
        for packet in self._answers(data, over_tcp=False):
            self._transport.sendto(packet, addr)

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for packet in self._answers(await read_framed(reader), over_tcp=True):
            writer.write(framed(packet))
        writer.close()

    def _answers(self, data: bytes, *, over_tcp: bool) -> list[bytes]:
        query = dns.message.from_wire(data, keyring=self._ring)
        self.heard.append(query)
        return self.reply(query, over_tcp)

    def notified(self) -> list[int]:
        """Return the serials of which it was notified, in their order."""
        told = [each for each in self.heard if each.opcode() == dns.opcode.NOTIFY]
        return [each.answer[0][0].serial for each in told]


@dataclass
class World:
    """A courier and the secondary that it goes to."""

    fake: FakeSecondary
    versions: Versions
    far: FarServers
    courier: Courier

    def notifies(self) -> dict[str, int]:
        """Return how many NOTIFY messages came to what."""
        return {result: count for (_, result), count in self.far.notifies.items()}

    def was_in_vain(self, *, why: str) -> bool:
        """Say whether NOTIFY was sent as often as it is at most, and once at least came to this, never to an answer."""
        came = self.notifies()
        return sum(came.values()) == len(SILENT_WAITS) and why in came and came.keys() <= {why, "timeout"}

    async def until_blocked(self, why: str) -> None:
        """Wait until what is known of the secondary is that it is silent, and why."""
        await until(lambda: why in str(self.far.standing([ZoneWithdrawal(APEX, 0, 0)]).blockers))

    def states(self) -> dict[str, int]:
        return {state: count for (_, state), count in self.far.states().items() if count}


def acknowledging(query: dns.message.Message, over_tcp: bool) -> list[bytes]:
    """Answer NOTIFY, and to questions say that it is level with the first version."""
    if query.opcode() == dns.opcode.NOTIFY:
        return [dns.message.make_response(query).to_wire()]
    return [soa_answer(query, FIRST_SERIAL).to_wire()]


@contextlib.asynccontextmanager
async def going_to(reply: Reply, *, signs: TransferKey | None = None, notify: bool = True) -> AsyncIterator[World]:
    """Run a courier to a secondary that answers like this.

    Args:
        signs: what both sign with.
    """
    loop = asyncio.get_running_loop()
    fake, port = FakeSecondary(reply, signs), free_port()
    transport, _ = await loop.create_datagram_endpoint(lambda: fake, local_addr=("127.0.0.1", port))
    server = await asyncio.start_server(fake.converse, "127.0.0.1", port)
    secondary = Secondary(
        name="s1", address=Endpoint("127.0.0.1", port), key=signs, sources=(), zones=None, notify=notify
    )
    versions = Versions(records(ZONE))
    far = FarServers(
        cast(Publisher, None),
        versions,
        secondaries=lambda: [secondary],
        zones=lambda: [APEX],
        clock=lambda: 0.0,
        steady=loop.time,
        rivalry=Rivalry(heard=lambda apex, serial: None, overtaken=lambda apex: None),
    )
    correspondent = correspondent_of(secondary, [Endpoint("::1", 5354), Endpoint("127.0.0.2", 5354)])
    assert correspondent is not None
    one = Courier(
        secondary,
        APEX,
        correspondent,
        versions=versions,
        far=far,
        complaints=Complaints("transfer"),
        slots=Slots(),
    )
    running = asyncio.create_task(one.run())
    try:
        yield World(fake, versions, far, one)
        assert not running.done()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        server.close()
        transport.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a courier ask again after hundredths of seconds; but it waits for an answer as long as that takes."""
    monkeypatch.setattr(courier, "NOTIFY_WAITS", ANSWERED_WAITS)
    monkeypatch.setattr(courier, "NOTIFY_ANSWER_SECONDS", max(ANSWERED_WAITS))
    monkeypatch.setattr(courier, "ASK_WAITS", ANSWERED_WAITS)
    monkeypatch.setattr(courier, "LEAST_SECONDS", 0.001)
    monkeypatch.setattr(courier, "BEHIND_SECONDS", 0.01)
    monkeypatch.setattr(courier, "SILENT_SECONDS", 0.01)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have it give up soon, where no answer comes."""
    monkeypatch.setattr(courier, "NOTIFY_WAITS", SILENT_WAITS)
    monkeypatch.setattr(courier, "ASK_WAITS", SILENT_WAITS[:2])


async def test_a_notify_is_as_the_rfc_has_it() -> None:
    """One of the start, and one for each version: opcode, AA, the SOA asked for and along, signed, from our address."""
    async with going_to(acknowledging, signs=KEY) as world:
        await until(lambda: world.states() == {"level": 1})
        world.versions.change()
        world.courier.changed()
        await until(lambda: len(world.fake.notified()) == 2)
        assert world.fake.notified() == [FIRST_SERIAL, FIRST_SERIAL + 1]
        for each in world.fake.heard:
            assert each.had_tsig
            assert each.question[0].to_text() == "example.org. IN SOA"
            expected = dns.flags.AA if each.opcode() == dns.opcode.NOTIFY else 0
            assert dns.flags.Flag(each.flags & 0x87F0) == expected
        assert world.fake.sources == {"127.0.0.2"}
        await until(lambda: world.notifies() == {"ok": 2})
        assert world.states() == {"behind": 1}


@pytest.mark.usefixtures("impatient")
async def test_a_notify_without_an_answer_is_repeated_until_a_bound() -> None:
    """So often, and not again before there is something new to tell."""
    async with going_to(lambda query, over_tcp: []) as world:
        await until(lambda: world.notifies() == {"timeout": len(SILENT_WAITS)})
        await until(lambda: world.states() == {"silent": 1})
        asked = len(world.fake.heard)
        await until(lambda: len(world.fake.heard) > asked + 2)
        assert world.fake.notified() == [FIRST_SERIAL] * len(SILENT_WAITS)
        world.versions.change()
        world.courier.changed()
        await until(lambda: world.notifies() == {"timeout": 2 * len(SILENT_WAITS)})
        assert world.fake.notified()[len(SILENT_WAITS) :] == [FIRST_SERIAL + 1] * len(SILENT_WAITS)


@pytest.mark.usefixtures("impatient")
async def test_one_that_comes_back_is_told_again(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not only by the refresh of the SOA: as soon as it answers a question, and is behind; the log says it is back."""
    caplog.set_level(logging.INFO, "dnsd.adapters")
    silent = True

    def reply(query: dns.message.Message, over_tcp: bool) -> list[bytes]:
        if silent:
            return []
        if query.opcode() == dns.opcode.NOTIFY:
            return acknowledging(query, over_tcp)
        return [soa_answer(query, FIRST_SERIAL - 1).to_wire()]

    async with going_to(reply) as world:
        await until(lambda: world.notifies() == {"timeout": len(SILENT_WAITS)})
        for waits in ("NOTIFY_WAITS", "ASK_WAITS"):
            monkeypatch.setattr(courier, waits, ANSWERED_WAITS)
        silent = False
        await until(lambda: world.notifies().get("ok") and world.states() == {"behind": 1})
    said = [record for record in caplog.records if "again" in record.message]
    assert [(each.levelname, each.message) for each in said] == [
        ("INFO", f"transfer: secondary s1, its serial is known again: example.org.: it has {FIRST_SERIAL - 1}")
    ]


async def test_a_refusal_is_an_answer(caplog: pytest.LogCaptureFixture) -> None:
    """It is counted, logged once a minute, and ends the repetition."""

    def reply(query: dns.message.Message, over_tcp: bool) -> list[bytes]:
        answer = dns.message.make_response(query)
        answer.set_rcode(dns.rcode.NOTAUTH)
        return [answer.to_wire()]

    async with going_to(reply) as world:
        await until(lambda: world.notifies() == {"refused": 1})
        world.courier.changed()
        await until(lambda: world.notifies() == {"refused": 2})
        await until(lambda: world.states() == {"silent": 1})
    lines = [record.message for record in caplog.records if "NOTIFY" in record.message]
    assert lines == ["transfer: secondary s1, NOTIFY: example.org.: it answers NOTAUTH"]


def forged(query: dns.message.Message) -> list[bytes]:
    """Return packets that are no answer to a question, each for another reason."""
    answer = soa_answer(query, FIRST_SERIAL + 5)
    answer.id ^= 1
    other_id = answer.to_wire()
    answer.id ^= 1
    answer.flags ^= dns.flags.QR
    no_response = answer.to_wire()
    answer.flags ^= dns.flags.QR
    other = dns.message.make_response(dns.message.make_query("example.net.", "SOA", id=query.id))
    answer.set_opcode(dns.opcode.STATUS)
    return [b"", b"\0", other_id, no_response, other.to_wire(), answer.to_wire(), answer.to_wire()[:20]]


async def test_what_is_no_answer_is_passed_over() -> None:
    """Whatever comes before it, the answer counts."""
    async with going_to(lambda query, over_tcp: [*forged(query), *acknowledging(query, over_tcp)]) as world:
        await until(lambda: world.states() == {"level": 1} and world.notifies() == {"ok": 1})


@pytest.mark.usefixtures("impatient")
async def test_what_is_no_answer_is_told_where_none_comes() -> None:
    """The last reason why it was none."""
    async with going_to(lambda query, over_tcp: forged(query)) as world:
        await until(lambda: world.states() == {"silent": 1} and world.was_in_vain(why="bad"))


@pytest.mark.usefixtures("impatient")
async def test_an_answer_must_be_signed_as_the_question_was() -> None:
    """Without a signature, or with that of another secret, it is none; so is word that the key is unknown."""

    def unsigned(query: dns.message.Message, over_tcp: bool) -> list[bytes]:
        return [soa_answer(dns.message.make_query("example.org.", "SOA", id=query.id), FIRST_SERIAL).to_wire()]

    def foreign(query: dns.message.Message, over_tcp: bool) -> list[bytes]:
        answer = soa_answer(query, FIRST_SERIAL)
        answer.use_tsig(keyring_of(key(secret=b"x" * 32)))
        return [answer.to_wire()]

    def refusing(query: dns.message.Message, over_tcp: bool) -> list[bytes]:
        answer = dns.message.make_response(query, tsig_error=dns.rcode.BADKEY)
        answer.set_rcode(dns.rcode.NOTAUTH)
        return [answer.to_wire()]

    for reply, why in ((unsigned, "is not signed"), (foreign, "signature fails to verify"), (refusing, ": BADKEY, ")):
        async with going_to(reply, signs=KEY) as world:
            await world.until_blocked(why)


async def test_a_truncated_answer_is_asked_for_over_tcp() -> None:
    """As where a secondary limits rates."""

    def reply(query: dns.message.Message, over_tcp: bool) -> list[bytes]:
        if over_tcp:
            return acknowledging(query, over_tcp)
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.TC
        return [answer.to_wire()]

    async with going_to(reply, signs=KEY) as world:
        await until(lambda: world.states() == {"level": 1} and world.notifies() == {"ok": 1})


@pytest.mark.usefixtures("impatient")
async def test_tcp_that_ends_without_an_answer_is_none() -> None:
    """The failure is told, and nothing is left open."""

    def reply(query: dns.message.Message, over_tcp: bool) -> list[bytes]:
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.TC
        return [] if over_tcp else [answer.to_wire()]

    async with going_to(reply) as world:
        await until(lambda: world.states() == {"silent": 1} and world.was_in_vain(why="bad"))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda answer: answer.set_rcode(dns.rcode.SERVFAIL), "SERVFAIL"),
        (lambda answer: answer.answer.clear(), "it is no server of this zone"),
        (lambda answer: setattr(answer, "flags", answer.flags & ~dns.flags.AA), "it is no server of this zone"),
    ],
)
async def test_a_serial_counts_where_the_secondary_is_authoritative(
    change: Callable[[dns.message.Message], None], why: str
) -> None:
    """An expired zone, or none, is not known to be level."""

    def reply(query: dns.message.Message, over_tcp: bool) -> list[bytes]:
        answer = soa_answer(query, FIRST_SERIAL)
        change(answer)
        return [answer.to_wire()]

    async with going_to(reply, notify=False) as world:
        await world.until_blocked(f"(example.org.: {why})")
        assert world.fake.notified() == []


async def test_a_port_where_nobody_is_is_known_at_once() -> None:
    """The kernel tells it, and nobody waits for the time-out."""
    nobody = Correspondent(address=Endpoint("127.0.0.1", 9), key=None, source=None)
    with pytest.raises(asking.NoAnswer) as caught:
        await nobody.ask(dns.message.make_query("example.org.", "SOA"), timeout_seconds=60.0)
    assert (caught.value.result, str(caught.value)) == ("unreachable", "Connection refused")


async def test_only_so_much_goes_to_a_secondary_at_once_and_in_a_second() -> None:
    """Whoever comes too soon waits; one that is cancelled meanwhile takes no place from others."""
    slots, loop = Slots(), asyncio.get_running_loop()
    went: list[float] = []

    async def go() -> None:
        async with slots:
            went.append(loop.time())

    began = loop.time()
    waiting = [asyncio.create_task(go()) for _ in range(4 * MAX_UNDER_WAY)]
    await asyncio.sleep(0)
    for task in waiting[: 3 * MAX_UNDER_WAY]:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert len(went) >= MAX_UNDER_WAY
    assert slots._next_at >= began + len(went) / MOST_PER_SECOND
    assert not slots._free.locked()


def test_questions_come_from_the_address_that_is_listened_on() -> None:
    """Of the secondary's family, and never a wildcard."""
    listen = [Endpoint("0.0.0.0", 1), Endpoint("192.0.2.1", 1), Endpoint("::", 1)]
    for host, source in (("192.0.2.53", "192.0.2.1"), ("2001:db8::53", None)):
        asked = Secondary(name="s", address=Endpoint(host, 53), key=None, sources=(), zones=None, notify=True)
        found = correspondent_of(asked, listen)
        assert found is not None
        assert found.source == source
    hidden = Secondary(name="s", address=None, key=KEY, sources=(), zones=None, notify=False)
    assert correspondent_of(hidden, listen) is None
