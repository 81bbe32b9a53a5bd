"""What a drain request asks for, checked against the fleet and turned into drains. Pure: no store, no clock."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dnsd.api.schemas import DrainRequest, ReleaseRequest
from dnsd.control.actor import Actor
from dnsd.control.roles import require_known
from dnsd.errors import InvalidRequest
from dnsd.model.drain import ALL_ROLES, Drain, Mode
from dnsd.model.node import HOLDER, Node
from dnsd.model.times import format_instant, to_milliseconds

MAX_REASON_SIZE = 1000  # characters

# A drain for longer than this is meant to be indefinite. Unit: seconds.
MAX_EXPIRY_SECONDS = 10 * 365 * 86400.0

# A start that lies this little in the past is now: clocks differ, and are often in whole seconds. Unit: seconds.
START_SLACK_SECONDS = 60.0

# Placing a drain again with an expiry renews it only if that moves its end by more than this, so that a repeated
# request (a retry after a lost answer) changes nothing. Unit: seconds, and share of the time asked for: the lesser.
RENEWAL_STEP_SECONDS = 5.0
RENEWAL_STEP_SHARE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A drain request that makes sense.

    Args:
        expires_at: instant; None: indefinite.
        expiry_named: the request says when it ends; where it does not, a drain that stands keeps its end.
    """

    node: str
    roles: tuple[str, ...]
    mode: Mode
    holder: str
    reason: str
    actor: str
    starts_at: float
    expires_at: float | None
    expiry_named: bool
    force: bool

    def drain_for(self, role: str, earlier: Drain | None, *, now: float, revision: int) -> Drain | None:
        """Return the drain that a role gets, or None where the earlier one says the same already."""
        if earlier is not None and (earlier.is_ramp or earlier.expired(now)):
            earlier = None
        starts_at = self.starts_at
        if earlier is not None and starts_at <= now and earlier.starts_at <= now:
            starts_at = earlier.starts_at  # in force already, and not begun anew
        expires_at = self.expires_at
        if earlier is not None and not self.expiry_named and not earlier.expired(starts_at):
            expires_at = earlier.expires_at
        drain = Drain(
            node=self.node,
            role=role,
            holder=self.holder,
            mode=self.mode,
            reason=self.reason,
            actor=self.actor,
            created_at=now if earlier is None else earlier.created_at,
            starts_at=starts_at,
            expires_at=expires_at,
            revision=revision,
        )
        return None if earlier is not None and _says_the_same(earlier, drain, now) else drain


def _says_the_same(earlier: Drain, drain: Drain, now: float) -> bool:
    if (earlier.mode, earlier.reason, earlier.actor) != (drain.mode, drain.reason, drain.actor):
        return False
    if earlier.starts_at != drain.starts_at:
        return False
    if earlier.expires_at is None or drain.expires_at is None:
        return earlier.expires_at == drain.expires_at
    step = min(RENEWAL_STEP_SECONDS, RENEWAL_STEP_SHARE * (drain.expires_at - max(now, drain.starts_at)))
    return abs(drain.expires_at - earlier.expires_at) < step


def order_of(
    node: Node, request: DrainRequest, *, actor: Actor, roles: Sequence[str], default_expiry: float, now: float
) -> Order:
    """Check a request to drain.

    Args:
        roles: every role that the configuration knows.
        default_expiry: seconds, for a request that names no expiry.

    Raises:
        InvalidRequest: with the field that is at fault.
    """
    starts_at = _start(request, now)
    return Order(
        node=node.id,
        roles=roles_of(node, request.roles, known=roles),
        mode=_mode(request.mode),
        holder=holder_of(request.holder, actor),
        reason=_reason(request.reason),
        actor=actor.name,
        starts_at=starts_at,
        expires_at=_expiry(request, starts_at=starts_at, default_expiry=default_expiry, now=now),
        expiry_named=request.indefinite or request.expires_in is not None or request.expires_at is not None,
        force=request.force,
    )


def roles_of(node: Node, asked: Sequence[str] | None, *, known: Sequence[str]) -> tuple[str, ...]:
    """Return the roles that a request is about; `*` stands for all.

    Raises:
        InvalidRequest: a role that is not known, or that the node does not have.
    """
    if asked is None or list(asked) == [ALL_ROLES]:
        return (ALL_ROLES,)
    if not asked:
        raise InvalidRequest("roles is empty; leave it out to mean all of them", field="roles")
    for role in asked:
        require_known(role, known, field="roles")
        if role not in node.roles:
            has = ", ".join(node.roles)
            raise InvalidRequest(f"{node.id} does not have the role {role!r}; it has {has}", field="roles")
    return tuple(dict.fromkeys(asked))


