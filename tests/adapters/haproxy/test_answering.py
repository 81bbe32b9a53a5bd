"""What HAProxy's agent-check is told of a node, in every state that it can be in."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsd.adapters import groups
from dnsd.adapters.groups import Groups
from dnsd.adapters.haproxy.answering import MAX_COMMENT, Answer, answer
from dnsd.model.node import Monitor
from dnsd.model.pool import WhenEmpty
from tests.control.rig import ALICE, EDGE, Site, site_of
from tests.support.fleets import node, pool

NODES = (
    node("a", "192.0.2.10"),
    node("b", "192.0.2.11", monitor=Monitor.AGENT),
    node("idle", "192.0.2.12", weight=0),
    node("other", "192.0.2.13", roles=("storage",)),
)


class Asker:
    """Asks of a site's nodes."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.groups = Groups(site.plane)

    def full(self, request: bytes) -> Answer:
        """Return the answer, at once or after as many turns as it takes."""
        while (found := self.at_once(request)) is None:
            pass
        return found

    def at_once(self, request: bytes) -> Answer | None:
        return answer(request, self.groups, self.site.plane.publisher.fleet)

    def __call__(self, request: str) -> str:
        """Return the answer to a line, without its end."""
        return self.full(request.encode() + b"\n").line.decode().removesuffix("\n")


async def test_each_state_has_its_line() -> None:
    """Serving, draining, maintenance, unhealthy, weight 0; each line has both kinds of state and the weight."""
    site = await site_of(NODES)
    ask = Asker(site)
    assert ask("edge/a") == "ready up 100%"
    assert ask("edge/b") == "ready down 100% # health unknown"
    assert ask("edge/idle") == "ready up 0%"
    assert ask("storage/other") == "ready up 100%"

    await site.report("b")
    assert ask("edge/b") == "ready up 100%"
    await site.drain("b", reason="new kernel", force=True)
    assert ask("edge/b") == "drain up # draining by alice: new kernel"
    await site.report("b", up=False)
    assert ask("edge/b") == "drain down # draining by alice: new kernel"
    await site.drain("b", mode="maintenance", holder="disks", reason="bad disk", force=True)
    assert ask("edge/b") == "maint # maintenance by disks: bad disk; draining by alice: new kernel"
    await site.release("b", all_holders=True)
    assert ask("edge/b") == "ready down 100% # health down"
    await site.report("b")
    assert ask("edge/b") == "ready up 100%"


async def test_a_ramp_is_a_part_of_the_configured_weight() -> None:
    """From a tenth to all of it, by time alone."""
    site = await site_of(NODES)
    ask = Asker(site)
    await site.drain("a", force=True)
    await site.release("a", ramp=90)
    seen = [ask("edge/a")]
    for _ in range(9):
        site.tick(10)
        seen.append(ask("edge/a"))
    assert seen == [f"ready up {percent}%" for percent in range(10, 101, 10)]


async def test_a_scheduled_drain_begins_and_ends_by_time() -> None:
    """Nothing else happens meanwhile."""
    site = await site_of(NODES)
    ask = Asker(site)
    at = site.clock.wall
    await site.drain("a", reason="x", starts_at=at + 60, expires_at=at + 120, force=True)
    assert ask("edge/a") == "ready up 100%"
    site.tick(60)
    assert ask("edge/a") == "drain up # draining by alice: x"
    site.tick(60)
    assert ask("edge/a") == "ready up 100%"


async def test_it_fails_open_where_nobody_serves_and_never_to_a_drained_node() -> None:
    """For a role all of its nodes count, for a pool those that it matches."""
    nodes = [node(name, f"192.0.2.{10 + i}", monitor=Monitor.AGENT, region=name[:2]) for i, name in enumerate(FOUR)]
    eu = pool("eu.edge.example.org.", match={"region": "eu"})
    site = await site_of(nodes, [pool(), eu])
    ask = Asker(site)
    assert ask("edge/eu-1") == "ready up 100% # nobody serves in edge, so whoever may does: health unknown"

    await site.report("us-1")
    assert ask("edge/eu-1") == "ready down 100% # health unknown"
    assert ask("eu.edge.example.org./eu-1").startswith("ready up 100% # nobody serves in eu.edge.example.org.,")

    await site.drain("eu-1", reason="x", force=True)
    assert ask("eu.edge.example.org./eu-1") == "drain down # draining by alice: x"
    assert ask("eu.edge.example.org./eu-2").startswith("ready up 100% # nobody serves")

    await site.report("eu-2")
    assert ask("eu.edge.example.org./eu-2") == "ready up 100%"


FOUR = ("eu-1", "eu-2", "us-1", "us-2")


async def test_it_fails_open_when_the_last_node_that_served_is_removed() -> None:
    """As when it goes down; and no more when there is one again."""
    site = await site_of(NODES[1:2])
    ask = Asker(site)
    await site.register("new", monitor="none")
    assert ask("edge/b") == "ready down 100% # health unknown"
    await site.plane.remove_node("new", actor=ALICE, if_revision=None)
    assert ask("edge/b").startswith("ready up 100% # nobody serves")
    await site.register("new", monitor="none")
    assert ask("edge/b") == "ready down 100% # health unknown"


