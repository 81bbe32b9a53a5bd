"""What a query would be answered, and why: each way to an answer, and each reason for a node to be in or out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import dns.message
import pytest

from dnsd.api.schemas import ExplainedNode, Explanation, ReportRequest
from dnsd.core.engine import Engine
from dnsd.core.via import UDP
from dnsd.errors import CapacityFloor, InvalidRequest
from dnsd.model.node import Monitor, Node
from dnsd.model.pool import Floor, PoolSpec, WhenEmpty
from tests.control.rig import ABC, EDGE, Site, acknowledged, site_of
from tests.support.dnsmessages import zone_of
from tests.support.fleets import node, pool

ZONE = zone_of(
    """
    @ SOA ns1 hostmaster 1 7200 900 1209600 60
    @ NS ns1
    ns1 A 192.0.2.1
    www CNAME edge
    web CNAME www
    far CNAME elsewhere.example.com.
    one CNAME two
    two CNAME one
    *.wild CNAME edge
    *.text TXT "any"
    below.empty TXT "x"
    sub NS ns.sub
    ns.sub A 192.0.2.53
    old DNAME new
    x.new A 192.0.2.80
    """
)


async def site(nodes: Iterable[Node] = ABC, pools: tuple[PoolSpec, ...] = (pool(),), **fields: Any) -> Site:
    return await site_of(nodes, pools, zones={ZONE.apex: ZONE}, **fields)


def why(explanation: Explanation, name: str, *, place: int = 0) -> ExplainedNode:
    return next(each for each in explanation.pools[place].nodes if each.node == name)


@pytest.mark.parametrize(
    ("name", "rdtype", "rcode", "steps"),
    [
        (EDGE, "A", "NOERROR", [("edge", "pool", "data")]),
        (EDGE, "AAAA", "NOERROR", [("edge", "pool", "nodata")]),
        (EDGE, "TXT", "NOERROR", [("edge", "zone", "nodata")]),
        ("WWW.example.ORG", "A", "NOERROR", [("www", "zone", "alias"), ("edge", "pool", "data")]),
        ("www.example.org", "CNAME", "NOERROR", [("www", "zone", "data")]),
        ("www.example.org", "ANY", "NOERROR", [("www", "zone", "data")]),
        (
            *("web.example.org", "A", "NOERROR"),
            [("web", "zone", "alias"), ("www", "zone", "alias"), ("edge", "pool", "data")],
        ),
        ("far.example.org", "A", "NOERROR", [("far", "zone", "alias"), ("elsewhere.example.com.", "none", "outside")]),
        (
            *("one.example.org", "A", "NOERROR"),
            [("one", "zone", "alias"), ("two", "zone", "alias"), ("one", "none", "loop")],
        ),
        ("x.wild.example.org", "A", "NOERROR", [("x.wild", "zone", "alias"), ("edge", "pool", "data")]),
        ("x.text.example.org", "TXT", "NOERROR", [("x.text", "zone", "data")]),
        ("empty.example.org", "A", "NOERROR", [("empty", "zone", "nodata")]),
        ("none.example.org", "A", "NXDOMAIN", [("none", "none", "nxdomain")]),
        ("host.sub.example.org", "A", "NOERROR", [("host.sub", "delegation", "referral")]),
        ("x.old.example.org", "A", "NOERROR", [("x.old", "zone", "alias"), ("x.new", "zone", "data")]),
        ("x.old.example.org", "ANY", "NOERROR", [("x.old", "zone", "alias"), ("x.new", "zone", "data")]),
        ("a.nodes.example.org", "A", "NOERROR", [("a.nodes", "node-record", "data")]),
        ("a.nodes.example.org", "AAAA", "NOERROR", [("a.nodes", "node-record", "nodata")]),
        ("example.com", "A", "REFUSED", [("example.com.", "none", "outside")]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_each_way_to_an_answer_is_told_step_by_step(
    name: str, rdtype: str, rcode: str, steps: list[tuple[str, str, str]]
) -> None:
    """Pools, own names, zone data, wildcards, aliases, DNAME, delegations and dead ends, in order; with the RCODE."""
    explanation = (await site()).plane.explain(name, rdtype, client=None)
    assert explanation.answer.rcode == rcode
    expected = [(each if each.endswith(".") else f"{each}.example.org.", *more) for each, *more in steps]
    assert [(step.name, step.source, step.outcome) for step in explanation.steps] == expected
    assert all(step.text for step in explanation.steps)
    assert [each.owner for each in explanation.pools] == ([EDGE] if "pool" in str(steps) else [])


async def test_the_answer_is_the_engines_own() -> None:
    """RCODE, flags and records in all sections are those of a query to a worker; own names say whose they are."""
    here = await site()
    packet = Engine(here.workers.snapshot).respond(
        dns.message.make_query("none.example.org", "A", flags=0).to_wire(), now=here.clock.wall, via=UDP, peer=""
    )
    assert packet is not None
    response = dns.message.from_wire(packet)
    told = here.plane.explain("none.example.org", "A", client=None).answer
    assert (told.rcode, told.flags) == ("NXDOMAIN", ["QR", "AA"])
    assert told.authority == [rrset.to_text() for rrset in response.authority]
    own = here.plane.explain("a.nodes.example.org", "A", client=None)
    assert own.answer.answer == ["a.nodes.example.org. 300 IN A 192.0.2.10"]
    assert own.steps[0].node == "a"
    assert own.steps[0].zone == "example.org."


@pytest.mark.parametrize("max_answers", [8, 2], ids=["rotation", "sample"])
async def test_an_explanation_takes_no_turn(max_answers: int) -> None:
    """However often it is asked for, what is handed to the next worker begins where it would have begun."""
    here = await site(pools=(pool(max_answers=max_answers),))
    before = here.plane.explain(EDGE, "A", client=None).answer.answer
    assert len(before) == min(3, max_answers)
    assert all(here.plane.explain(EDGE, "A", client=None).answer.answer == before for _ in range(5))


async def test_a_node_that_does_not_match_is_out_with_the_key_that_differs() -> None:
    """Role and each key of the selector that does not match are named with what is wanted and what there is."""
    nodes = (
        node("a", "192.0.2.10", region="eu", labels={"tier": "gold"}),
        node("b", "192.0.2.11", region="us", roles=("storage",)),
    )
    spec = pool(match={"region": "eu", "tier": "gold"})
    explanation = (await site(nodes, (spec,))).plane.explain(EDGE, "A", client=None)
    out = why(explanation, "b")
    assert (out.answered, out.matches) == (False, False)
    assert out.reasons == [
        "not of the role edge: it has storage",
        "not selected: its region is us, and the pool wants eu",
        "not selected: its tier is not set, and the pool wants gold",
    ]
    chosen = why(explanation, "a")
    assert (chosen.answered, chosen.matches, chosen.share) == (True, True, 1.0)
    assert chosen.reasons == ['taken as up: nothing watches it (monitor = "none")']


async def test_each_drain_is_told_with_its_holder_mode_reason_start_and_end() -> None:
    """Drains of all holders are there, those to come as well, and those of other roles are not."""
    nodes = (node("a", "192.0.2.10", roles=("edge", "storage")), *ABC[1:])
    here = await site(nodes)
    await here.drain("a", roles=["edge"], holder="ops", reason="disk", indefinite=True)
    await here.drain("a", holder="os-update", mode="maintenance", starts_at=here.clock.wall + 600, expires_in=60)
    await here.drain("a", roles=["storage"], holder="other")
    explanation = here.plane.explain(EDGE, "A", client=None)
    out = why(explanation, "a")
    assert (out.answered, out.mode, out.share, out.drain_breaks_floor) == (False, "draining", None, None)
    assert {drain.holder: drain.state for drain in out.drains} == {"ops": "active", "os-update": "scheduled"}
    assert out.reasons[:2] == [
        "drained by ops (draining) since 2023-11-14T22:13:20Z, without an end: disk",
        "to be drained by os-update (maintenance) in 10m, until 2023-11-14T22:24:20Z: kernel",
    ]
    assert explanation.answer.answer
    assert not any("192.0.2.10" in record for record in explanation.answer.answer)


async def test_what_is_known_of_health_is_told_with_the_age_of_the_report() -> None:
    """Never reported, up, down, silent on the role, stale: each in words, and only the first tier is answered."""
    nodes = tuple(node(name, f"192.0.2.{10 + n}", monitor=Monitor.AGENT) for n, name in enumerate("abcde"))
    here = await site(nodes)
    await here.report("b")
    here.tick(25)
    await here.report("a")
    await here.report("c", up=False)
    here.plane.report("d", ReportRequest(sequence=99, observed_at=here.clock.wall))
    here.tick(10)
    explanation = here.plane.explain(EDGE, "A", client=None)
    told = {each.node: (each.health, each.answered, each.reasons[0]) for each in explanation.pools[0].nodes}
    assert told == {
        "a": ("up", True, "up by its report of 10s ago"),
        "b": ("stale", False, "not known to be up: its last report is 35s old, and one says nothing after 30s"),
        "c": ("down", False, "down by its report of 10s ago"),
        "d": ("unknown", False, "not known to be up: its report of 10s ago says nothing of the role edge"),
        "e": ("unknown", False, "not known to be up: it has never reported"),
    }


async def test_a_pool_that_fails_open_says_so() -> None:
    """Where no undrained node is up, all of them are in, and both the pool and each node say why."""
    nodes = tuple(node(name, f"192.0.2.{10 + n}", monitor=Monitor.AGENT) for n, name in enumerate("ab"))
    explanation = (await site(nodes)).plane.explain(EDGE, "A", client=None)
    assert explanation.pools[0].tier == "unhealthy"
    assert "fails open" in explanation.pools[0].text
    assert why(explanation, "a").answered
    assert why(explanation, "a").reasons[-1].startswith("in all the same")


async def test_the_pool_that_is_fallen_back_to_is_explained_too() -> None:
    """Behind the pool that was asked for stands the one that answers, with its nodes."""
    other = "us.example.org."
    pools = (
        pool(match={"region": "eu"}, when_empty=WhenEmpty.POOL, fallback=other, floor=Floor(0)),
        pool(other, match={"region": "us"}),
    )
    nodes = (node("a", "192.0.2.10", region="eu"), node("b", "192.0.2.11", region="us"))
    here = await site(nodes, pools)
    assert [each.owner for each in here.plane.explain(EDGE, "A", client=None).pools] == [EDGE]
    await here.drain("a", force=True)
    explanation = here.plane.explain(EDGE, "A", client=None)
    assert [(each.owner, each.tier) for each in explanation.pools] == [(EDGE, "pool"), (other, "serving")]
    assert other in explanation.pools[0].text
    assert explanation.answer.answer == ["edge.example.org. 30 IN A 192.0.2.11"]
    assert [(each.node, each.answered) for each in explanation.pools[0].nodes] == [("a", False), ("b", True)]
    assert [(each.node, each.answered) for each in explanation.pools[1].nodes] == [("b", True), ("a", False)]


@pytest.mark.parametrize("when_empty", [WhenEmpty.NODATA, WhenEmpty.SERVFAIL, WhenEmpty.DRAINING])
async def test_an_empty_pool_tells_what_it_does_then(when_empty: WhenEmpty) -> None:
    """NODATA, SERVFAIL and those that drain: the tier, the answer and the words agree, behind an alias as well."""
    here = await site(ABC[:1], (pool(when_empty=when_empty, floor=Floor(0)),))
    await here.drain("a", force=True)
    explanation = here.plane.explain("www.example.org", "A", client=None)
    assert explanation.pools[0].tier == when_empty.value
    assert explanation.steps[-1].pool == EDGE
    assert explanation.answer.rcode == ("SERVFAIL" if when_empty is WhenEmpty.SERVFAIL else "NOERROR")
    assert why(explanation, "a").answered is (when_empty is WhenEmpty.DRAINING)


async def test_a_drained_node_whose_address_another_has_is_in_and_says_why() -> None:
    """Two nodes share an address: it stays, and the drained one tells whose doing that is."""
    here = await site((node("a", "192.0.2.10"), node("b", "192.0.2.10")))
    await here.drain("a")
    shared = why(here.plane.explain(EDGE, "A", client=None), "a")
    assert shared.answered
    assert shared.reasons[-1] == "in all the same: b has an address of it as well, and is answered"


async def test_a_member_that_its_fallback_brings_back_says_so() -> None:
    """A drained node is in both pools; the one that is fallen back to answers with those that drain."""
    wide = "wide.example.org."
    pools = (
        pool(match={"region": "eu"}, when_empty=WhenEmpty.POOL, fallback=wide, floor=Floor(0)),
        pool(wide, when_empty=WhenEmpty.DRAINING, floor=Floor(0)),
    )
    here = await site(ABC[:1], pools)
    await here.drain("a", force=True)
    explanation = here.plane.explain(EDGE, "A", client=None)
    assert explanation.answer.answer == ["edge.example.org. 30 IN A 192.0.2.10"]
    assert [why(explanation, "a", place=place).answered for place in (0, 1)] == [True, True]
    assert why(explanation, "a").reasons[-1] == "in all the same: the pool that this one falls back to answers with it"


async def test_what_is_said_to_be_answered_is_what_answers_hold() -> None:
    """Over drains and reports, the nodes that are in are those whose addresses the pool's answers are made of."""
    nodes = tuple(node(name, f"192.0.2.{10 + n}", monitor=Monitor.AGENT) for n, name in enumerate("abcd"))
    here = await site(nodes, (pool(when_empty=WhenEmpty.DRAINING, floor=Floor(0)),))
    for step in range(8):
        name = "abcd"[step % 4]
        await (here.drain(name, force=True) if step % 3 == 0 else here.report(name, up=step % 2 == 0))
        explanation = here.plane.explain(EDGE, "A", client=None)
        told = {each.addresses[0] for each in explanation.pools[0].nodes if each.answered}
        assert told == {record.split()[-1] for record in explanation.answer.answer}, step


