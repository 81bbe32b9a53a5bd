"""Pools of services in the control plane: who may be stopped, what is explained and shown, and how nodes register."""

from __future__ import annotations

from typing import Any

import dns.message
import pytest

from dnsd.control.progress import RESOLVER_SLACK_SECONDS
from dnsd.core.engine import Engine
from dnsd.core.records import Delta
from dnsd.core.via import UDP
from dnsd.errors import CapacityFloor, InvalidRequest
from dnsd.model.drain import Mode
from dnsd.model.node import Node
from dnsd.model.pool import Floor, NodeRecordSpec, PoolSpec, PoolType, Service, WhenEmpty
from dnsd.workers.tally import Tally
from tests.control.rig import ABC, EDGE, Clock, FakeWorkers, Site, acknowledged, site_of
from tests.support.fleets import PER_NODE, drain, node, pool

SERVICE = "_rtmp._tcp.example.org."


def srv(owner: str = SERVICE, **fields: Any) -> PoolSpec:
    given = {"type": PoolType.SRV, "service": Service(port=1935), "targets": PER_NODE, **fields}
    return pool(owner, **given)


def svcb(kind: PoolType) -> PoolSpec:
    return pool("svc.example.org.", type=kind, service=Service(priority=1), targets=PER_NODE)


class AnsweringWorker(FakeWorkers):
    """One worker that answers by the engine, and tells with each generation what it answered from the one before."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._tally = Tally(clock=lambda: clock.wall, steady=lambda: clock.steady)

    def publish(self, delta: Delta) -> None:
        replaced = self.snapshot.replaced_by(delta)
        super().publish(delta)
        told = self._tally.hand_on(replaced, self.snapshot.overlay)
        self.answers.tell(delta.generation, told, steady=self._clock.steady)

    def ask(self, name: str, rdtype: str) -> dns.message.Message:
        query = dns.message.make_query(name, rdtype, use_edns=0)
        packet = Engine(self.snapshot).respond(query.to_wire(), now=self._clock.wall, via=UDP, peer="")
        assert packet is not None
        return dns.message.from_wire(packet)


async def answering(*pools: PoolSpec) -> tuple[Site, AnsweringWorker]:
    """Return a site that has been up for longer than any TTL."""
    clock = Clock()
    worker = AnsweringWorker(clock)
    site = await site_of(ABC, pools, clock=clock, workers=worker)
    clock.advance(10_000)
    await site.beat()
    return site, worker


async def blockers(site: Site) -> list[str]:
    await site.beat()
    await site.hear()
    return site.status("a").blockers


def leads_to_a(response: dns.message.Message) -> bool:
    """Say whether an answer has node a's name or address."""
    text = " ".join(rrset.to_text() for rrset in response.answer)
    return "a.nodes.example.org." in text or "192.0.2.10" in text


NAMING = [
    pytest.param(srv(), SERVICE, "SRV", id="srv"),
    pytest.param(srv(), SERVICE, "ANY", id="any"),
    pytest.param(svcb(PoolType.SVCB), "svc.example.org.", "SVCB", id="svcb"),
    pytest.param(svcb(PoolType.HTTPS), "svc.example.org.", "HTTPS", id="https"),
    pytest.param(pool(https=Service(alpn=("h2",))), EDGE, "HTTPS", id="https beside addresses"),
]


@pytest.mark.parametrize(("spec", "name", "rdtype"), NAMING)
async def test_a_node_is_not_safe_to_stop_while_a_cache_may_hold_a_record_that_leads_to_it(
    spec: PoolSpec, name: str, rdtype: str
) -> None:
    """The last answer before the drain counts with its TTL, as one with addresses does."""
    site, worker = await answering(spec)
    assert leads_to_a(worker.ask(name, rdtype))
    site.clock.advance(5)
    await site.drain("a", indefinite=True)
    await acknowledged()
    assert await blockers(site) == ["edge: caches may still answer with it for 26s"]
    assert not leads_to_a(worker.ask(name, rdtype))
    site.tick(24 + RESOLVER_SLACK_SECONDS)
    assert await blockers(site) == ["edge: caches may still answer with it for 1s"]
    site.tick(1)
    assert await blockers(site) == []
    assert site.status("a").roles["edge"].dns.max_ttl == 30


