"""Who a worker is to its TLS clients: its certificate and key, and what is spoken behind them.

Owns TLS contexts. It knows no files: the control process has read them, and a worker may lack the right to.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterable
from contextlib import ExitStack

# What a client may ask for by ALPN (RFC 7301), the best first; one that asks for nothing gets what it was opened for.
DOT_PROTOCOLS: tuple[str, ...] = ("dot",)  # RFC 7858
HTTPS_PROTOCOLS: tuple[str, ...] = ("h2", "http/1.1")


def context_of(certificate: bytes, key: bytes, *, protocols: Iterable[str]) -> ssl.SSLContext:
    """Make a context for new connections.

    Args:
        certificate: PEM, the server's own first and those that lead to a root behind it.
        key: PEM, not encrypted.
        protocols: for ALPN.

    Raises:
        ssl.SSLError: they are of no use, or do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(list(protocols))
    with ExitStack() as stack:
        context.load_cert_chain(_in_memory(certificate, stack), _in_memory(key, stack), _no_password)
    return context


def _in_memory(data: bytes, stack: ExitStack) -> str:
    """Return a name under which the library can read some bytes; they are in no file system."""
    file = stack.enter_context(os.fdopen(os.memfd_create("dnsd"), "wb"))
    file.write(data)
    file.flush()
    return f"/proc/self/fd/{file.fileno()}"


def _no_password() -> str:
    # Without it the library would ask at the terminal.
    raise ssl.SSLError("the key is encrypted")


class Identity:
    """A worker's certificate and key; connections that are open keep those with which they began."""

    def __init__(self) -> None:
        self._contexts: dict[tuple[str, ...], ssl.SSLContext] = {}

    def take(self, certificate: bytes, key: bytes) -> None:
        """Use them for the connections from now on.

        Raises:
            ssl.SSLError: they are of no use; those from before are kept.
        """
        contexts = {each: context_of(certificate, key, protocols=each) for each in (DOT_PROTOCOLS, HTTPS_PROTOCOLS)}
        self._contexts = contexts

    def context(self, protocols: tuple[str, ...]) -> ssl.SSLContext:
        """Return what a new connection takes; `take` was called before."""
        return self._contexts[protocols]
