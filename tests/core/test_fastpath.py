"""Responses that are given again: they are those that the engine would make, and they are forgotten in time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dnsd.core.engine import Engine
from dnsd.core.limits import MAX_ADDITIONAL_NAMES
from dnsd.core.names import from_text
from dnsd.core.policy import DEFAULT_POLICY
from dnsd.core.records import Delta, Rotation, RRset, Snapshot
from dnsd.core.sampled import Sampled
from dnsd.core.sampling import Line, Weighted
from dnsd.core.via import TCP, UDP, Transport
from dnsd.model.drain import Mode
from tests.core.fastpaths import (
    BELOW,
    BESIDE,
    CHILD,
    DENIED,
    FLEET,
    LEARNED,
    LONG,
    MADE,
    NEVER,
    NODES,
    OTHER,
    POOLED,
    SERVICE,
    SRV_POOL,
    STATIC,
    ZONE,
    asked,
    engine_of,
    fleet_of,
    raised,
    same,
    snapshot_of,
)
from tests.support.dnsmessages import NOW, PEER, decode, query, shown, zone_of
from tests.support.fleets import drain, gone, node, pool, put
from tests.support.repeating import apply, essence, members, recalled, serve, with_junk

# --- which are given again ----------------------------------------------------------------------------------------

WAYS: dict[str, dict[str, int | bool | None]] = {
    "plain": {},
    "edns": {"edns": 0},
    "small": {"edns": 0, "udp_size": 512},
    "letters": {"edns": 0, "udp_size": 0x4161, "dnssec_ok": True},
}


def flipped(packet: bytes) -> bytes:
    """Return a query with the case of every letter in its name changed."""
    end = packet.index(b"\0", 12)
    return packet[:12] + packet[12:end].swapcase() + packet[end:]


@pytest.mark.parametrize("way", WAYS)
def test_what_comes_again_is_answered_as_before(way: str) -> None:
    """From the second time on past the engine, in any case of letters, and with whatever ID."""
    engine = engine_of(FLEET)
    for question in LEARNED:
        packet = query(question, **WAYS[way])  # type: ignore[arg-type]
        found = [serve(engine, packet)]
        engine.snapshot, snapshot = Snapshot(0, 0, {}, {}), engine.snapshot  # whoever looks finds nothing
        repeated = (packet, flipped(packet), b"\xff\xfe" + packet[2:], packet)
        found += [serve(engine, again) for again in repeated]
        engine.snapshot = snapshot
        for response, asked_for in zip(found, (packet, *repeated), strict=True):
            assert same(response, FLEET, asked_for), question
    assert sum(engine.counts[Transport.UDP]) == 5 * len(LEARNED)
    assert not any(engine.counts[Transport.TCP])


@pytest.mark.parametrize("way", WAYS)
def test_what_may_be_another_response_each_time_is_made_each_time(way: str) -> None:
    """It takes the long way every time."""
    engine = engine_of(FLEET)
    for question in NEVER:
        packet = query(question, **WAYS[way])  # type: ignore[arg-type]
        for _ in range(2):
            engine.respond(packet, now=NOW, via=UDP, peer=PEER)
            assert recalled(engine, packet) is None, question


def test_what_came_over_tcp_is_not_learned() -> None:
    """A response over a stream may be longer than any over UDP."""
    engine = engine_of(FLEET)
    packet = query("huge.example.org. TXT")
    engine.respond(packet, now=NOW, via=TCP, peer=PEER)
    assert recalled(engine, packet) is None


def test_records_that_name_hosts_take_turns_only_where_all_of_them_fit() -> None:
    """Of more hosts than are added, each order has the addresses of others; and none may point into another one."""
    nodes = [
        node(f"{'n' * (number % 7)}{number}", f"192.0.2.{number}") for number in range(1, 2 + MAX_ADDITIONAL_NAMES)
    ]
    spec = pool("_all._tcp.example.org.", max_answers=100, **SRV_POOL)
    for count, way, learned in (
        (4, "plain", True),
        (9, "plain", False),
        (12, "plain", False),
        (12, "edns", True),
        (17, "edns", False),
    ):
        snapshot = snapshot_of(fleet_of(nodes[:count], [spec]))
        engine = engine_of(snapshot)
        packet = query(SERVICE, **WAYS[way])  # type: ignore[arg-type]
        first = engine.respond(packet, now=NOW, via=UDP, peer=PEER)
        found = [recalled(engine, packet) for _ in range(40)]
        assert all((each is not None) is learned for each in found), (count, way)
        if learned:
            decoded = {shown(decode(each or b"")) for each in found}
            assert len(decoded) == count
            assert all(essence(each, None if each is None else members(snapshot, packet)) for each in found)
            assert {len(each or b"") for each in found} == {len(first or b"")}


# --- packets that are nearly the same -----------------------------------------------------------------------------

NEAR = {
    "one byte less": lambda packet: packet[:-1],
    "a byte more": lambda packet: packet + b"\0",
    "another flag": lambda packet: packet[:3] + bytes([packet[3] ^ 0x20]) + packet[4:],
    "a response": lambda packet: packet[:2] + bytes([packet[2] ^ 0x80]) + packet[3:],
    "another opcode": lambda packet: packet[:2] + bytes([packet[2] ^ 0x20]) + packet[3:],
    "no question": lambda packet: packet[:5] + b"\0" + packet[6:],
    "two questions": lambda packet: packet[:5] + b"\2" + packet[6:],
    "an answer": lambda packet: packet[:7] + b"\1" + packet[8:],
    "a letter of a count": lambda packet: packet[:11] + b"A" + packet[12:],
    "another class": lambda packet: (
        packet[: packet.index(b"\0", 12) + 4] + b"\3" + packet[packet.index(b"\0", 12) + 5 :]
    ),
    "a longer label": lambda packet: packet[:12] + bytes([packet[12] + 1]) + packet[13:],
    "a label too long": lambda packet: packet[:12] + bytes([packet[12] | 0x40]) + packet[13:],
    "a pointer": lambda packet: packet[:12] + b"\xc0\x0c" + packet[packet.index(b"\0", 12) + 1 :],
    "another version": lambda packet: packet[:-5] + b"\1" + packet[-4:],
    "only a header": lambda packet: packet[:12],
    "less than a header": lambda packet: packet[:11],
    "only an ID": lambda packet: packet[:2],
    "nothing": lambda packet: b"",
    "a zero in the name": lambda packet: packet[:13] + b"\0" + packet[14:],
    "another letter in the name": lambda packet: packet[:13] + b"#" + packet[14:],
}


@pytest.mark.parametrize("change", NEAR.values(), ids=NEAR)
@pytest.mark.parametrize("question", ["mail.example.org. A", "missing.example.org. A", "edge.example.org. TYPE65"])
def test_a_packet_that_is_nearly_the_same_is_another(question: str, change: object) -> None:
    """Whatever is not the same to the letter of a name gets the response to what it is."""
    packet = query(question, edns=0)
    near = change(packet)  # type: ignore[operator]
    engine = engine_of(FLEET)
    for known in (packet, query(question), query(question.replace("example", "child.example"))):
        engine.respond(known, now=NOW, via=UDP, peer=PEER)
    found = recalled(engine, near)
    assert found is None or same(found, FLEET, near)


def test_bytes_that_are_no_letters_of_a_name_are_told_apart() -> None:
    """HTTPS is type 65, the `A` to the `a` of type 97; sizes and flags of an OPT have such bytes too."""
    engine = engine_of(FLEET)
    packets = [
        query(f"unknown.example.org. TYPE{number}", edns=0, udp_size=size, dnssec_ok=ok)
        for number in (65, 97, 0x4141, 0x6161)
        for size in (0x4141, 0x6161, 0x4161, 0x6141)
        for ok in (False, True)
    ]
    missing = [packet.replace(b"\7unknown", b"\7missing") for packet in packets]
    for packet in (*packets, *missing, *packets, *missing):
        found = serve(engine, packet)
        assert same(found, FLEET, packet)
    assert all(recalled(engine, packet) for packet in packets)


def test_denials_are_told_apart_by_the_length_of_the_first_label_alone() -> None:
    """One name that does not exist stands for all that are as long, right below a name that does, and no others."""
    engine = engine_of(FLEET)
    engine.respond(query("missing.example.org. A"), now=NOW, via=UDP, peer=PEER)
    for name, known in (
        ("another.example.org.", True),
        ("\\000\\255ABC..".replace("..", "\\046\\046") + ".example.org.", True),
        ("toolong1.example.org.", False),
        ("missing.mail.example.org.", False),
        ("drained.example.org.", False),
        ("islands.example.org.", False),
        ("to-pool.example.org.", False),
        ("to-wild.example.org.", False),
        ("example.org.", False),
    ):
        packet = query(f"{name} A")
        found = recalled(engine, packet)
        assert (found is not None) is known, name
        assert found is None or same(found, FLEET, packet)


def test_a_name_of_the_soa_is_denied_with_the_same_records() -> None:
    """It might be compressed further; what is said is the same."""
    engine = engine_of(FLEET)
    packet = query("hostmaster.example.org. A")
    slow = engine.respond(packet, now=NOW, via=UDP, peer=PEER)
    assert recalled(engine, packet) is None  # it would not do for others
    engine.respond(query("ostmasterh.example.org. A"), now=NOW, via=UDP, peer=PEER)
    found = recalled(engine, packet)
    assert slow is not None
    assert found is not None
    assert shown(decode(found)) == shown(decode(slow))


def test_denials_of_other_sizes_are_told_apart() -> None:
    """Of two sizes that differ in the case of a letter alone, one may have no room for the SOA."""
    far = f"{LONG}.{LONG}.{LONG}.example.net."
    zone = zone_of(f"@ 300 SOA {far} {far.replace('x', 'w')}com. 1 7200 900 1209600 60\n{LONG}.y A 192.0.2.1")
    snapshot = Snapshot(1, 1, {zone.apex: zone}, {})
    for length in range(1, 60):
        engine = engine_of(snapshot)
        packets = [query(f"{'z' * length}.{LONG}.y.example.org. A", edns=0, udp_size=size) for size in (0x241, 0x261)]
        for packet in packets * 3:
            assert same(serve(engine, packet), snapshot, packet), length


def test_a_query_with_other_records_is_not_learned() -> None:
    """They may be as long as somebody likes, and no two need be alike."""
    engine = engine_of(FLEET)
    for packet in (with_junk(query(STATIC), 1), with_junk(query(DENIED), 1)):
        assert same(serve(engine, packet), FLEET, packet)
        assert recalled(engine, packet) is None


# --- generations --------------------------------------------------------------------------------------------------


EVERY = (STATIC, DENIED, POOLED, OTHER, BESIDE, BELOW, MADE, "falls.example.org. A")


def test_a_pool_that_changes_takes_its_own_answers_along() -> None:
    """Those of the pool by any name, and of its fallbacks; everything else stays."""
    fleet = fleet_of()
    engine = Engine(snapshot_of(fleet), on_failure=raised)
    for question in EVERY:
        serve(engine, query(question))
    change = fleet.apply([put(drain("nn"), 1)], now=NOW)
    apply(engine, Delta(2, 1, put=change.put, removed=tuple(change.removed)))
    assert asked(engine, *EVERY) == [True, True, False, True, False, False, False, False]
    for question in EVERY:
        packet = query(question)
        assert same(serve(engine, packet), snapshot_of(fleet), packet)
    assert b"\xc0\0\2\x0b" not in b"".join(serve(engine, query(POOLED)) or b"" for _ in range(50))


def test_the_last_node_of_a_pool_goes_and_comes_back() -> None:
    """Records become NODATA and records again, and each time it is learned anew."""
    fleet = fleet_of()
    engine = Engine(snapshot_of(fleet), on_failure=raised)
    changes = [put(drain("later"), 1), gone(drain("later"), 2), put(drain("later", mode=Mode.MAINTENANCE), 3)]
    for number, change in enumerate([None, *changes]):
        if change is not None:
            step = fleet.apply([change], now=NOW)
            apply(engine, Delta(number + 1, number, put=step.put, removed=tuple(step.removed)))
        for question in (OTHER, "drained.example.org. A"):
            packet = query(question, edns=0)
            assert recalled(engine, packet) is None or same(recalled(engine, packet), snapshot_of(fleet), packet)
            assert same(serve(engine, packet), snapshot_of(fleet), packet)
            assert recalled(engine, packet) is not None


def test_an_answer_whose_ttl_counts_down_is_made_each_time() -> None:
    """Before a drain that is scheduled no answer is like the one before, and after it all are alike."""
    fleet = fleet_of()
    engine = Engine(snapshot_of(fleet), on_failure=raised)
    serve(engine, query(POOLED))
    step = fleet.apply([put(drain("nn", starts_at=NOW + 10, created_at=NOW), 1)], now=NOW)
    apply(engine, Delta(2, 1, put=step.put, removed=tuple(step.removed)))
    for seconds in (0, 4, 8):
        packet = query(POOLED)
        found = serve(engine, packet, now=NOW + seconds)
        assert same(found, snapshot_of(fleet), packet, now=NOW + seconds)
        assert decode(found or b"").answer[0].ttl == 10 - seconds
    step = fleet.tick(now=NOW + 10)
    apply(engine, Delta(3, 1, put=step.put, removed=tuple(step.removed)))
    serve(engine, query(POOLED))
    assert asked(engine, POOLED) == [True]


def test_an_answer_is_kept_until_its_ttl_counts_down() -> None:
    """A change that is hours away makes no answer another one; from when a TTL reaches to it on, each is."""
    fleet = fleet_of()
    engine = Engine(snapshot_of(fleet), on_failure=raised)
    step = fleet.apply([put(drain("nn", starts_at=NOW + 100, created_at=NOW), 1)], now=NOW)
    apply(engine, Delta(2, 1, put=step.put, removed=tuple(step.removed)))
    packet = query(POOLED)
    serve(engine, packet)
    for seconds, known in ((0, True), (69, True), (70, True), (70.5, False), (99, False), (60, False)):
        now = NOW + seconds
        assert (recalled(engine, packet, now=now) is not None) == known
        assert same(engine.respond(packet, now=now, via=TCP, peer=PEER), snapshot_of(fleet), packet, now=now)
    serve(engine, packet, now=NOW + 60)  # the clock was set back
    assert recalled(engine, packet, now=NOW + 61) is not None
    assert recalled(engine, packet, now=NOW + 71) is None


@pytest.mark.parametrize("kind", ["name", "no name", "zone", "no zone", "policy", "snapshot"])
def test_whatever_else_changes_everything_is_forgotten(kind: str) -> None:
    """Names of nodes, zones, and how answers are given."""
    fleet = fleet_of()
    engine = Engine(snapshot_of(fleet), on_failure=raised)
    for question in EVERY:
        serve(engine, query(question))
    if kind in ("name", "no name"):
        extra = node("missing", "192.0.2.77", roles=("other",))
        for number, change in enumerate([put(extra, 1), gone(extra, 2)][: 1 + (kind == "no name")]):
            step = fleet.apply([change], now=NOW)
            apply(engine, Delta(2 + number, 1 + number, put=step.put, removed=tuple(step.removed)))
    elif kind == "zone":
        apply(engine, Delta(2, 1, zones={ZONE.apex: zone_of("missing A 192.0.2.9")}))
    elif kind == "no zone":
        apply(engine, Delta(2, 1, removed_zones=(CHILD.apex,)))
    elif kind == "policy":
        engine.configure(replace(DEFAULT_POLICY, stale=True))
    else:
        engine.swap(snapshot_of(fleet))
    assert asked(engine, *EVERY) == [False] * len(EVERY)


def test_a_new_name_is_not_denied_any_more() -> None:
    """A node's name that was denied before, and one that a new zone has."""
    fleet = fleet_of()
    engine = Engine(snapshot_of(fleet), on_failure=raised)
    names = ("fresh.nodes.example.org. A", "another.nodes.example.org. A")
    for _ in range(2):
        assert [decode(serve(engine, query(name)) or b"").rcode() for name in names] == [3, 3]
    step = fleet.apply([put(node("fresh", "192.0.2.88"), 1)], now=NOW)
    apply(engine, Delta(2, 1, put=step.put, removed=tuple(step.removed)))
    for _ in range(2):
        assert [decode(serve(engine, query(name)) or b"").rcode() for name in names] == [0, 3]


