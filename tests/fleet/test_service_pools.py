"""Pools that point to their nodes, and HTTPS records beside addresses: what is answered, for how long, and what not."""

from __future__ import annotations

from collections import Counter

import dns.message
import dns.rdatatype
import pytest

from dnsd.core.engine import Engine
from dnsd.core.fleet import Fleet, FleetSpec
from dnsd.core.fleet_change import Withdrawal
from dnsd.core.via import TCP
from dnsd.model.drain import Mode
from dnsd.model.node import Monitor, Node
from dnsd.model.pool import NodeRecordSpec, PoolSpec, PoolType, Service, WhenEmpty
from dnsd.model.report import Report
from dnsd.model.state import FleetState
from tests.support.dnsmessages import decode, shown, zone_of
from tests.support.fleets import NOW, PER_NODE, drain, fleet_of, node, pool, put, snapshot_of

T = NOW + 100
SERVICE = "_rtmp._tcp.example.org."
A, B = node("a", "192.0.2.10"), node("b", "192.0.2.11", "2001:db8::11", weight=50)
SOA = "example.org. 60 SOA ns1.example.org. hostmaster.example.org. 1 7200 900 1209600 60"
NODATA = f"NOERROR aa\nauthority:\n  {SOA}"


def srv(owner: str = SERVICE, **fields: object) -> PoolSpec:
    """Return an SRV pool on port 1935, unless fields say otherwise."""
    given = {"type": PoolType.SRV, "service": Service(port=1935), "targets": PER_NODE, **fields}
    return pool(owner, **given)


def web(owner: str = "edge.example.org.", **fields: object) -> PoolSpec:
    """Return a pool of addresses with an HTTPS record beside them."""
    return pool(owner, **{"https": Service(alpn=("h2", "h3"), port=8443), **fields})


def engine(fleet: Fleet) -> Engine:
    def fail(failure: Exception) -> None:
        raise failure

    return Engine(snapshot_of(fleet), on_failure=fail)


def ask(fleet: Fleet | Engine, name: str = SERVICE, rdtype: str = "SRV", *, now: float = NOW) -> str:
    """Return the response in presentation format, records of a section sorted: their order is a matter of turns."""
    asked = engine(fleet) if isinstance(fleet, Fleet) else fleet
    query = dns.message.make_query(name, rdtype)
    packet = asked.respond(query.to_wire(), now=now, via=TCP, peer="")
    assert packet is not None
    message = decode(packet)
    for section in (message.answer, message.additional):
        section.sort(key=str)
    return shown(message)


def records(response: str) -> list[str]:
    """Return the data of the answer section."""
    section = response.partition("answer:\n")[2].partition("authority:")[0].partition("additional:")[0]
    return [line.split(maxsplit=3)[3] for line in section.splitlines()]


def test_an_srv_pool_points_to_the_own_names_of_its_nodes() -> None:
    """A record for each node with its weight, and their addresses in the additional section."""
    assert ask(fleet_of([A, B], [srv()])) == (
        "NOERROR aa\n"
        "answer:\n"
        "  _rtmp._tcp.example.org. 30 SRV 0 100 1935 a.nodes.example.org.\n"
        "  _rtmp._tcp.example.org. 30 SRV 0 50 1935 b.nodes.example.org.\n"
        "additional:\n"
        "  a.nodes.example.org. 300 A 192.0.2.10\n"
        "  b.nodes.example.org. 300 A 192.0.2.11\n"
        "  b.nodes.example.org. 300 AAAA 2001:db8::11"
    )


def test_a_drained_node_leaves_the_records_and_keeps_its_name() -> None:
    """For as long as the drain is in force; another pool's addresses follow as ever."""
    fleet = fleet_of([A, B], [srv(), pool()], [drain("a")])
    assert records(ask(fleet)) == ["0 50 1935 b.nodes.example.org."]
    assert records(ask(fleet, "a.nodes.example.org.", "A")) == ["192.0.2.10"]


def test_a_node_may_have_its_own_port_and_priority() -> None:
    """The port is that of the pool's role; what a node does not say is the pool's."""
    own = node("c", "192.0.2.12", ports={"edge": 1936, "ingest": 9}, priority=20)
    fleet = fleet_of([A, own], [srv(service=Service(port=1935, priority=10))])
    assert records(ask(fleet)) == ["10 100 1935 a.nodes.example.org.", "20 100 1936 c.nodes.example.org."]