@pytest.mark.parametrize("floor", [Floor(0), Floor(1), Floor(2), Floor(share=0.5)], ids=lambda floor: floor.text)
async def test_the_verdict_on_a_drain_is_the_guards(floor: Floor) -> None:
    """What is said of draining a node now is what a drain of it meets, also with drains to come."""
    here = await site((node("a", "192.0.2.10", weight=300), *ABC[1:]), (pool(floor=floor),))
    await here.drain("c", starts_at=here.clock.wall + 3600, force=True)
    explanation = here.plane.explain(EDGE, "A", client=None)
    for name in "abc":
        try:
            await here.drain(name, roles=["edge"], holder="trial", dry_run=True)
            refused = False
        except CapacityFloor:
            refused = True
        assert why(explanation, name).drain_breaks_floor is refused, name


async def test_a_ramp_and_weight_0_are_told() -> None:
    """A node that comes back says how far it is, and one without weight that it is never in."""
    here = await site((*ABC, node("z", "192.0.2.99", weight=0)))
    await here.drain("a")
    await here.release("a", ramp=600.0)
    explanation = here.plane.explain(EDGE, "A", client=None)
    back = why(explanation, "a")
    assert back.ramp is not None
    assert back.ramp.percent == 10
    assert back.reasons[-1] == "comes back by a ramp: in at most 10% of the answers now"
    assert why(explanation, "z").reasons[-1] == "its weight is 0: it is never answered"
    assert why(explanation, "z").answered is False


