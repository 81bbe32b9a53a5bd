"""Drains and the mode that follows from them."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsd.model.drain import ALL_ROLES, Drain, Mode, effective_mode
from tests.model import strategies

NOW = 1_800_000_000.0

BASE = Drain(
    node="edge-1",
    role="edge",
    holder="ops",
    mode=Mode.DRAINING,
    reason="kernel",
    actor="alice",
    created_at=NOW - 10,
    starts_at=NOW - 10,
    expires_at=NOW + 10,
)


def test_modes_are_ordered_by_strength() -> None:
    """Normal is weaker than draining, and draining weaker than maintenance."""
    assert Mode.NORMAL < Mode.DRAINING < Mode.MAINTENANCE


@pytest.mark.parametrize("mode", Mode)
def test_a_mode_reads_back(mode: Mode) -> None:
    """Each mode is one lower-case word."""
    assert Mode.of(mode.text) is mode
    assert mode.text == mode.text.lower()


@pytest.mark.parametrize("text", ["", "Draining", "DRAINING", "drain", "off", "1"])
def test_an_unknown_mode_is_refused(text: str) -> None:
    """Another word is refused, and the message lists the three."""
    with pytest.raises(ValueError, match="is not a mode: normal, draining, maintenance"):
        Mode.of(text)


@pytest.mark.parametrize(
    ("starts_in", "expires_in", "active", "expired"),
    [
        (-10, 10, True, False),
        (0, 10, True, False),  # it starts at its instant
        (1, 10, False, False),
        (-10, 0, False, True),  # it is over at its instant
        (-10, -1, False, True),
        (-10, None, True, False),
        (1, None, False, False),
    ],
)
def test_a_drain_is_active_from_its_start_until_it_expires(
    starts_in: float, expires_in: float | None, active: bool, expired: bool
) -> None:
    """The instant of the start belongs to the drain and the instant of expiry does not."""
    expires_at = None if expires_in is None else NOW + expires_in
    drain = dataclasses.replace(BASE, starts_at=NOW + starts_in, expires_at=expires_at)
    assert (drain.active(NOW), drain.expired(NOW)) == (active, expired)


@pytest.mark.parametrize(
    ("drained", "asked", "covers"),
    [("edge", "edge", True), ("edge", "ingest", False), (ALL_ROLES, "edge", True), (ALL_ROLES, "storage", True)],
)
def test_a_drain_covers_its_role_or_all(drained: str, asked: str, covers: bool) -> None:
    """A drain of `*` is about every role; any other is about its own."""
    assert dataclasses.replace(BASE, role=drained).covers(asked) is covers


def test_the_strongest_active_drain_wins() -> None:
    """In any order, maintenance outweighs draining; scheduled and expired drains and other roles' do not count."""
    drains = [
        BASE,
        dataclasses.replace(BASE, holder="os-update", role=ALL_ROLES, mode=Mode.MAINTENANCE),
        dataclasses.replace(BASE, holder="later", mode=Mode.MAINTENANCE, starts_at=NOW + 1),
        dataclasses.replace(BASE, holder="before", mode=Mode.MAINTENANCE, expires_at=NOW),
    ]
    for order in itertools.permutations(drains):
        assert effective_mode(order, role="edge", now=NOW) is Mode.MAINTENANCE
        assert effective_mode(order, role="ingest", now=NOW) is Mode.MAINTENANCE
    without = [drains[0], *drains[2:]]
    assert effective_mode(without, role="edge", now=NOW) is Mode.DRAINING
    assert effective_mode(without, role="ingest", now=NOW) is Mode.NORMAL
    assert effective_mode([], role="edge", now=NOW) is Mode.NORMAL


@given(st.lists(strategies.drains, max_size=5), strategies.drains, strategies.roles, strategies.instants)
def test_one_more_drain_never_weakens_the_mode(drains: list[Drain], more: Drain, role: str, now: float) -> None:
    """Whatever is ordered already, another order leaves the mode as it is or makes it stronger."""
    assert effective_mode([*drains, more], role=role, now=now) >= effective_mode(drains, role=role, now=now)
