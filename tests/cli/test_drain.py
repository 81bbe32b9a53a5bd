"""`dnsd drain` and `dnsd undrain` in words and in JSON."""

from __future__ import annotations

import json

import pytest

from dnsd.api.schemas import DrainInfo, DrainOutcome, Impact, PendingAt, ProblemDetail, RampInfo
from tests.cli.conftest import Run
from tests.cli.fakeserver import START, FakeServer, json_response, problem

LATE = PendingAt(consumer="rtr1", kind="router", applied_revision=5)


def test_a_drain_is_told_in_plain_lines(run: Run, server: FakeServer) -> None:
    """The operator reads what is drained, for whom, how long, what it does to pools and who has applied it."""
    server.pending = [LATE]
    result = run("drain", "edge-1", "--role", "edge", "--reason", "kernel")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "edge-1: draining for role edge (holder ops), until 2026-01-31T16:00:00Z",
        "  pool edge.example.org.  serving 4 → 3  (floor 2: ok)",
        "  applied by ns1 (dns) after 3 ms",
        "  pending at rtr1 (router), which has revision 5",
    ]
    assert result.stderr == ""


def test_every_option_reaches_the_server(run: Run, server: FakeServer) -> None:
    """Options stand before or after the node, and each arrives as the contract has it."""
    result = run(
        *("drain", "--mode", "maintenance", "--role", "edge", "--for", "1h30m", "--at", "2026-01-31T14:00:00+02:00"),
        *("edge-2", "--reason", "räck move", "--holder", "os-update", "--force", "--role", "edge"),
    )
    assert result.exit_code == 0
    assert server.last.path == "/v1/nodes/edge-2/drain"
    assert server.last.query == []
    assert server.last.body == {
        "roles": ["edge", "edge"],
        "mode": "maintenance",
        "reason": "räck move",
        "holder": "os-update",
        "expires_in": 5400.0,
        "indefinite": False,
        "starts_at": "2026-01-31T12:00:00.000Z",
        "force": True,
        "dry_run": False,
    }
    assert (
        "maintenance for roles edge, edge (holder os-update), from 2026-01-31T12:00:00Z until 2026-01-31T13:30:00Z"
        in result.stdout
    )


def test_until_and_indefinite_are_told(run: Run, server: FakeServer) -> None:
    """An end at an instant and no end at all are sent and told as such."""
    until = run("drain", "edge-1", "--reason", "x", "--until", "2026-02-01T00:00:00Z")
    assert "for all roles (holder ops), until 2026-02-01T00:00:00Z" in until.stdout
    assert server.last.body["expires_at"] == "2026-02-01T00:00:00.000Z"
    assert "(holder ops), indefinitely" in run("drain", "edge-2", "--reason", "x", "--indefinite").stdout
    assert server.last.body["indefinite"] is True


def test_a_dry_run_writes_nothing_and_waits_for_nobody(run: Run, server: FakeServer) -> None:
    """A dry run tells the impact, says that nothing was written, and is not asked to wait."""
    result = run("drain", "edge-1", "--reason", "x", "--dry-run", "--wait", "applied")
    assert result.exit_code == 0
    assert "  dry run: nothing was written" in result.stdout.splitlines()
    assert (server.last.body["dry_run"], server.last.query, server.drains) == (True, [], [])


def test_json_is_the_interface_own_document(run: Run, server: FakeServer) -> None:
    """With --json the answer's document is printed with every member that the server sent, and nothing else."""
    result = run("drain", "edge-1", "--reason", "x", "--json")
    outcome = DrainOutcome.model_validate_json(result.stdout)
    assert outcome.drain is not None
    assert (outcome.revision, outcome.drain.reason) == (7, "x")
    assert json.loads(result.stdout) == outcome.model_dump(mode="json")


def test_wait_applied_is_asked_of_the_server(run: Run, server: FakeServer) -> None:
    """--wait applied asks the server to wait, for --timeout or else for half a minute."""
    assert run("drain", "edge-1", "--reason", "x", "--wait", "applied", "--timeout", "5s").exit_code == 0
    assert server.last.query == [("wait", "applied"), ("timeout", "5")]
    assert run("undrain", "edge-1", "--wait", "applied", "--json").exit_code == 0
    assert server.last.query == [("wait", "applied"), ("timeout", "30")]


