"""Real redis-sentinel processes: a master, its replicas, and the group that makes one of them the next master."""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.redis import RedisServer
from tests.support.servers import wait_until


class Sentinel(RedisServer):
    """One sentinel; what it learns it writes into its own configuration, and knows again after a restart."""

    def __init__(self, folder: Path, settings: Sequence[str]) -> None:
        super().__init__(folder, program="redis-sentinel")
        self.config.write_text("\n".join([f"port {self.port}", "bind 127.0.0.1", "daemonize no", *settings]) + "\n")

    def command(self) -> Sequence[str | Path]:
        """Return what starts the sentinel."""
        return [self.program, self.config]


class SentinelGroup:
    """Sentinels that watch one master.

    Args:
        folder: gets a folder for each sentinel.
        replicas: all replicas of the master; a start waits until each sentinel knows them.
        name: what the sentinels call the master.
    """

    def __init__(
        self,
        folder: Path,
        master: RedisServer,
        replicas: Sequence[RedisServer],
        *,
        count: int = 3,
        quorum: int = 2,
        name: str = "fleet",
        down_after_ms: int = 500,
        failover_timeout_ms: int = 3000,
    ) -> None:
        self.name = name
        self.replicas = tuple(replicas)
        settings = [
            f"sentinel monitor {name} 127.0.0.1 {master.port} {quorum}",
            f"sentinel down-after-milliseconds {name} {down_after_ms}",
            f"sentinel failover-timeout {name} {failover_timeout_ms}",
        ]
        if master.password is not None:
            settings.append(f'sentinel auth-pass {name} "{master.password}"')
        self.sentinels = tuple(Sentinel(folder / f"sentinel-{number}", settings) for number in range(1, count + 1))

    @property
    def url(self) -> str:
        """Where clients find the group."""
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{hosts}/{self.name}/0"

    def start(self) -> None:
        """Start the sentinels, and wait until each knows the master, the replicas and the other sentinels."""
        for sentinel in self.sentinels:
            sentinel.start()
        for sentinel in self.sentinels:
            wait_until(functools.partial(self.informed, sentinel), "a sentinel knows master, replicas and sentinels")

    def informed(self, sentinel: RedisServer) -> bool:
        """Say whether a sentinel sees everything, and all of it up."""
        return (
            self._flags(sentinel, "masters") == ["master"]
            and self._flags(sentinel, "replicas", self.name) == ["slave"] * len(self.replicas)
            and self._flags(sentinel, "sentinels", self.name) == ["sentinel"] * (len(self.sentinels) - 1)
        )

    @staticmethod
    def _flags(sentinel: RedisServer, *words: str) -> list[str]:
        lines = sentinel.cli("sentinel", *words).split("\n")
        return [value for key, value in itertools.pairwise(lines) if key == "flags"]

    def master_port(self) -> int:
        """Return the master's port, as the first sentinel that runs knows it."""
        sentinel = next(sentinel for sentinel in self.sentinels if sentinel.running)
        _, port = sentinel.cli("sentinel", "get-master-addr-by-name", self.name).split()
        return int(port)

    def close(self) -> None:
        """End whatever still runs; for the end of a test, however it went."""
        for sentinel in self.sentinels:
            sentinel.close()


@dataclass(frozen=True, slots=True)
class SentinelFleet:
    """A master, its replicas and their sentinels, named after what they were at the start."""

    master: RedisServer
    replicas: tuple[RedisServer, ...]
    group: SentinelGroup

    @property
    def url(self) -> str:
        """Where clients find the group."""
        return self.group.url

    def present_master(self) -> RedisServer:
        """Return the server that the sentinels call master now."""
        port = self.group.master_port()
        return next(server for server in (self.master, *self.replicas) if server.port == port)


@contextlib.contextmanager
def sentinel_fleet(
    folder: Path,
    *,
    replicas: int = 2,
    options: Sequence[str] = (),
    password: str | None = None,
) -> Iterator[SentinelFleet]:
    """Run a master, replicas that are in step with it, and three sentinels; no process is left afterwards."""
    with contextlib.ExitStack() as stack:

        def run(name: str, master: RedisServer | None = None) -> RedisServer:
            server = RedisServer(folder / name, options=options, password=password, replica_of=master)
            stack.callback(server.close)
            server.start()
            return server

        master = run("master")
        followers = tuple(run(f"replica-{number}", master) for number in range(1, replicas + 1))
        for follower in followers:
            wait_until(functools.partial(in_step, follower), "a replica is in step with its master")
        group = SentinelGroup(folder, master, followers)
        stack.callback(group.close)
        group.start()
        yield SentinelFleet(master, followers, group)


def in_step(replica: RedisServer) -> bool:
    """Say whether a replica has its master's data, and hears of what changes."""
    return "master_link_status:up" in replica.cli("info", "replication")