def test_a_node_without_port_or_name_is_no_member() -> None:
    """Its record could not be made, so that it counts nowhere as serving; once it says its port, it is in."""
    spec = srv(service=Service())
    here = node("c", "192.0.2.12", ports={"edge": 1936})
    fleet = fleet_of([A, here], [spec])
    assert [each.node.id for each in fleet.members_of(SERVICE)] == ["c"]
    fleet.apply([put(node("d", "192.0.2.13", ports={"edge": 1}), 1)], now=NOW)
    assert [each.node.id for each in fleet.members_of(SERVICE)] == ["c", "d"]
    by_cluster = NodeRecordSpec(template="{cluster}.nodes.example.org.")
    assert not srv(targets=by_cluster).selects(A)


def test_a_node_whose_name_is_another_nodes_is_no_member() -> None:
    """Records that would lead to somebody else are not made."""
    record = NodeRecordSpec(template="{region}.nodes.example.org.")
    zone = zone_of("@ NS ns1\nns1 A 192.0.2.1")
    spec = FleetSpec(zones={zone.apex: zone}, pools=(srv(targets=record),), node_records=(record,))
    fleet = Fleet(spec, {"a": A, "b": B}, FleetState(), now=NOW)
    assert [each.node.id for each in fleet.members_of(SERVICE)] == ["a"]
    assert fleet.why_unnamed(spec.pools[0], B) == (
        "it cannot have the name that they would point to: eu.nodes.example.org. is the name of node a"
    )


def test_lower_priorities_have_room_before_higher_ones() -> None:
    """With room for three, both of the first are in each answer, and the others take turns in what is left."""
    first = [node(name, f"192.0.2.{place}") for place, name in enumerate("ab", start=10)]
    second = [node(name, f"192.0.2.{place}", priority=9) for place, name in enumerate("cde", start=20)]
    asked = engine(fleet_of([*first, *second], [srv(max_answers=3)]))
    seen = [records(ask(asked)) for _ in range(30)]
    names = {tuple(line.split()[3][0] for line in answer) for answer in seen}
    assert names == {("a", "b", "c"), ("a", "b", "d"), ("a", "b", "e")}
    assert all(9 <= sum(letter in str(answer) for answer in seen) <= 11 for letter in ("c.n", "d.n", "e.n"))


def test_of_more_nodes_than_fit_each_is_as_often_in_an_answer() -> None:
    """Whatever their weights: clients choose by these themselves, and must not do so twice."""
    nodes = [node(name, f"192.0.2.{place}", weight=place) for place, name in enumerate("abcd", start=10)]
    asked = engine(fleet_of(nodes, [srv(max_answers=2)]))
    seen = [record.split()[3][0] for _ in range(40) for record in records(ask(asked))]
    assert all(abs(seen.count(name) - 20) <= 1 for name in "abcd")


def test_a_ramp_is_in_the_weight() -> None:
    """A node that comes back has a tenth of its weight beside the others at first, and its record is in each answer."""
    ramp = drain("a", mode=Mode.NORMAL, expires_at=NOW + 90)
    fleet = fleet_of([A, B], [srv()], [ramp])
    assert records(ask(fleet)) == ["0 100 1935 a.nodes.example.org.", "0 500 1935 b.nodes.example.org."]
    fleet.tick(now=NOW + 90)
    assert records(ask(fleet)) == ["0 100 1935 a.nodes.example.org.", "0 50 1935 b.nodes.example.org."]


@pytest.mark.parametrize("kind", [PoolType.SVCB, PoolType.HTTPS])
def test_a_service_pool_has_a_record_with_hints_for_each_node(kind: PoolType) -> None:
    """Priority, target, protocols, port and the node's own addresses (RFC 9460 §7)."""
    spec = pool("svc.example.org.", type=kind, service=Service(port=853, priority=1, alpn=("dot",)), targets=PER_NODE)
    found = records(ask(fleet_of([A, B], [spec]), "svc.example.org.", kind.name))
    assert found == [
        '1 a.nodes.example.org. alpn="dot" port="853" ipv4hint="192.0.2.10"',
        '1 b.nodes.example.org. alpn="dot" port="853" ipv4hint="192.0.2.11" ipv6hint="2001:db8::11"',
    ]


