"""From a store's URL to the store: the one table of schemes.

Seam: a Redis store adds its schemes to `_SCHEMES`, each with what is wrong with such a URL and how to make the store.
Messages here name the scheme and never quote the rest of a URL of unknown kind: it may hold a password.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dnsd.stores.base import DrainStore
from dnsd.stores.memory import MemoryStore
from dnsd.stores.sqlite import SqliteStore


@dataclass(frozen=True, slots=True)
class _Scheme:
    """How URLs of one scheme are written and opened.

    Args:
        form: as people should write it.
        why_not: from what follows `://` to one sentence on what is wrong with it, or None.
        make: from what follows `://`, the prefix and the base folder to the store, not opened yet.
    """

    form: str
    why_not: Callable[[str], str | None]
    make: Callable[[str, str, Path], DrainStore]


def why_not(url: str) -> str | None:
    """Return one sentence on why `open_store` would refuse a URL, or None where it would not."""
    name, separator, rest = url.partition("://")
    if not separator:
        return f"a store's URL is one of {_FORMS}"
    scheme = _SCHEMES.get(name)
    if scheme is None:
        return f"{name!r} is not a kind of store that this dnsd has: use one of {_FORMS}"
    return scheme.why_not(rest)


def open_store(url: str, *, prefix: str, base: Path) -> DrainStore:
    """Make the store that a URL names; the caller then awaits its `open`.

    Args:
        url: `memory://`, `sqlite:///absolute/path` or `sqlite://./path/below/base`.
        prefix: what the keys of a shared store begin with; a store that is not shared does without.
        base: the folder that relative paths start from: the configuration file's.

    Raises:
        ValueError: with the sentence of `why_not`.
    """
    reason = why_not(url)
    if reason is not None:
        raise ValueError(reason)
    name, _, rest = url.partition("://")
    return _SCHEMES[name].make(rest, prefix, base)


def _why_not_memory(rest: str) -> str | None:
    return "memory:// takes nothing after it" if rest else None


def _make_memory(_rest: str, _prefix: str, _base: Path) -> DrainStore:
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


def _make_sqlite(rest: str, _prefix: str, base: Path) -> DrainStore:
    return SqliteStore(Path(rest) if rest.startswith("/") else base / rest)


_SCHEMES: Mapping[str, _Scheme] = {
    "memory": _Scheme("memory://", _why_not_memory, _make_memory),
    "sqlite": _Scheme("sqlite:///PATH", _why_not_sqlite, _make_sqlite),
}
_FORMS = ", ".join(scheme.form for scheme in _SCHEMES.values())

SCHEMES: tuple[str, ...] = tuple(_SCHEMES)
