"""A follower of drains as somebody else would write it after `docs/redis.md`: a socket, the standard library, no dnsd.

`python foreign_follower.py PORT ID [SECONDS]` prints a line of JSON for each view that it acts by, before it says so in
Redis. SECONDS are how long it acts by two histories at least.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from datetime import UTC, datetime
from typing import Any

CHANGES, BATCH = "{dnsd}:changes", 1000
HEARTBEAT_SECONDS, AGAIN_SECONDS, BOTH_SECONDS = 2.0, 1.0, 10.0
STRENGTH = ["normal", "draining", "maintenance"]


class Redis:
    """One connection that speaks RESP."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.replies = self.sock.makefile("rb")

    def ask(self, *words: object) -> Any:
        """Send a command and return its reply."""
        encoded = [str(word).encode() for word in words]
        parts = [b"*%d\r\n" % len(encoded), *(b"$%d\r\n%s\r\n" % (len(each), each) for each in encoded)]
        self.sock.sendall(b"".join(parts))
        return self.read()

    def read(self) -> Any:
        """Read one reply."""
        line = self.replies.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b"*":
            return None if rest == b"-1" else [self.read() for _ in range(int(rest))]
        if kind == b"$":
            return None if rest == b"-1" else self.replies.read(int(rest) + 2)[:-2].decode()
        if kind in (b"+", b":"):
            return rest.decode()
        raise SystemExit(f"redis said {line!r}")

    def cut(self, *commands: tuple[object, ...]) -> Any:
        """Ask several things in one transaction."""
        self.ask("MULTI")
        for command in commands:
            self.ask(*command)
        return self.ask("EXEC")


class Follower:
    """What a router knows of drains, and where it is."""

    def __init__(self, port: int, name: str, both_seconds: float = BOTH_SECONDS) -> None:
        self.redis, self.name, self.both_seconds = Redis(port), name, both_seconds
        self.revision, self.mark, self.drains = 0, "", dict[str, Any]()
        self.shown = ""
        self.before: dict[str, Any] | None = None  # drains of a history that Redis has lost
        self.noticed, self.load_at, self.heard_then = 0.0, 0.0, dict[str, Any]()

    def say(self) -> None:
        """Tell how far it has come."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        word = {"kind": "router", "applied": self.revision, "seen_at": now, "mark": self.mark}
        self.redis.ask("HSET", "{dnsd}:consumers", self.name, json.dumps(word))
        progress = ("consumer", self.name, "applied", self.revision)
        self.redis.ask("XADD", "{dnsd}:progress", "MAXLEN", "~", 1000, "*", *progress)
        self.said = time.monotonic()

    def act(self, how: str) -> None:
        """Act by what is known: show it, and only then say so."""
        view = {key: drain["mode"] for key, drain in self.drains.items()}
        shown = json.dumps({"how": how, "revision": self.revision, "drains": view})
        if shown != self.shown:
            print(shown, flush=True)
        self.shown = shown
        self.say()

    def load(self, *, is_other_history: bool = False) -> None:
        """Load a consistent cut, and believe it where nothing was lost."""
        revision, drains, last, consumers = self.redis.cut(
            ("GET", "{dnsd}:revision"),
            ("HGETALL", "{dnsd}:drains"),
            ("XREVRANGE", CHANGES, "+", "-", "COUNT", 1),
            ("HGETALL", "{dnsd}:consumers"),
        )
        self.load_at = time.monotonic() + AGAIN_SECONDS
        if int(revision or 0) < self.revision:
            return
        words = read(consumers)
        servers = {key: word for key, word in words.items() if word["kind"] == "dns"}
        if is_other_history:
            self.before, self.noticed, self.heard_then = self.drains, time.monotonic(), servers
        self.revision, self.drains = int(revision or 0), read(drains)
        entry = fields_of(last[0]) if last else {}
        self.mark = entry.get("mark", "") if entry.get("revision") == revision else ""
        if time.monotonic() - self.noticed >= self.both_seconds and self.heard(servers):
            self.before = None
        for key, drain in (self.before or {}).items():
            both = (drain, self.drains.get(key, drain))
            self.drains[key] = max(both, key=lambda each: STRENGTH.index(each["mode"]))
        self.act("loaded")

    def heard(self, servers: dict[str, Any]) -> bool:
        """Say whether dnsd has spoken since the loss was noticed, all that have in the history of the cut."""
        then = {key: word["seen_at"] for key, word in self.heard_then.items()}
        new = [word for key, word in servers.items() if then.get(key) != word["seen_at"]]
        return bool(new) and all((each["applied"], each.get("mark", "")) == (self.revision, self.mark) for each in new)

    def look(self) -> None:
        """Take what follows the own place, or begin again."""
        place = f"{self.revision}-0"
        revision, entries = self.redis.cut(("GET", "{dnsd}:revision"), ("XRANGE", CHANGES, place, "+", "COUNT", BATCH))
        if not self.mark and int(revision or 0) == self.revision:
            return
        changes = [fields_of(entry) for entry in entries]
        numbers = [int(change["revision"]) for change in changes]
        is_own = bool(changes) and changes[0]["mark"] == self.mark and numbers[0] == self.revision
        whole = numbers == list(range(self.revision, self.revision + len(numbers)))
        to_end = len(numbers) == BATCH or (bool(numbers) and numbers[-1] == int(revision or 0))
        if not (is_own and whole and to_end):
            is_there = bool(changes) and numbers[0] == self.revision
            self.load(is_other_history=not is_own if is_there else self.was_replaced())
        elif changes[1:]:
            for change in changes[1:]:
                if change["entity"] == "drain":
                    self.drains.pop(change["key"], None)
                    if change["value"]:
                        self.drains[change["key"]] = json.loads(change["value"])
            self.revision, self.mark = numbers[-1], changes[-1]["mark"]
            self.act("followed")

    def was_replaced(self) -> bool:
        """Say whether dnsd has written back something else in place of what is known."""
        restorations = map(fields_of, self.redis.ask("XRANGE", "{dnsd}:restorations", "-", "+"))
        covering = [each for each in restorations if int(each["known"]) < self.revision <= int(each["to"])]
        return any(each["mark"] != self.mark for each in covering)

    def run(self) -> None:
        """Follow to the end of days."""
        self.say()
        self.load()
        while True:
            rung = self.redis.ask("XREAD", "BLOCK", 500, "COUNT", 1, "STREAMS", CHANGES, f"{self.revision}-0")
            if self.before is None:
                self.look()
            elif rung or time.monotonic() >= self.load_at:
                self.load()
            if time.monotonic() - self.said >= HEARTBEAT_SECONDS:
                self.say()


def read(pairs: Any) -> dict[str, Any]:
    """Return the values of a hash by field."""
    return {key: json.loads(text) for key, text in zip(pairs[::2], pairs[1::2], strict=True)}


def fields_of(entry: Any) -> dict[str, str]:
    """Return the fields of a stream's entry by name."""
    return dict(zip(entry[1][::2], entry[1][1::2], strict=True))


if __name__ == "__main__":
    Follower(int(sys.argv[1]), sys.argv[2], *map(float, sys.argv[3:])).run()
