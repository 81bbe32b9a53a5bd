"""Who may have which zone. Pure; whether a key is really the client's, `signing` has found out before."""

from __future__ import annotations

import enum
from collections.abc import Sequence

from dnsd.adapters.access import is_allowed
from dnsd.config.transfer import Secondary, TransferKey


class Access(enum.Enum):
    """What comes of asking who a client is; the value is for people."""

    GRANTED = "granted"
    OTHER_ZONE = "this secondary may not have this zone"
    WANTS_KEY = "this address needs a key"
    OTHER_KEY = "this key is not for this address"
    STRANGER = "no secondary has this address"


def judge_access(
    secondaries: Sequence[Secondary], *, peer: str, key: TransferKey | None, apex: bytes
) -> tuple[Access, Secondary | None]:
    """Say whether a client may have a zone.

    Args:
        peer: its IP address, as a socket tells it.
        key: what its request was signed with, verified; None: it was not signed.
        apex: of the zone; folded.

    Returns:
        What it may, and as which secondary: the first that grants it; None where none does.
    """
    denial = Access.STRANGER if key is None else Access.OTHER_KEY
    for secondary in secondaries:
        if not _comes_from(secondary, peer):
            continue
        if secondary.key is not None and secondary.key != key:
            if key is None and secondary.sources and denial is Access.STRANGER:
                denial = Access.WANTS_KEY
        elif secondary.has_zone(apex):
            return Access.GRANTED, secondary
        else:
            denial = Access.OTHER_ZONE
    return denial, None


def _comes_from(secondary: Secondary, peer: str) -> bool:
    if not secondary.sources:
        return secondary.key is not None  # by its key alone it is known well enough
    return is_allowed(peer, secondary.sources)
