"""The file with the last known state: what goes in comes out, and one that is not whole is never used."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsd.model.state import FleetState
from dnsd.stores import laststate
from dnsd.stores.laststate import LastState
from tests.model import strategies
from tests.stores.samples import NOW, a_drain, a_node, a_report

_states = st.builds(
    lambda revision, nodes, drains, reports, mark: FleetState(
        revision=revision,
        nodes={node.id: node for node in nodes},
        drains={drain.key: drain for drain in drains},
        reports={report.node: report for report in reports},
        mark=mark,
    ),
    strategies.revisions,
    st.lists(strategies.nodes, max_size=3),
    st.lists(strategies.drains, max_size=3),
    st.lists(strategies.reports, max_size=3),
    st.sampled_from(["", "0123456789abcdef"]),
)

A_STATE = LastState(
    store="redis h:6379, prefix dnsd",
    heard_at=NOW,
    state=FleetState(
        revision=7,
        nodes={"edge-1": a_node()},
        drains={a_drain(revision=7).key: a_drain(revision=7)},
        reports={"edge-1": a_report(sequence=3)},
        mark="ab",
    ),
)


@given(state=_states, heard_at=strategies.instants, store=strategies.texts)
def test_what_is_kept_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, state: FleetState, heard_at: float, store: str
) -> None:
    """Every part of it, the mark included."""
    path = tmp_path_factory.getbasetemp() / "round-trip"
    last = LastState(store=store, heard_at=heard_at, state=state)
    laststate.write(path, last)
    found = laststate.read(path)
    assert found == last
    assert found is not None
    assert found.state.mark == state.mark


def test_without_a_file_nothing_is_known(tmp_path: Path) -> None:
    """That is no fault: the server has never kept one."""
    assert laststate.read(tmp_path / "last-state") is None


def test_it_is_replaced_as_a_whole_and_for_its_owner_alone(tmp_path: Path) -> None:
    """A second state takes the first one's place; nothing else is left in the folder, which is made."""
    path = tmp_path / "deep" / "last-state"
    laststate.write(path, LastState(store="other", heard_at=NOW, state=FleetState()))
    laststate.write(path, A_STATE)
    assert laststate.read(path) == A_STATE
    assert [each.name for each in path.parent.iterdir()] == ["last-state"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_write_that_fails_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fails at the last moment: the file is as it was, and nothing lies beside it."""
    path = tmp_path / "last-state"
    laststate.write(path, A_STATE)

    def fail(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        laststate.write(path, LastState(store="other", heard_at=NOW, state=FleetState()))
    monkeypatch.undo()
    assert laststate.read(path) == A_STATE
    assert [each.name for each in tmp_path.iterdir()] == ["last-state"]


def test_a_byte_that_is_not_as_it_was_written_is_noticed(tmp_path: Path) -> None:
    """Wherever it is: no damaged file is read, and none leads to another error than ours."""
    path = tmp_path / "last-state"
    laststate.write(path, A_STATE)
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[place] ^= 0x01
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=str(path)):
            laststate.read(path)
    for length in (0, 1, 40, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=str(path)):
            laststate.read(path)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"version": laststate.VERSION + 1}, "written by another dnsd"),
        ({"kind": "shopping list"}, "not a last state"),
        ({"bytes": 1}, "damaged"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, changed: dict[str, object], says: str) -> None:
    """The first line tells what it is."""
    path = tmp_path / "last-state"
    laststate.write(path, A_STATE)
    head, _, body = path.read_bytes().partition(b"\n")
    path.write_bytes(json.dumps({**json.loads(head), **changed}).encode() + b"\n" + body)
    with pytest.raises(ValueError, match=says):
        laststate.read(path)


def test_a_folder_in_its_place_is_refused(tmp_path: Path) -> None:
    """One line, no traceback of the system's."""
    with pytest.raises(ValueError, match="cannot be read"):
        laststate.read(tmp_path)
