"""What the page on PowerDNS shows, run with a real pdns_server: its configurations as they are printed."""

from __future__ import annotations

import asyncio
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import dns.asyncquery
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

from dnsd.config.loading import load_settings
from dnsd.control.fleetbuilding import build_fleet
from dnsd.core.names import from_text, to_text
from dnsd.model.state import FleetState
from tests.docs.blocks import blocks_of
from tests.docs.example import ROOT, ExampleServer
from tests.support.pdns import PowerDns
from tests.support.servers import PATIENCE_SECONDS, free_port, started, wait_until

PAGE = ROOT / "docs" / "integrations" / "powerdns.md"
ODD_ZONE = ROOT / "tests" / "support" / "odd.zone"

Question = tuple[str, str]

# What the zones and pools have records of, and types that nothing has.
TYPES = ("A", "AAAA", "NS", "SOA", "MX", "TXT", "SRV", "CNAME", "DNAME", "CAA", "HTTPS", "DS", "PTR", "TYPE65280")

# Of names that may not exist.
FEW_TYPES = ("A", "TXT", "DS")

# Names with bytes that hosts have not in theirs.
ODD_NAMES = (r"a\032b", r"\255\000", "x/y", r"a\.b", r"nope\@.a", r"A\.b.WILD")

# Asked at once. Unit: questions.
AT_ONCE = 8

# Answered with two of four addresses.
SAMPLED = "live.example.org."

SERVICE = ("edge.example.org.", "HTTPS")

# One that fails while it is empty, for every name below another one.
WILD_POOL = """
[[pool]]
name = "*.wildfail.example.org."
role = "storage"
floor = 0
when_empty = "servfail"
"""

# What the page's table says: the sections, or the RCODE, in which the two may differ.
TOLD: dict[Question, set[str]] = {
    ("example.net.", "NS"): {"additional"},
    ("example.org.", "NS"): {"additional"},
    ("example.org.", "MX"): {"additional"},
    ("a.odd.example.", "AFSDB"): {"additional"},
    ("a.odd.example.", "KX"): {"additional"},
    ("round.odd.example.", "A"): {"rcode", "answer"},
    ("round2.odd.example.", "A"): {"rcode", "answer"},
    ("long1.odd.example.", "A"): {"rcode", "answer"},
    ("a.odd.example.", "RRSIG"): {"rcode", "authority"},
    ("a.odd.example.", "ANY"): {"answer", "flags"},
}


class World:
    """The example with the page's tables and a zone of odd things, and a PowerDNS for each way to ask."""

    def __init__(self, folder: Path) -> None:
        self.server = ExampleServer(folder)
        self.socket = folder / "powerdns.sock"
        self._http_port = free_port()
        shutil.copy(ODD_ZONE, folder)
        by_socket, by_http = blocks_of(PAGE, "toml")
        # Both ways at once: one table with the lines of both.
        table = dict.fromkeys([*by_socket.splitlines(), *by_http.splitlines()])
        odd = f'[[zone]]\nname = "odd.example."\nfile = "{ODD_ZONE.name}"\n'
        more = "\n".join((odd, WILD_POOL, *map(self.put, table), ""))
        self.server.config.write_text(f"{self.server.config.read_text()}\n{more}")
        self.ports: dict[str, int] = {}
        self.pdns: dict[str, PowerDns] = {}

    def put(self, text: str) -> str:
        """Return a text of the page as it has to be here."""
        return text.replace("/run/dnsd/powerdns.sock", str(self.socket)).replace("8056", str(self._http_port))

    def start(self) -> None:
        """Start all three."""
        self.server.start()
        self.add("unix")
        self.add("http", "")

    def add(self, way: str, options: str | None = None) -> None:
        """Start a PowerDNS as the page has it.

        Args:
            options: what the page's line for HTTP ends with besides; None: it is not used.
        """
        config, over_http = blocks_of(PAGE, "ini")
        if options is not None:
            connection = f"{over_http.rstrip()}{options}\n"
            config = re.sub(r"^remote-connection-string=.*\n", connection, config, flags=re.MULTILINE)
        port = self.ports[way] = free_port()
        self.pdns[way] = PowerDns(self.server.folder / f"pdns-{way}", self.put(config.replace("5300", str(port))))
        self.pdns[way].start()

    def close(self) -> None:
        """End all three."""
        for each in self.pdns.values():
            each.kill()
        self.server.close()

    def names(self) -> Iterator[tuple[str, list[str]]]:
        """Yield every name of the zones and of the fleet, with the types of its records."""
        settings = load_settings(self.server.config)
        fleet = build_fleet(settings, FleetState(), now=time.time())
        nodes = {name: node for zone in settings.zones.values() for name, node in zone.nodes.items()}
        for name, node in sorted({**nodes, **fleet.overlay}.items()):
            yield to_text(name), [dns.rdatatype.to_text(dns.rdatatype.RdataType.make(each)) for each in node.rrsets]

    def ask(self, way: str, *questions: Question) -> list[dns.message.Message]:
        """Return what PowerDNS answers; `dnsd`: what dnsd does."""
        port = self.server.dns_port if way == "dnsd" else self.ports[way]
        return asyncio.run(_asked(port, questions))

    def is_right(self, way: str, question: Question) -> bool:
        """Say whether PowerDNS's threads give dnsd's answer to a question."""
        return not compared(self, way, [question] * AT_ONCE)

    def addresses(self, way: str, name: str) -> set[str]:
        """Return the addresses of an answer."""
        (answer,) = self.ask(way, (name, "A"))
        return {record.to_text() for rrset in answer.answer for record in rrset}


