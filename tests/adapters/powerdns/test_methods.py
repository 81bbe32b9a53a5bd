"""The methods of PowerDNS's remote backend, over a small fleet."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsd.adapters.powerdns import methods
from dnsd.adapters.powerdns.calls import Call, MalformedCall
from dnsd.adapters.powerdns.methods import METHODS, Backend
from dnsd.adapters.powerdns.questions import matching
from dnsd.core.fleet import Fleet, FleetSpec
from dnsd.core.names import from_text
from dnsd.model.pool import PoolType, Service, WhenEmpty
from dnsd.model.state import FleetState
from tests.support.dnsmessages import zone_of
from tests.support.fleets import NOW, PER_NODE, drain, node, pool

PARENT = zone_of(
    """
    @ SOA ns1 hostmaster 7 7200 900 1209600 60
    @ NS ns1
    ns1 A 192.0.2.1
    edge TXT "beside the pool"
    x.y TXT "row 4"
    *.wild MX 10 mail
    child NS ns.child
    ns.child A 192.0.2.53
    ns.child TXT "hidden"
    moved DNAME y
    """
)
CHILD = zone_of(
    """
    @ SOA ns hostmaster 1 7200 900 1209600 60
    @ NS ns
    ns A 192.0.2.53
    """,
    apex="child.example.org.",
)
NODES = [node("a", "192.0.2.11", "2001:db8::11"), node("b", "192.0.2.12"), node("c", "192.0.2.13")]


def fleet_with(*pools: Any, drains: Any = (), nodes: Any = NODES, zones: Any = (PARENT, CHILD)) -> Fleet:
    """Return a fleet over two zones, with a pool of its own where none is given."""
    spec = FleetSpec(zones={each.apex: each for each in zones}, pools=pools or (pool(),), node_records=(PER_NODE,))
    state = FleetState(drains={each.key: each for each in drains})
    return Fleet(spec, {each.id: each for each in nodes}, state, now=NOW)


class Asker:
    """Asks a backend, at an instant and with a coin that the test sets."""

    def __init__(self, fleet: Fleet | None = None) -> None:
        self.fleet = fleet or fleet_with()
        self.now = NOW
        self.coin = 0
        self.serials: dict[bytes, int] = {}
        self._backend = Backend(
            lambda: self.fleet, serials=lambda: self.serials, clock=lambda: self.now, coin=lambda: self.coin
        )

    def reply(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self._backend.answer(Call(method, {key.replace("_", "-"): each for key, each in parameters.items()}))

    def call(self, method: str, **parameters: Any) -> Any:
        """Return a result."""
        return self._backend.answer(Call(method, parameters))["result"]

    def lookup(self, qname: str, qtype: str = "ANY", zone: int = -1) -> list[tuple[str, str, int]]:
        """Return type, content and TTL of the records of a lookup."""
        found = self.reply("lookup", qname=qname, qtype=qtype, zone_id=zone)["result"]
        assert {each["qname"] for each in found} <= {qname}
        return [(each["qtype"], each["content"], each["ttl"]) for each in found]

    def zone(self, name: str) -> int:
        """Return a zone's id."""
        number: int = self.call("getDomainInfo", name=name)["id"]
        return number


def test_a_pool_is_looked_up_with_what_the_zone_has_beside_it() -> None:
    """All types for ANY, one for another type, each name in the case in which it was asked for."""
    asker = Asker(fleet_with(pool(max_answers=8)))
    addresses = [("A", f"192.0.2.{number}", 30) for number in (11, 12, 13)]
    found = asker.lookup("eDGe.example.org.")
    assert sorted(found[:3]) == addresses
    assert found[3:] == [("TXT", '"beside the pool"', 300), ("AAAA", "2001:db8::11", 30)]
    assert asker.lookup("edge.example.org.", "AAAA") == [("AAAA", "2001:db8::11", 30)]
    assert asker.lookup("edge.example.org.", "MX") == []
    assert asker.lookup("a.nodes.example.org.", "A") == [("A", "192.0.2.11", 300)]


