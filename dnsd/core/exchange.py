"""What the options of a query's OPT ask for, and what the OPT of its response says in turn (RFC 6891 §6.1.2)."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Cookie(enum.Enum):
    """What is known of a client by its COOKIE option (RFC 7873 §5.2)."""

    NONE = "none"  # there is no such option, or cookies are not understood here
    CLIENT = "client"  # the client's own half alone: it has yet to learn ours
    VALID = "valid"  # our half as well: the client gets what is sent to its address
    BAD = "bad"  # another server's, one that is too old, or made up


@dataclass(slots=True)
class Exchange:
    """The options of one query and its response; a query without options has none.

    Args:
        options: of the response, as they stand in its OPT.
        pads: the response is to be padded (RFC 7830).
    """

    cookie: Cookie = Cookie.NONE
    options: bytes = b""
    pads: bool = False