@pytest.mark.parametrize(("spec", "name", "rdtype"), NAMING)
async def test_a_node_that_no_answer_led_to_may_be_stopped_at_once(spec: PoolSpec, name: str, rdtype: str) -> None:
    """Questions for types that the pool does not have leave nothing in caches."""
    site, worker = await answering(spec)
    assert rdtype
    worker.ask(name, "TXT")
    worker.ask(name, "MX")
    await site.drain("a", indefinite=True)
    await acknowledged()
    assert await blockers(site) == []


async def test_a_node_that_is_answered_is_named_by_the_pool() -> None:
    """Before it is drained, and where draining nodes are the last resort."""
    site, _ = await answering(srv(when_empty=WhenEmpty.DRAINING))
    assert await blockers(site) == ["edge: not drained", f"edge: {SERVICE} still answers with it"]
    for each in "abc":
        await site.drain(each, force=True)
    await acknowledged()
    assert await blockers(site) == [f"edge: {SERVICE} still answers with it"]


async def test_a_floor_holds_for_a_pool_of_services() -> None:
    """The guard counts its nodes as those of any pool."""
    site = await site_of(ABC, [srv(floor=Floor(3))])
    with pytest.raises(CapacityFloor):
        await site.drain("a")
    outcome = await site.drain("a", force=True)
    assert [(each.pool, each.serving_before, each.serving_after) for each in outcome.impact] == [(SERVICE, 3, 2)]


async def test_a_node_that_cannot_be_pointed_to_keeps_no_floor() -> None:
    """It serves nobody, so that the last one that can be pointed to is not let go."""
    nodes = (node("a", "192.0.2.10", ports={"edge": 1}), node("b", "192.0.2.11"))
    site = await site_of(nodes, [srv(service=Service())])
    with pytest.raises(CapacityFloor):
        await site.drain("a")


# --- what is shown ------------------------------------------------------------------------------------------------


def info(site: Site, owner: str) -> Any:
    return next(each for each in site.plane.pools() if each.owner == owner)


async def test_a_pool_shows_its_type_and_the_data_of_its_records() -> None:
    """In presentation format; a pool of addresses shows these, also where HTTPS stands beside them."""
    site = await site_of(ABC[:2], [srv(), pool(https=Service())])
    assert (info(site, SERVICE).type, info(site, EDGE).type) == ("srv", "address")
    assert info(site, SERVICE).answers == ["0 100 1935 a.nodes.example.org.", "0 100 1935 b.nodes.example.org."]
    assert info(site, EDGE).answers == ["192.0.2.10", "192.0.2.11"]
    await site.drain("a")
    await site.drain("b", force=True)
    assert info(site, SERVICE).answers == []


async def test_an_explanation_of_srv_has_answer_reasons_and_type() -> None:
    """Each node is in or out as it would be in a pool of addresses."""
    site = await site_of((*ABC[:2], node("s", "192.0.2.50", roles=("storage",))), [srv()])
    await site.drain("a")
    told = site.plane.explain("_RTMP._tcp.example.org", "srv", client=None)
    assert told.answer.answer == ["_rtmp._tcp.example.org. 30 IN SRV 0 100 1935 b.nodes.example.org."]
    assert told.answer.additional == ["b.nodes.example.org. 300 IN A 192.0.2.11"]
    assert [(step.source, step.outcome, step.text) for step in told.steps] == [
        ("pool", "data", "a pool, with SRV records to answer")
    ]
    (found,) = told.pools
    assert found.type == "srv"
    assert {each.node: (each.answered, each.matches) for each in found.nodes} == {
        "a": (False, True),
        "b": (True, True),
        "s": (False, False),
    }
    assert found.nodes[0].reasons[0].startswith("drained by alice (draining)")


async def test_an_explanation_tells_who_cannot_be_pointed_to() -> None:
    """A node without a port, and one whose name is not its own."""
    record = NodeRecordSpec(template="{cluster}.nodes.example.org.")
    nodes = (
        node("a", "192.0.2.10", ports={"edge": 1}, cluster="x"),
        node("b", "192.0.2.11", cluster="y"),
        node("c", "192.0.2.12", ports={"edge": 1}, cluster="x"),
        node("d", "192.0.2.13", ports={"edge": 1}),
    )
    site = await site_of(nodes, [srv(service=Service(), targets=record)], node_records=(record,))
    (found,) = site.plane.explain(SERVICE, "SRV", client=None).pools
    assert {each.node: each.reasons[0] for each in found.nodes if not each.matches} == {
        "b": "cannot be pointed to: it has no port for the role edge, and the pool has none for all",
        "c": (
            "cannot be pointed to: it cannot have the name that they would point to: "
            "x.nodes.example.org. is the name of node a"
        ),
        "d": "cannot be pointed to: it has no name by the template {cluster}.nodes.example.org.",
    }