def test_lookups_take_turns_and_sometimes_two() -> None:
    """Every lookup gets the next order; a coin decides on one more step, so that no order is left out for ever."""
    nodes = ["192.0.2.11", "192.0.2.12", "192.0.2.13"]
    asker = Asker()

    def steps() -> list[int]:
        """Return how far the first addresses of lookups in a row are from each other."""
        firsts = [nodes.index(asker.lookup("edge.example.org.", "A")[0][1]) for _ in range(4)]
        return [(after - before) % 3 for before, after in pairwise(firsts)]

    assert steps() == [1, 1, 1]
    asker.coin = 1
    assert steps() == [2, 2, 2]


def test_a_drained_node_is_gone_with_the_step_of_the_fleet() -> None:
    """A lookup reads the fleet as it is, and a TTL ends where a drain is due."""
    asker = Asker(fleet_with(drains=[drain("b", starts_at=NOW + 10)]))
    asker.now = NOW + 3
    assert {ttl for _, _, ttl in asker.lookup("edge.example.org.", "A")} == {7}
    asker.fleet.tick(now=NOW + 10)
    asker.now = NOW + 10
    assert {each[1:] for each in asker.lookup("edge.example.org.", "A")} == {("192.0.2.11", 30), ("192.0.2.13", 30)}
    assert asker.lookup("b.nodes.example.org.", "A") == [("A", "192.0.2.12", 300)]


def test_a_name_without_records_is_there() -> None:
    """Empty non-terminals of zone and fleet, and a pool that is empty, are records without a type; others are none."""
    everybody = [drain(each.id) for each in NODES]
    asker = Asker(fleet_with(pool("empty.example.org."), drains=everybody))
    for name in ("y.example.org.", "nodes.example.org.", "empty.example.org.", "wild.example.org."):
        assert asker.lookup(name) == [("", "", 60)]
        assert asker.lookup(name, "A") == []
    for name in ("z.example.org.", "x.wild.example.org.", "org.", ".", "example.com."):
        assert asker.lookup(name) == []
    assert asker.lookup("*.wild.example.org.") == [("MX", "10 mail.example.org.", 300)]


def test_a_pool_that_fails_has_a_program_that_fails_for_each_of_its_types() -> None:
    """PowerDNS answers SERVFAIL for these; what is beside the pool is told as ever, and no list has the program."""
    everybody = [drain(each.id) for each in NODES]
    asker = Asker(fleet_with(pool(when_empty=WhenEmpty.SERVFAIL), drains=everybody))
    failure = "\"error('no node of the pool serves')\""
    beside = ("TXT", '"beside the pool"', 300)
    assert asker.lookup("edge.example.org.") == [("LUA", f"A {failure}", 0), ("LUA", f"AAAA {failure}", 0), beside]
    assert asker.lookup("edge.example.org.", "A") == [("LUA", f"A {failure}", 0)]
    assert asker.lookup("edge.example.org.", "TXT") == [beside]
    listed = asker.call("list", zonename="example.org.")
    assert [each["qtype"] for each in listed if each["qname"] == "edge.example.org."] == ["TXT"]


def test_a_zone_cannot_give_orders_to_powerdns() -> None:
    """The two types that PowerDNS acts on are left out, whatever a zone file has of them."""
    zone = zone_of(
        r"""
        @ SOA ns1 hostmaster 7 7200 900 1209600 60
        x TYPE65402 \# 4 CAFE0001
        x TYPE65401 \# 4 CAFE0001
        x TYPE65400 \# 4 CAFE0001
        """
    )
    asker = Asker(fleet_with(zones=(zone,)))
    assert asker.lookup("x.example.org.") == [("TYPE65400", r"\# 4 cafe0001", 300)]


