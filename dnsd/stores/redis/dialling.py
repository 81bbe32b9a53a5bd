"""Dialling a Redis: which servers to try, and a connection to the one that will do.

It owns hosts, sentinels, redirections of a cluster, and the choice among several that call themselves primary. It dials
when it is told to; when that is, and what becomes of a connection, is the `link`'s.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence

from redis.asyncio import Redis
from redis.asyncio.sentinel import MasterNotFoundError, Sentinel
from redis.exceptions import MovedError

from dnsd.errors import StoreUnavailable
from dnsd.stores.redis import connecting, faults
from dnsd.stores.redis.address import Address, Host, Kind
from dnsd.stores.redis.connecting import Checked, Connected, client_options

log = logging.getLogger(__name__)

# A cluster says which of its nodes has our slot; one that sends us round is not settled yet. Unit: redirections.
MAX_MOVES = 3


class Dialler:
    """Finds the primary of an address.

    Args:
        label: what people call the store.
        check: looks at a server before it is used. It raises what `faults` has words for.

    Attributes:
        has_choice: the address names more than one server, so that another one may be the primary at any time.
    """

    def __init__(self, address: Address, *, label: str, check: Callable[[Redis], Awaitable[Checked]]) -> None:
        self.has_choice = address.kind is Kind.SENTINEL or len(address.hosts) > 1
        self._address = address
        self._label = label
        self._check = check
        self._moved_to: Host | None = None
        self._told_of: frozenset[str] = frozenset()

    def moved(self, error: MovedError) -> None:
        """Take note of where a cluster has our slot."""
        # One that does not know what others call its node leaves the host empty: the one that was asked.
        self._moved_to = error.host or self._address.hosts[0][0], error.port

    async def dial(self) -> Connected:
        """Connect to the primary; where there is but one address, also to a replica.

        Raises:
            StoreUnavailable: there is none; the reason is the last server's.
        """
        for _ in range(MAX_MOVES):
            moved_to = self._moved_to
            found, failure = await self._dial_all(await self._candidates())
            chosen = self._chosen(found)
            await _close_but(chosen, found)
            if chosen is not None:
                return chosen
            if self._moved_to == moved_to:
                break
        self._moved_to = None
        raise failure

    async def better_than(self, present: Connected) -> Connected | None:
        """Connect to another server that is the primary instead of one that is used; None: it need not be left.

        Sentinels know. Where there are only hosts, one that takes writes is left when it is seen to be a replica by
        now, or behind another one; not for being slow to be looked at, nor for one that is no further.

        Raises:
            StoreUnavailable: nobody can be asked.
        """
        if present.is_replica or self._address.kind is Kind.SENTINEL:
            found = [await self.dial()]
        else:
            found, _ = await self._dial_all(await self._candidates())
        chosen = self._chosen(found)
        if chosen is not None and not self._is_better(chosen, present, found):
            chosen = None
        await _close_but(chosen, found)
        return chosen

    def _is_better(self, chosen: Connected, present: Connected, found: Sequence[Connected]) -> bool:
        if chosen.is_replica:
            return False
        if present.is_replica:
            return True
        if chosen.checked.run_id == present.checked.run_id:
            return False
        if self._address.kind is Kind.SENTINEL:
            return True
        seen = [each.checked for each in found if each.checked.run_id == present.checked.run_id]
        return bool(seen) and (seen[0].is_replica or seen[0].revision < chosen.checked.revision)

    async def _candidates(self) -> Sequence[Host | None]:
        """Return the servers to try; None stands for the socket."""
        if self._address.kind is Kind.UNIX:
            return (None,)
        if self._address.kind is Kind.SENTINEL:
            return (await self._ask_sentinels(),)
        hosts = [host for host in self._address.hosts if host != self._moved_to]
        return hosts if self._moved_to is None else [self._moved_to, *hosts]

    async def _ask_sentinels(self) -> Host:
        service = self._address.service or ""
        # Each of them has its time, so that one that hangs does not hide the others.
        options = {**client_options(self._address.sentinel), "socket_timeout": connecting.DIAL_SECONDS}
        sentinel = Sentinel(self._address.hosts, sentinel_kwargs=options)  # type: ignore[no-untyped-call]  # redis-py has no types here
        try:
            async with asyncio.timeout(2 * connecting.DIAL_SECONDS * len(self._address.hosts)):
                host, port = await sentinel.discover_master(service)
        except MasterNotFoundError as error:
            raise StoreUnavailable(
                f"{self._label}: no sentinel that can be reached knows a primary of {service!r}"
            ) from error
        except faults.ANY as error:
            raise faults.unavailable(self._label, error) from error
        finally:
            with contextlib.suppress(*faults.ANY):
                await sentinel.aclose()
        return str(host), int(port)

    async def _dial_all(self, hosts: Sequence[Host | None]) -> tuple[list[Connected], StoreUnavailable]:
        """Connect to all that can be, at once; return them in order, and why the last one will not do."""
        found: dict[int, Connected] = {}
        failures: dict[int, StoreUnavailable] = {}

        async def dial(place: int, host: Host | None) -> None:
            try:
                found[place] = await connecting.connect(self._address, host, self._check)
            except (*faults.ANY, StoreUnavailable) as error:
                if isinstance(error, MovedError):
                    self.moved(error)
                failures[place] = faults.unavailable(self._label, error)

        try:
            async with asyncio.TaskGroup() as group:
                for place, host in enumerate(hosts):
                    group.create_task(dial(place, host))
        except BaseException:
            await _close(found.values())
            raise
        for place, each in found.items():
            failures[place] = StoreUnavailable(f"{self._label}: {each.text} is a replica, not the primary")
        return [found[place] for place in sorted(found)], failures[max(failures)]

    def _chosen(self, found: Sequence[Connected]) -> Connected | None:
        """Return the primary among servers.

        Where more than one says that it is, one of them was left behind by a failover: most likely the one that has
        seen fewer changes, or that nobody follows. Servers that reach the same ones come to the same choice.
        """
        primaries = [each for each in found if not each.is_replica]
        if not primaries:
            return found[0] if found and not self.has_choice else None
        chosen = max(primaries, key=lambda each: each.checked.standing)
        others = frozenset(each.text for each in primaries if each.checked.run_id != chosen.checked.run_id)
        if others and others != self._told_of:
            log.error(
                "%s: more than one server takes writes: %s is used, at revision %d; make a replica of %s",
                self._label,
                chosen.text,
                chosen.checked.revision,
                ", ".join(sorted(others)),
            )
        self._told_of = others
        return chosen


async def _close_but(chosen: Connected | None, found: Sequence[Connected]) -> None:
    """Close what was not chosen; all of it, where that is cut short."""
    try:
        await _close(each for each in found if each is not chosen)
    except BaseException:
        await _close(found)
        raise


async def _close(several: Iterable[Connected]) -> None:
    for each in several:
        await each.close()
