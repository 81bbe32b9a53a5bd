"""The operator's story with real programs: drain, look, restart, undrain; and what is refused on the way."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import dns.message
import dns.query
import pytest

from dnsd.model.times import parse_instant
from tests.support.calls import http
from tests.support.servers import Server, serving, wait_until

EDGE = "edge.example.org"


def test_a_drain_takes_a_node_out_keeps_its_name_and_survives_a_restart(server: Server) -> None:
    """Drain, restart, undrain: pooled answers follow, the per-node name never changes, nothing is forgotten."""
    assert server.addresses(EDGE) == {"192.0.2.11", "192.0.2.12", "192.0.2.13"}
    placed = server.cli("drain", "edge-1", "--role", "edge", "--reason", "kernel", "--wait", "applied")
    assert (placed["changed"], placed["pending"]) == (True, [])
    assert server.addresses(EDGE) == {"192.0.2.12", "192.0.2.13"}
    assert server.addresses("edge-1.nodes.example.org") == {"192.0.2.11"}
    listed, told = server.cli("drains"), server.cli("history")

    assert server.stop() == 0
    server.start()

    assert server.cli("drains") == listed
    assert server.cli("history") == told
    assert server.addresses(EDGE) == {"192.0.2.12", "192.0.2.13"}
    assert server.addresses("edge-1.nodes.example.org") == {"192.0.2.11"}
    server.cli("undrain", "edge-1", "--wait", "applied")
    assert server.addresses(EDGE) == {"192.0.2.11", "192.0.2.12", "192.0.2.13"}
    assert [entry["action"] for entry in server.cli("history", "edge-1")["items"]] == [
        "drain-released",
        "drain-placed",
    ]


def test_a_pool_whose_nodes_are_all_out_is_nodata(server: Server) -> None:
    """With force, past the floor: NOERROR without an answer; never NXDOMAIN, never a drained node."""
    for node in ("edge-1", "edge-2", "edge-3"):
        server.cli("drain", node, "--reason", "all of them", "--force", "--wait", "applied")
    text = server.dig(EDGE, "A")
    assert "status: NOERROR" in text
    assert "ANSWER: 0" in text
    assert "status: SERVFAIL" in server.dig("us.edge.example.org", "A")


def test_the_guard_refuses_and_force_is_recorded(server: Server) -> None:
    """The last node of a role needs --force; the refusal has its own exit status and shows the impact."""
    server.cli("drain", "edge-1", "--reason", "one")
    server.cli("drain", "edge-2", "--reason", "two", "--force")
    refused = server.run("drain", "edge-3", "--reason", "three")
    assert refused.returncode == 3
    assert "edge.example.org." in refused.stderr
    status, problem = http(server, "PUT", "/v1/nodes/edge-3/drain", {"reason": "three"})
    assert (status, problem["id"]) == (409, "capacity-floor")
    wanted = {"pool": "edge.example.org.", "serving_before": 1, "serving_after": 0, "floor": "1", "ok": False}
    assert any(wanted.items() <= row.items() for row in problem["impact"])
    dry = server.run("drain", "edge-3", "--reason", "three", "--dry-run", "--force", "--json")
    assert (dry.returncode, json.loads(dry.stdout)["dry_run"]) == (0, True)
    assert {drain["node"] for drain in server.cli("drains")["items"]} == {"edge-1", "edge-2"}
    forced = server.cli("drain", "edge-3", "--reason", "three", "--force")
    assert forced["drain"]["forced"] is True
    assert [entry["forced"] for entry in server.cli("history", "edge-3")["items"]] == [True]


def test_a_repetition_changes_nothing_and_leaves_no_history(server: Server) -> None:
    """The same request again: 200, changed false, the revision and the history as before."""
    body = {"roles": ["edge"], "reason": "kernel", "expires_in": 3600}
    first = http(server, "PUT", "/v1/nodes/edge-1/drain?wait=applied", body)
    again = http(server, "PUT", "/v1/nodes/edge-1/drain?wait=applied", body)
    assert (first[0], first[1]["changed"]) == (200, True)
    assert (again[0], again[1]["changed"], again[1]["revision"]) == (200, False, first[1]["revision"])
    assert again[1]["drain"] == first[1]["drain"]
    assert len(server.cli("history")["items"]) == 1


def events_between(server: Server, seen: int, last: int) -> list[tuple[str, str, dict[str, Any]]]:
    """Return the id, type and data of every event behind a revision, up to the one of another revision."""
    request = urllib.request.Request(server.url + "/v1/events", headers={"Last-Event-ID": str(seen)})
    found = []
    with urllib.request.urlopen(request, timeout=10) as response:
        fields: dict[str, str] = {}
        for line in response:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name:
                fields[name] = value
            elif "data" in fields:
                found.append((fields.get("id", ""), fields["event"], json.loads(fields["data"])))
                fields = {}
            if found and found[-1][0] == str(last):
                break
    return found


def test_a_drain_expires_by_itself_and_its_end_is_told_once(server: Server) -> None:
    """The node is back without any client's doing; the drain is no longer listed; one entry and one event tell it."""
    placed = server.cli("drain", "edge-1", "--reason", "short", "--for", "1500ms", "--wait", "applied")
    assert "192.0.2.11" not in server.addresses(EDGE) or time.time() > parse_instant(placed["drain"]["expires_at"])
    wait_until(lambda: "192.0.2.11" in server.addresses(EDGE), "the node is back")
    wait_until(lambda: len(server.cli("history")["items"]) == 2, "the expiry is in the history")
    assert server.cli("drains")["items"] == []
    # A later change bounds what is read: whatever tells of the end a second time comes before it.
    later = server.cli("drain", "edge-2", "--reason", "later", "--wait", "applied")
    told = events_between(server, placed["revision"], later["revision"])
    assert [(kind, data["node"]) for _, kind, data in told] == [("drain-removed", "edge-1"), ("drain", "edge-2")]
    assert told[0][2]["revision"] == placed["revision"] + 1
    _, expired, first = server.cli("history")["items"]
    assert [(entry["action"], entry["holder"], entry["reason"]) for entry in (expired, first)] == [
        ("drain-expired", first["holder"], "short"),
        ("drain-placed", first["holder"], "short"),
    ]
    assert expired["actor"] == "dnsd" != first["actor"]
    assert expired["revision"] == told[0][2]["revision"]