def holder_of(asked: str | None, actor: Actor) -> str:
    """Return whose drain a request is about: the named holder's, or the caller's own.

    Raises:
        InvalidRequest: the name has characters that a key cannot have.
    """
    holder = actor.name if asked is None else asked
    if not HOLDER.fullmatch(holder):
        raise InvalidRequest(
            f"{holder!r} cannot be a holder: use letters, digits and . _ @ : - (at most 128)", field="holder"
        )
    return holder


def released_by(
    drains: Sequence[Drain], node: str, request: ReleaseRequest, *, actor: Actor, known_holder: bool = False
) -> list[Drain]:
    """Return the drains and ramps that a request to release ends; none where there is nothing to release.

    Args:
        drains: all drains and ramps of the node.
        known_holder: the holder that it names has drained the node before.

    Raises:
        InvalidRequest: it names a holder that never had any there, or a role that cannot be released by itself.
    """
    if request.all_holders and request.holder is not None:
        raise InvalidRequest("name a holder or all_holders, not both", field="holder")
    chosen = list(drains)
    if not request.all_holders:
        holder = holder_of(request.holder, actor)
        chosen = [drain for drain in drains if drain.holder == holder]
        # From one who had a drain here it is a repetition; a name that nobody knows here is more likely mistyped.
        if request.holder is not None and not chosen and not known_holder:
            others = ", ".join(sorted({drain.holder for drain in drains if not drain.is_ramp})) or "nobody"
            raise InvalidRequest(f"{holder} holds no drain on {node}; those there are held by {others}", field="holder")
    if request.roles is None or request.roles == [ALL_ROLES]:
        return chosen
    ended = [drain for drain in chosen if drain.role in request.roles]
    whole = next((drain for drain in chosen if drain.role == ALL_ROLES and not drain.is_ramp), None)
    if whole is not None and not ended:
        raise InvalidRequest(
            f"{whole.holder} drained all roles of {node} at once: release that whole, then drain some roles",
            field="roles",
        )
    return ended


def _mode(text: str) -> Mode:
    modes = [mode.text for mode in Mode if mode is not Mode.NORMAL]
    if text not in modes:
        raise InvalidRequest(f"unknown mode {text!r}; a drain is {' or '.join(modes)}", field="mode")
    return Mode.of(text)


def _reason(text: str) -> str:
    reason = text.strip()
    if not reason:
        raise InvalidRequest("a drain needs a reason, for whoever wonders later", field="reason")
    if len(reason) > MAX_REASON_SIZE:
        raise InvalidRequest(f"the reason has {len(reason)} characters; at most {MAX_REASON_SIZE}", field="reason")
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in reason):
        raise InvalidRequest("the reason is one line of text without control characters", field="reason")
    return reason


def _start(request: DrainRequest, now: float) -> float:
    if request.starts_at is None:
        return now
    if request.starts_at < now - START_SLACK_SECONDS:
        raise InvalidRequest(f"{format_instant(request.starts_at)} is in the past", field="starts_at")
    return max(request.starts_at, now)


def _expiry(request: DrainRequest, *, starts_at: float, default_expiry: float, now: float) -> float | None:
    named = [
        field
        for field, given in (
            ("expires_in", request.expires_in is not None),
            ("expires_at", request.expires_at is not None),
            ("indefinite", request.indefinite),
        )
        if given
    ]
    if len(named) > 1:
        raise InvalidRequest(f"name one of {' and '.join(named)}, not both", field=named[-1])
    if request.indefinite:
        return None
    if request.expires_at is not None:
        if request.expires_at <= now:
            raise InvalidRequest(f"{format_instant(request.expires_at)} is in the past", field="expires_at")
        if request.expires_at <= starts_at:
            raise InvalidRequest("the drain would expire before it starts", field="expires_at")
        expires_at, field = request.expires_at, "expires_at"
    else:
        seconds = default_expiry if request.expires_in is None else request.expires_in
        if not (math.isfinite(seconds) and seconds > 0):
            raise InvalidRequest("it must be more than 0 seconds", field="expires_in")
        expires_at, field = to_milliseconds(starts_at + seconds), "expires_in"
    if expires_at - starts_at > MAX_EXPIRY_SECONDS:
        raise InvalidRequest("more than ten years: place it as indefinite instead", field=field)
    return expires_at
