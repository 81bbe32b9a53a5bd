"""What the statements of a master file have in common: what holds for the next one, and how one fails."""

from __future__ import annotations

from dataclasses import dataclass

import dns.exception
import dns.name
import dns.ttl

from dnsd.model.pool import MAX_TTL_SECONDS


class Fault(Exception):
    """A statement that cannot be used.

    Args:
        owner: of the record that it is, folded; None: it is none, or its owner cannot be read.
        rdtype: of the record that it is; None: it is none, or its type cannot be read.
        loses: there may be a record in it that nobody has read.
    """

    def __init__(self, problem_id: str, message: str, *, rdtype: int | None = None, loses: bool = True) -> None:
        super().__init__(message)
        self.problem_id = problem_id
        self.owner: bytes | None = None
        self.rdtype = rdtype
        self.loses = loses


@dataclass(slots=True)
class Scope:
    """What earlier statements of a file mean for later ones.

    Args:
        origin: what relative names end in.
        owner: the last stated owner, folded; None: none yet, or it could not be read.
        default_ttl: seconds, from `$TTL` (RFC 2308 §4).
        last_ttl: seconds, as last stated in a record (RFC 1035 §5.1).
        origin_lost: a `$ORIGIN` could not be read, so that no relative name is known.
        owner_lost: the last stated owner was such a name.
    """

    origin: dns.name.Name
    owner: bytes | None = None
    default_ttl: int | None = None
    last_ttl: int | None = None
    origin_lost: bool = False
    owner_lost: bool = False

    @property
    def implicit_ttl(self) -> int | None:
        """The TTL of a record that states none."""
        return self.last_ttl if self.default_ttl is None else self.default_ttl

    def excuse_missing_ttls(self) -> None:
        """Let nobody miss the TTL that a faulty statement would have set; the zone is not made anyway."""
        if self.implicit_ttl is None:
            self.default_ttl = 0


def parse_ttl(text: str) -> int:
    """Read a TTL in seconds, with or without units.

    Raises:
        Fault: malformed, or beyond what RFC 2181 §8 allows.
    """
    try:
        ttl = dns.ttl.from_text(text)
    except (dns.exception.DNSException, ValueError):
        ttl = -1
    if not 0 <= ttl <= MAX_TTL_SECONDS:
        message = f"{text!r} is not a TTL: 0 to {MAX_TTL_SECONDS} seconds, or as 1h30m"
        raise Fault("bad-ttl", message, loses=False)
    return ttl


def is_relative(text: str) -> bool:
    """Say whether a name, as written, depends on the origin."""
    return not dns.name.from_text(text, None).is_absolute()


def text_of(error: Exception) -> str:
    """Return what an error of the parser says."""
    return str(error) or type(error).__name__
