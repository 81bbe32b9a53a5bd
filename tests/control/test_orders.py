"""What a drain request may ask for: every refusal names its field, and a repetition changes nothing."""

from __future__ import annotations

from typing import Any

import pytest

from dnsd.api.schemas import DrainRequest, ReleaseRequest
from dnsd.config.settings import Scope
from dnsd.control.actor import Actor
from dnsd.control.orders import Order, order_of, released_by
from dnsd.errors import InvalidRequest
from dnsd.model.drain import Drain, Mode
from tests.support.fleets import NOW, drain, node

ALICE = Actor("alice", Scope.OPERATOR)
ROLES = ("ingest", "edge")
HOUR = 3600.0


def order(now: float = NOW, **fields: Any) -> Order:
    request = DrainRequest(**{"reason": "kernel", **fields})
    return order_of(node("a"), request, actor=ALICE, roles=ROLES, default_expiry=4 * HOUR, now=now)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"reason": "  "}, "reason"),
        ({"reason": "x" * 1001}, "reason"),
        ({"reason": "two\nlines"}, "reason"),
        ({"mode": "normal"}, "mode"),
        ({"mode": "off"}, "mode"),
        ({"roles": ["video"]}, "roles"),
        ({"roles": ["ingest"]}, "roles"),
        ({"roles": []}, "roles"),
        ({"holder": "a/b"}, "holder"),
        ({"holder": ""}, "holder"),
        ({"expires_in": 0.0}, "expires_in"),
        ({"expires_in": -1.0}, "expires_in"),
        ({"expires_at": NOW - 1}, "expires_at"),
        ({"expires_at": NOW + 1e12}, "expires_at"),
        ({"starts_at": NOW - 61}, "starts_at"),
        ({"starts_at": NOW + 20, "expires_at": NOW + 10}, "expires_at"),
        ({"expires_in": 10.0, "indefinite": True}, "indefinite"),
        ({"expires_in": 10.0, "expires_at": NOW + 10}, "expires_at"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_field(fields: dict[str, Any], field: str) -> None:
    """Each bad value alone is refused, and the refusal names the field that holds it."""
    with pytest.raises(InvalidRequest) as refusal:
        order(**fields)
    assert refusal.value.field == field
    assert refusal.value.detail


@pytest.mark.parametrize(
    ("fields", "starts", "expires"),
    [
        ({}, 0.0, 4 * HOUR),
        ({"expires_in": 60.0}, 0.0, 60.0),
        ({"expires_at": NOW + 5}, 0.0, 5.0),
        ({"indefinite": True}, 0.0, None),
        ({"starts_at": NOW + HOUR}, HOUR, 5 * HOUR),
        ({"starts_at": NOW - 1}, 0.0, 4 * HOUR),
        ({"starts_at": NOW + HOUR, "expires_in": 60.0}, HOUR, HOUR + 60),
    ],
)
def test_times_count_from_the_start_and_end_by_default(
    fields: dict[str, Any], starts: float, expires: float | None
) -> None:
    """Offsets from now in seconds; None: indefinite."""
    made = order(**fields)
    assert made.starts_at == NOW + starts
    assert made.expires_at == (None if expires is None else NOW + expires)


def place(earlier: Drain | None, later: float, **fields: Any) -> Drain | None:
    now = NOW + later
    return order(now, **fields).drain_for("*", earlier, now=now, revision=2)


@pytest.mark.parametrize(
    ("first", "later", "again", "changed"),
    [
        ({}, 1.0, {}, False),
        ({}, 60.0, {}, False),
        ({}, 60.0, {"expires_in": 14400.0}, True),
        ({"expires_in": 100.0}, 90.0, {}, False),
        ({"expires_in": 100.0}, 110.0, {}, True),
        ({"expires_in": 2.0}, 0.1, {"expires_in": 2.0}, False),
        ({"expires_in": 2.0}, 1.0, {"expires_in": 2.0}, True),
        ({"expires_in": 2.0}, 3.0, {"expires_in": 2.0}, True),
        ({"indefinite": True}, 60.0, {"indefinite": True}, False),
        ({"indefinite": True}, 60.0, {}, False),
        ({"indefinite": True}, 1.0, {"expires_in": 60.0}, True),
        ({}, 1.0, {"reason": "other"}, True),
        ({}, 1.0, {"mode": "maintenance"}, True),
        ({"starts_at": NOW + 100}, 1.0, {"starts_at": NOW + 100}, False),
        ({"starts_at": NOW + 100}, 1.0, {}, True),
        ({"expires_at": NOW + 500}, 100.0, {"expires_at": NOW + 500}, False),
    ],
)
def test_a_repetition_changes_nothing_and_a_renewal_moves_the_expiry(
    first: dict[str, Any], later: float, again: dict[str, Any], *, changed: bool
) -> None:
    """The same request soon again is a retry; one that moves the expiry renews a drain that keeps its age."""
    earlier = place(None, 0.0, **first)
    assert earlier is not None
    renewed = place(earlier, later, **again)
    assert (renewed is not None) == changed
    if renewed is not None:
        was_over = earlier.expired(NOW + later)
        assert renewed.created_at == (NOW + later if was_over else earlier.created_at)


THERE = [drain("a", holder="alice", role="edge"), drain("a", holder="bob"), drain("a", holder="alice", role="ingest")]


@pytest.mark.parametrize(
    ("request_", "ended"),
    [
        (ReleaseRequest(), [0, 2]),
        (ReleaseRequest(roles=["edge"]), [0]),
        (ReleaseRequest(holder="bob"), [1]),
        (ReleaseRequest(all_holders=True), [0, 1, 2]),
        (ReleaseRequest(roles=["*"]), [0, 2]),
    ],
)
def test_a_release_ends_the_holders_own_drains_and_no_other(request_: ReleaseRequest, ended: list[int]) -> None:
    """Without a holder, the caller's own are meant."""
    assert released_by(THERE, "a", request_, actor=ALICE) == [THERE[index] for index in ended]


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (ReleaseRequest(holder="carol"), "holder"),
        (ReleaseRequest(holder="bob", all_holders=True), "holder"),
        (ReleaseRequest(holder="bob", roles=["edge"]), "roles"),
    ],
)
def test_a_release_that_cannot_be_meant_is_refused(request_: ReleaseRequest, field: str) -> None:
    """An unknown holder, a contradiction, or one role out of a drain of all."""
    with pytest.raises(InvalidRequest) as refusal:
        released_by(THERE, "a", request_, actor=ALICE)
    assert refusal.value.field == field


def test_releasing_again_is_not_an_error() -> None:
    """A caller without a drain of its own releases nothing; nor does a holder who had one here before."""
    assert released_by([THERE[1]], "a", ReleaseRequest(), actor=ALICE) == []
    again = ReleaseRequest(holder="carol")
    assert released_by([], "a", again, actor=ALICE, known_holder=True) == []
    assert released_by(THERE, "a", again, actor=ALICE, known_holder=True) == []
    with pytest.raises(InvalidRequest, match="held by nobody"):
        released_by([], "a", again, actor=ALICE)


def test_the_strongest_mode_is_what_a_request_names() -> None:
    """A request for maintenance makes a drain of that mode."""
    assert order(mode="maintenance").mode is Mode.MAINTENANCE
