"""An address with a port, and its text; who may listen there, or is reached there, is for others."""

from __future__ import annotations

import re
from typing import NamedTuple

from dnsd.model.node import MAX_PORT, canonical_address

_TEXT = re.compile(r"(?:\[([^\[\]]+)\]|([^\[\]:]+)):(\d{1,5})", re.ASCII)


class Endpoint(NamedTuple):
    """An address and port to listen on, or to ask at; the host is an IP address without brackets."""

    host: str
    port: int

    @property
    def text(self) -> str:
        """As the configuration writes it: `127.0.0.1:53` or `[::1]:53`."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_endpoint(text: str) -> Endpoint:
    """Read `127.0.0.1:53` or `[::1]:53`.

    Raises:
        ValueError: something else; the message says what is wrong.
    """
    match = _TEXT.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is not an address with a port such as 127.0.0.1:53 or [::1]:53")
    host = canonical_address(match[1] or match[2])
    if (":" in host) != (match[1] is not None):
        raise ValueError(f"{text!r}: brackets stand around an IPv6 address, and only there")
    if int(match[3]) > MAX_PORT:
        raise ValueError(f"{text!r}: a port is at most {MAX_PORT}")
    return Endpoint(host, int(match[3]))