def share_of(server: Server, address: str, *, times: int = 300) -> float:
    """Return the share of answers over UDP, from any worker, that hold an address."""
    found = 0
    for _ in range(times):
        query = dns.message.make_query(EDGE, "A")
        response = dns.query.udp(query, "127.0.0.1", port=server.dns_port, timeout=5)
        found += any(rdata.address == address for rrset in response.answer for rdata in rrset)
    return found / times


def test_a_node_comes_back_by_a_ramp_that_survives_a_restart_and_ends_by_itself(server: Server) -> None:
    """A tenth of the answers first, as shown; the same after a restart; all of them, and one entry, at the end."""
    server.cli("drain", "edge-1", "--reason", "kernel", "--wait", "applied")
    released = server.cli("undrain", "edge-1", "--ramp", "10m", "--wait", "applied")
    assert released["ramp"]["percent"] == 10
    assert 0.02 < share_of(server, "192.0.2.11") < 0.2
    assert server.stop() == 0
    server.start()
    (node,) = (each for each in server.cli("nodes")["items"] if each["id"] == "edge-1")
    assert node["roles"]["edge"]["ramp"] == released["ramp"]
    assert 0.02 < share_of(server, "192.0.2.11") < 0.2
    assert server.cli("drains")["items"] == []

    server.cli("undrain", "edge-1", "--wait", "applied")
    assert share_of(server, "192.0.2.11", times=50) == 1.0
    server.cli("drain", "edge-1", "--reason", "kernel", "--wait", "applied")
    server.cli("undrain", "edge-1", "--ramp", "900ms", "--wait", "applied")
    wait_until(lambda: server.cli("history")["items"][0]["action"] == "ramp-ended", "the end is in the history")
    assert share_of(server, "192.0.2.11", times=50) == 1.0
    assert [entry["action"] for entry in server.cli("history")["items"]].count("ramp-ended") == 2


def test_holders_release_their_own(server: Server) -> None:
    """Two holders' drains stand side by side; each goes alone, and --all-holders ends what is left."""
    server.cli("drain", "edge-1", "--reason", "a", "--holder", "ops")
    server.cli("drain", "edge-1", "--reason", "b", "--holder", "os-update", "--mode", "maintenance")
    assert server.cli("undrain", "edge-1")["changed"] is False  # the caller itself holds none
    assert server.run("undrain", "edge-1", "--holder", "nobody-knows").returncode == 2
    server.cli("undrain", "edge-1", "--holder", "os-update", "--wait", "applied")
    assert server.cli("undrain", "edge-1", "--holder", "os-update")["changed"] is False  # again
    assert [(each["holder"], each["mode"]) for each in server.cli("drains")["items"]] == [("ops", "draining")]
    assert "192.0.2.11" not in server.addresses(EDGE)
    server.cli("undrain", "edge-1", "--all-holders", "--wait", "applied")
    assert "192.0.2.11" in server.addresses(EDGE)