def test_which_pools_a_delta_changes() -> None:
    """Those that it replaces; where it does anything else, it says so."""
    edge, other = from_text("edge.example.org."), from_text("n.nodes.example.org.")
    before, static = FLEET.overlay[edge], FLEET.overlay[other]
    assert Delta(2, 1).changed_pools({}) == ()
    assert Delta(2, 1, put={edge: before}).changed_pools({edge: before}) == (edge,)
    for delta, replaced in (
        (Delta(2, 1, put={edge: before}), {}),
        (Delta(2, 1, put={edge: before}), {edge: static}),
        (Delta(2, 1, put={edge: static}), {edge: before}),
        (Delta(2, 1, put={other: static}), {other: static}),
        (Delta(2, 1, removed=(edge,)), {edge: before}),
        (Delta(2, 1, put={edge: before}, zones={ZONE.apex: ZONE}), {edge: before}),
        (Delta(2, 1, put={edge: before}, removed_zones=(ZONE.apex,)), {edge: before}),
    ):
        assert delta.changed_pools(replaced) is None


# --- what is noted ------------------------------------------------------------------------------------------------


def test_counts_and_traces_are_those_of_the_long_way() -> None:
    """Each answer is counted once by its RCODE, and pools know when they were last answered, and with which TTL."""
    slow, fast = engine_of(FLEET), engine_of(FLEET)
    packets = [query(question, edns=edns) for question in (*LEARNED, *NEVER, SERVICE) for edns in (None, 0)]
    for now in (NOW, NOW, NOW + 1.5, NOW + 700):
        for packet in packets[int(now) % 3 :: 2]:
            slow.respond(packet, now=now, via=UDP, peer=PEER)
            serve(fast, packet, now=now)
            assert fast.counts == slow.counts
            for name, node_there in slow.snapshot.overlay.items():
                if node_there.trace is not None:
                    other = fast.snapshot.overlay[name].trace
                    assert other is not None
                    assert other.told(now + 1) == node_there.trace.told(now + 1)
    assert (slow.dropped, slow.failures, slow.events) == (fast.dropped, fast.failures, fast.events)