def test_an_https_record_beside_addresses_hints_at_the_nodes_that_are_answered() -> None:
    """It is one record, for the name itself; a drained node leaves it with the addresses."""
    fleet = fleet_of([A, B], [web()])
    asked = engine(fleet)
    head, tail = '1 . alpn="h2,h3" port="8443" ipv4hint="', '" ipv6hint="2001:db8::11"'
    assert {records(ask(asked, "edge.example.org.", "HTTPS"))[0] for _ in range(4)} == {
        f"{head}192.0.2.10,192.0.2.11{tail}",
        f"{head}192.0.2.11,192.0.2.10{tail}",
    }
    fleet.apply([put(drain("b"), 1)], now=NOW)
    assert records(ask(fleet, "edge.example.org.", "HTTPS")) == ['1 . alpn="h2,h3" port="8443" ipv4hint="192.0.2.10"']


def test_hints_take_turns_as_addresses_do() -> None:
    """Every address is the first one as often; where not all fit, each answer hints at some."""
    nodes = [node(name, f"192.0.2.{place}") for place, name in enumerate("abcd", start=10)]
    whole, some = (engine(fleet_of(nodes, [web(max_answers=most)])) for most in (8, 2))
    for asked, size in ((whole, 4), (some, 2)):
        answers = [records(ask(asked, "edge.example.org.", "HTTPS"))[0] for _ in range(8)]
        hints = [answer.partition('ipv4hint="')[2].strip('"').split(",") for answer in answers]
        assert {len(hint) for hint in hints} == {size}
        assert {hint[0] for hint in hints} == {f"192.0.2.{place}" for place in range(10, 14)}


@pytest.mark.parametrize("most", [8, 1], ids=["all", "samples"])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 6])
def test_clients_that_ask_for_both_types_begin_with_each_address_as_often(count: int, most: int) -> None:
    """As browsers do: each answer of HTTPS has the addresses too, and none of the answers keeps to some of them."""
    nodes = [node(f"n{place}", f"192.0.2.{place}") for place in range(10, 10 + count)]
    asked = engine(fleet_of(nodes, [web(max_answers=most)]))
    firsts: dict[str, Counter[str]] = {"A": Counter(), "HTTPS": Counter()}
    for _ in range(20 * count):
        for rdtype, first in firsts.items():
            query = dns.message.make_query("edge.example.org.", rdtype)
            packet = asked.respond(query.to_wire(), now=NOW, via=TCP, peer="")
            assert packet is not None
            message = dns.message.from_wire(packet, one_rr_per_rrset=True)
            addresses = [each for each in (*message.answer, *message.additional) if each.rdtype == dns.rdatatype.A]
            first[addresses[0][0].to_text()] += 1
    for first in firsts.values():
        assert len(first) == count
        assert all(18 <= times <= 22 for times in first.values())


@pytest.mark.parametrize(
    ("name", "rdtype"),
    [
        (SERVICE, "A"),
        (SERVICE, "HTTPS"),
        (SERVICE, "TXT"),
        ("edge.example.org.", "SRV"),
        ("edge.example.org.", "SVCB"),
        ("plain.example.org.", "HTTPS"),
        ("_tcp.example.org.", "SRV"),
    ],
)
def test_other_types_are_nodata(name: str, rdtype: str) -> None:
    """At the name of a pool, and at the empty name above it."""
    fleet = fleet_of([A, B], [srv(), web(), pool("plain.example.org.")])
    assert ask(fleet, name, rdtype) == NODATA


# --- empty pools --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", [srv(), web()], ids=["srv", "https"])
def test_an_empty_pool_is_nodata(spec: PoolSpec) -> None:
    """For each of its types, and for ANY."""
    fleet = fleet_of([A], [spec], [drain("a")])
    for rdtype in ("SRV", "HTTPS", "A", "ANY"):
        assert ask(fleet, spec.owner, rdtype) == NODATA


def test_an_empty_pool_may_fail_for_its_own_types() -> None:
    """SERVFAIL for what it would answer, and for ANY; NODATA for what it never has."""
    fails = WhenEmpty.SERVFAIL
    pools = [srv(when_empty=fails), web(when_empty=fails), pool("plain.example.org.", when_empty=fails)]
    fleet = fleet_of([A], pools, [drain("a")])
    failing = [(SERVICE, "SRV"), (SERVICE, "ANY")]
    failing += [("edge.example.org.", rdtype) for rdtype in ("A", "AAAA", "HTTPS", "ANY")]
    assert {ask(fleet, *question) for question in failing} == {"SERVFAIL"}
    for question in ((SERVICE, "A"), ("edge.example.org.", "SRV"), ("plain.example.org.", "HTTPS")):
        assert ask(fleet, *question) == NODATA


