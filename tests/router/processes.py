"""A real `dnsd router` on a free port of the loopback."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.servers import PATIENCE_SECONDS, free_port, wait_until

CONFIG_TEXT = """\
version = 1

[router]
id = "{id}"
listen = ["127.0.0.1:{port}"]

[sessions]
secret_file = "secrets"

{source}

[[role]]
name = "edge"
url = "https://{{id}}.example.org/live/{{key}}"
{more}
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    kind: str
    document: Any
    location: str | None
    retry_after: str | None


class RouterProcess:
    """A router's files and process; starts when told, and can start again on the same files.

    Args:
        source: text for the configuration: what it follows.
        more: text for the role `edge`, and to end the configuration with.
    """

    def __init__(self, folder: Path, *, source: str, id: str = "router-1", more: str = "") -> None:  # noqa: A002
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.folder = folder
        self.log = folder / "router.log"
        self.process: subprocess.Popen[bytes] | None = None
        (folder / "secrets").write_text("0123456789abcdef" * 4 + "\n")
        self.config = folder / "router.toml"
        self.config.write_text(CONFIG_TEXT.format(id=id, port=self.port, source=source, more=more))

    def launch(self) -> subprocess.Popen[bytes]:
        """Start it, and wait for nothing."""
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "dnsd", "router", "--config", str(self.config)]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return self.process

    def start(self, *, ready: bool = True) -> None:
        """Start it, and wait until it is ready, or answers at all."""
        self.launch()
        wait_until(self.is_ready if ready else self.answers, f"the router answers; it said:\n{self.said()}")

    def answers(self) -> bool:
        """Say whether it answers; it must not have ended."""
        assert self.process is not None
        assert self.process.poll() is None, self.said()
        with contextlib.suppress(OSError):
            return self.get("/livez").status == 200
        return False

    def is_ready(self) -> bool:
        """Say whether it calls itself ready."""
        return self.answers() and self.get("/readyz").status == 200

    def stop(self) -> int:
        """End it as a service manager would, and return its exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_SECONDS)

    def close(self) -> None:
        """End it at once, however it is."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(PATIENCE_SECONDS)

    def said(self) -> str:
        """Return everything that it has written."""
        return self.log.read_text() if self.log.exists() else ""

    # --- clients ------------------------------------------------------------------------------------------------

    def get(self, path: str) -> Answer:
        """Send a GET."""
        return self.ask("GET", path)

    def post(self, body: object) -> Answer:
        """Ask for a session."""
        return self.ask("POST", "/sessions", body if isinstance(body, bytes) else json.dumps(body).encode())

    def ask(self, method: str, path: str, body: bytes | None = None) -> Answer:
        """Send a request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            text, kind = response.read(), response.headers.get_content_type()
        finally:
            connection.close()
        document = json.loads(text) if kind.endswith("json") else text.decode()
        headers = response.headers
        return Answer(response.status, kind, document, headers["Location"], headers["Retry-After"])

    def node(self, key: str, query: str = "") -> str:
        """Return the node that a key gets."""
        answer = self.get(f"/route/edge?key={key}{query}")
        assert answer.status == 200, answer
        node: str = answer.document["node"]
        return node

    def nodes(self, count: int = 60) -> set[str]:
        """Return the nodes that any of so many keys gets."""
        return {self.node(str(key)) for key in range(count)}


@contextlib.contextmanager
def a_running_router(folder: Path, *, source: str, ready: bool = True, **options: Any) -> Iterator[RouterProcess]:
    """Run a router for the length of a test."""
    router = RouterProcess(folder, source=source, **options)
    try:
        router.start(ready=ready)
        yield router
    finally:
        router.close()


def by_store(url: str, *, more: str = 'state_file = "last-state"') -> str:
    """Return the configuration's text for following a store."""
    return f'[store]\nurl = "{url}"\n{more}'


def by_server(*urls: str) -> str:
    """Return the configuration's text for following servers."""
    return f"[server]\nurls = {json.dumps(list(urls))}"
