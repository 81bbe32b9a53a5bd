"""The URLs of Redis, read into addresses: where it is, as whom to speak to it, and what to call it.

    redis://[[USER]:PASSWORD@]HOST[:PORT][,HOST[:PORT]…][/DB]
    rediss://…[?ca=FILE][&cert=FILE&key=FILE]                               the same over TLS
    unix://[[USER]:PASSWORD@]/PATH[?db=DB]
    redis+sentinel://[[USER]:PASSWORD@]HOST[:PORT],…/SERVICE[/DB][?sentinel_user=…][&sentinel_password=…]

User, password, service and what follows `?` are percent-encoded where they hold a character that separates. Files are
relative to the configuration. Nothing here, and no message from here, ever shows a password.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote

DEFAULT_PORT = 6379
DEFAULT_SENTINEL_PORT = 26379

# As many as Redis may be told to have; by default it has 16. Unit: databases.
MAX_DATABASES = 1_000_000

Host = tuple[str, int]


class Kind(enum.Enum):
    """The schemes."""

    TCP = "redis"
    TLS = "rediss"
    UNIX = "unix"
    SENTINEL = "redis+sentinel"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """As whom to speak to a server; both empty: as nobody in particular."""

    user: str | None = None
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """How a server is known, and how it knows us.

    Args:
        ca: file of the authorities that are trusted; None: the system's.
        cert, key: files of a certificate of our own; None: none is shown.
    """

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a Redis is.

    Args:
        hosts: servers, one of which is the primary; for a sentinel address, the sentinels. Empty for a socket.
        path: of a Unix socket.
        service: the name under which sentinels know the primary.
        db: the database's number.
        sentinel: as whom to speak to sentinels.
        tls: None: unencrypted.
    """

    kind: Kind
    hosts: tuple[Host, ...] = ()
    path: str | None = None
    service: str | None = None
    db: int = 0
    credentials: Credentials = Credentials()
    sentinel: Credentials = Credentials()
    tls: Tls | None = None

    @property
    def label(self) -> str:
        """What people call it: `redis 10.0.0.1:6379`, `redis fleet at 10.0.0.1:26379`."""
        if self.path is not None:
            return f"redis {self.path}" + (f", database {self.db}" if self.db else "")
        where = ", ".join(host_text(host) for host in self.hosts) + (f"/{self.db}" if self.db else "")
        return f"redis {self.service} at {where}" if self.service else f"redis {where}"


def host_text(host: Host) -> str:
    """Return a host and port as people write them."""
    return f"[{host[0]}]:{host[1]}" if ":" in host[0] else f"{host[0]}:{host[1]}"


def parse(kind: Kind, rest: str, *, base: Path) -> Address:
    """Read what follows a scheme's `://`.

    Args:
        base: the folder that relative files start from.

    Raises:
        ValueError: with one sentence that says what is wrong; it quotes no part that may hold a password.
    """
    if not rest.isprintable() or " " in rest:
        raise ValueError("the URL has a character that must be percent-encoded")
    rest, _, query = rest.partition("?")
    options = _options(query, allowed=_OPTIONS[kind])
    userinfo, at, place = rest.rpartition("@")
    credentials = _credentials(userinfo) if at else Credentials()
    if kind is Kind.UNIX:
        return _unix(place, options, credentials)
    authority, _, path = place.partition("/")
    default_port = DEFAULT_SENTINEL_PORT if kind is Kind.SENTINEL else DEFAULT_PORT
    hosts = tuple(_host(text, default_port) for text in authority.split(","))
    parts = [unquote(part) for part in path.split("/")] if path else []
    service = None
    if kind is Kind.SENTINEL:
        if not parts or not parts[0]:
            raise ValueError("a sentinel URL names its service: redis+sentinel://HOST:26379/SERVICE/DB")
        service = parts.pop(0)
    if len(parts) > 1:
        raise ValueError("the URL ends with the number of a database: /0")
    return Address(
        kind=kind,
        hosts=hosts,
        service=service,
        db=_db(parts[0] if parts else ""),
        credentials=credentials,
        sentinel=Credentials(user=options.get("sentinel_user"), password=options.get("sentinel_password")),
        tls=_tls(options, base) if kind is Kind.TLS else None,
    )


_OPTIONS: dict[Kind, frozenset[str]] = {
    Kind.TCP: frozenset(),
    Kind.TLS: frozenset({"ca", "cert", "key"}),
    Kind.UNIX: frozenset({"db"}),
    Kind.SENTINEL: frozenset({"sentinel_user", "sentinel_password"}),
}


def _options(query: str, *, allowed: Iterable[str]) -> dict[str, str]:
    try:
        found = parse_qsl(query, strict_parsing=True) if query else []
    except ValueError:
        raise ValueError("what follows ? is NAME=VALUE, joined by &") from None
    unknown = sorted({name for name, _ in found} - set(allowed))
    if unknown:
        allowed_text = ", ".join(sorted(allowed)) or "nothing"
        raise ValueError(f"{unknown[0]!r} is not known after ? in such a URL; known is {allowed_text}")
    return dict(found)


def _credentials(userinfo: str) -> Credentials:
    user, colon, password = userinfo.partition(":")
    if not colon:
        raise ValueError("before @ stands USER:PASSWORD or :PASSWORD")
    return Credentials(user=unquote(user) or None, password=unquote(password) or None)


def _host(text: str, default_port: int) -> Host:
    if text.startswith("["):
        name, bracket, port = text[1:].partition("]")
        if not bracket or (port and not port.startswith(":")):
            raise ValueError("an IPv6 address stands in brackets: [2001:db8::1]:6379")
        port = port[1:]
    else:
        name, _, port = text.partition(":")
    if not name:
        raise ValueError("the URL names no host")
    if ":" in port:
        raise ValueError("a host is NAME:PORT, and an IPv6 address stands in brackets: [2001:db8::1]:6379")
    if not port:
        return name, default_port
    if not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65_535):
        raise ValueError("a port is 1 to 65535, and a / or @ in a password is percent-encoded")
    return name, int(port)


def _db(text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= 7 and int(text) < MAX_DATABASES):
        raise ValueError(f"{text!r} is not the number of a database")
    return int(text)


def _unix(path: str, options: dict[str, str], credentials: Credentials) -> Address:
    if not path.startswith("/") or path.endswith("/"):
        raise ValueError("a Unix socket is an absolute path: unix:///run/redis/redis.sock")
    return Address(kind=Kind.UNIX, path=unquote(path), db=_db(options.get("db", "")), credentials=credentials)


def _tls(options: dict[str, str], base: Path) -> Tls:
    if ("cert" in options) != ("key" in options):
        raise ValueError("cert and key go together")
    files = {name: base / options[name] for name in ("ca", "cert", "key") if name in options}
    return Tls(**files)