async def test_who_answers_like_this_already_is_told() -> None:
    """Revision and generation are the published ones; a worker that lags makes this server pending."""
    here = await site()
    await acknowledged()
    here.workers.holding = True
    await here.drain("a")
    explanation = here.plane.explain(EDGE, "A", client=None)
    assert (explanation.revision, explanation.generation) == (1, here.plane.publisher.generation)
    assert [each.consumer for each in explanation.pending] == ["ns1"]
    here.workers.acknowledge()
    assert [each.consumer for each in here.plane.explain(EDGE, "A", client=None).applied] == ["ns1"]


async def test_the_client_is_echoed_and_makes_no_difference() -> None:
    """An address comes back in its canonical form, with a note that nothing depends on it."""
    here = await site()
    assert here.plane.explain(EDGE, "A", client=None).client is None
    explanation = here.plane.explain(EDGE, "A", client="2001:DB8:0::1")
    assert explanation.client == "2001:db8::1"
    assert any("no difference" in note for note in explanation.notes)


@pytest.mark.parametrize(
    ("name", "rdtype", "client", "field"),
    [
        ("a..b", "A", None, "name"),
        ("x" * 64, "A", None, "name"),
        (".".join(["x" * 60] * 5), "A", None, "name"),
        ("", "A", None, "name"),
        (EDGE, "NOPE", None, "type"),
        (EDGE, "TYPE99999", None, "type"),
        (EDGE, "AXFR", None, "type"),
        (EDGE, "OPT", None, "type"),
        (EDGE, "A", "192.0.2", "client"),
        (EDGE, "A", "fe80::1%eth0", "client"),
    ],
)
async def test_what_cannot_be_asked_is_refused_with_its_field(
    name: str, rdtype: str, client: str | None, field: str
) -> None:
    """A malformed name, an unknown type or a client that is no address names the field."""
    here = await site()
    with pytest.raises(InvalidRequest) as refusal:
        here.plane.explain(name, rdtype, client=client)
    assert refusal.value.field == field
