"""One try of a target over the network, and what came of it.

It knows nothing of earlier tries, nodes or pools. Whatever a peer does becomes an `Outcome`; nothing is raised.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from dataclasses import dataclass
from typing import Self

import aiohttp
from yarl import URL

from dnsd import __version__
from dnsd.model.check import CheckType, Probe, Target

log = logging.getLogger(__name__)

# What is read of a body to find a text in it: a page for checks is short. Unit: bytes.
MAX_BODY_SIZE = 65_536

# The most of an error's own words that is shown. Unit: characters.
MAX_TEXT_SIZE = 120

# Faults of this machine, which say nothing of the node: no descriptors, memory or local ports are left.
_OURS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})
_RESULTS = {
    errno.ECONNREFUSED: ("refused", "refused"),
    errno.ECONNRESET: ("closed", "the connection was reset"),
    errno.EPIPE: ("closed", "the connection was reset"),
    errno.EHOSTUNREACH: ("unreachable", "no route to the host"),
    errno.ENETUNREACH: ("unreachable", "the network is unreachable from here"),
    errno.ETIMEDOUT: ("timeout", "no answer"),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a try.

    Args:
        result: one of a few words, for the metrics.
        text: the same for people.
        counts: false for a fault of this machine, which is no word on the node.
    """

    result: str
    text: str
    counts: bool = True

    @property
    def ok(self) -> bool:
        """Say whether it succeeded."""
        return self.result == "ok"


OK = Outcome("ok", "ok")


class Prober:
    """Makes tries; used as a context, from the loop that they run in."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._contexts: dict[tuple[bool, str | None], ssl.SSLContext] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def probe(self, target: Target) -> Outcome:
        """Try a target once, within its time."""
        seconds = target.probe.timeout_seconds
        try:
            async with asyncio.timeout(seconds):
                if target.probe.type is CheckType.TCP:
                    return await _connect(target)
                return await self._request(target)
        except TimeoutError:
            return Outcome("timeout", f"no answer within {seconds:g} s")
        except (OSError, aiohttp.ClientError, ValueError) as error:
            return _outcome_of(error)
        except Exception as error:
            log.error("a fault of ours in the check %s", target.text, exc_info=error)
            return Outcome("not_made", f"a fault of dnsd: {type(error).__name__}", counts=False)

    async def _request(self, target: Target) -> Outcome:
        probe = target.probe
        secure = probe.type is CheckType.HTTPS
        context = await self._context_of(probe) if secure else None
        async with self._http().request(
            probe.method,
            _url_of(target),
            headers={} if probe.host is None else {"Host": probe.host},
            allow_redirects=False,
            ssl=True if context is None else context,
            server_hostname=probe.host if secure else None,
        ) as response:
            if not probe.accepts(response.status):
                return Outcome("status", f"status {response.status}")
            if probe.body is not None and probe.body.encode() not in await _beginning(response):
                return Outcome("body", "the text is not in the body")
            return OK

    async def _context_of(self, probe: Probe) -> ssl.SSLContext:
        key = probe.tls_verify, probe.ca
        if key not in self._contexts:
            # A thread: the roots of the system take tens of milliseconds to read.
            self._contexts[key] = await asyncio.to_thread(context_of, *key)
        return self._contexts[key]

    def _http(self) -> aiohttp.ClientSession:
        if self._session is None:
            # A connection for each try: whether the next client gets one is what is asked.
            connector = aiohttp.TCPConnector(limit=0, force_close=True)
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": f"dnsd/{__version__} (health check)", "Accept-Encoding": "identity"},
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
                auto_decompress=False,
            )
        return self._session


def context_of(verify: bool, ca: str | None) -> ssl.SSLContext:
    """Return how to speak TLS to nodes.

    Raises:
        ssl.SSLError: the roots are not PEM.
    """
    context = ssl.create_default_context(cadata=ca)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


async def _connect(target: Target) -> Outcome:
    family = socket.AF_INET6 if ":" in target.address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, (target.address, target.probe.port))
    return OK


def _url_of(target: Target) -> URL:
    probe = target.probe
    host = f"[{target.address}]" if ":" in target.address else target.address
    return URL(f"{probe.type.value}://{host}:{probe.port}{probe.path}", encoded=True)


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    """Return the first of a body, up to `MAX_BODY_SIZE`."""
    found = bytearray()
    while len(found) < MAX_BODY_SIZE:
        part = await response.content.read(MAX_BODY_SIZE - len(found))
        if not part:
            break
        found += part
    return bytes(found)


def _outcome_of(error: Exception) -> Outcome:
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
        return Outcome("tls", f"TLS: {_short(_words_of(error))}")
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return Outcome("closed", "the connection ended before an answer")
    if isinstance(error, OSError) and error.errno in _OURS:
        return Outcome("not_made", f"not tried: {_short(error.strerror or str(error))}", counts=False)
    if isinstance(error, OSError) and error.errno in _RESULTS:
        return Outcome(*_RESULTS[error.errno])
    if isinstance(error, OSError):
        return Outcome("unreachable", _short(error.strerror or str(error)))
    said = getattr(error, "message", "") or str(error)
    return Outcome("protocol", f"not HTTP: {_short(said)}")


def _words_of(error: Exception) -> str:
    """Return what the library of TLS says, without the address, which is told beside it."""
    inner = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    return getattr(inner, "verify_message", "") or getattr(inner, "reason", None) or str(inner)


def _short(text: str) -> str:
    line = "".join(each if each.isprintable() else "?" for each in " ".join(text.split()))
    return line if len(line) <= MAX_TEXT_SIZE else f"{line[: MAX_TEXT_SIZE - 1]}\N{HORIZONTAL ELLIPSIS}"