@pytest.mark.parametrize("flags", [(), ("--json",)], ids=["words", "json"])
def test_a_wait_that_times_out_exits_with_4(run: Run, server: FakeServer, flags: tuple[str, ...]) -> None:
    """The drain stands, and the operator reads that and who is pending; --json still prints the document."""
    server.pending = [LATE]
    result = run("drain", "edge-1", "--reason", "x", "--wait", "applied", "--timeout", "1s", *flags)
    assert result.exit_code == 4
    assert result.stderr == (
        "dnsd: timed out: the drain stands, and not all have applied revision 7; pending: rtr1 (router)\n"
    )
    assert [drain.node for drain in server.drains] == ["edge-1"]
    if flags:
        assert DrainOutcome.model_validate_json(result.stdout).pending == [LATE]


def test_the_capacity_guard_exits_with_3_and_shows_the_impact(run: Run, server: FakeServer) -> None:
    """A refusal for capacity prints the impact to standard error and says how to insist."""
    server.floor = 4
    result = run("drain", "edge-1", "--reason", "x")
    assert result.exit_code == 3
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "dnsd: edge.example.org. would fall below its floor of 4 [capacity-floor]",
        "  hint: --force places it all the same",
        "POOL               AT   SERVING BEFORE  SERVING THEN  FLOOR  HOLDS",
        "edge.example.org.  now  4               3             4      no",
    ]
    assert run("drain", "edge-1", "--reason", "x", "--force").exit_code == 0


def test_a_refusal_in_json_is_the_problem_document(run: Run, server: FakeServer) -> None:
    """With --json a refusal's document is on standard output and the line for people on standard error."""
    server.floor = 4
    result = run("drain", "edge-1", "--reason", "x", "--json")
    document = ProblemDetail.model_validate_json(result.stdout)
    assert result.exit_code == 3
    assert document.impact is not None
    assert [(row.pool, row.ok) for row in document.impact] == [("edge.example.org.", False)]
    assert "capacity-floor" in result.stderr


def test_the_impact_of_later_and_of_emptied_answers_says_so(run: Run, server: FakeServer) -> None:
    """A number of tonight names its instant, in words and in the refusal's table; empty answers are named as such."""
    rows = [
        Impact(pool="a.example.", at=START + 3600, serving_before=3, serving_after=2, floor="1", ok=True),
        Impact(pool="b.example.", serving_before=0, serving_after=0, empties=True, floor="0", ok=True),
    ]
    outcome = DrainOutcome(revision=7, changed=True, dry_run=False, drain=None, impact=rows)
    server.answer_next(json_response(outcome))
    assert run("drain", "edge-1", "--reason", "x").stdout.splitlines()[1:] == [
        "  pool a.example.  at 2026-01-31T13:00:00Z serving 3 → 2  (floor 1: ok)",
        "  pool b.example.  serving 0 → 0, answers become empty  (floor 0: ok)",
    ]
    server.answer_next(problem(409, "capacity-floor", "below", impact=rows))
    assert run("drain", "edge-1", "--reason", "x").stderr.splitlines()[3:] == [
        "a.example.  2026-01-31T13:00:00Z  3               2             1      yes",
        "b.example.  now                   0               0, empty      0      yes",
    ]


def test_a_release_with_a_ramp_is_told(run: Run, server: FakeServer) -> None:
    """The server is asked in seconds; the operator reads which part the node has, and from when it has all."""
    run("drain", "edge-1", "--reason", "x")
    assert run("undrain", "edge-1", "--ramp", "1m30s").exit_code == 0
    assert server.last.query == [("ramp", "90")]
    ramp = RampInfo(percent=10, ends_at=START + 90)
    ended = [drain_info("edge-1")]
    outcome = DrainOutcome(revision=8, changed=True, dry_run=False, drain=ended[0], released=ended, ramp=ramp)
    server.answer_next(json_response(outcome))
    told = "  ramp: 10 % of its part in answers, all of it from 2026-01-31T12:01:30Z on"
    assert run("undrain", "edge-1", "--ramp", "90s").stdout.splitlines() == [
        "edge-1: released, was draining for all roles (holder ops), indefinitely",
        told,
    ]
    kept = outcome.model_copy(update={"changed": False, "drain": None, "released": []})
    server.answer_next(json_response(kept))
    assert told in run("undrain", "edge-1", "--ramp", "90s").stdout.splitlines()
    gone = drain_info("edge-1").model_copy(update={"mode": "normal"})
    server.answer_next(json_response(outcome.model_copy(update={"released": [gone], "ramp": None})))
    assert run("undrain", "edge-1").stdout.splitlines() == ["edge-1: its ramp for all roles (holder ops) is ended"]


def test_a_ramp_that_the_server_refuses_is_a_usage_error(run: Run, server: FakeServer) -> None:
    """The field is named, and the exit status is 2."""
    server.answer_next(problem(400, "invalid-request", "a ramp takes more than 0 seconds", field="ramp"))
    result = run("undrain", "edge-1", "--ramp", "0s")
    assert result.exit_code == 2
    assert "ramp" in result.stderr


