"""What servers' checks have found, as servers tell it in a Redis and routers read it there.

A server's word is two values: all that it knew at some time, and what it has found since. So a node that goes up and
down costs its own size each time, however many others are checked; only where much has changed is all told anew. It
owns what of each was written and read, so that nothing is written or read twice. What several servers' words come to
is the reader's business.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from redis.asyncio import Redis

from dnsd.model.check import CheckedBy, Results
from dnsd.stores.redis import layout, scripts
from dnsd.stores.redis.aside import aside
from dnsd.stores.redis.connecting import ANSWER_SECONDS, Lane
from dnsd.stores.redis.layout import Lately
from dnsd.stores.redis.link import Link

log = logging.getLogger(__name__)

# So many nodes are told without an older whole to put them to: they are one small value to read. Unit: nodes.
FEW_NODES = 200

# All is told anew when more than one in so many of it has changed since. Unit: parts of the whole.
MANY_PARTS = 8

# What the whole of a large fleet may take. Unit: seconds.
WHOLE_SECONDS = 30.0

NOTHING: Results = {}

ValueT = TypeVar("ValueT")


@dataclass(frozen=True, slots=True)
class _Told:
    """What was written last of a server.

    Args:
        results: as the caller gave them.
        text: of what stands under `checked`; None: nothing does.
        mark, whole: what stands under `checked-whole`; None: nothing that counts.
    """

    results: Results
    text: str | None = None
    mark: str | None = None
    whole: Results | None = None


@dataclass(slots=True)
class _Heard:
    """What was read last of a server.

    Args:
        text, lately: what stands under `checked`, and what that means.
        mark, whole: what was read under `checked-whole`; None: nothing yet.
        results: both put together; None: they are not the same server's word of one moment, or not put together yet.
    """

    text: str
    lately: Lately
    mark: str | None = None
    whole: Results | None = None
    results: Results | None = None

    @property
    def lacks_whole(self) -> bool:
        """Say whether it is about another whole than what was read."""
        return self.lately.mark is not None and self.lately.mark != self.mark


class CheckWords:
    """Writes a server's word and reads all servers'.

    Args:
        label: what people call the store.
    """

    def __init__(self, link: Link, keys: layout.Keys, *, label: str) -> None:
        self._link = link
        self._keys = keys
        self._label = label
        self._turn = asyncio.Lock()
        self._told: dict[str, _Told] = {}
        self._heard: dict[str, _Heard] = {}
        self._unread: set[tuple[str, str]] = set()  # keys and servers of which it was told that they cannot be read

    # --- a server's own -----------------------------------------------------------------------------------------

    async def tell(self, results: Results, *, server: str, at: float) -> None:
        """Have the store hold just these results of a server; see `DrainStore.tell_checked`."""
        async with self._turn:
            there = await self._link.run(lambda client: client.hget(self._keys.checked, server))
            last = self._told.get(server, _Told(NOTHING))
            stands = there == last.text
            if stands and results is last.results:
                return
            if stands and last.mark is not None and results == last.results:  # it is told for good measure
                stands = await self._has_whole(server, last.mark)
            becomes, whole = await aside(lambda: _next(last if stands else None, results, at=at), size=len(results))
            if becomes.text != there or whole is not None:
                await self._write(server, becomes, whole)
            self._told[server] = becomes

    async def _has_whole(self, server: str, mark: str) -> bool:
        """Say whether the whole that what stands is about stands as well."""
        key = self._keys.checked_whole
        text = await self._link.run(lambda client: client.hget(key, server), seconds=WHOLE_SECONDS, lane=Lane.LOADING)
        try:
            return text is not None and (await aside(lambda: layout.read_whole(str(text)), size=len(text)))[0] == mark
        except ValueError:
            return False

    async def _write(self, server: str, becomes: _Told, whole: str | None) -> None:
        keys = self._keys
        commands: list[tuple[str, ...]] = []
        if whole is not None:
            commands.append(("HSET", keys.checked_whole, server, whole))
        elif becomes.mark is None:
            commands.append(("HDEL", keys.checked_whole, server))
        if becomes.text is None:
            commands.append(("HDEL", keys.checked, server))
        else:
            commands.append(("HSET", keys.checked, server, becomes.text))
        lane, seconds = (Lane.COMMANDS, ANSWER_SECONDS) if whole is None else (Lane.LOADING, WHOLE_SECONDS)
        await self._link.run(lambda client: scripts.together(client, *commands), seconds=seconds, lane=lane)

    # --- everybody's --------------------------------------------------------------------------------------------

    async def read(self) -> Mapping[str, CheckedBy]:
        """Return what servers tell, by server; see `DrainStore.checked`."""
        async with self._turn:
            known = tuple(self._heard)
            texts, signs = await self._link.run(lambda client: self._look(client, known))
            self._note(texts)
            new = tuple(server for server in self._heard if server not in signs)
            lacking = tuple(server for server, each in self._heard.items() if each.lacks_whole)
            if new or lacking:
                wholes, more = await self._link.run(
                    lambda client: self._look_closer(client, lacking, new), seconds=WHOLE_SECONDS, lane=Lane.LOADING
                )
                signs |= more
                await self._note_wholes(wholes)
            await self._put_together()
            return {
                server: CheckedBy(each.results, _seen_at(server, signs.get(server)), each.lately.at)
                for server, each in self._heard.items()
                if each.results is not None
            }

    async def _look(self, client: Redis, known: Sequence[str]) -> tuple[dict[str, str], dict[str, str | None]]:
        """Return what is new of every server, and the signs of life of those that are known."""
        signs = (("HMGET", self._keys.consumers, *known),) if known else ()
        flat, *more = await scripts.together(client, ("HGETALL", self._keys.checked), *signs)
        return dict(zip(flat[::2], flat[1::2], strict=True)), dict(zip(known, *more, strict=True)) if more else {}

    async def _look_closer(
        self, client: Redis, lacking: Sequence[str], new: Sequence[str]
    ) -> tuple[dict[str, str | None], dict[str, str | None]]:
        """Return the wholes of some servers, and the signs of life of others."""
        found: list[dict[str, str | None]] = []
        for key, servers in ((self._keys.checked_whole, lacking), (self._keys.consumers, new)):
            texts = (await scripts.together(client, ("HMGET", key, *servers)))[0] if servers else ()
            found.append(dict(zip(servers, texts, strict=True)))
        return found[0], found[1]

    def _note(self, texts: Mapping[str, str]) -> None:
        """Take what is new of every server."""
        self._heard = {server: each for server, each in self._heard.items() if server in texts}
        self._unread = {(key, server) for key, server in self._unread if server in texts}
        for server, text in texts.items():
            heard = self._heard.get(server)
            if heard is not None and heard.text == text:
                continue
            lately = self._understood(self._keys.checked, server, layout.read_lately, text)
            if lately is None:
                self._heard.pop(server, None)
            elif heard is None:
                self._heard[server] = _Heard(text, lately)
            else:
                heard.text, heard.lately, heard.results = text, lately, None

    async def _note_wholes(self, wholes: Mapping[str, str | None]) -> None:
        key = self._keys.checked_whole
        for server, text in wholes.items():
            found = None
            if text is not None:
                found = await aside(partial(self._understood, key, server, layout.read_whole, text), size=len(text))
            if found is not None:
                self._heard[server].mark, self._heard[server].whole = found

    async def _put_together(self) -> None:
        for each in self._heard.values():
            if each.results is None and not each.lacks_whole:
                whole = (each.whole or NOTHING) if each.lately.mark is not None else NOTHING
                each.results = await aside(partial(_put, whole, each.lately.nodes), size=len(whole))

    def _understood(self, key: str, server: str, read: Callable[[str], ValueT], text: str) -> ValueT | None:
        """Return what a text means; None: it cannot be read, which is told once."""
        try:
            found = read(text)
        except ValueError as error:
            if (key, server) not in self._unread:
                self._unread.add((key, server))
                words = "%s: what the server %s tells of its checks in %s cannot be read, and does not count: %s"
                log.error(words, self._label, server, key, error)
            return None
        self._unread.discard((key, server))
        return found


def _next(last: _Told | None, results: Results, *, at: float) -> tuple[_Told, str | None]:
    """Return what is to stand of a server, and the text of its whole where that is to be written.

    Args:
        last: what stands; None: what stands is not what was told.
    """
    if not results:
        return _Told(results), None
    mark, whole, text = None if last is None else last.mark, NOTHING if last is None else last.whole or NOTHING, None
    nodes = _differing(whole, results)
    if len(nodes) > max(FEW_NODES, len(whole) // MANY_PARTS):
        mark, whole, nodes = secrets.token_hex(8), results, {}
        text = layout.write_whole(mark, whole)
    return _Told(results, layout.write_lately(Lately(mark, nodes, at)), mark, whole), text


def _differing(before: Results, after: Results) -> Results:
    """Return what has to be put to results so that they become others."""
    changed = {node: roles for node, roles in after.items() if before.get(node) != roles}
    return changed | {node: {} for node in before if node not in after}


def _put(whole: Results, nodes: Results) -> Results:
    return {node: roles for node, roles in {**whole, **nodes}.items() if roles}


def _seen_at(server: str, text: str | None) -> float | None:
    """Return a server's last sign of life; what cannot be read is none, and is told where consumers are read."""
    try:
        return None if text is None else layout.read_consumer(server, text).seen_at
    except ValueError:
        return None
