"""A real Prometheus on a free port of the loopback, and what it says of its targets."""

from __future__ import annotations

import contextlib
import json
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.servers import PATIENCE_SECONDS, free_port, wait_until


class Prometheus:
    """A server in a folder that has its `prometheus.yml`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.log = folder / "prometheus.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    "prometheus",
                    "--config.file=prometheus.yml",
                    "--storage.tsdb.path=data",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
            )

    def ask(self, path: str, **parameters: str) -> Any:
        """Return the data of an answer of its API."""
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=PATIENCE_SECONDS) as response:
            return json.load(response)["data"]

    def is_ready(self) -> bool:
        """Say whether it answers questions."""
        assert self.process.poll() is None, self.log.read_text()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=1) as response:
                return bool(response.status == 200)
        except OSError:
            return False

    def targets(self, job: str) -> list[dict[str, Any]]:
        """Return the targets of a job."""
        found: list[dict[str, Any]] = self.ask("targets", state="active")["activeTargets"]
        return sorted((each for each in found if each["scrapePool"] == job), key=lambda each: str(each["labels"]))


@contextlib.contextmanager
def running_prometheus(folder: Path) -> Iterator[Prometheus]:
    """Run a Prometheus for the length of a test; nothing of it is left afterwards."""
    prometheus = Prometheus(folder)
    try:
        wait_until(prometheus.is_ready, f"Prometheus is ready; {prometheus.log}")
        yield prometheus
    finally:
        prometheus.process.kill()
        prometheus.process.wait(PATIENCE_SECONDS)


def promtool(*words: str | Path, folder: Path) -> str:
    """Run promtool, which must succeed, and return what it prints."""
    done = subprocess.run(
        ["promtool", *words], capture_output=True, text=True, timeout=2 * PATIENCE_SECONDS, cwd=folder
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