def test_draining_nodes_stay_where_the_pool_says_so_and_those_in_maintenance_do_not() -> None:
    """The last resort names them; never whoever is not to be used for anything."""
    spec = srv(when_empty=WhenEmpty.DRAINING)
    fleet = fleet_of([A, B], [spec], [drain("a"), drain("b", mode=Mode.MAINTENANCE)])
    assert records(ask(fleet)) == ["0 100 1935 a.nodes.example.org."]


def test_a_fallback_answers_with_its_own_ports_and_the_pools_ttl() -> None:
    """Its nodes listen where that pool says; how long answers live is the matter of the one that was asked."""
    other = srv("_rtmp._tcp.us.example.org.", match={"region": "us"}, service=Service(port=2935, priority=5), ttl=300)
    spec = srv(match={"region": "eu"}, when_empty=WhenEmpty.POOL, fallback=other.owner, ttl=20)
    fleet = fleet_of([A, node("u", "192.0.2.20", region="us")], [spec, other], [drain("a")])
    assert "_rtmp._tcp.example.org. 20 SRV 5 100 2935 u.nodes.example.org." in ask(fleet)


def test_a_pool_with_nobody_healthy_fails_open() -> None:
    """Where every node that is not drained is down, all of these are pointed to."""
    watched = [node(name, f"192.0.2.{place}", monitor=Monitor.AGENT) for place, name in enumerate("ab", start=10)]
    fleet = fleet_of(watched, [srv()])
    assert len(records(ask(fleet))) == 2
    up = Report(node="a", sequence=1, observed_at=NOW, received_at=NOW, health={"edge": True})
    fleet.report(up, now=NOW)
    assert records(ask(fleet)) == ["0 100 1935 a.nodes.example.org."]


# --- places in the zone -------------------------------------------------------------------------------------------

ZONE = zone_of(
    """
    @ NS ns1
    @ MX 10 ns1
    ns1 A 192.0.2.1
    alias CNAME edge
    _sip._tcp CNAME _rtmp._tcp
    *.wild CNAME _rtmp._tcp
    """
)


def placed(*pools: PoolSpec, nodes: tuple[Node, ...] = (A,)) -> Fleet:
    spec = FleetSpec(zones={ZONE.apex: ZONE}, pools=pools, node_records=(PER_NODE,))
    return Fleet(spec, {each.id: each for each in nodes}, FleetState(), now=NOW)


def test_an_apex_pool_has_https_beside_soa_and_ns() -> None:
    """What no CNAME could do: the zone's own records stay, and the name is answered from the fleet."""
    fleet = placed(web("example.org."))
    assert records(ask(fleet, "example.org.", "HTTPS")) == ['1 . alpn="h2,h3" port="8443" ipv4hint="192.0.2.10"']
    assert records(ask(fleet, "example.org.", "A")) == ["192.0.2.10"]
    assert records(ask(fleet, "example.org.", "SOA"))[0].startswith("ns1.example.org. hostmaster")
    assert records(ask(fleet, "example.org.", "NS")) == ["ns1.example.org."]
    assert records(ask(fleet, "example.org.", "MX")) == ["10 ns1.example.org."]


@pytest.mark.parametrize("name", ["_sip._tcp.example.org.", "x.wild.example.org."])
def test_an_alias_leads_to_a_pool_of_services(name: str) -> None:
    """A CNAME of the zone file, or a wildcard with one, and then the pool's own records."""
    response = ask(placed(srv()), name)
    assert records(response) == ["0 100 1935 a.nodes.example.org.", "_rtmp._tcp.example.org."]
    assert "additional:\n  a.nodes.example.org. 300 A 192.0.2.10" in response


def test_an_alias_leads_to_https_records() -> None:
    """The target `.` is the name at the end of the chain (RFC 9460 §2.5.2)."""
    found = ask(placed(web()), "alias.example.org.", "HTTPS")
    assert "edge.example.org. 30 HTTPS 1 ." in found


