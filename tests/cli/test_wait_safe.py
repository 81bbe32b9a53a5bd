"""`dnsd drain --wait safe`: it returns when the server says so, and never before; and every other way that it ends."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from dnsd.api.schemas import AppliedBy, DrainOutcome, NodeStatus, PendingAt, RoleStatus
from dnsd.cli import waiting, waiting_display
from dnsd.cli.waiting import Watched, pause_of
from tests.cli.conftest import Run
from tests.cli.fakeserver import FakeServer, Look, problem, problem_response

DEADLINE_SECONDS = 30.0
DRAIN = ("drain", "edge-1", "--role", "edge", "--reason", "kernel", "--wait", "safe")
CACHES = Look(("caches may still answer with it for 2s",), caches_seconds=2.0)
NEVER = deque([CACHES])


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look again at once, and take nobody as late."""
    monkeypatch.setattr(waiting_display, "LATE_SECONDS", DEADLINE_SECONDS)
    for name in ("LONGEST_PAUSE_SECONDS", "SHORTEST_PAUSE_SECONDS", "FIRST_RETRY_SECONDS", "PENDING_PAUSE_SECONDS"):
        monkeypatch.setattr(waiting, name, 0.01)


async def cut(request: web.Request) -> web.StreamResponse:
    """Break the connection, as a server that is stopped does."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


def looks(server: FakeServer) -> int:
    return sum(request.path.endswith("/status") for request in server.requests)


def test_it_returns_at_the_first_yes_and_tells_what_changed(quick: None, run: Run, server: FakeServer) -> None:
    """A line for each new reason and each change of sessions, none where only time passes, and how it ended."""
    server.course = deque(
        [
            Look(("rtr1 (router) has not applied revision 7", CACHES.blockers[0]), pending=True, viewers=3),
            Look((CACHES.blockers[0], "3 viewers still connected"), caches_seconds=2.0, viewers=3),
            Look(("caches may still answer with it for 1s", "3 viewers still connected"), viewers=3),
            Look(("2 viewers still connected",), viewers=2),
            Look((), viewers=0),
        ]
    )
    result = run(*DRAIN)
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[:2] == [
        "edge-1: draining for role edge (holder ops), until 2026-01-31T16:00:00Z",
        "  pool edge.example.org.  serving 4 → 3  (floor 2: ok)",
    ]
    assert lines[2:-1] == [
        "waiting: edge: caches may still answer with it for 2s",
        "waiting: edge: 3 viewers still connected",
        "sessions: edge: viewers 3, inputs 0, jobs not known",
        "sessions: edge: viewers 2, inputs 0, jobs not known",
        "sessions: edge: viewers 0, inputs 0, jobs not known",
        "  applied by ns1 (dns) after 3 ms",
    ]
    assert lines[-1].startswith("edge-1: safe to stop in role edge, after ")
    assert looks(server) == 5


def test_a_consumer_that_is_late_is_told(
    quick: None, monkeypatch: pytest.MonkeyPatch, run: Run, server: FakeServer
) -> None:
    """One that applies at once is not worth a line; one that does not within a second is named."""
    monkeypatch.setattr(waiting_display, "LATE_SECONDS", 0.0)
    late = tuple(f"{each} (router) has not applied revision 7" for each in ("rtr1", "rtr2"))
    server.course = deque([Look(late, pending=True), Look(late[1:], pending=True), Look()])
    lines = run(*DRAIN).stdout.splitlines()
    assert [line for line in lines if "router" in line] == [f"waiting: edge: {each}" for each in late]


def test_the_caveat_of_a_node_that_nothing_watches_is_shown(quick: None, run: Run, server: FakeServer) -> None:
    """Where sessions are not known, a yes says that it rests on DNS and routers alone."""
    server.course = deque([CACHES, Look()])
    assert run(*DRAIN).stdout.splitlines()[-1] == "  caveat: sessions are not known: monitor is none"


def test_json_is_one_document_with_the_outcome_and_the_last_status(quick: None, run: Run, server: FakeServer) -> None:
    """Programs get the outcome's members, whether it is safe, and the status, at the end and nothing before."""
    server.course = deque([CACHES, CACHES, Look()])
    result = run(*DRAIN, "--json")
    document = json.loads(result.stdout)
    assert (result.exit_code, document["safe"], document["ending"]) == (0, True, "safe")
    assert DrainOutcome.model_validate(document).revision == 7
    assert document["status"]["safe_to_stop"] is True


@pytest.mark.parametrize("flags", [(), ("--json",)], ids=["words", "json"])
def test_a_time_out_is_4_the_drain_stands_and_blockers_are_listed(
    quick: None, run: Run, server: FakeServer, flags: tuple[str, ...]
) -> None:
    """After --timeout the exit status is 4, whatever stands against it is named, and nothing was released."""
    server.course = deque(NEVER)
    result = run(*DRAIN, "--timeout", "1s", *flags)
    assert result.exit_code == 4
    first, second = result.stderr.splitlines()
    assert first.startswith("dnsd: timed out after ")
    assert first.endswith("s: the drain of edge-1 stands, and it is not safe to stop yet")
    assert second == "  blocked: edge: caches may still answer with it for 2s"
    assert "safe to stop" not in result.stdout.replace("safe_to_stop", "")
    assert [drain.node for drain in server.drains] == ["edge-1"]
    if flags:
        document = json.loads(result.stdout)
        assert (document["safe"], document["ending"], document["status"]["safe_to_stop"]) == (False, "timed-out", False)