@pytest.mark.parametrize(
    ("path", "body", "status", "id_", "word"),
    [
        ("/v1/nodes/nobody/drain", {"reason": "x"}, 404, "unknown-node", "nobody"),
        ("/v1/nodes/edge-1/drain", {"reason": "x", "roles": ["video"]}, 400, "invalid-request", "video"),
        ("/v1/nodes/edge-1/drain", {"reason": "x", "roles": ["ingest"]}, 400, "invalid-request", "ingest"),
        ("/v1/nodes/edge-1/drain", {"reason": "x", "mode": "asleep"}, 400, "invalid-request", "asleep"),
        ("/v1/nodes/edge-1/drain", {"reason": "x", "colour": "red"}, 400, "invalid-request", "colour"),
        ("/v1/nodes/edge-1/drain", {"reason": 5}, 400, "invalid-request", "reason"),
        ("/v1/nodes/edge-1/drain", {}, 400, "invalid-request", "reason"),
    ],
)
def test_bad_input_is_a_problem_that_names_it_and_writes_nothing(
    shared: Server, path: str, body: object, status: int, id_: str, word: str
) -> None:
    """Unknown node, role, mode and field, and a wrong type."""
    code, problem = http(shared, "PUT", path, body)
    assert (code, problem["id"]) == (status, id_)
    assert word in json.dumps(problem)
    assert http(shared, "GET", "/v1/drains")[1] == {"items": [], "next": None}
    assert http(shared, "GET", "/v1/history")[1] == {"items": [], "next": None}


def test_a_registered_node_serves_once_it_reports_and_falls_out_when_it_goes_silent(tmp_path: Path) -> None:
    """Register, report up, go stale: the pool follows; the per-node name is there throughout."""
    more = '\n[health]\nstale_after = "2s"\n'
    with serving(tmp_path, store="memory", more=more) as server:
        node = {"addresses": ["192.0.2.99"], "roles": ["edge"], "region": "eu"}
        assert http(server, "PUT", "/v1/nodes/edge-9", node)[1]["changed"] is True
        wait_until(lambda: server.addresses("edge-9.nodes.example.org") == {"192.0.2.99"}, "the name is there")
        assert "192.0.2.99" not in server.addresses(EDGE)
        report: dict[str, Any] = {"sequence": 0, "observed_at": "2026-01-01T00:00:00Z", "health": {"edge": "up"}}

        def serves() -> bool:
            report["sequence"] += 1  # a machine may be so busy that one report is stale before anybody asks
            assert http(server, "POST", "/v1/nodes/edge-9/report", report)[1]["roles"] == {"edge": "normal"}
            return "192.0.2.99" in server.addresses(EDGE)

        wait_until(serves, "it serves")
        assert http(server, "POST", "/v1/nodes/edge-9/report", report)[1]["accepted"] is False
        wait_until(lambda: "192.0.2.99" not in server.addresses(EDGE), "its report is stale")
        assert server.addresses("edge-9.nodes.example.org") == {"192.0.2.99"}
        assert http(server, "DELETE", "/v1/nodes/edge-9")[0] == 200
        wait_until(lambda: server.addresses("edge-9.nodes.example.org") == set(), "the name is gone")


def test_status_says_when_a_node_may_be_stopped(tmp_path: Path) -> None:
    """Not while caches may hold it; then yes, with the caveat that sessions are not known."""
    pools = '\n[[pool]]\nname = "quick.example.org."\nrole = "storage"\nttl = 1\n'
    fleet = {f"store-{number}": ([f"192.0.2.3{number}"], ["storage"], "eu") for number in (1, 2)}
    with serving(tmp_path, store="memory", more=pools, fleet=fleet) as server:
        before = server.cli("status", "store-1")
        assert before["safe_to_stop"] is False
        assert "storage: not drained" in before["blockers"]
        server.cli("drain", "store-1", "--reason", "disk", "--wait", "applied")
        soon = server.cli("status", "store-1")
        assert soon["roles"]["storage"]["dns"]["max_ttl"] == 1
        wait_until(lambda: server.cli("status", "store-1")["safe_to_stop"], "it may be stopped")
        after = server.cli("status", "store-1")
        assert after["blockers"] == []
        assert "sessions" in after["caveats"][0]
