"""The example fleet as `make run` starts it, on free ports and with files of its own, and a shell beside it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.support.redis import RedisServer
from tests.support.servers import PATIENCE_SECONDS, Server, started

ROOT = Path(__file__).parents[2]

# The ports that the example and the documents use.
DNS_PORT, ADMIN_PORT = "5353", "8053"


class ExampleServer(Server):
    """`make run` without make: the example's configuration and zones, started by `scripts/run-example`.

    Args:
        folder: empty.
        redis: the Redis that takes the place of the example's store, and that `redis-cli` speaks to.
    """

    def __init__(self, folder: Path, *, redis: RedisServer | None = None) -> None:
        super().__init__(folder)
        self._redis = redis
        text = (ROOT / "config.example.toml").read_text()
        if redis is not None:
            text, count = re.subn(r'^url = ".*"', f'url = "{redis.url}"', text, flags=re.MULTILINE)
            assert count == 1
        text = text.replace(f":{DNS_PORT}", f":{self.dns_port}").replace(f":{ADMIN_PORT}", f":{self.admin_port}")
        self.config.write_text(text)
        shutil.copytree(ROOT / "zones", folder / "zones")
        (folder / ".venv").symlink_to(sys.prefix)

    def command(self) -> Sequence[str | Path]:
        """Return what `make run` does."""
        return [ROOT / "scripts" / "run-example", ".venv/bin/dnsd", self.config.name]

    def shell(self, command: str) -> str:
        """Run a line of a document in the server's folder, with the ports that it has here; return all it prints."""
        line = command.replace(f"-p {DNS_PORT}", f"-p {self.dns_port}").replace(f":{ADMIN_PORT}", f":{self.admin_port}")
        if self._redis is not None:
            line = line.replace("redis-cli ", f"redis-cli -p {self._redis.port} ")
        done = subprocess.run(
            ["bash", "-c", line],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=2 * PATIENCE_SECONDS,
            env={**os.environ, "DNSD_SERVER": self.url, "NO_COLOR": "1"},
            cwd=self.folder,
        )
        return done.stdout


@contextlib.contextmanager
def example(folder: Path, *, redis: RedisServer | None = None) -> Iterator[ExampleServer]:
    """Run the example for the length of a test; nothing of it is left afterwards."""
    server = ExampleServer(folder, redis=redis)
    with started(server):
        yield server
