"""A real pdns_server on a free port, with a configuration of a test's."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.support.servers import PATIENCE_SECONDS, wait_until

# What a server says when it answers.
_READY = "Done launching threads"


class PowerDns:
    """A pdns_server's files and process; starts when told, and can start again.

    Args:
        folder: empty.
        config: text of its `pdns.conf`.
    """

    def __init__(self, folder: Path, config: str) -> None:
        self.folder = folder
        self.log = folder / "pdns.log"
        self.process: subprocess.Popen[bytes] | None = None
        folder.mkdir(exist_ok=True)
        (folder / "pdns.conf").write_text(config)

    def start(self) -> None:
        """Start it as Debian's unit does, and wait until it answers."""
        before = self.said().count(_READY)
        command = ["pdns_server", f"--config-dir={self.folder}", "--guardian=no", "--daemon=no", "--disable-syslog"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--write-pid=no"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "RUNTIME_DIRECTORY": str(self.folder)},
            )
        wait_until(lambda: self._is_ready(before), f"pdns_server is ready; it said:\n{self.said()}")

    def _is_ready(self, before: int) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.said()
        return self.said().count(_READY) > before

    def kill(self) -> None:
        """End it at once."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(PATIENCE_SECONDS)

    def util(self, *words: str) -> str:
        """Return what pdnsutil prints."""
        command = ["pdnsutil", f"--config-dir={self.folder}", *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=True).stdout

    def said(self) -> str:
        """Return everything that it has written."""
        return self.log.read_text() if self.log.exists() else ""