async def _asked(port: int, questions: Iterable[Question]) -> list[dns.message.Message]:
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(name: str, rdtype: str) -> dns.message.Message:
        query = dns.message.make_query(name, rdtype, use_edns=0, payload=1232, flags=0)
        async with turns:
            return await dns.asyncquery.udp(query, "127.0.0.1", port=port, timeout=PATIENCE_SECONDS)

    return await asyncio.gather(*(one(*question) for question in questions))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("powerdns"))
    with started(world):
        yield world


# --- answers ----------------------------------------------------------------------------------------------------------


def _records(section: list[dns.rrset.RRset]) -> set[tuple[str, int, str]]:
    """Return a section's records without their order; nor has that of hints or parameters a meaning."""
    return {
        (rrset.name.to_text().lower(), rrset.ttl, ",".join(sorted(re.split(r'[," ]+', record.to_text().lower()))))
        for rrset in section
        for record in rrset
    }


def differences(question: Question, one: dns.message.Message, other: dns.message.Message) -> set[str]:
    """Return the parts in which two answers say something else."""
    found = {
        name
        for name in ("answer", "authority", "additional")
        if _records(getattr(one, name)) != _records(getattr(other, name))
    }
    if question[0].endswith(SAMPLED) and len(one.answer) == len(other.answer) == 1:
        found -= {"answer"} if len(one.answer[0]) == len(other.answer[0]) == 2 else set()
    if one.rcode() != other.rcode():
        found.add("rcode")
    aa = dns.flags.AA if one.rcode() != dns.rcode.SERVFAIL else 0
    if one.flags & aa != other.flags & aa or other.flags & dns.flags.TC:
        found.add("flags")
    return found


def compared(world: World, way: str, questions: list[Question]) -> dict[Question, set[str]]:
    """Return the questions that PowerDNS and dnsd answer differently, with the parts that differ."""
    answers = zip(questions, world.ask("dnsd", *questions), world.ask(way, *questions), strict=True)
    return {question: found for question, one, other in answers if (found := differences(question, one, other))}


def test_every_answer_is_dnsds_own_but_for_those_that_the_page_tells_of(world: World) -> None:
    """All names of the example and of the odd zone, by all types; names beside and below them; and odd names."""
    questions: list[Question] = []
    apart = {"round.odd.example.", "round2.odd.example.", "long1.odd.example."}
    for name, types in world.names():
        if name in apart:
            continue
        few = name.endswith(".odd.example.") or name.startswith("console-")
        questions += [(name, each) for each in dict.fromkeys((*types, *(FEW_TYPES if few else TYPES)))]
        questions += [(f"nope.{name}", each) for each in FEW_TYPES]
        questions += [(f"a.nope.{name}", "A")]
    questions += [(f"{name}.odd.example.", "TXT") for name in ODD_NAMES]
    questions += [question for question in TOLD if question not in questions]
    questions += [("example.com.", "A"), ("org.", "SOA"), (".", "NS"), ("WWW.eXample.ORG.", "AAAA")]
    assert len(questions) > 700
    assert compared(world, "unix", questions) == TOLD
    assert [answer.rcode() for answer in world.ask("unix", ("round.odd.example.", "A"))] == [dns.rcode.SERVFAIL]


def test_over_http_answers_are_the_same(world: World) -> None:
    """Each record of every name, a name that is not there below each, and odd names, whose paths are encoded."""
    questions = [(name, each) for name, types in world.names() for each in types]
    questions += [(f"nope.{name}", "A") for name, _ in world.names()]
    questions += [(f"{name}.odd.example.", "TXT") for name in ODD_NAMES]
    told = {question: TOLD[question] for question in questions if question in TOLD}
    assert compared(world, "http", questions) == told


def test_over_http_it_may_post(world: World) -> None:
    """`post=yes` and `post_json=yes` lead to the same answers."""
    questions = [("www.example.org.", "A"), ("nope.example.org.", "A"), (r"a\.b.odd.example.", "TXT"), SERVICE]
    for option in ("post=yes", "post=yes,post_json=yes"):
        way = option.rpartition(",")[2]
        world.add(way, f",{option}")
        assert compared(world, way, questions) == {}
        world.pdns.pop(way).kill()


