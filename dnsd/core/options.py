"""Reading the options of a query's OPT, and what each has the response say (RFC 6891 §6.1.2).

| option    | RFC        | understood                                                                |
|-----------|------------|---------------------------------------------------------------------------|
| NSID      | 5001       | where the server has one                                                  |
| COOKIE    | 7873, 9018 | where the server has secrets                                              |
| KEEPALIVE | 7828       | on a connection that the client may keep; over UDP it "MUST" be ignored   |
| PADDING   | 7830, 8467 | where nobody on the way can read the message: elsewhere it hides nothing  |

Others are ignored, and of an option that stands several times the first one counts: RFC 7873 §5.2 says so of COOKIE,
and the others say the same thing each time.
"""

from __future__ import annotations

import struct

from dnsd.core.constants import FORMERR, OPTION_COOKIE, OPTION_KEEPALIVE, OPTION_NSID, OPTION_PADDING
from dnsd.core.cookies import CookieJar, is_well_formed
from dnsd.core.edns import OPTION_HEADER, write_option
from dnsd.core.exchange import Exchange
from dnsd.core.policy import AnswerPolicy
from dnsd.core.via import Via
from dnsd.errors import MessageError

_KEEPALIVE_UNITS = 10  # to a second (RFC 7828 §3.1)
_MOST_KEEPALIVE = 0xFFFF
_TIMEOUT = struct.Struct("!H")


class OptionReader:
    """Reads options as a policy has them understood.

    Attributes:
        jar: makes and judges cookies; None: they are not understood.
    """

    __slots__ = ("_nsid", "jar")

    def __init__(self, policy: AnswerPolicy) -> None:
        self._nsid = write_option(OPTION_NSID, policy.nsid.encode()) if policy.nsid else b""
        self.jar = CookieJar(policy.cookie_secrets) if policy.cookie_secrets else None

    def read(self, options: bytes, *, via: Via, peer: str, now: float) -> Exchange:
        """Return what options ask for, and what is said in turn.

        Args:
            options: as they stand in the OPT, each within its bounds.
            via: what the query came over.
            peer: IP address of the client, in text; empty: unknown.
            now: instant.

        Raises:
            MessageError: FORMERR; one that is understood is malformed.
        """
        found = _first_of_each(options)
        exchange = Exchange()
        # RFC 5001 §2.2: data in the query's option is ignored.
        if OPTION_NSID in found:
            exchange.options += self._nsid
        cookie = found.get(OPTION_COOKIE)
        if cookie is not None and self.jar is not None:
            if not is_well_formed(cookie):
                raise MessageError(FORMERR, "COOKIE of a size that none can have")
            exchange.cookie, answered = self.jar.judge(cookie, peer=peer, now=now)
            exchange.options += write_option(OPTION_COOKIE, answered)
        if via.idle_seconds and OPTION_KEEPALIVE in found:
            exchange.options += _keepalive(found[OPTION_KEEPALIVE], via)
        exchange.pads = via.is_encrypted and OPTION_PADDING in found
        return exchange


def _first_of_each(options: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    offset = 0
    while offset < len(options):
        code, size = OPTION_HEADER.unpack_from(options, offset)
        offset += OPTION_HEADER.size
        found.setdefault(code, options[offset : offset + size])
        offset += size
    return found


def _keepalive(asked: bytes, via: Via) -> bytes:
    # RFC 7828 §3.2.1: "Clients MUST specify an OPTION-LENGTH of 0 and omit the TIMEOUT value."
    if asked:
        raise MessageError(FORMERR, "KEEPALIVE with a time-out in a query")
    timeout = min(int(via.idle_seconds * _KEEPALIVE_UNITS), _MOST_KEEPALIVE)
    return write_option(OPTION_KEEPALIVE, _TIMEOUT.pack(timeout))
