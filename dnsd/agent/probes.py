"""Looks at the node: how many sessions each role has, and whether each role is up.

A count that cannot be read is None, which is not zero, with the reason beside it. It knows nothing of servers.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from dnsd.agent.commands import run_command
from dnsd.agent.settings import SESSION_KINDS, HealthCheck, SessionSource
from dnsd.agent.tcp_table import count_established
from dnsd.api.schemas import MAX_INTEGER

log = logging.getLogger(__name__)

# Of a document that has a count in it. Unit: bytes.
MAX_DOCUMENT_SIZE = 1 << 20

_COUNT = re.compile(rb"\s*([0-9]{1,19})\s*")


class Unreadable(Exception):
    """A count that cannot be read; the message says why."""


@dataclass(frozen=True, slots=True)
class Observation:
    """How a node was found.

    Args:
        health: role → up; a role that has no check is not there.
        sessions: role → kind → count, None: unknown.
        faults: what is down or unknown → why.
    """

    health: Mapping[str, bool] = field(default_factory=dict)
    sessions: Mapping[str, Mapping[str, int | None]] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)


class Observer:
    """Looks at a node by its settings.

    Args:
        limit_seconds: no probe takes longer, whatever its own limit.
    """

    def __init__(
        self, sessions: Iterable[SessionSource], health: Iterable[HealthCheck], *, limit_seconds: float
    ) -> None:
        self._sessions = tuple(sessions)
        self._health = tuple(health)
        self._limit_seconds = limit_seconds

    async def observe(self) -> Observation:
        """Look at everything once, which takes no longer than the limit and a little."""
        # The table first: connections of our own probes are no sessions, and must not be found in it.
        by_port = await self._established()
        counts = asyncio.gather(*(self._count(each, by_port) for each in self._sessions))
        checks = asyncio.gather(*(self._check(each) for each in self._health))
        faults: dict[str, str] = {}
        sessions = _summed(self._sessions, await counts, faults)
        health: dict[str, bool] = {}
        for check, why in zip(self._health, await checks, strict=True):
            health[check.role] = health.get(check.role, True) and not why
            if why:
                faults.setdefault(f"health of {check.role}", why)
        return Observation(health, sessions, faults)

    async def _established(self) -> Mapping[int, int] | Unreadable:
        ports = frozenset[int]().union(*(each.ports for each in self._sessions))
        if not ports:
            return {}
        try:
            # In a thread: with many connections the kernel takes tens of milliseconds.
            return await asyncio.to_thread(count_established, ports)
        except Exception as error:  # as in `_count`
            log.debug("connections cannot be counted", exc_info=True)
            return Unreadable(f"connections cannot be counted: {_words(error)}")

    async def _count(self, source: SessionSource, by_port: Mapping[int, int] | Unreadable) -> int | Unreadable:
        seconds = min(source.timeout_seconds, self._limit_seconds)
        try:
            if source.ports:
                if isinstance(by_port, Unreadable):
                    return by_port
                return sum(by_port[port] for port in source.ports)
            if source.command:
                return await _count_by_command(source.command, seconds)
            if source.url is not None:
                return found_at(await _document(source.url, seconds), source.path)
        except Unreadable as error:
            return error
        except Exception as error:  # one probe's failure, whatever it is, is no reason to end the others' reports
            log.debug("a count has failed", exc_info=True)
            return Unreadable(_words(error))
        return 0

    async def _check(self, check: HealthCheck) -> str:
        """Return why a check does not hold; empty: it does."""
        try:
            return await self._why_down(check)
        except Exception as error:  # as in `_count`
            log.debug("a health check has failed", exc_info=True)
            return _words(error)

    async def _why_down(self, check: HealthCheck) -> str:
        seconds = min(check.timeout_seconds, self._limit_seconds)
        if check.tcp is not None:
            return await _why_not_open(*check.tcp, seconds)
        if check.command:
            return (await run_command(check.command, timeout_seconds=seconds)).problem
        try:
            await _fetch(check.url or "", seconds)
        except Unreadable as error:
            return str(error)
        return ""


def found_at(document: Any, path: Iterable[str]) -> int:
    """Return the count at a path in a JSON document; a list counts its items.

    Raises:
        Unreadable: it is not there, or is no count.
    """
    value = document
    for step in path:
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isascii() and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            raise Unreadable(f"its answer has no {'.'.join(path)!r}")
    if isinstance(value, list):
        return len(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_INTEGER:
        raise Unreadable(f"{'.'.join(path) or 'its answer'} is no count")
    return value


def _summed(
    sources: Iterable[SessionSource], counts: Iterable[int | Unreadable], faults: dict[str, str]
) -> dict[str, dict[str, int | None]]:
    """Add the counts of each role and kind; the sum with one that is unknown is unknown."""
    sessions: dict[str, dict[str, int | None]] = {}
    for source, count in zip(sources, counts, strict=True):
        kinds = sessions.setdefault(source.role, {})
        before = kinds.setdefault(source.kind, 0)
        if isinstance(count, Unreadable):
            faults.setdefault(f"number of {source.kind} of {source.role}", str(count))
            kinds[source.kind] = None
        elif before is not None:
            kinds[source.kind] = min(before + count, MAX_INTEGER)
    # A kind that nothing counts is as unknown as one whose count fails.
    return {role: {kind: kinds.get(kind) for kind in SESSION_KINDS} for role, kinds in sessions.items()}


def _words(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


async def _count_by_command(argv: tuple[str, ...], seconds: float) -> int:
    ended = await run_command(argv, timeout_seconds=seconds)
    if ended.problem:
        raise Unreadable(f"{argv[0]}: {ended.problem}")
    match = _COUNT.fullmatch(ended.output)
    if match is None or int(match[1]) > MAX_INTEGER:
        raise Unreadable(f"{argv[0]}: it printed no number")
    return int(match[1])


async def _document(url: str, seconds: float) -> Any:
    try:
        return json.loads(await _fetch(url, seconds))
    except (ValueError, RecursionError):
        raise Unreadable(f"{url}: its answer is not JSON") from None


async def _fetch(url: str, seconds: float) -> bytes:
    """Return the body of a page that must answer 200 to 299.

    Raises:
        Unreadable: it does not, in time.
    """
    # A connection that is kept would count as a session where its port is counted.
    connector = aiohttp.TCPConnector(force_close=True)
    timeout = aiohttp.ClientTimeout(total=seconds)
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
            session.get(url, allow_redirects=False) as response,
        ):
            body = bytearray()
            async for part in response.content.iter_any():
                body += part
                if len(body) > MAX_DOCUMENT_SIZE:
                    raise Unreadable(f"{url}: its answer has more than {MAX_DOCUMENT_SIZE} bytes")
            if not 200 <= response.status < 300:
                raise Unreadable(f"{url}: it answered {response.status}")
            return bytes(body)
    except TimeoutError:
        raise Unreadable(f"{url}: no answer in time") from None
    except (aiohttp.ClientError, ValueError) as error:
        raise Unreadable(f"{url}: {error or type(error).__name__}") from None


async def _why_not_open(host: str, port: int, seconds: float) -> str:
    try:
        async with asyncio.timeout(seconds):
            _, writer = await asyncio.open_connection(host, port)
    except TimeoutError:
        return f"{host} port {port}: no connection in time"
    except (OSError, ValueError) as error:  # a name that cannot be looked up is a ValueError
        return f"{host} port {port}: {_words(error)}"
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return ""
