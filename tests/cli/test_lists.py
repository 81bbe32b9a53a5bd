"""`dnsd nodes`, `pools`, `drains`, `consumers`, `history` and `status`."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp import web

from dnsd.api.schemas import (
    ConsumerInfo,
    DrainInfo,
    HistoryInfo,
    NodeInfo,
    NodeStatus,
    Page,
    PendingAt,
    PoolInfo,
    RampInfo,
)
from tests.cli.conftest import Run
from tests.cli.fakeserver import START, FakeServer, problem

PAGES: list[tuple[str, type[Page[Any]], int]] = [
    ("nodes", Page[NodeInfo], 4),
    ("pools", Page[PoolInfo], 1),
    ("drains", Page[DrainInfo], 2),
    ("consumers", Page[ConsumerInfo], 1),
    ("history", Page[HistoryInfo], 2),
]


@pytest.fixture
def drained(run: Run, server: FakeServer) -> FakeServer:
    assert run("drain", "edge-1", "--role", "edge", "--reason", "kernel [6.1]").exit_code == 0
    assert run("drain", "edge-2", "--reason", "a\x1b[31m\nb", "--indefinite", "--holder", "os-update").exit_code == 0
    return server


@pytest.mark.parametrize(("command", "page", "count"), PAGES)
def test_json_lists_are_one_page_of_the_interface(
    run: Run, drained: FakeServer, command: str, page: type[Page[Any]], count: int
) -> None:
    """However many pages the server made of it, --json prints one document of the same shape, with all items."""
    drained.page_size = 1
    result = run(command, "--json")
    document = page.model_validate_json(result.stdout)
    assert (result.exit_code, len(document.items), document.next) == (0, count, None)
    assert json.loads(result.stdout) == document.model_dump(mode="json")


@pytest.mark.parametrize(("command", "page", "count"), PAGES)
def test_a_list_in_a_pipe_is_one_plain_line_for_each_row(
    run: Run, drained: FakeServer, command: str, page: type[Page[Any]], count: int
) -> None:
    """A pipe gets a line of titles and a line for each row, without colour, boxes or control characters."""
    result = run(command, COLUMNS="20", TERM="xterm-256color")
    lines = result.stdout.splitlines()
    assert (result.exit_code, len(lines)) == (0, count + 1)
    assert lines[0] == lines[0].upper()
    assert [line for line in lines if not line.isprintable() or line != line.rstrip() or "│" in line] == []


def test_nodes_show_each_role(run: Run, server: FakeServer) -> None:
    """A node's row has its role, mode, health and every address."""
    assert run("nodes").stdout.splitlines()[:2] == [
        "NODE    ROLE  MODE    HEALTH  SERVING  REGION  WEIGHT  ADDRESSES",
        "edge-1  edge  normal  up      yes      eu         100  192.0.2.11,2001:db8::1",
    ]


def test_pools_say_who_is_out_and_why(run: Run, drained: FakeServer) -> None:
    """A pool's row has what serves, the floor, and the reason for each node that is out."""
    out = "edge-1: draining for ops; edge-2: draining for os-update"
    head = "OUT".ljust(len(out))
    assert run("pools").stdout.splitlines() == [
        f"POOL               TYPE     ROLE  SERVING  TOTAL  FLOOR  KEPT  ANSWERS FROM  {head}  COMING BACK",
        f"edge.example.org.  address  edge        2      4      2  yes   serving       {out}  -",
    ]


def test_a_ramp_is_shown_with_the_node_with_its_pools_and_with_its_status(run: Run, server: FakeServer) -> None:
    """Each of the three lists tells which part of the answers a node has on its way back."""
    ramp = RampInfo(percent=30, ends_at=START + 60)
    server.ramps["edge-1"] = ramp
    assert "yes, 30 %" in run("nodes").stdout.splitlines()[1]
    assert run("pools").stdout.splitlines()[1].endswith("edge-1, 30 %")
    told = "  ramp: 30 % of its part in answers, all of it from 2026-01-31T12:01:00Z on"
    assert told in run("status", "edge-1").stdout.splitlines()


def test_a_pool_that_another_one_stands_in_for_names_it(run: Run, server: FakeServer) -> None:
    """Where the answers come from another pool, the row says which."""
    server.tier = "pool"
    assert run("pools").stdout.splitlines()[1].split()[7] == "pool:backup.example.org."
    server.tier = "unhealthy"
    assert run("pools").stdout.splitlines()[1].split()[7] == "unhealthy"


def test_drains_say_when_they_end(run: Run, drained: FakeServer) -> None:
    """Times are relative and absolute, an indefinite drain says never, and brackets in a reason are kept."""
    first, second = run("drains").stdout.splitlines()[1:]
    assert "(2026-01-31T16:00:00Z)" in first
    assert first.endswith("kernel [6.1]")
    assert second.split()[:5] == ["edge-2", "all", "draining", "os-update", "active"]
    assert " never " in second
    assert second.endswith(r"a\x1b[31m\nb")


