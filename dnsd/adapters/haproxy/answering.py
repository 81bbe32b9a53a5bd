"""What HAProxy's agent-check is told of a server: one line of words, from one line that names it.

It owns the words. It is pure: no socket, no clock. HAProxy takes the last word of each kind: a state of operation
(`up`, `down`), one of administration (`ready`, `drain`, `maint`), a percentage of the configured weight; what stands
behind a `#` of its own is shown. A kind that is not told stays as it was, so that every line tells all that may change.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from dnsd.adapters.groups import Group, Groups, Opening
from dnsd.adapters.members import RoleMember
from dnsd.core.fleet import Fleet
from dnsd.core.selection import Tier
from dnsd.model.drain import Mode

# The line that names a server: the longest name of a pool and the longest id, with room. Unit: bytes.
MAX_LINE = 512

# What is shown behind the `#`; HAProxy keeps one such text for each server. Unit: characters.
MAX_COMMENT = 160

_SHUT = Opening(Tier.SERVING)

_UNSHOWN = re.compile(r"[^\x20-\x7e]+")


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to a check.

    Args:
        line: with its end; HAProxy ignores one without.
        result: as it is counted: `ok`, `unknown`, `malformed`.
        complaint: what to log; empty: nothing.
    """

    line: bytes
    result: str
    complaint: str = ""


# HAProxy shows a word that it does not know as the agent's error, and changes nothing.
MALFORMED = Answer(b"malformed-request\n", "malformed", 'a line is to be "role/node" or "pool/node"')


def answer(request: bytes, groups: Groups, fleet: Fleet) -> Answer | None:
    """Return what to say of the server that a line names: in no more time where the fleet is large.

    None: it is not known yet; ask again when others had their turn.

    Args:
        request: the line, with or without its end.
        fleet: that of the groups.
    """
    try:
        text = request.decode("ascii").strip(" \t\r\n")
    except UnicodeDecodeError:
        return MALFORMED
    name, slash, node = text.rpartition("/")
    if not (name and slash and node) or not text.isprintable() or " " in text or "/" in name:
        return MALFORMED
    group = groups.find(name)
    if group is None:
        return Answer(b"unknown-group\n", "unknown", f"there is no role or pool {name!r}")
    now = groups.now
    member = group.member(fleet, node, now=now) or group.member(fleet, fleet.twin_of(node) or "", now=now)
    if member is None:
        return Answer(b"unknown-node\n", "unknown", f"there is no node {node!r} in {name!r}")
    opening = groups.opening_of(group) if group.may_open(member) else _SHUT
    if opening is None:
        return None
    return Answer(_line(*words_of(member, group, is_open=opening.has(member))), "ok")


def words_of(member: RoleMember, group: Group, *, is_open: bool) -> tuple[str, str]:
    """Return the words about a member, and the comment; empty: none.

    Args:
        is_open: it may get new work although it does not serve.
    """
    if member.mode is Mode.MAINTENANCE:
        return "maint", _drained(member)
    if member.mode is Mode.DRAINING and not is_open:
        # Whoever comes back by a cookie is sent to a draining server that is up, and not to one that is down.
        return f"drain {'up' if member.health.serves else 'down'}", _drained(member)
    if not member.health.serves and not is_open:
        return f"ready down {_percent(member)}%", _health(member)
    if is_open:
        why = _drained(member) if member.drains else _health(member)
        return (
            f"ready up {_percent(member)}%",
            f"nobody serves in {group.name}, so whoever may does: {why}",
        )
    return f"ready up {_percent(member)}%", ""


def _percent(member: RoleMember) -> int:
    """Return what part of its configured weight HAProxy gives it."""
    return 0 if member.node.weight == 0 else round(member.share * 100)


def _drained(member: RoleMember) -> str:
    return "; ".join(f"{each.mode.text} by {each.holder}: {each.reason}" for each in member.drains)


def _health(member: RoleMember) -> str:
    return f"health {member.health.value}" + (f": {member.finding}" if member.finding else "")


def _line(words: str, comment: str) -> bytes:
    shown = _UNSHOWN.sub(" ", comment).strip()[:MAX_COMMENT].rstrip()
    return f"{words} # {shown}\n".encode("ascii") if shown else f"{words}\n".encode("ascii")