def test_a_short_outage_is_survived_and_told(quick: None, run: Run, server: FakeServer) -> None:
    """A connection that breaks, a store that is away and a proxy's own page delay the answer, and are told once."""
    server.course = deque([CACHES, Look()])
    page = web.Response(status=502, text="<p>bad gateway</p>", content_type="text/html")

    async def placed_then_trouble(request: web.Request) -> web.StreamResponse:
        server.answer_next(cut, problem(503, "store-unavailable", "the store is down"), page)
        return await server._place(request)

    server.answer_next(placed_then_trouble)
    result = run(*DRAIN)
    assert result.exit_code == 0
    assert result.stderr.count("the drain stands, asking again") == 1
    assert result.stderr.splitlines()[-1] == "dnsd: the server answers again"


def test_an_outage_to_the_end_is_4(quick: None, run: Run, server: FakeServer) -> None:
    """A server that does not come back within --timeout leaves the answer open, and the operator reads that."""

    async def placed_then_gone(request: web.Request) -> web.StreamResponse:
        server.answer_next(*[cut] * 2000)
        return await server._place(request)

    server.answer_next(placed_then_gone)
    result = run(*DRAIN, "--timeout", "1s")
    assert result.exit_code == 4
    assert "  its status could not be asked for" in result.stderr.splitlines()


def test_an_outage_without_end_is_1(quick: None, monkeypatch: pytest.MonkeyPatch, run: Run, server: FakeServer) -> None:
    """Without --timeout, a server that stays away ends the wait all the same; the drain stands."""
    monkeypatch.setattr(waiting, "MAX_OUTAGE_SECONDS", 0.05)

    async def placed_then_gone(request: web.Request) -> web.StreamResponse:
        server.answer_next(*[cut] * 2000)
        return await server._place(request)

    server.answer_next(placed_then_gone)
    result = run(*DRAIN)
    assert result.exit_code == 1
    assert "the drain of edge-1 stands: release it with `dnsd undrain edge-1 --holder ops`" in result.stderr


def test_a_drain_that_ends_meanwhile_is_1(quick: None, run: Run, server: FakeServer) -> None:
    """What was released or has expired will not become safe: the wait ends and says so."""
    server.course = deque(NEVER)

    async def release(_: web.Request) -> web.StreamResponse:
        server.drains.clear()
        server.revision += 1
        return problem_response(problem(503, "store-unavailable", "for a moment"))

    async def placed(request: web.Request) -> web.StreamResponse:
        server.answer_next(release)
        return await server._place(request)

    server.answer_next(placed)
    result = run(*DRAIN)
    assert result.exit_code == 1
    assert "was released or has expired" in result.stderr


def test_a_server_that_has_forgotten_the_drain_is_not_waited_for_without_end(
    quick: None, monkeypatch: pytest.MonkeyPatch, run: Run, server: FakeServer
) -> None:
    """A server behind the drain's revision gets a while to learn of it, and is then believed."""
    monkeypatch.setattr(waiting, "UNKNOWN_DRAIN_SECONDS", 0.05)
    server.course = deque(NEVER)

    async def placed(request: web.Request) -> web.StreamResponse:
        response = await server._place(request)
        server.drains.clear()
        server.revision = 0
        return response

    server.answer_next(placed)
    assert run(*DRAIN).exit_code == 1
    assert looks(server) > 1


def test_a_refusal_while_waiting_ends_it_and_the_drain_stands(quick: None, run: Run, server: FakeServer) -> None:
    """A node that was removed, or a token that is no longer taken, is told with what to do about the drain."""

    async def placed(request: web.Request) -> web.StreamResponse:
        server.answer_next(problem(404, "unknown-node", "there is no node 'edge-1'"))
        return await server._place(request)

    server.answer_next(placed)
    result = run(*DRAIN)
    assert result.exit_code == 1
    assert "[unknown-node]" in result.stderr
    assert "the drain of edge-1 stands" in result.stderr


def test_what_is_not_placed_is_not_waited_for(quick: None, run: Run, server: FakeServer) -> None:
    """A refusal of the guard is 3 at once, and a dry run is done when it is told."""
    assert run(*DRAIN, "--dry-run").exit_code == 0
    server.floor = 4
    assert run(*DRAIN).exit_code == 3
    assert looks(server) == 0
    assert run("undrain", "edge-1", "--wait", "safe").exit_code == 2