def test_consumers_that_are_behind_are_shown(run: Run, server: FakeServer) -> None:
    """A consumer's row has its revision, whether it is behind, and a dash for a lag that nobody knows."""
    server.pending = [PendingAt(consumer="rtr1", kind="router", applied_revision=5)]
    rows = [line.split()[:6] for line in run("consumers").stdout.splitlines()[1:]]
    assert rows == [["ns1", "dns", "6", "no", "3", "ms"], ["rtr1", "router", "5", "yes", "-", "yes"]]


def test_a_secondary_that_has_never_answered_is_listed_as_such(run: Run, server: FakeServer) -> None:
    """Who has given it a wrong address sees that in the list."""
    server.unseen = ["knot-1"]
    assert run("consumers").stdout.splitlines()[-1].split() == ["knot-1", "secondary", "0", "yes", "-", "no", "never"]


def test_history_is_of_one_node_or_of_all(run: Run, drained: FakeServer) -> None:
    """The newest entry comes first, and a node narrows the list."""
    assert [line.split()[3] for line in run("history").stdout.splitlines()[1:]] == ["edge-2", "edge-1"]
    assert [line.split()[3] for line in run("history", "edge-1").stdout.splitlines()[1:]] == ["edge-1"]
    assert ("node", "edge-1") in drained.last.query


def test_history_says_what_was_forced(run: Run, drained: FakeServer) -> None:
    """A forced entry is marked as such, and no other; JSON has what was before and after."""
    run("drain", "edge-3", "--reason", "must", "--force")
    rows = run("history").stdout.splitlines()[1:]
    assert ["forced" in row.split() for row in rows] == [True, False, False]
    items = json.loads(run("history", "--json").stdout)["items"]
    assert [(item["forced"], [each["mode"] for each in item["after"]]) for item in items] == [
        (True, ["draining"]),
        (False, ["draining"]),
        (False, ["draining"]),
    ]
    assert all(item["before"] == [] for item in items)


def test_history_is_exported_as_json_lines_over_all_pages(run: Run, drained: FakeServer) -> None:
    """Each entry is one line, newest first, whatever the pages; a node narrows it, and --json excludes it."""
    drained.page_size = 1
    result = run("history", "--jsonl")
    entries = [HistoryInfo.model_validate_json(line) for line in result.stdout.splitlines()]
    assert entries == drained.history
    assert len([request for request in drained.requests if request.path == "/v1/history"]) == 2
    assert len(run("history", "edge-1", "--jsonl").stdout.splitlines()) == 1
    assert run("history", "--json", "--jsonl").exit_code == 2


def test_an_export_prints_each_page_before_it_asks_for_the_next(run: Run, drained: FakeServer) -> None:
    """What came before a failure is printed: the history is not gathered in memory first."""
    drained.page_size = 1

    async def first(request: web.Request) -> web.Response:
        return web.json_response({"items": [drained.history[0].model_dump(mode="json")], "next": "1"})

    drained.answer_next(first, problem(503, "store-unavailable", "the store is down"))
    result = run("history", "--jsonl")
    assert (result.exit_code, len(result.stdout.splitlines())) == (1, 1)
    assert "store-unavailable" in result.stderr


def test_status_tells_what_blocks(run: Run, drained: FakeServer) -> None:
    """The first line is the verdict; below it stand blockers, caveats and the progress of each role."""
    drained.pending = [PendingAt(consumer="rtr1", kind="router", applied_revision=5)]
    result = run("status", "edge-1")
    lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert lines[:5] == [
        "edge-1: not safe to stop",
        "  blocked: edge: rtr1 has not applied revision 8",
        "  caveat: sessions are not known: monitor is none",
        "role edge: draining, not safe to stop",
        "  drain: draining for role edge (holder ops), until 2026-01-31T16:00:00Z; kernel [6.1]",
    ]
    assert lines[5].startswith("  dns: withdrawn ")
    assert lines[5].endswith("(2026-01-31T12:00:30Z), largest TTL 30 s")
    assert lines[6:] == [
        "  applied by ns1 (dns) after 3 ms",
        "  pending at rtr1 (router), which has revision 5",
        "  sessions: not known",
    ]
    drained.pending = []
    assert run("status", "edge-1").stdout.splitlines()[0] == "edge-1: safe to stop"


def test_status_in_json_is_the_document(run: Run, drained: FakeServer) -> None:
    """With --json the status document is printed as it came."""
    result = run("status", "edge-1", "--json")
    document = NodeStatus.model_validate_json(result.stdout)
    assert document.safe_to_stop
    assert json.loads(result.stdout) == document.model_dump(mode="json")


def test_the_token_goes_along(run: Run, server: FakeServer) -> None:
    """The token comes from the option or the variable; without it the operator reads where to put one."""
    server.token = "s3cret"
    assert run("nodes", "--token", "s3cret").exit_code == 0
    assert run("nodes", DNSD_TOKEN="s3cret").exit_code == 0
    refused = run("nodes")
    assert refused.exit_code == 1
    assert "--token or DNSD_TOKEN" in refused.stderr