@pytest.mark.parametrize("owner", ["edge", "few", "any.wild"])
def test_all_nodes_are_answered_as_often(owner: str) -> None:
    """Whoever asks, and in whatever letters, each node comes first as often as any other, or nearly."""
    engine = engine_of(FLEET)
    packet = query(f"{owner}.example.org. A")
    firsts = [decode(serve(engine, packet) or b"").answer[0][0].to_text() for _ in range(501)]
    firsts += [decode(serve(engine, flipped(packet)) or b"").answer[0][0].to_text() for _ in range(500)]
    shares = [firsts.count(address) / len(firsts) for address in set(firsts)]
    assert len(shares) == len(NODES) + 1
    assert max(shares) - min(shares) < 0.04


def test_several_turns_are_those_that_are_picked_one_by_one() -> None:
    """For what rotates and for samples; the next one goes on from there."""
    line = Line.of([Weighted(bytes([number] * 4), 1) for number in range(7)], max_answers=3)
    variants = tuple(RRset(1, 30, (bytes([number] * 4),)) for number in range(3))
    for make in (lambda: Rotation(variants, turn=1), lambda: Sampled(1, 30, line, turn=5)):
        one, other = make(), make()
        assert [*one.several(10), one.pick()] == [other.pick() for _ in range(11)]


def test_how_many_records_an_answer_has() -> None:
    """Samples that are not always as large have no one number."""
    even, caps = [Weighted(bytes(4), 1)] * 5, [Weighted(bytes([each] * 4), 1, 0.5) for each in range(3)]
    assert Sampled(1, 30, Line.of(even, max_answers=2)).count == 2
    assert Sampled(1, 30, Line.of(caps, max_answers=2)).count is None