@pytest.mark.parametrize(
    ("spec", "rdtype", "source", "outcome", "text"),
    [
        (srv(EDGE), "A", "pool", "nodata", "a pool that is answered with SRV records, and has no A records (NODATA)"),
        (srv(EDGE), "TXT", "zone", "nodata", "exists, without TXT records (NODATA)"),
        (srv(EDGE), "ANY", "pool", "data", "a pool, with SRV records to answer"),
        (pool(https=Service()), "HTTPS", "pool", "data", "a pool, with addresses to answer"),
        (pool(), "HTTPS", "zone", "nodata", "exists, without HTTPS records (NODATA)"),
        (pool(), "AAAA", "pool", "nodata", "a pool without AAAA records to answer (NODATA)"),
    ],
)
async def test_each_question_for_a_pool_is_told_as_what_it_is(
    spec: PoolSpec, rdtype: str, source: str, outcome: str, text: str
) -> None:
    """Whoever forgets the type of a pool of services is shown the pool all the same."""
    told = (await site_of(ABC, [spec])).plane.explain(EDGE, rdtype, client=None)
    assert [(step.source, step.outcome, step.text) for step in told.steps] == [(source, outcome, text)]
    assert [each.owner for each in told.pools] == ([EDGE] if source == "pool" else [])


async def test_an_empty_pool_of_services_that_fails_is_told() -> None:
    """SERVFAIL, with the pool that makes it."""
    site = await site_of(ABC[:1], [srv(when_empty=WhenEmpty.SERVFAIL)])
    await site.drain("a", force=True)
    told = site.plane.explain(SERVICE, "SRV", client=None)
    assert (told.answer.rcode, told.steps[0].outcome, told.pools[0].tier) == ("SERVFAIL", "failed", "servfail")


@pytest.mark.parametrize(
    "spec", [srv(max_answers=1), pool(SERVICE, https=Service(), max_answers=1)], ids=["srv", "https"]
)
async def test_an_explanation_takes_no_turn(spec: PoolSpec) -> None:
    """However often it is asked for, the next query gets what it would have got."""
    site = await site_of((node("z", "192.0.2.9", priority=9), *ABC), [spec])
    rdtype = "SRV" if spec.type is PoolType.SRV else "HTTPS"
    before = site.plane.explain(SERVICE, rdtype, client=None).answer.answer
    assert all(site.plane.explain(SERVICE, rdtype, client=None).answer.answer == before for _ in range(4))


async def test_a_ramp_is_told_as_what_it_does_to_a_record() -> None:
    """In SRV it is a matter of weight; in the others of how many answers hold the node."""
    ramp = drain("a", mode=Mode.NORMAL, expires_at=drain("a").starts_at + 90)
    for spec, rdtype, words in (
        (srv(), "SRV", "comes back by a ramp: its record has 10% of its weight now"),
        (svcb(PoolType.HTTPS), "HTTPS", "comes back by a ramp: in at most 10% of the answers now"),
    ):
        site = await site_of(ABC, [spec])
        await site.drain("a")
        await site.release("a", ramp=ramp.expires_at - ramp.starts_at if ramp.expires_at else 0)
        (found,) = site.plane.explain(spec.owner, rdtype, client=None).pools
        assert words in found.nodes[0].reasons


# --- nodes over the API -------------------------------------------------------------------------------------------


async def test_a_registered_node_has_ports_and_a_priority() -> None:
    """They are kept, shown, and answered with."""
    site = await site_of((), [srv(service=Service())])
    assert await site.register("n", "192.0.2.50", ports={"edge": 1936}, priority=7)
    assert not await site.register("n", "192.0.2.50", ports={"edge": 1936}, priority=7)
    (shown,) = site.plane.nodes()
    assert (shown.ports, shown.priority) == ({"edge": 1936}, 7)
    assert info(site, SERVICE).answers == ["7 100 1936 n.nodes.example.org."]
    (stored,) = (await site.store.load()).nodes.values()
    assert isinstance(stored, Node)
    assert (stored.ports, stored.priority) == ({"edge": 1936}, 7)


async def test_a_port_of_a_role_that_the_node_does_not_have_is_refused() -> None:
    """The field at fault is named, and nothing is written."""
    site = await site_of()
    with pytest.raises(InvalidRequest, match="does not have the role 'ingest'") as caught:
        await site.register("n", "192.0.2.50", ports={"ingest": 1})
    assert caught.value.field == "ports"