@pytest.mark.parametrize("way", ["unix", "http"])
def test_a_pool_that_does_not_fit_takes_turns(world: World, way: str) -> None:
    """The answers have two of the four nodes, in the pairs that dnsd's own have, and all come."""

    def pairs(of: str) -> set[frozenset[str]]:
        answers = world.ask(of, *[(SAMPLED, "A")] * 60)
        return {frozenset(record.to_text() for record in answer.answer[0]) for answer in answers}

    assert {len(each) for each in pairs(way)} == {2}
    assert len(frozenset().union(*pairs(way))) == 4
    assert pairs(way) == pairs("dnsd")


# --- drains -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["unix", "http"])
def test_a_drain_is_in_the_next_answer(world: World, way: str) -> None:
    """With the page's caches off, nothing is between a drain and PowerDNS; a node's own name stays."""
    pool, own = "eu.edge.example.org.", "edge-1.nodes.example.org."
    (address,) = world.addresses(way, own)
    assert address in world.addresses(way, pool)
    world.server.cli("drain", "edge-1", "--role", "edge", "--reason", "kernel")
    assert address not in world.addresses(way, pool)
    assert world.addresses(way, own) == {address}
    dns_progress = world.server.cli("status", "edge-1")["roles"]["edge"]["dns"]
    # No worker was asked for a while; PowerDNS was.
    assert dns_progress["caches_clear_at"] > dns_progress["withdrawn_at"]
    world.server.cli("undrain", "edge-1")
    assert address in world.addresses(way, pool)


def test_ttls_count_down_to_a_drain(world: World) -> None:
    """PowerDNS hands on the TTL that ends with the drain that is scheduled."""
    at = datetime.now(UTC) + timedelta(seconds=50)
    world.server.cli("drain", "edge-1", "--reason", "kernel", "--at", at.strftime("%Y-%m-%dT%H:%M:%SZ"))
    (answer,) = world.ask("unix", ("any.cdn.example.org.", "A"))
    assert 0 < answer.answer[0].ttl <= 50
    world.server.cli("undrain", "edge-1")
    (answer,) = world.ask("unix", ("any.cdn.example.org.", "A"))
    assert answer.answer[0].ttl == 60


def test_a_pool_that_fails_fails_there_too(world: World) -> None:
    """Where a pool answers SERVFAIL while it is empty, so does PowerDNS: to questions for its types, at its name."""
    settings = load_settings(world.server.config)
    nodes = [key for key, node in settings.nodes.items() if "storage" in node.roles]
    for key in nodes:
        options = ("--role", "storage", "--reason", "move", "--force", "--wait", "applied")
        world.server.cli("drain", key, *options)
    names = ("storage.example.org.", "eu.storage.example.org.", "x.storage.example.org.", "x.wildfail.example.org.")
    questions = [(name, rdtype) for name in names for rdtype in ("A", "AAAA", "TXT")]
    failing = [answer.rcode() == dns.rcode.SERVFAIL for answer in world.ask("dnsd", *questions)]
    assert failing == [True, True, False, *[False] * 6, True, True, False]
    for way in world.pdns:
        assert compared(world, way, [*questions * AT_ONCE, ("edge.example.org.", "A")]) == {}
        assert "Attempt to lookup while one running" not in world.pdns[way].said()
    for key in nodes:
        world.server.cli("undrain", key, "--wait", "applied")
    assert compared(world, "unix", questions) == {}


# --- ends and starts ------------------------------------------------------------------------------------------------


def test_either_side_may_end_and_start_again(world: World) -> None:
    """A PowerDNS that was killed answers after its start; a dnsd that ends or is killed is found again by both."""
    question = ("www.example.org.", "A")
    for each in world.pdns.values():
        each.kill()
        each.start()
    assert compared(world, "unix", [question]) == compared(world, "http", [question]) == {}
    for end in (world.server.stop, world.server.kill):
        end()
        assert world.socket.exists() == (end == world.server.kill)
        for way in world.pdns:
            assert [answer.rcode() for answer in world.ask(way, question)] == [dns.rcode.SERVFAIL]
        world.server.start()
        for way in world.pdns:
            # Each of its threads has a connection of its own to lose.
            wait_until(partial(world.is_right, way, question), f"{way}: it answers again")


def test_pdnsutil_reads_a_zone(world: World) -> None:
    """`list-zone` has every record of a zone, those of pools and nodes included."""
    listed = world.pdns["unix"].util("list-zone", "example.org")
    for line in (
        "edge.example.org\t30\tIN\tA\t192.0.2.11",
        "edge-1.nodes.example.org\t300\tIN\tA\t192.0.2.11",
        "example.org\t3600\tIN\tMX\t10 mail.example.org.",
    ):
        assert line in listed.splitlines()
    assert "odd.example" in world.pdns["http"].util("list-all-zones")
    zones = {from_text(line) for line in world.pdns["http"].util("list-all-zones").splitlines() if "." in line}
    assert {from_text("example.org."), from_text("example.net.")} < zones
