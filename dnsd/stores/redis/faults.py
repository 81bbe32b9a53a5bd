"""The words for what can go wrong with a Redis, and whether waiting helps.

It owns the one line that an operator reads. It knows nothing of connections.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Sequence
from typing import TypeVar

from redis import exceptions

from dnsd.errors import StoreRefused, StoreUnavailable

CauseT = TypeVar("CauseT", bound=BaseException)

READ_ONLY = "against a read only replica"

# How a call that waits is ended when a primary becomes a replica.
ROLE_CHANGED = "instance state changed"

# In what the server answers → what to tell; the first that fits counts. The client library takes the first word off
# some answers, and scripts wrap those to their commands, so that only what is in the middle is sure to be there.
_PASSING: Sequence[tuple[str, str]] = (
    (READ_ONLY, "it is a read-only replica and takes no writes: name the primary, or use redis+sentinel://"),
    ("used memory > 'maxmemory'", "it is out of memory and takes no writes: raise its maxmemory, or free some"),
    ("MISCONF", "it cannot save to its disk and takes no writes: see its log"),
    ("NOREPLICAS", "it takes no writes, since it has too few replicas (min-replicas-to-write)"),
    ("Link with MASTER is down", "it is a replica that has lost its primary"),
    ("cluster is down", "its cluster is down"),
    ("Hash slot not served", "its cluster has no node for these keys"),
    ("during rehashing of slot", "its cluster is moving these keys to another node"),
    ("is loading the dataset", "it is loading its data"),
    ("busy running a script", "a script keeps it busy"),
    ("equal or smaller than the target stream", "its keys contradict each other: some were removed by hand"),
    ("Connection closed by server", "it has closed the connection"),
    ("max number of clients", "it takes no more clients (maxclients)"),
)

# The same, of what stays until somebody changes a configuration.
_LASTING: Sequence[tuple[str, str]] = (
    ("Authentication required", "it asks for a password: put one into the URL"),
    ("without any password", "it asks for no password, but the URL has one"),
    ("no permissions", "its user may not do all that dnsd needs"),
    ("can't run this command", "its user may not do all that dnsd needs"),
    ("can't access", "its user may not do all that dnsd needs"),
    ("WRONGTYPE", "a key has another type than dnsd's: use another prefix, or move the key away"),
    ("SELECT is not allowed in cluster mode", "a cluster has no database but 0"),
    ("DB index is out of range", "it has no database of that number"),
)

# What a server that is gone, or an address that is wrong, looks like from here; the connection is not usable any more.
LOST = (exceptions.ConnectionError, exceptions.TimeoutError, OSError)

# What a call to the client library may raise; a value of Redis that is no UTF-8 or no number is a ValueError.
ANY = (exceptions.RedisError, OSError, ValueError)


def unavailable(label: str, error: BaseException) -> StoreUnavailable:
    """Return what to raise for an error of the client library, of the network, or in reading what came.

    Args:
        label: what people call the store.
    """
    if isinstance(error, StoreUnavailable):
        return error
    text = _first_line(str(error))
    lasting = _lasting(error, text)
    if lasting is not None:
        return StoreRefused(f"{label}: {lasting}")
    return StoreUnavailable(f"{label}: {_passing(error, text)}")


def _lasting(error: BaseException, text: str) -> str | None:
    """Return the words for what stays until somebody changes a configuration; None: it may pass."""
    for sign, words in _LASTING:
        if sign in text:
            return f"{words} ({text})"
    if isinstance(error, exceptions.AuthenticationError):
        return "it does not accept the user or password of the URL"
    certificate = _cause(error, ssl.SSLCertVerificationError)
    return None if certificate is None else f"its certificate is not trusted: {certificate.verify_message}"


def _passing(error: BaseException, text: str) -> str:
    """Return the words for what may pass."""
    for sign, words in _PASSING:
        if sign in text:
            return words
    if isinstance(error, exceptions.MovedError):
        return f"its cluster has these keys on {error.host}:{error.port}"
    if isinstance(error, exceptions.AskError):
        return f"its cluster is moving these keys to {error.host}:{error.port}"
    if isinstance(error, (TimeoutError, exceptions.TimeoutError)):
        return "it does not answer in time"
    network = _cause(error, OSError)
    if network is not None:
        return f"it cannot be reached: {_words_of(network)}"
    if isinstance(error, exceptions.InvalidResponse):
        return "what answers there does not speak the protocol of Redis"
    if isinstance(error, ValueError):
        return f"it holds a value that this dnsd cannot read ({error!r})"
    return text or type(error).__name__


def _cause(error: BaseException | None, kind: type[CauseT]) -> CauseT | None:
    """Return the first of a kind among an error and what led to it; None: there is none."""
    while error is not None and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    return error


def _words_of(error: OSError) -> str:
    """Return the system's words for an error; asyncio has its own for some, names are looked up by other numbers."""
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or str(error) or type(error).__name__


def _first_line(text: str) -> str:
    return text.splitlines()[0].rstrip(".") if text else ""
