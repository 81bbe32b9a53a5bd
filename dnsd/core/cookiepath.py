"""The fast path for queries of resolvers that send a DNS cookie with each (RFC 7873): it makes every query another one.

Without its cookie such a query is like any other's, and so is the response without ours. It must not know how either is
found, nor what a cookie is made of.
"""

from __future__ import annotations

from dnsd.core.constants import CLASSIC_UDP_SIZE, OPT, OPTION_COOKIE
from dnsd.core.cookies import WHOLE_SIZE, CookieJar
from dnsd.core.edns import OPTION_HEADER
from dnsd.core.exchange import Cookie
from dnsd.core.fastpath import ID_SIZE, FastPath
from dnsd.core.limits import MAX_UDP_SIZE

_LENGTH_SIZE = 2
_NO_LENGTH = bytes(_LENGTH_SIZE)
_HEADER = OPTION_HEADER.pack(OPTION_COOKIE, WHOLE_SIZE)
_OPTION_SIZE = len(_HEADER) + WHOLE_SIZE
_RDLENGTH = _OPTION_SIZE.to_bytes(_LENGTH_SIZE, "big")
_BEFORE_COOKIE = _RDLENGTH + _HEADER
_ENDS = _LENGTH_SIZE + _OPTION_SIZE  # bytes from RDLENGTH to the end of the message

# Of the header, behind ID, flags and QDCOUNT: no answer, no authority, one additional record.
_COUNTS = slice(4, 10)
_ONE_ADDITIONAL = bytes((0, 0, 0, 0, 0, 1))

_OURS = b"\x00" + OPT.to_bytes(2, "big") + MAX_UDP_SIZE.to_bytes(2, "big")  # how an OPT of ours begins
_OPT_SIZE = 11  # bytes of one without options


def recall_with_cookie(fast: FastPath, jar: CookieJar, tail: bytes, *, now: float, peer: str) -> bytes | None:
    """Return the tail of the response to a query whose OPT has a valid cookie and nothing else; None: not known.

    Args:
        tail: of any packet, however malformed.
        now: instant.
        peer: IP address of the client, in text.
    """
    if tail[-_ENDS:-WHOLE_SIZE] != _BEFORE_COOKIE or tail[_COUNTS] != _ONE_ADDITIONAL:
        return None
    worth, cookie = jar.judge(tail[-WHOLE_SIZE:], peer=peer, now=now)
    if worth is not Cookie.VALID:
        return None
    # What is known by this tail had one additional record, and in the end an OPT or the response has none: so that
    # what was cut off here was its options.
    response = fast.recall(tail[:-_ENDS] + _NO_LENGTH)
    if response is None:
        return None
    udp_size = int.from_bytes(tail[-_ENDS - 6 : -_ENDS - 4], "big")
    limit = min(max(CLASSIC_UDP_SIZE, udp_size), MAX_UDP_SIZE)
    bare = response[-_OPT_SIZE:].startswith(_OURS) and response.endswith(_NO_LENGTH)
    if not bare or ID_SIZE + len(response) + _OPTION_SIZE > limit:
        fast.take_back(response)
        return None
    return response[:-_LENGTH_SIZE] + _RDLENGTH + _HEADER + cookie