def test_each_zone_has_its_own_side_of_a_delegation() -> None:
    """The parent has its NS and glue, the child its apex, and what a cut or a DNAME hides is nobody's."""
    asker = Asker()
    parent, child = asker.zone("example.org."), asker.zone("child.example.org.")
    assert [each[0] for each in asker.lookup("child.example.org.", zone=parent)] == ["NS"]
    assert [each[0] for each in asker.lookup("child.example.org.", zone=child)] == ["NS", "SOA"]
    assert asker.lookup("ns.child.example.org.", zone=parent) == [("A", "192.0.2.53", 300)]
    assert asker.lookup("ns1.example.org.", zone=child) == []
    assert asker.lookup("ns1.example.org.", zone=12345) == []
    assert [each[0] for each in asker.lookup("child.example.org.", "SOA")] == ["SOA"]
    assert asker.lookup("moved.example.org.") == [("DNAME", "y.example.org.", 300)]


def test_ids_of_zones_are_those_of_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """They stay when zones come, and two names of one number get different ones."""
    one, both = Asker(fleet_with(zones=(PARENT,))), Asker()
    assert one.zone("example.org.") == both.zone("example.org.")
    assert 0 < both.zone("example.org.") != both.zone("child.example.org.")
    one.fleet = both.fleet
    assert one.zone("child.example.org.") == both.zone("child.example.org.")
    monkeypatch.setattr("dnsd.adapters.powerdns.questions.crc32", lambda name: 0xFFFF_FFFF)
    assert {each["id"] for each in Asker().call("getAllDomains")} == {0x7FFF_FFFF, 1}


def test_zones_are_told_with_their_serial() -> None:
    """They are native, so that PowerDNS neither notifies nor transfers."""
    asker = Asker()
    info = asker.call("getDomainInfo", name="EXAMPLE.org.")
    assert {key: info[key] for key in ("zone", "kind", "serial", "masters")} == {
        "zone": "example.org.",
        "kind": "native",
        "serial": 7,
        "masters": [],
    }
    assert info in asker.call("getAllDomains", include_disabled=True)
    assert asker.call("getDomainInfo", name="ns1.example.org.") is False


def test_a_zone_has_the_serial_that_secondaries_have_it_at() -> None:
    """Where the publisher has given it one: in its SOA, in lists and in what is told of zones; others keep theirs."""
    asker = Asker()
    asker.serials = {from_text("example.org."): 4_000_000_000}

    def soas(records: list[dict[str, Any]]) -> set[str]:
        return {each["content"].split()[2] for each in records if each["qtype"] == "SOA"}

    assert soas(asker.reply("lookup", qname="Example.org.", qtype="SOA")["result"]) == {"4000000000"}
    assert soas(asker.reply("lookup", qname="example.org.", qtype="ANY")["result"]) == {"4000000000"}
    assert soas(asker.call("list", zonename="example.org.")) == {"4000000000"}
    assert soas(asker.reply("lookup", qname="child.example.org.", qtype="SOA")["result"]) == {"1"}
    told = {each["zone"]: (each["serial"], each["notified_serial"]) for each in asker.call("getAllDomains")}
    assert told == {"example.org.": (4_000_000_000,) * 2, "child.example.org.": (1, 1)}
    asker.serials[from_text("example.org.")] = 0
    assert soas(asker.reply("lookup", qname="example.org.", qtype="SOA")["result"]) == {"0"}


def test_a_list_has_everything_and_takes_no_turn() -> None:
    """All that an answer of a pool may hold is there, each once, the fleet's names included, what is hidden not."""
    asker = Asker(fleet_with(pool(max_answers=1)))
    before = asker.lookup("edge.example.org.", "A")
    listed = {(each["qname"], each["qtype"], each["content"]) for each in asker.call("list", zonename="example.org.")}
    assert {("edge.example.org.", "A", f"192.0.2.{number}") for number in (11, 12, 13)} < listed
    assert ("c.nodes.example.org.", "A", "192.0.2.13") in listed
    assert ("ns.child.example.org.", "A", "192.0.2.53") in listed
    assert ("ns.child.example.org.", "TXT", '"hidden"') not in listed
    assert {each["qname"] for each in asker.call("list", zonename="child.example.org.")} == {
        "child.example.org.",
        "ns.child.example.org.",
    }
    other = Asker(fleet_with(pool(max_answers=1)))
    assert other.lookup("edge.example.org.", "A") == before
    assert other.lookup("edge.example.org.", "A") == asker.lookup("edge.example.org.", "A")
    assert asker.call("list", zonename="example.net.") is False