def test_a_pool_of_services_may_be_a_wildcard() -> None:
    """Any name below it has the records, under the name that was asked for."""
    fleet = placed(srv("*.play.example.org."), web("*.cdn.example.org."))
    assert "m-7.play.example.org. 30 SRV 0 100 1935 a.nodes.example.org." in ask(fleet, "m-7.play.example.org.")
    assert "x.cdn.example.org. 30 HTTPS 1 ." in ask(fleet, "x.cdn.example.org.", "HTTPS")


# --- time ---------------------------------------------------------------------------------------------------------


def ttl_of(response: str) -> int:
    """Return the TTL of the first record of the answer, or of the SOA of a NODATA."""
    return int(response.splitlines()[2].split()[1])


@pytest.mark.parametrize(
    ("spec", "rdtype"),
    [
        (srv("x.example.org."), "SRV"),
        (pool("x.example.org.", type=PoolType.HTTPS, service=Service(priority=1), targets=PER_NODE), "HTTPS"),
        (pool("x.example.org.", type=PoolType.SVCB, service=Service(priority=1), targets=PER_NODE), "SVCB"),
        (web("x.example.org."), "HTTPS"),
    ],
    ids=["srv", "https", "svcb", "beside addresses"],
)
def test_ttls_count_down_to_a_drain_and_to_its_end(spec: PoolSpec, rdtype: str) -> None:
    """Of an answer with the node, of one without it, and of an empty one."""
    both = fleet_of([A, B], [spec], [drain("a", starts_at=T, expires_at=T + 50)])
    assert [ttl_of(ask(both, spec.owner, rdtype, now=T - before)) for before in (60, 7)] == [30, 7]
    both.tick(now=T)
    assert [ttl_of(ask(both, spec.owner, rdtype, now=T + after)) for after in (0, 45)] == [30, 5]
    empty = fleet_of([A], [spec], [drain("a", expires_at=T)])
    assert [ttl_of(ask(empty, spec.owner, rdtype, now=T - before)) for before in (70, 20)] == [60, 20]
    assert ttl_of(ask(empty, spec.owner, "TXT", now=T - 20)) == 60


def test_a_family_that_does_not_change_counts_down_in_hints_alone() -> None:
    """A node of IPv4 alone leaves AAAA as it is; the HTTPS record holds both."""
    fleet = fleet_of([A, B], [web()], [drain("a", starts_at=T)])
    asked = {rdtype: ttl_of(ask(fleet, "edge.example.org.", rdtype, now=T - 5)) for rdtype in ("A", "AAAA", "HTTPS")}
    assert asked == {"A": 5, "AAAA": 30, "HTTPS": 5}


def test_who_is_named_and_no_more_is_told_of_every_type() -> None:
    """A node that leaves is a withdrawal with the pool's TTL, whichever records named it."""
    fleet = fleet_of([A, B], [srv(ttl=77), web(ttl=20)])
    assert fleet.named(SERVICE) == {("a", "edge"), ("b", "edge")}
    change = fleet.apply([put(drain("a"), 1)], now=NOW)
    assert sorted(change.withdrawn, key=lambda each: each.owner) == [
        Withdrawal("a", "edge", 77, SERVICE),
        Withdrawal("a", "edge", 20, "edge.example.org."),
    ]


def test_a_change_of_a_port_is_a_change_of_the_answers() -> None:
    """A node that is registered anew with another port is pointed to there."""
    fleet = fleet_of([B], [srv()])
    fleet.apply([put(A, 1)], now=NOW)
    change = fleet.apply([put(node("a", "192.0.2.10", ports={"edge": 1999}), 2)], now=NOW)
    assert change.put
    assert "0 100 1999 a.nodes.example.org." in records(ask(fleet))


def test_answers_fit_into_a_message_however_long_their_records_are() -> None:
    """Of a hundred records of a kilobyte so many are answered as any response over TCP has room for."""
    nodes = [node(f"n{number}", f"192.0.2.{number}") for number in range(1, 101)]
    service = Service(priority=1, alpn=tuple(f"{number:0>200}" for number in range(5)))
    spec = pool(SERVICE, type=PoolType.SVCB, service=service, targets=PER_NODE, max_answers=2000)
    response = ask(fleet_of(nodes, [spec]), SERVICE, "SVCB")
    assert response.startswith("NOERROR aa\nanswer:")
    assert 50 < len(records(response)) < 65