def test_no_answer_to_the_order_in_time_is_4(run: Run, server: FakeServer) -> None:
    """Where --timeout runs out before the order is answered, the drain may stand, and nothing is followed."""
    gone = threading.Event()

    async def silent(_: web.Request) -> web.StreamResponse:
        import asyncio

        await asyncio.get_running_loop().run_in_executor(None, gone.wait, 5)
        return web.Response()

    server.answer_next(silent)
    try:
        result = run(*DRAIN, "--timeout", "200ms")
    finally:
        gone.set()
    assert result.exit_code == 4
    assert "the drain of edge-1 may stand" in result.stderr


# --- processes ------------------------------------------------------------------------------------------------------


def start(server: FakeServer, *arguments: str, **more: Any) -> subprocess.Popen[bytes]:
    env = {**os.environ, "DNSD_SERVER": server.url, "TERM": "xterm", "COLUMNS": "100"}
    return subprocess.Popen([sys.executable, "-m", "dnsd", *arguments], env=env, **more)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_ctrl_c_leaves_the_drain_in_place_and_says_so(server: FakeServer) -> None:
    """SIGINT while waiting is 130; the operator reads that the drain stands and how to release it."""
    server.course = deque(NEVER)
    process = start(server, *DRAIN, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        wait_for(lambda: looks(server) > 0)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=DEADLINE_SECONDS)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert b"edge-1: safe" not in output
    assert errors.decode() == (
        "dnsd: interrupted; the drain of edge-1 stands: release it with `dnsd undrain edge-1 --holder ops`\n"
    )
    assert [drain.node for drain in server.drains] == ["edge-1"]
    assert all(request.method != "DELETE" for request in server.requests)


def test_a_terminal_sees_it_live(server: FakeServer) -> None:
    """Consumers, caches that count down, sessions that fall and reasons are drawn, and the ending stays."""
    server.course = deque(
        [
            Look(("rtr1 (router) has not applied revision 7",), pending=True, caches_seconds=20.0, viewers=5),
            Look(("2 viewers still connected",), caches_seconds=20.0, viewers=2),
            Look((), viewers=0),
        ]
    )
    leader, follower = pty.openpty()
    process = start(server, *DRAIN, stdout=follower)
    os.close(follower)
    shown = b""
    try:
        while chunk := _read(leader):
            shown += chunk
        assert process.wait(DEADLINE_SECONDS) == 0
    finally:
        process.kill()
        process.wait()
        os.close(leader)
    text = shown.decode()
    for fact in (
        *("waiting until it is safe to stop", "by 1 of 2; pending at rtr1 (router)", "s of 30 s left"),
        *("viewers 2 (of 5)", "2 viewers still connected", "edge-1: safe to stop in role edge, after"),
    ):
        assert fact in text, fact


def _read(leader: int) -> bytes:
    try:
        return os.read(leader, 65536)
    except OSError:  # EIO: the other side has closed
        return b""


# --- parts ----------------------------------------------------------------------------------------------------------


def role(*blockers: str, clear_in: float | None = None, pending: bool = False) -> RoleStatus:
    return RoleStatus(
        mode="draining",
        drains=[],
        dns={
            "withdrawn_at": 0.0,
            "max_ttl": 30,
            "caches_clear_at": None if clear_in is None else 100.0 + clear_in,
        },
        applied=[AppliedBy(consumer="ns1", kind="dns", lag_ms=None)],
        pending=[PendingAt(consumer="r", kind="router", applied_revision=1)] if pending else [],
        sessions=None,
        safe_to_stop=not blockers,
        blockers=list(blockers),
    )


def test_only_the_drained_roles_count_unless_all_are_drained() -> None:
    """A drain of one role is safe when that role is; one of all roles only when the node is."""
    roles = {"edge": role(), "storage": role("not drained")}
    status = NodeStatus(
        node="a", revision=1, safe_to_stop=False, blockers=["storage: not drained"], caveats=[], roles=roles
    )
    one = Watched(node="a", roles=("edge",), holder="ops", revision=1)
    both = Watched(node="a", roles=("edge", "storage"), holder="ops", revision=1)
    whole = Watched(node="a", roles=("*",), holder="ops", revision=1)
    gone = Watched(node="a", roles=("edge", "ingest"), holder="ops", revision=1)
    assert [each.safe(status) for each in (one, both, whole, gone)] == [True, False, False, False]
    assert (one.blockers(status), whole.blockers(status)) == ([], ["storage: not drained"])
    assert gone.blockers(status) == ["ingest: a does not have this role any more"]


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (role("x"), 1.0),
        (role("x", clear_in=0.4), pytest.approx(0.4)),
        (role("x", clear_in=0.001), 0.1),
        (role("x", clear_in=-5.0), 1.0),
        (role("x", clear_in=60.0), 1.0),
        (role("x", pending=True), 0.2),
    ],
)
def test_the_next_look_is_when_something_is_known_to_change(state: RoleStatus, expected: float) -> None:
    """At most a second from now, at the instant that caches clear where that is sooner, and never at once."""
    assert pause_of([state], 100.0) == expected
