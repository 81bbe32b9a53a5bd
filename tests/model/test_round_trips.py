"""The types of the model through JSON: what is read back equals what was written."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given

from dnsd.model.drain import Drain, DrainKey
from dnsd.model.node import Node, canonical_address
from dnsd.model.report import Report
from dnsd.model.state import Change, Entity, HistoryEntry
from tests.model import strategies


@given(strategies.drains)
def test_a_drain_survives_json(drain: Drain) -> None:
    """Every field of a drain comes back, and its key reads back from its text."""
    assert Drain.from_json(json.loads(json.dumps(drain.to_json()))) == drain
    assert DrainKey.of(drain.key.text) == drain.key


@given(strategies.nodes)
def test_a_node_survives_json(node: Node) -> None:
    """Every field of a registered node comes back."""
    assert Node.from_json(json.loads(json.dumps(node.to_json()))) == node


@given(strategies.nodes)
def test_a_configured_node_does_not_say_so_in_json(node: Node) -> None:
    """That a node is declared in a configuration is the server's own knowledge and is not written."""
    configured = dataclasses.replace(node, configured=True)
    assert configured.to_json() == node.to_json()


@given(strategies.reports)
def test_a_report_survives_json(report: Report) -> None:
    """Every field of a report comes back; a count that is not known stays apart from zero."""
    assert Report.from_json(json.loads(json.dumps(report.to_json()))) == report


@given(strategies.entries)
def test_a_history_entry_survives_json(entry: HistoryEntry) -> None:
    """Every field of a history entry comes back."""
    assert HistoryEntry.from_json(json.loads(json.dumps(entry.to_json()))) == entry


def test_a_node_of_few_words_has_defaults() -> None:
    """Id, addresses and roles are enough: the rest has its defaults, and health comes from an agent."""
    node = Node.from_json({"id": "edge-1", "addresses": ["192.0.2.1"], "roles": ["edge"]})
    assert node == Node(id="edge-1", addresses=("192.0.2.1",), roles=("edge",))
    assert (node.weight, node.monitor.value) == (100, "agent")


@pytest.mark.parametrize(
    ("key", "node"),
    [(Change(Entity.DRAIN, "edge-1/*/ops", None), "edge-1"), (Change(Entity.NODE, "edge-2", None), "edge-2")],
)
def test_a_change_knows_its_node(key: Change, node: str) -> None:
    """A change of a drain or of a node names the node that it concerns."""
    assert key.node == node


@pytest.mark.parametrize("text", ["edge-1/edge", "edge-1", "a/b/c/d", ""])
def test_a_drain_key_has_three_parts(text: str) -> None:
    """Another number of parts is no drain's key."""
    with pytest.raises(ValueError, match="values to unpack"):
        DrainKey.of(text)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0:0:0:0:0:11", "2001:db8::11"),
        ("2001:0db8::0011", "2001:db8::11"),
    ],
)
def test_an_address_has_one_spelling(text: str, canonical: str) -> None:
    """Two spellings of one IPv6 address become the same text (RFC 5952)."""
    assert canonical_address(text) == canonical


@pytest.mark.parametrize("text", ["192.0.2", "192.0.2.256", "192.0.2.01", "fe80::1%eth0", "edge-1", "", "::g"])
def test_what_is_no_address_is_refused(text: str) -> None:
    """A malformed address, or one with a zone id, is refused."""
    with pytest.raises(ValueError, match=r"address|zone id"):
        canonical_address(text)


def test_a_node_that_an_earlier_version_wrote_is_read() -> None:
    """It has neither ports nor a priority; members that a later version adds are passed over."""
    node = Node(id="a", addresses=("192.0.2.1",), roles=("edge",))
    written = node.to_json()
    del written["ports"], written["priority"]
    assert Node.from_json({**written, "colour": "red"}) == node
