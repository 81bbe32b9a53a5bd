"""The shared store: a fleet's state in one Redis, which servers and routers on many machines follow.

It owns what is asked of Redis, and the waiting for news. Where the primary is, is the `link`'s business; what the
values mean, the `layout`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from itertools import chain
from typing import Any, TypeVar

from redis.asyncio import Redis

from dnsd.errors import ChangesTrimmed, RevisionConflict, StoreDiverged, StoreRefused
from dnsd.model.check import CheckedBy, Results
from dnsd.model.node import Node
from dnsd.model.report import Report
from dnsd.model.state import Change, ChangeRecord, Consumer, FleetState, HistoryEntry
from dnsd.stores.base import CHANGES_KEPT, DEFAULT_HISTORY_PAGE, REPORTS_KEPT, Known
from dnsd.stores.claims import SerialClaim
from dnsd.stores.following import Bell, follow, says_more
from dnsd.stores.redis import faults, layout, scripts
from dnsd.stores.redis.address import Address
from dnsd.stores.redis.aside import FEW, aside
from dnsd.stores.redis.checking import check_server
from dnsd.stores.redis.checkwords import CheckWords
from dnsd.stores.redis.confirming import Confirmer
from dnsd.stores.redis.connecting import ANSWER_SECONDS, Checked, Connected, Lane
from dnsd.stores.redis.dialling import Dialler
from dnsd.stores.redis.link import Link
from dnsd.stores.redis.listening import Listener
from dnsd.stores.redis.rollcall import RollCall
from dnsd.stores.rules import MAX_INTEGER, check_commit, check_history_limit, check_reports

# What a cut of a large fleet may take. Unit: seconds.
LOAD_SECONDS = 30.0

# What a large commit may take: several times what it does. Unit: changes a second.
CHANGES_PER_SECOND = 2_000

# How often it is looked whether the store still is where a caller that waits has seen it. Unit: seconds.
POLL_CHANGES_SECONDS = 1.0

# Other programs may forget to tell of their progress in the stream, or write no stream at all. Unit: seconds.
POLL_CONSUMERS_SECONDS = 0.05

ResultT = TypeVar("ResultT")
ValueT = TypeVar("ValueT")


class RedisStore:
    """A `DrainStore` that a fleet shares.

    What an acknowledged commit survives is what the Redis is set up to survive, and with `min_replicas` the loss of the
    primary; `docs/redis.md` says more. While it is out of reach, every call fails at once.

    Args:
        prefix: of all keys, without the braces.
        min_replicas: how many replicas must have a commit before it is acknowledged.
        changes_kept: entries of the change log that it keeps, 1 or more.
    """

    def __init__(
        self, address: Address, *, prefix: str, min_replicas: int = 0, changes_kept: int = CHANGES_KEPT
    ) -> None:
        self._label = address.label
        self._keys = layout.Keys(prefix)
        self._changes_kept = changes_kept
        self._changed, self._reported, self._progressed = Bell(), Bell(), Bell()
        self._listener = Listener(
            {
                self._keys.changes: self._changed,
                self._keys.reported: self._reported,
                self._keys.progress: self._progressed,
            }
        )
        self._link = Link(
            Dialler(address, label=self._label, check=self._check),
            label=self._label,
            on_up=self._began,
            on_down=self._listener.end,
        )
        self._confirmer = Confirmer(self._link, self._keys, label=self._label, min_replicas=min_replicas)
        self._writes: set[asyncio.Task[Any]] = set()
        self._roll_call = RollCall(self._link, self._keys, label=self._label)
        self._check_words = CheckWords(self._link, self._keys, label=self._label)

    @property
    def label(self) -> str:
        """A short name for people: `redis 10.0.0.1:6379`."""
        return self._label

    @property
    def remote(self) -> bool:
        """It can be out of reach while the server is well."""
        return True

    async def open(self) -> None:
        """Connect, and go on trying where that fails.

        Raises:
            StoreRefused: there is a Redis, and it or what it holds is not usable.
            StoreUnavailable: the same, of what may pass.
        """
        await self._link.open()

    async def close(self) -> None:
        """Finish what was begun and close the connections; those who wait get `StoreUnavailable`."""
        if self._writes:
            await asyncio.wait(self._writes)
        await self._link.close()
        self._listener.end()

    # --- state --------------------------------------------------------------------------------------------------

    async def load(self) -> FleetState:
        """Return a consistent cut of everything."""
        keys = self._keys

        async def read(client: Redis) -> list[Any]:
            return await scripts.together(
                client,
                ("GET", keys.revision),
                ("HVALS", keys.nodes),
                ("HVALS", keys.drains),
                ("HVALS", keys.reports),
                ("XREVRANGE", keys.changes, "+", "-", "COUNT", "1"),
            )

        found = await self._link.run(read, seconds=LOAD_SECONDS, lane=Lane.LOADING)
        # A thread: the values of a large fleet take a while to be read, and answers to others must not wait for it.
        return await self._understood(asyncio.to_thread(layout.read_state, *found))

    async def commit(
        self,
        *,
        expected_revision: int,
        changes: Sequence[Change],
        history: Sequence[HistoryEntry],
        at: float,
        expected_mark: str = "",
        mark: str = "",
        skip_to: int | None = None,
        restores: tuple[int, str] | None = None,
    ) -> int:
        """Apply changes, log them and append history, all or nothing; see `DrainStore.commit`."""

        def prepared() -> tuple[int, list[str]]:
            becomes = check_commit(
                expected_revision=expected_revision, changes=changes, history=history, skip_to=skip_to
            )
            return becomes, layout.write_commit(
                expected=(expected_revision, expected_mark),
                becomes=(becomes, mark),
                at=at,
                changes=changes,
                history=history,
                restores=restores,
                changes_kept=self._changes_kept,
            )

        size = len(changes) + len(history)
        becomes, words = await aside(prepared, size=size)
        answer = await self._to_its_end(self._run_commit(words, size=size))
        await self._check_committed(answer, expected_revision=expected_revision)
        self._changed.ring()
        return becomes

    async def _check_committed(self, answer: list[str], *, expected_revision: int) -> None:
        """Raise what the commit script says where it has written nothing."""
        match answer:
            case ["late"]:
                raise await self._link.dial_again("its clock was set, so that a write seemed to come late: try again")
            case ["conflict", actual]:
                found_revision = await self._understood(_read_number(actual))
                raise RevisionConflict(expected=expected_revision, actual=found_revision)
            case ["schema", found]:
                raise StoreRefused(f"{self._label}: {layout.other_schema(found)}")
            case ["type", key, found]:
                raise StoreRefused(f"{self._label}: {layout.other_type(key, found)}")

    async def _run_commit(self, words: Sequence[str], *, size: int) -> list[str]:
        """Run the commit script on its words, for so many changes and entries of history, and return its answer."""
        keys, large, seconds = self._keys, size > FEW, ANSWER_SECONDS + size / CHANGES_PER_SECOND
        names = (
            keys.schema, keys.revision, keys.drains, keys.nodes, keys.changes, keys.history, keys.history_of_nodes,
            keys.restorations,
        )  # fmt: skip

        async def write(client: Redis) -> list[str]:
            if large:
                await client.script_load(scripts.COMMIT)  # a server that lacks it would be sent all the words twice
            # The same time that we wait for it: what is not acknowledged by then must not land later.
            deadline = str(int(self._link.server_clock_in(seconds) * 1000))
            answer: list[str] = await client.register_script(scripts.COMMIT)(names, [deadline, *words])
            return answer

        return await self._link.run(write, seconds=seconds, lane=Lane.LOADING if large else Lane.COMMANDS)

    async def confirm(self, *, revision: int, mark: str = "") -> None:
        """Wait until the replicas that must have a revision have it; see `DrainStore.confirm`."""
        await self._to_its_end(self._confirmer.confirm(revision, mark))

    async def changes(
        self, *, after: int, mark: str = "", limit: int = 1000, wait_seconds: float = 0.0
    ) -> tuple[ChangeRecord, ...]:
        """Return the changes that follow a revision, in order; see `DrainStore.changes`."""

        async def read() -> tuple[ChangeRecord, ...]:
            return await self._changes_after(after, mark, limit)

        # A server that was flushed, or put back to a backup, rings no bell.
        return await follow(read, self._changed, wait_seconds=wait_seconds, poll_seconds=POLL_CHANGES_SECONDS)

    async def _changes_after(self, after: int, mark: str, limit: int) -> tuple[ChangeRecord, ...]:
        keys, place = self._keys, f"{min(max(after, 0), MAX_INTEGER)}"

        async def read(client: Redis) -> list[Any]:
            return await scripts.together(
                client,
                ("GET", keys.revision),
                ("XRANGE", keys.changes, "-", "+", "COUNT", "1"),
                ("XRANGE", keys.changes, f"{place}-0", f"{place}-0"),
                ("XRANGE", keys.changes, f"{place}-1", "+", "COUNT", str(limit)),
                ("XREVRANGE", keys.restorations, "+", "-"),
            )

        number, first, own, following, restorations = await self._link.run(read)
        revision = await self._understood(_read_number(number))
        if after > revision:
            raise StoreDiverged(f"{self._label}: it is at revision {revision}, before {after}")
        floor = int(first[0][0].partition("-")[0]) - 1 if first else revision
        there = layout.fields_of(own[0]).get("mark") if own else None
        if mark and (there not in (None, "", mark) if own else after > floor):
            raise StoreDiverged(f"{self._label}: it has another revision {after}, or none of that number")
        if mark and not own and layout.has_replaced(map(layout.fields_of, restorations), after, mark):
            raise StoreDiverged(f"{self._label}: another revision {after} was written back after it was lost")
        records = await self._understood(_each(layout.read_change, following))
        gap = [each.revision for each in records] != list(range(after + 1, after + 1 + len(records)))
        if after < floor or gap or (after < revision and not records):
            raise ChangesTrimmed(f"{self._label}: the change log does not hold what follows {after}")
        return records

    # --- history ------------------------------------------------------------------------------------------------

    async def history(
        self, *, node: str | None = None, before: int | None = None, limit: int = DEFAULT_HISTORY_PAGE
    ) -> tuple[tuple[HistoryEntry, ...], int | None]:
        """Return a page of history, newest first; see `DrainStore.history`."""
        check_history_limit(limit)
        newest = layout.history_id_before(before)
        if newest is None:
            self._link.check_up()
            return (), None

        async def read(client: Redis) -> Sequence[layout.Entry]:
            key, count = self._keys.history, str(limit + 1)  # one more than asked for tells of another page
            if node is None:
                (found,) = await scripts.together(client, ("XREVRANGE", key, newest, "-", "COUNT", count))
                return list(found)
            top, bottom = layout.history_member_before(node, before), f"[{node}/"
            index = ("ZREVRANGEBYLEX", self._keys.history_of_nodes, top, bottom, "LIMIT", "0", count)
            (members,) = await scripts.together(client, index)
            ids = [layout.history_id_of_member(member) for member in members]
            found = await scripts.together(client, *(("XRANGE", key, each, each) for each in ids))
            return [entry for entries in found for entry in entries]

        entries = await self._link.run(read)
        told = await self._understood(_each(layout.read_history, entries))
        page = told[:limit]
        return tuple(entry for entry, _ in page), page[-1][1] if len(told) > limit else None

    # --- reports ------------------------------------------------------------------------------------------------

    async def put_reports(self, reports: Sequence[Report]) -> None:
        """Keep the last report of each node; see `DrainStore.put_reports`."""
        check_reports(reports)

        def prepared() -> list[str]:
            told = ((report.node, str(report.sequence), layout.dump(report.to_json())) for report in reports)
            return [str(REPORTS_KEPT), *chain.from_iterable(told)]

        words = await aside(prepared, size=len(reports))

        async def write(client: Redis) -> None:
            await client.register_script(scripts.PUT_REPORTS)((self._keys.reports, self._keys.reported), words)

        await self._to_its_end(self._link.run(write))

    async def drop_report(self, node: str) -> None:
        """Forget a node's report."""
        await self._to_its_end(self._link.run(lambda client: client.hdel(self._keys.reports, node)))

    async def reports(
        self, *, after: str | None = None, wait_seconds: float = 0.0, known: Known | None = None
    ) -> tuple[tuple[Report, ...], str]:
        """Return what nodes have reported since a place; see `DrainStore.reports`. A place is an id of the stream."""

        async def read() -> tuple[tuple[Report, ...], str]:
            return await self._reports_after(after, known)

        def moved(found: tuple[tuple[Report, ...], str]) -> bool:
            return bool(found[0]) or (known is not None and found[1] != after)

        return await follow(read, self._reported, wait_seconds=wait_seconds, news=moved)

    async def _reports_after(self, place: str | None, known: Known | None) -> tuple[tuple[Report, ...], str]:
        keys = self._keys

        async def read(client: Redis) -> tuple[Sequence[str | None], str]:
            last, own, since = await scripts.together(
                client,
                ("XREVRANGE", keys.reported, "+", "-", "COUNT", "1"),
                ("XRANGE", keys.reported, place or layout.NOWHERE, place or layout.NOWHERE),
                ("XRANGE", keys.reported, place or layout.NOWHERE, "+"),
            )
            now: str = last[0][0] if last else layout.NOWHERE
            texts: Any = ()
            if place is None or (not own and place not in (layout.NOWHERE, now)):
                texts = await client.hvals(keys.reports)
            elif place != now:
                fields = [layout.fields_of(entry) for entry in since if entry[0] != place]
                nodes = dict.fromkeys(node for each in fields for node in each.get("nodes", "").split())
                texts = await client.hmget(keys.reports, list(nodes)) if nodes else ()
                texts = [text for node, text in zip(nodes, texts, strict=False) if layout.tells_news(node, text, known)]
            return texts, now

        texts, now = await self._link.run(read, seconds=LOAD_SECONDS, lane=Lane.LOADING)
        there = [text for text in texts if text is not None]
        return await self._understood(_each(layout.read_report, there)), now

    async def tell_configured(self, nodes: Sequence[Node], *, server: str, at: float) -> None:
        """Tell readers of other programs which nodes a configuration declares."""
        text = await aside(lambda: layout.write_configured(nodes, server=server, at=at), size=len(nodes))
        await self._to_its_end(self._link.run(lambda client: client.set(self._keys.configured, text)))

    async def configured(self) -> tuple[Node, ...] | None:
        """Return the nodes that a server's configuration declares, as the last that told of its own has told."""

        async def read(client: Redis) -> str | None:
            found: str | None
            (found,) = await scripts.together(client, ("GET", self._keys.configured))
            return found

        text = await self._link.run(read, seconds=LOAD_SECONDS, lane=Lane.LOADING)
        return await self._understood(aside(lambda: layout.read_configured(text), size=len(text or "")))

    # --- checks -------------------------------------------------------------------------------------------------

    async def tell_checked(self, results: Results, *, server: str, at: float) -> None:
        """Have readers find what a server's checks have found; see `DrainStore.tell_checked`."""
        await self._to_its_end(self._check_words.tell(results, server=server, at=at))

    async def checked(self) -> Mapping[str, CheckedBy]:
        """Return what servers tell of their checks, by server; see `DrainStore.checked`."""
        return await self._check_words.read()

    # --- serials ------------------------------------------------------------------------------------------------

    async def claim_serials(self, claims: Sequence[SerialClaim]) -> tuple[int, ...]:
        """Give zones their serials; see `DrainStore.claim_serials`."""
        given: list[int] = []
        for start in range(0, len(claims), FEW):
            given += await self._to_its_end(self._claim_some(claims[start : start + FEW]))
        return tuple(given)

    async def _claim_some(self, claims: Sequence[SerialClaim]) -> list[int]:
        words = layout.write_claims(claims)

        async def write(client: Redis) -> list[str]:
            answer: list[str] = await client.register_script(scripts.CLAIM_SERIALS)((self._keys.serials,), words)
            return answer

        match await self._link.run(write):
            case ["value", text]:
                raise faults.unavailable(self._label, ValueError(f"a serial in {str(text)[:80]!r}"))
            case serials:
                return [int(serial) for serial in serials]

    # --- consumers ----------------------------------------------------------------------------------------------

    async def heartbeat(self, consumer: Consumer) -> bool:
        """Keep what a consumer says of itself, and tell those who wait for it; say whether it was known."""
        return await self._say((consumer,)) == 0

    async def heartbeats(self, consumers: Sequence[Consumer]) -> None:
        """Keep what several consumers say of themselves, and tell those who wait for any of them."""
        if consumers:
            await self._say(consumers)

    async def _say(self, consumers: Sequence[Consumer]) -> int:
        """Write what consumers say; return how many of them were not known."""
        fields = (text for each in consumers for text in (each.id, layout.write_consumer(each)))
        said = ("HSET", self._keys.consumers, *fields)
        last = consumers[-1]  # one is enough to wake whoever waits: they read all of them
        progress = ("XADD", self._keys.progress, "MAXLEN", "~", str(layout.PROGRESS_KEPT), "*")
        about = ("consumer", last.id, "applied", str(last.applied))

        async def write(client: Redis) -> int:
            created, _ = await scripts.together(client, said, (*progress, *about))
            return int(created)

        return await self._to_its_end(self._link.run(write))

    async def forget_consumer(self, consumer: str) -> None:
        """Forget a consumer that has ended, and what it has told of its checks."""
        keys = (self._keys.consumers, self._keys.checked, self._keys.checked_whole)

        async def write(client: Redis) -> None:
            await scripts.together(client, *(("HDEL", key, consumer) for key in keys))

        await self._to_its_end(self._link.run(write))

    async def consumers(
        self, *, unlike: tuple[Consumer, ...] | None = None, wait_seconds: float = 0.0
    ) -> tuple[Consumer, ...]:
        """Return every consumer that has said anything, by id; see `DrainStore.consumers`."""
        return await follow(
            self._roll_call.read,
            self._progressed,
            wait_seconds=wait_seconds,
            poll_seconds=POLL_CONSUMERS_SECONDS,
            news=lambda found: says_more(found, unlike),
        )

    # --- the connection -----------------------------------------------------------------------------------------

    async def _check(self, client: Redis) -> Checked:
        return await check_server(client, self._keys, label=self._label)

    def _began(self, connected: Connected) -> None:
        self._listener.begin(connected, on_lost=self._link.failed)

    async def _to_its_end(self, call: Coroutine[Any, Any, ResultT]) -> ResultT:
        """Let a write go on when its caller is cancelled, so that it lands as a whole or not at all."""
        task = asyncio.create_task(call)
        self._writes.add(task)
        task.add_done_callback(self._written)
        return await asyncio.shield(task)

    def _written(self, task: asyncio.Task[Any]) -> None:
        self._writes.discard(task)
        if not task.cancelled():
            task.exception()  # its caller has it, or has gone

    async def _understood(self, reading: Coroutine[Any, Any, ResultT]) -> ResultT:
        """Return what was read, where it could be understood.

        Raises:
            StoreUnavailable: it holds a value that this dnsd cannot read.
        """
        try:
            return await reading
        except ValueError as error:
            raise faults.unavailable(self._label, error) from error


async def _read_number(text: str | None) -> int:
    return int(text or 0)


async def _each(read: Callable[[ValueT], ResultT], values: Sequence[ValueT]) -> tuple[ResultT, ...]:
    return await aside(lambda: tuple(map(read, values)), size=len(values))