async def test_whether_anybody_serves_is_found_out_a_few_nodes_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only an undrained node that is down has to wait for it; afterwards, what has changed is looked at and no more."""
    monkeypatch.setattr(groups, "LOOKS_AT_ONCE", 2)
    site = await site_of([node(f"n{i}", f"192.0.2.{i}", monitor=Monitor.AGENT) for i in range(9)])
    await site.drain("n1", reason="x", force=True)
    ask = Asker(site)
    assert [ask.at_once(b"edge/n0\n") for _ in range(4)] == [None] * 4
    drained = Answer(b"drain down # draining by alice: x\n", "ok")
    assert ask.at_once(b"edge/n1\n") == drained
    opened = ask.at_once(b"edge/n0\n")
    assert opened is not None
    assert opened.line.startswith(b"ready up 100% # nobody serves in edge")
    assert ask.at_once(b"edge/n0\n") == opened
    assert ask.at_once(b"edge/n1\n") == drained

    await site.report("n4")
    shut = Answer(b"ready down 100% # health unknown\n", "ok")
    assert ask.at_once(b"edge/n0\n") == shut
    await site.report("n4", up=False)
    assert ask.at_once(b"edge/n0\n") == opened
    await site.register("new", monitor="none")
    assert ask.at_once(b"edge/n0\n") == shut
    await site.plane.remove_node("new", actor=ALICE, if_revision=None)
    assert ask.at_once(b"edge/n0\n") == opened


async def test_a_clock_that_goes_back_a_little_hides_no_drain() -> None:
    """Once the fleet has taken its start, as answers have."""
    site = await site_of(NODES)
    ask = Asker(site)
    await site.drain("a", reason="x", starts_at=site.clock.wall + 60, force=True)
    site.tick(60)
    site.clock.set_by(-0.5)
    assert ask("edge/a") == "drain up # draining by alice: x"


async def test_a_pool_that_answers_with_draining_nodes_when_it_is_empty_has_them_up() -> None:
    """By `when_empty`; one in maintenance never, and one whose neighbour serves again drains on."""
    site = await site_of(NODES[:2], [pool(when_empty=WhenEmpty.DRAINING)])
    ask = Asker(site)
    await site.report("b")
    for name in "ab":
        await site.drain(name, reason="x", force=True)
    words = f"ready up 100% # nobody serves in {EDGE}, so whoever may does: draining by alice: x"
    assert (ask(f"{EDGE}/a"), ask(f"{EDGE}/b")) == (words, words)
    assert ask("edge/a") == "drain up # draining by alice: x"
    await site.drain("b", mode="maintenance", reason="x", force=True)
    assert ask(f"{EDGE}/b") == "maint # maintenance by alice: x"
    await site.release("b")
    assert ask(f"{EDGE}/a") == "drain up # draining by alice: x"


async def test_a_node_is_found_in_any_case_and_a_pool_with_or_without_its_dot() -> None:
    """Names are compared as in DNS; a role as it is written."""
    ask = Asker(await site_of(NODES))
    for request in ("edge/A", "EDGE.example.org/a", "edge.Example.org./a", "edge/a\r", "  edge/a "):
        assert ask(request) == "ready up 100%"
    assert ask("EDGE/a") == "unknown-group"


@pytest.mark.parametrize(
    ("request_", "line", "result"),
    [
        (b"edge/nobody\n", b"unknown-node\n", "unknown"),
        (b"edge/other\n", b"unknown-node\n", "unknown"),
        (b"edgy/a\n", b"unknown-group\n", "unknown"),
        (b"edgy.example.org./a\n", b"unknown-group\n", "unknown"),
        *(
            (request, b"malformed-request\n", "malformed")
            for request in (b"\n", b"a\n", b"/\n", b"/a\n", b"edge/\n", b"edge/a/b\n", b"edge a/b\n", b"\xff/a\n")
        ),
        (b"GET / HTTP/1.1\r\n", b"malformed-request\n", "malformed"),
    ],
)
async def test_what_is_not_known_is_a_word_that_changes_nothing(request_: bytes, line: bytes, result: str) -> None:
    """HAProxy knows none of these words, and shows them; each is counted and told to the log."""
    found = Asker(await site_of(NODES)).full(request_)
    assert (found.line, found.result, bool(found.complaint)) == (line, result, True)


async def test_nodes_and_pools_that_come_and_go_are_followed() -> None:
    """A registered node is known at once, and unknown when it is gone; so is one that changes its role."""
    site = await site_of(NODES)
    ask = Asker(site)
    assert ask("edge/new") == "unknown-node"
    await site.register("new", monitor="none")
    assert ask("edge/new") == "ready up 100%"
    await site.register("new", monitor="none", roles=["storage"])
    assert (ask("edge/new"), ask("storage/new")) == ("unknown-node", "ready up 100%")
    await site.plane.remove_node("new", actor=ALICE, if_revision=None)
    assert ask("storage/new") == "unknown-node"

    site.plane.reload(replace(site.plane.settings, pools=(pool("live.example.org."),)))
    assert (ask(f"{EDGE}/a"), ask("live.example.org./a")) == ("unknown-group", "ready up 100%")


async def test_a_reason_cannot_leave_its_comment() -> None:
    """What is no printable ASCII becomes a blank, and a long one is cut."""
    site = await site_of(NODES)
    ask = Asker(site)
    await site.drain("a", reason="x\u2028maint, drain é #", force=True)
    assert ask("edge/a") == "drain up # draining by alice: x maint, drain   #"
    await site.drain("a", reason="long " * 100, force=True)
    assert len(ask("edge/a")) <= len("drain up # ") + MAX_COMMENT


KNOWN = re.compile(
    rb"(ready (up|down) \d+%|drain (up|down)|maint|unknown-(node|group)|malformed-request)( # [ -~]+)?\n"
)


@given(st.one_of(st.binary(max_size=80), st.from_regex(rb"(edge|storage|edge\.example\.org\.?)/\w{0,5}\n?")))
def test_any_bytes_get_one_known_line(request: bytes) -> None:
    """No request makes an answer that is not in the table."""
    assert KNOWN.fullmatch(ASKER.full(request).line)


ASKER = Asker(asyncio.run(site_of(NODES)))