def test_a_list_and_a_search_have_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A zone of too many names is not listed, and a search looks at so many names and finds so many records."""
    asker = Asker()
    assert len(asker.call("searchRecords", pattern="*", maxResults=3)) == 3
    monkeypatch.setattr(methods, "MAX_LISTED_NAMES", 5)
    reply = asker.reply("list", zonename="example.org.")
    assert (reply["result"], reply["log"]) == (False, ["a zone of more than 5 names is not listed"])
    monkeypatch.setattr(methods, "MAX_LISTED_NAMES", 4_000)
    monkeypatch.setattr(methods, "MAX_LISTED_RECORDS", 5)
    reply = asker.reply("list", zonename="example.org.")
    assert (reply["result"], reply["log"]) == (False, ["a zone of more than 5 records is not listed"])
    monkeypatch.setattr(methods, "MAX_FOUND", 4)
    assert len(asker.call("searchRecords", pattern="*", maxResults=1_000_000)) == 4
    monkeypatch.setattr(methods, "MAX_SEARCHED_NAMES", 1)
    assert {each["qname"] for each in asker.call("searchRecords", pattern="*", maxResults=9)} == {"example.org."}


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("?.NODES.example.org", ["a.nodes.example.org.", "b.nodes.example.org.", "c.nodes.example.org."]),
        ("192.0.2.13", ["edge.example.org.", "c.nodes.example.org."]),
        ("x.y.example.org.", ["x.y.example.org."]),
        ("x+y", []),
    ],
)
def test_names_and_contents_are_searched(pattern: str, found: list[str]) -> None:
    """`*` stands for any text and `?` for a character; final dots and case do not count."""
    owners = [each["qname"] for each in Asker().call("searchRecords", pattern=pattern, maxResults=50)]
    assert sorted(set(owners)) == sorted(found)


@given(st.text("ab.?*", max_size=8), st.text("ab.", max_size=8))
def test_a_pattern_is_any_text_for_a_star_and_a_character_for_a_question_mark(pattern: str, text: str) -> None:
    """As an expression that tries every place for every star has it."""
    parts = {"*": ".*", "?": "."}
    wanted = "".join(parts.get(each) or re.escape(each) for each in pattern.removesuffix("."))
    assert matching(pattern)(text) == bool(re.fullmatch(wanted, text.removesuffix(".")))


def test_many_stars_are_no_way_to_keep_the_server_busy() -> None:
    """Whoever tried every place for every star would not come to an end."""
    assert not matching("*a" * 500 + "b")("a" * 255 * 4)
    assert matching("*a" * 500)("a" * 255 * 4)


def test_services_are_written_as_powerdns_reads_them() -> None:
    """Priorities are in the content, a port of SVCB has no quotes, and targets have their final dot."""
    http = Service(port=443, priority=1, alpn=("h2", "h3"))
    srv = pool("srv.example.org.", type=PoolType.SRV, targets=PER_NODE, service=Service(port=443))
    svcb = pool("svcb.example.org.", type=PoolType.SVCB, targets=PER_NODE, service=http)
    asker = Asker(fleet_with(srv, svcb, nodes=NODES[:1]))
    assert asker.lookup("srv.example.org.") == [("SRV", "0 100 443 a.nodes.example.org.", 30)]
    ((rdtype, content, _),) = asker.lookup("svcb.example.org.")
    hints = 'ipv4hint="192.0.2.11" ipv6hint="2001:db8::11"'
    assert (rdtype, content) == ("SVCB", f'1 a.nodes.example.org. alpn="h2,h3" port=443 {hints}')


def test_there_is_nothing_secret_signed_or_changed() -> None:
    """Metadata, keys and notifications: none; what would write is refused in words; so is what nobody knows."""
    asker = Asker()
    assert asker.call("initialize", path="/run/x.sock") is True
    # For the programs of pools that fail.
    assert asker.call("getAllDomainMetadata", name="example.org.") == {"ENABLE-LUA-RECORDS": ["1"]}
    assert asker.call("getDomainMetadata", name="example.org.", kind="ENABLE-LUA-RECORDS") == ["1"]
    assert asker.call("getDomainMetadata", name="example.org.", kind="ALLOW-AXFR-FROM") == []
    assert asker.call("getDomainKeys", name="example.org.") == []
    assert asker.call("getTSIGKeys") == asker.call("getUpdatedMasters") == asker.call("getUnfreshSlaveInfos") == []
    assert asker.call("searchComments", pattern="*", maxResults=1) == []
    assert asker.reply("getTSIGKey", name="key.") == {"result": False, "log": ["dnsd gives no keys away"]}
    assert asker.reply("getBeforeAndAfterNamesAbsolute", id=1, qname="x.")["log"] == ["dnsd's zones are not signed"]
    assert asker.reply("feedRecord", rr={})["log"] == ["feedRecord: nothing of dnsd's is changed through PowerDNS"]
    assert asker.reply("noSuchMethod") == {"result": False, "log": ["dnsd has no such method"]}


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        ("lookup", {}),
        ("lookup", {"qname": "x."}),
        ("lookup", {"qname": "x.", "qtype": 1}),
        ("lookup", {"qname": "x.", "qtype": "NO-TYPE"}),
        ("lookup", {"qname": "x.", "qtype": "TYPE99999"}),
        ("lookup", {"qname": "a..b.", "qtype": "A"}),
        ("lookup", {"qname": "x" * 64 + ".", "qtype": "A"}),
        ("lookup", {"qname": "x." * 128, "qtype": "A"}),
        ("lookup", {"qname": "\\999.", "qtype": "A"}),
        ("lookup", {"qname": "b\u00fccher.", "qtype": "A"}),
        ("lookup", {"qname": "b\u00fc\\.cher.", "qtype": "A"}),
        ("lookup", {"qname": None, "qtype": "A"}),
        ("lookup", {"qname": "x.", "qtype": "A", "zone-id": "one"}),
        ("lookup", {"qname": "x.", "qtype": "A", "zone-id": True}),
        ("lookup", {"qname": "x.", "qtype": "A", "zone-id": [1]}),
        ("list", {"zonename": 1}),
        ("getDomainInfo", {}),
        ("getDomainMetadata", {"kind": "x"}),
        ("searchRecords", {"pattern": []}),
        ("searchRecords", {"pattern": "*" * 1025}),
        ("searchRecords", {"pattern": "*", "maxResults": "many"}),
    ],
)
def test_parameters_that_make_no_sense_are_malformed(method: str, parameters: dict[str, Any]) -> None:
    """Each is told apart from a name that is not there."""
    with pytest.raises(MalformedCall):
        Asker().call(method, **parameters)


def test_a_name_with_escapes_is_the_same_name() -> None:
    """PowerDNS escapes bytes as master files do; names fold."""
    asker = Asker()
    assert asker.lookup("\\101dge.example.org.", "AAAA") == [("AAAA", "2001:db8::11", 30)]
    assert asker.lookup("\\065dge.example.org.", "AAAA") == []
    assert from_text("example.org.") == PARENT.apex


def test_every_method_answers_whatever_it_is_called_with() -> None:
    """Numbers, texts, lists and nothing: each method returns a reply, or says that the call is malformed."""
    asker = Asker()
    names = ("qname", "qtype", "zonename", "name", "kind", "pattern", "maxResults", "zone-id", "id", "domain_id")
    values: tuple[Any, ...] = (None, 0, -1, 2**70, 1.5, "", ".", "x", "\\", "*" * 300, [], {}, True)
    for value in values:
        for method in (*METHODS, "feedRecord", ""):
            try:
                reply = asker.reply(method, **dict.fromkeys(names, value))
            except MalformedCall:
                continue
            assert "result" in reply
