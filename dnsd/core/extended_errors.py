"""Extended DNS errors: why an answer is not the usual one, as options of a response's OPT (RFC 8914).

The texts are for people who look at an answer with `dig`, on either side; they name no node.
"""

from __future__ import annotations

import struct

from dnsd.core.constants import OPTION_EXTENDED_ERROR
from dnsd.core.edns import write_option
from dnsd.core.selection import Tier

# RFC 8914 §5.2
OTHER = 0
STALE_ANSWER = 3
PROHIBITED = 18
NOT_AUTHORITATIVE = 20
NOT_SUPPORTED = 21

_INFO_CODE = struct.Struct("!H")


def extended_error(code: int, text: str = "") -> bytes:
    """Return an option that tells an error.

    Args:
        code: one of the registry's.
        text: short, for people.
    """
    return write_option(OPTION_EXTENDED_ERROR, _INFO_CODE.pack(code) + text.encode())


STALE = extended_error(STALE_ANSWER, "from the last known state")
NO_TRANSFER = extended_error(PROHIBITED, "no zone transfers")
NO_ZONE = extended_error(NOT_AUTHORITATIVE)

# No registered code is about a pool of nodes: what is near (14 Not Ready, 22 No Reachable Authority) is said of the
# server, or by a resolver.
_OF_TIER = {
    Tier.UNHEALTHY: extended_error(OTHER, "pool: no node is known to be up"),
    Tier.DRAINING: extended_error(OTHER, "pool: every node is drained"),
    Tier.POOL: extended_error(OTHER, "pool: answered from another pool"),
    Tier.NODATA: extended_error(OTHER, "pool: no node is left"),
    Tier.SERVFAIL: extended_error(OTHER, "pool: no node is left"),
}


def error_of_tier(tier: Tier) -> bytes:
    """Return what is told of answers of a pool's tier; nothing where its nodes serve."""
    return _OF_TIER.get(tier, b"")
