"""`dnsd explain` in words and in JSON."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

from dnsd.api.schemas import Explanation
from tests.cli.conftest import Run
from tests.cli.fakeserver import FakeServer, problem

DEADLINE_SECONDS = 30.0


def test_an_explanation_is_told_in_plain_lines(run: Run, server: FakeServer) -> None:
    """Answer, way, pool, a row for each node, and who has applied it; what others wrote cannot steer a terminal."""
    result = run("explain", "edge.example.org", "--client", "192.0.2.7")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "answer: edge.example.org A from 192.0.2.7: NOERROR, flags QR AA",
        "  edge.example.org. 30 IN A 192.0.2.11",
        "way: edge.example.org. (zone example.org.): a pool",
        "pool edge.example.org.: role edge, region eu; TTL 30 s, at most 8 addresses",
        "  answered from 1 node",
        "  1 of 2 serve; floor 1, kept; when empty: nodata",
        "  7 more nodes do not match and are not listed",
        "NODE    IN   MODE      HEALTH  REPORTED  WEIGHT  SHARE  MAY BE DRAINED  WHY",
        "edge-1  in   normal    up      -            100   100%  no: floor       up",
        "edge-2  out  draining  up      -            100      -  -               drained by ops\\x1b; up",
        "revision 6, generation 9: 1 of 2 workers answer from it",
        "  already applied by ns1 (dns)",
        "  pending at rtr1 (router), which has revision 5",
        "note: the client makes no difference",
    ]


def test_name_type_and_client_reach_the_server(run: Run, server: FakeServer) -> None:
    """The type is A unless it is named, and no client is sent unless one is."""
    run("explain", "edge.example.org")
    assert server.last.query == [("name", "edge.example.org"), ("type", "A")]
    run("explain", "edge.example.org", "AAAA", "--client", "2001:db8::1")
    assert server.last.query == [("name", "edge.example.org"), ("type", "AAAA"), ("client", "2001:db8::1")]


def test_json_is_the_document(run: Run, server: FakeServer) -> None:
    """With --json the interface's own document is printed."""
    assert Explanation.model_validate_json(run("explain", "x.", "--json").stdout).pools[0].nodes_left_out == 7


def test_a_question_that_makes_no_sense_is_wrong_usage(run: Run, server: FakeServer) -> None:
    """The server's refusal is exit status 2 with the field."""
    server.answer_next(problem(400, "invalid-request", "'NOPE' is unknown", field="type"))
    result = run("explain", "x.", "NOPE")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "'NOPE' is unknown (field type)" in result.stderr


def test_a_terminal_gets_the_same_facts(server: FakeServer) -> None:
    """On a terminal the table is fitted, and nothing is lost."""
    leader, follower = pty.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "dnsd", "explain", "edge.example.org"],
            env={**os.environ, "DNSD_SERVER": server.url, "TERM": "xterm", "COLUMNS": "120"},
            stdout=follower,
            timeout=DEADLINE_SECONDS,
        )
        shown = os.read(leader, 100_000).decode()
    finally:
        os.close(leader)
        os.close(follower)
    assert done.returncode == 0
    for fact in ("NOERROR", "192.0.2.11", "edge-2", "no: floor", "1 of 2 workers", "no difference"):
        assert fact in shown
