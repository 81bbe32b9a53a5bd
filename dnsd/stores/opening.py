"""From a store's URL to the store: the one table of schemes.

Messages here name the scheme and never quote the rest of a URL of unknown kind: it may hold a password.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dnsd.stores.base import DrainStore
from dnsd.stores.memory import MemoryStore
from dnsd.stores.redis.address import Kind, parse
from dnsd.stores.redis.store import RedisStore
from dnsd.stores.sqlite import SqliteStore


@dataclass(frozen=True, slots=True)
class _Options:
    """What a store may need beside its URL; see `open_store`."""

    prefix: str
    base: Path
    min_replicas: int


@dataclass(frozen=True, slots=True)
class _Scheme:
    """How URLs of one scheme are written and opened.

    Args:
        form: as people should write it.
        why_not: from what follows `://` to one sentence on what is wrong with it, or None.
        make: from what follows `://` to the store, not opened yet.
        remote: it is reached over a network, so that there is a last known state to keep, and there may be replicas.
        files: from what follows `://` and the folder that relative paths start from to the files that must be there
            before it is opened, by what the URL calls them.
    """

    form: str
    why_not: Callable[[str], str | None]
    make: Callable[[str, _Options], DrainStore]
    remote: bool = False
    files: Callable[[str, Path], Mapping[str, Path]] = lambda _rest, _base: {}


def why_not(url: str) -> str | None:
    """Return one sentence on why `open_store` would refuse a URL, or None where it would not."""
    name, separator, rest = url.partition("://")
    if not separator:
        return f"a store's URL is one of {_FORMS}"
    scheme = _SCHEMES.get(name)
    if scheme is None:
        return f"{name!r} is not a kind of store that this dnsd has: use one of {_FORMS}"
    return scheme.why_not(rest)


def is_remote(url: str) -> bool:
    """Say whether a URL that `why_not` has nothing against names a store that others share over a network."""
    return _SCHEMES[url.partition("://")[0]].remote


def files_of(url: str, *, base: Path) -> Mapping[str, Path]:
    """Return the files that a store reads when it connects, by what its URL calls them.

    Args:
        url: one that `why_not` has nothing against.
        base: the folder that relative paths start from.
    """
    name, _, rest = url.partition("://")
    return _SCHEMES[name].files(rest, base)


def open_store(url: str, *, prefix: str, base: Path, min_replicas: int = 0) -> DrainStore:
    """Make the store that a URL names; the caller then awaits its `open`.

    Args:
        url: `memory://`, `sqlite:///absolute/path`, `sqlite://./path/below/base`, or one of Redis; see
            `dnsd.stores.redis.address`.
        prefix: what the keys of a shared store begin with; a store that is not shared does without.
        base: the folder that relative paths start from: the configuration file's.
        min_replicas: how many replicas must have a write before it is acknowledged; for stores that have replicas.

    Raises:
        ValueError: with the sentence of `why_not`.
    """
    reason = why_not(url)
    if reason is not None:
        raise ValueError(reason)
    name, _, rest = url.partition("://")
    return _SCHEMES[name].make(rest, _Options(prefix, base, min_replicas))


def _why_not_memory(rest: str) -> str | None:
    return "memory:// takes nothing after it" if rest else None


def _make_memory(_rest: str, _options: _Options) -> DrainStore:
    return MemoryStore()


def _why_not_sqlite(rest: str) -> str | None:
    if not rest.startswith(("/", "./", "../")):
        return "a SQLite path is absolute, as sqlite:///var/lib/dnsd/state.db, or begins with a dot, as sqlite://./state.db"
    if rest.endswith(("/", "/.", "/..")):
        return f"{rest!r} is a folder: name a file in it"
    if "?" in rest or "#" in rest:
        return "a SQLite URL is a path alone: no ? and no # in it"
    if not rest.isprintable():
        return f"{rest!r} has a character that no path should have"
    return None


def _make_sqlite(rest: str, options: _Options) -> DrainStore:
    return SqliteStore(Path(rest) if rest.startswith("/") else options.base / rest)


def _why_not_redis(rest: str, *, kind: Kind) -> str | None:
    try:
        parse(kind, rest, base=Path())
    except ValueError as error:
        return str(error)
    return None


def _make_redis(rest: str, options: _Options, *, kind: Kind) -> DrainStore:
    address = parse(kind, rest, base=options.base)
    return RedisStore(address, prefix=options.prefix, min_replicas=options.min_replicas)


def _files_of_redis(rest: str, base: Path, *, kind: Kind) -> Mapping[str, Path]:
    tls = parse(kind, rest, base=base).tls
    files = {} if tls is None else {"ca": tls.ca, "cert": tls.cert, "key": tls.key}
    return {name: path for name, path in files.items() if path is not None}


def _redis(kind: Kind, form: str) -> _Scheme:
    why_not_such, make = functools.partial(_why_not_redis, kind=kind), functools.partial(_make_redis, kind=kind)
    files = functools.partial(_files_of_redis, kind=kind)
    return _Scheme(f"{kind.value}://{form}", why_not_such, make, remote=True, files=files)


_SCHEMES: Mapping[str, _Scheme] = {
    "memory": _Scheme("memory://", _why_not_memory, _make_memory),
    "sqlite": _Scheme("sqlite:///PATH", _why_not_sqlite, _make_sqlite),
    Kind.TCP.value: _redis(Kind.TCP, "HOST:6379/0"),
    Kind.TLS.value: _redis(Kind.TLS, "HOST:6379/0"),
    Kind.UNIX.value: _redis(Kind.UNIX, "/PATH"),
    Kind.SENTINEL.value: _redis(Kind.SENTINEL, "HOST:26379/SERVICE/0"),
}
_FORMS = ", ".join(scheme.form for scheme in _SCHEMES.values())

SCHEMES: tuple[str, ...] = tuple(_SCHEMES)