def drain_info(name: str) -> DrainInfo:
    return DrainInfo(
        node=name,
        roles=["*"],
        mode="draining",
        holder="ops",
        actor="local",
        reason="x",
        created_at=START,
        starts_at=START,
        expires_at=None,
        revision=7,
        state="released",
    )


def test_a_release_is_told(run: Run, server: FakeServer) -> None:
    """The operator reads what was released; a second time, that nobody drains the node."""
    run("drain", "edge-1", "--role", "edge", "--reason", "x")
    first = run("undrain", "edge-1")
    assert first.stdout.splitlines() == [
        "edge-1: released, was draining for role edge (holder ops), until 2026-01-31T16:00:00Z",
        "  applied by ns1 (dns) after 3 ms",
    ]
    second = run("undrain", "edge-1")
    assert second.exit_code == 0
    assert second.stdout.splitlines() == ["edge-1 is not drained"]
    assert run("undrain", "edge-1", "--role", "edge").stdout.splitlines() == ["edge-1 is not drained for role edge"]
    assert DrainOutcome.model_validate_json(run("undrain", "edge-1", "--json").stdout).changed is False


def test_every_released_drain_is_told(run: Run, server: FakeServer) -> None:
    """Where several go at once, each has its line."""
    run("drain", "edge-1", "--role", "edge", "--reason", "x")
    run("drain", "edge-1", "--reason", "y", "--holder", "os-update", "--indefinite")
    assert run("undrain", "edge-1", "--all-holders").stdout.splitlines()[:2] == [
        "edge-1: released, was draining for role edge (holder ops), until 2026-01-31T16:00:00Z",
        "edge-1: released, was draining for all roles (holder os-update), indefinitely",
    ]


def test_a_release_by_who_holds_nothing_says_who_does(run: Run, server: FakeServer) -> None:
    """The node is still drained: the operator reads by whom, why, and how to release that; exit status 0."""
    run("drain", "edge-1", "--reason", "kernel", "--holder", "os-update")
    run("drain", "edge-2", "--reason", "other", "--holder", "rack")
    expected = [
        "edge-1 is still drained by os-update; you hold no such drain",
        "  draining for all roles (holder os-update), until 2026-01-31T16:00:00Z; kernel",
        "  release theirs with `dnsd undrain edge-1 --holder os-update`",
    ]
    result = run("undrain", "edge-1")
    assert (result.exit_code, result.stdout.splitlines(), result.stderr) == (0, expected, "")
    assert [drain.holder for drain in server.drains] == ["os-update", "rack"]
    of_a_role = run("undrain", "edge-1", "--role", "edge").stdout.splitlines()[0]
    assert of_a_role == "edge-1 is still drained for role edge by os-update; you hold no such drain"
    assert DrainOutcome.model_validate_json(run("undrain", "edge-1", "--json").stdout).changed is False


def test_a_drain_to_come_is_told_as_such(run: Run, server: FakeServer) -> None:
    """A scheduled drain of somebody else is not told as one in force, and one of another role not at all."""
    run("drain", "edge-1", "--role", "edge", "--reason", "x", "--holder", "rack", "--at", "2026-01-31T14:00:00Z")
    first = run("undrain", "edge-1").stdout.splitlines()[0]
    assert first == "edge-1 is to be drained by rack; you hold no such drain"
    assert run("undrain", "edge-1", "--role", "ingest").stdout == "edge-1 is not drained for role ingest\n"


def test_a_release_whose_look_at_others_fails_says_so(run: Run, server: FakeServer) -> None:
    """Where others' drains cannot be listed, the release is done, and the operator reads what is not known."""
    server.fail_lists = 1
    result = run("undrain", "edge-1")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.startswith("dnsd: edge-1: there was nothing to release; whether others drain it is not known:")


def test_a_repeated_drain_tells_no_lag(run: Run, server: FakeServer) -> None:
    """What was applied long ago is not told as if it had been measured now."""
    run("drain", "edge-1", "--reason", "x")
    again = run("drain", "edge-1", "--reason", "x", "--wait", "applied")
    assert again.exit_code == 0
    assert "  nothing changed: it stood like this before" in again.stdout.splitlines()
    assert again.stdout.splitlines()[-1] == "  already applied by ns1 (dns)"


def test_a_long_time_is_the_servers_to_refuse(run: Run, server: FakeServer) -> None:
    """The command line has no bound of its own: the server's sentence is what the operator reads."""
    server.answer_next(problem(400, "invalid-request", "more than ten years: place it as indefinite instead"))
    result = run("drain", "edge-1", "--reason", "x", "--for", "99999999d")
    assert (result.exit_code, server.last.body["expires_in"]) == (2, 99999999 * 86400.0)
    assert result.stderr == "dnsd: more than ten years: place it as indefinite instead [invalid-request]\n"


