"""`dnsd explain` beside `dig`: what it says would be answered is what is answered."""

from __future__ import annotations

import re

import pytest

from tests.support.servers import Server


@pytest.mark.parametrize(
    ("name", "rdtype"),
    [
        ("edge.example.org", "A"),
        ("www.example.org", "AAAA"),
        ("far.example.org", "A"),
        ("x.wild.example.org", "TXT"),
        ("deep.example.org", "A"),
        ("host.sub.example.org", "A"),
        ("x.old.example.org", "A"),
        ("edge-1.nodes.example.org", "A"),
        ("nothing.example.org", "A"),
        ("example.com", "A"),
        ("example.org", "MX"),
    ],
)
def test_the_explained_answer_is_the_one_that_dig_gets(shared: Server, name: str, rdtype: str) -> None:
    """RCODE, AA and the records of the answer agree, whatever the way to it."""
    text = shared.dig(name, rdtype, "+noall", "+comments", "+answer", "+norecurse")
    told = shared.cli("explain", name, rdtype)["answer"]
    assert re.findall(r"status: (\w+)", text) == [told["rcode"]]
    assert (" aa" in text.partition("flags:")[2].partition(";")[0]) == ("AA" in told["flags"])
    records = {tuple(line.split()) for line in text.splitlines() if line and not line.startswith(";")}
    assert records == {tuple(record.split()) for record in told["answer"]}


def test_a_drain_shows_in_the_explanation_once_workers_have_it(server: Server) -> None:
    """The drained node is out with its holder and reason, and every worker answers from the revision that is told."""
    server.cli("drain", "edge-1", "--role", "edge", "--reason", "fans", "--holder", "os-update", "--wait", "applied")
    explanation = server.cli("explain", "edge.example.org")
    [out] = [each for each in explanation["pools"][0]["nodes"] if each["node"] == "edge-1"]
    assert out["answered"] is False
    assert "drained by os-update (draining)" in out["reasons"][0]
    assert out["reasons"][0].endswith(": fans")
    assert explanation["revision"] == 1
    assert [worker["applied"] for worker in explanation["workers"]] == [True] * len(server.workers())
    assert [each["consumer"] for each in explanation["applied"]] == ["ns1"]
    refused = server.run("explain", "edge.example.org", "NOPE")
    assert (refused.returncode, "type" in refused.stderr) == (2, True)