def test_a_server_needs_no_scheme(run: Run, server: FakeServer) -> None:
    """A host and a port are enough."""
    assert run("nodes", "--server", server.url.removeprefix("http://")).exit_code == 0


def test_a_release_names_roles_and_holders(run: Run, server: FakeServer) -> None:
    """Roles repeat, and one holder or all of them are named in the query."""
    run("undrain", "--role", "edge", "--role", "storage", "edge-1", "--holder", "os-update")
    assert server.requests[0].query == [("role", "edge"), ("role", "storage"), ("holder", "os-update")]
    run("undrain", "edge-1", "--all-holders", "--json")
    assert server.last.query == [("all_holders", "true")]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("drain", "edge-1"), ["--reason"]),
        (("drain", "--reason", "x"), ["NODE"]),
        (("drain", "edge-1", "--reason", "x", "--for", "1h", "--indefinite"), ["--for", "--indefinite"]),
        (("drain", "edge-1", "--reason", "x", "--for", "1h", "--until", "2026-01-31T16:00:00Z"), ["--for", "--until"]),
        (("drain", "edge-1", "--reason", "x", "--until", "16:00"), ["--until", "16:00", "2026-01-31T12:00:00Z"]),
        (("drain", "edge-1", "--reason", "x", "--at", "2026-01-31T16:00:00"), ["--at", "offset", "--for 90m"]),
        (("drain", "edge-1", "--reason", "x", "--for", "ninety"), ["--for", "ninety", "30s"]),
        (("drain", "edge-1", "--reason", "x", "--for", "0s"), ["--for", "0s"]),
        (("drain", "edge-1", "--reason", "x", "--for", "9" * 400 + "d"), ["--for"]),
        (("drain", "edge-1", "--reason", "x", "--mode", "normal"), ["--mode", "maintenance"]),
        (("drain", "edge-1", "--reason", "x", "--wait", "soon"), ["--wait", "applied", "safe"]),
        (("drain", "../../x", "--reason", "x"), ["NODE", "../../x"]),
        (("undrain", "edge-1", "--holder", "a", "--all-holders"), ["--holder", "--all-holders"]),
        (("undrain", "edge-1", "--ramp", "soon"), ["--ramp", "soon", "30s"]),
        (("drain", "edge-1", "--reason", "\udcff"), ["--reason", "is not text in UTF-8"]),
        (("drain", "edge-1", "--reason", "x", "--role", "\udcff"), ["--role", "is not text in UTF-8"]),
        (("undrain", "edge-1", "--holder", "\udcff"), ["--holder", "is not text in UTF-8"]),
        (("drain", "edge-1", "--reason", "x", "--at", "0001-01-01T00:00:00+14:00"), ["--at", "years 1 to 9999"]),
        (("nodes", "--server", "ftp://localhost"), ["--server", "http://127.0.0.1:8053"]),
        (("nodes", "--token", "a b"), ["--token"]),
        (("sleep",), ["sleep"]),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, tuple) else "",
)
def test_wrong_usage_exits_with_2_and_names_it(
    run: Run, server: FakeServer, arguments: tuple[str, ...], named: list[str]
) -> None:
    """Whatever is wrong with the command line is named, with what is expected, and nothing is sent."""
    result = run(*arguments)
    assert result.exit_code == 2
    assert [word for word in named if word not in " ".join(result.stderr.split())] == []
    assert (server.requests, result.stdout) == ([], "")


@pytest.mark.parametrize(
    ("status", "kind", "expected"),
    [
        (400, "invalid-request", 2),
        (401, "unauthenticated", 1),
        (403, "not-allowed", 1),
        (404, "unknown-node", 1),
        (409, "capacity-floor", 3),
        (409, "node-conflict", 5),
        (409, "revision-conflict", 5),
        (412, "revision-moved", 5),
        (500, "internal-error", 1),
        (503, "store-unavailable", 1),
    ],
)
@pytest.mark.parametrize("command", [("drain", "edge-1", "--reason", "x"), ("undrain", "edge-1"), ("status", "edge-1")])
def test_each_refusal_has_its_exit_status(
    run: Run, server: FakeServer, command: tuple[str, ...], status: int, kind: str, expected: int
) -> None:
    """What the server says decides the exit status, and its sentence and id are on standard error."""
    server.answer_next(problem(status, kind, "the reason why"))
    result = run(*command)
    assert result.exit_code == expected
    assert result.stderr.splitlines()[0] == f"dnsd: the reason why [{kind}]"
    assert result.stdout == ""
