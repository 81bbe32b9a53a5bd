"""Real redis-server processes on the loopback: one that can be killed and started again, and one that tests share."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.support.servers import PATIENCE_SECONDS, free_port, pause, started, wait_until

# What a socket's path may take, with the zero at its end. Unit: bytes.
SOCKET_PATH_BYTES = 108

# How long one PING may take while a server starts. Unit: seconds.
PING_SECONDS = 1.0


@functools.cache
def major_version(program: str) -> int:
    """Return the first number of a server program's version."""
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    match = re.search(r"\bv=(\d+)\.", said)
    assert match is not None, f"{program} has no version: {said}"
    return int(match[1])


class RedisServer:
    """A server's folder and process; starts when told, and can start again on the same folder and port.

    Args:
        folder: made; gets the log, the data, and the configuration, where the server itself keeps whose replica it is.
        options: more words for the command line, as in `("--maxmemory", "1mb")`; they win over those given here.
        replica_of: whose data to follow from the first start on.
        append_only: keep each write on disk before it is answered; otherwise nothing outlives the process.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        options: Sequence[str] = (),
        replica_of: RedisServer | None = None,
        password: str | None = None,
        append_only: bool = False,
        program: str = "redis-server",
    ) -> None:
        self.folder = folder.absolute()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.options = tuple(options)
        self.password = password
        self.append_only = append_only
        self.program = program
        self.config = self.folder / "redis.conf"
        self.log = self.folder / "redis.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._port = free_port() if port is None else port
        self._short: Path | None = None
        if not self.config.exists():
            self.config.write_text("" if replica_of is None else self._following(replica_of))

    @staticmethod
    def _following(master: RedisServer) -> str:
        lines = [f"replicaof 127.0.0.1 {master.port}"]
        if master.password is not None:
            lines.append(f'masterauth "{master.password}"')
        return "\n".join(lines) + "\n"

    # --- where it is --------------------------------------------------------------------------------------------

    @property
    def port(self) -> int:
        """The port on 127.0.0.1."""
        return self._port

    @property
    def url(self) -> str:
        """Where clients find the server over TCP."""
        return f"redis://{self._credentials()}127.0.0.1:{self.port}/0"

    @property
    def unix_url(self) -> str:
        """Where clients find the server over its Unix socket."""
        return f"unix://{self._credentials()}{self.socket_path()}"

    def _credentials(self) -> str:
        return "" if self.password is None else f":{self.password}@"

    def socket_path(self) -> Path:
        """Return the Unix socket's path: in the folder, or in a short one where the folder's path is too long."""
        path = self.folder / "redis.sock"
        if len(os.fsencode(path)) < SOCKET_PATH_BYTES:
            return path
        if self._short is None:
            self._short = Path(tempfile.mkdtemp(prefix="dnsd-redis-"))
        return self._short / "redis.sock"

    # --- life ---------------------------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether the process is there, paused or not."""
        return self.process is not None and self.process.poll() is None

    def command(self) -> Sequence[str | Path]:
        """Return what starts the server."""
        words: list[str | Path] = [self.program, self.config, "--port", str(self.port), "--bind", "127.0.0.1"]
        words += ["--daemonize", "no", "--unixsocket", self.socket_path(), "--save", ""]
        words += ["--repl-diskless-sync-delay", "0"]  # the first replica need not wait for more of them
        if major_version(self.program) >= 7:
            words += ["--enable-debug-command", "yes"]
        if self.append_only:
            words += ["--appendonly", "yes", "--appendfsync", "always"]
        if self.password is not None:
            words += ["--requirepass", self.password, "--masterauth", self.password]
        return [*words, *self.options]

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        assert not self.running, "the server runs already"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={**os.environ, "LC_ALL": "C"},  # a locale that this machine lacks would end it
            )
        try:
            wait_until(self.answers, "redis answers PING")
        except AssertionError as problem:
            raise AssertionError(f"{problem}; it said:\n{self.said()}") from None

    def answers(self) -> bool:
        """Say whether the server answers a PING, which one that loads its data or is paused does not."""
        if self.process is not None and self.process.poll() is not None:
            raise AssertionError(f"redis ended with {self.process.returncode}")
        commands = ["PING"] if self.password is None else [f"AUTH {self.password}", "PING"]
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=PING_SECONDS) as sock:
                sock.sendall("".join(f"{command}\r\n" for command in commands).encode())
                with sock.makefile("rb") as replies:
                    return [replies.readline() for _ in commands][-1] == b"+PONG\r\n"
        except OSError:
            return False

    def stop(self) -> int:
        """End the server as a service manager would, and return its exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        self.process.send_signal(signal.SIGCONT)
        return self.process.wait(PATIENCE_SECONDS)

    def kill(self) -> None:
        """End the server at once, paused or not."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(PATIENCE_SECONDS)

    def pause(self) -> None:
        """Make the server hang: connections stay and can be made, and nothing is answered."""
        assert self.process is not None
        pause(self.process.pid)

    def resume(self) -> None:
        """Let a paused server go on."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End whatever still runs; for the end of a test, however it went."""
        if self.process is not None:
            self.kill()
        if self._short is not None:
            shutil.rmtree(self._short, ignore_errors=True)
            self._short = None

    # --- what it says -------------------------------------------------------------------------------------------

    def cli(self, *words: str) -> str:
        """Run a command that must succeed with redis-cli, and return the raw reply, one element a line."""
        done = self._cli(words)
        if self.running and ("closed the connection" in done.stderr or "Connection reset" in done.stderr):
            done = self._cli(words)  # sentinels end the connections of a server whose role they change
        assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout.strip()

    def _cli(self, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        login = [] if self.password is None else ["-a", self.password, "--no-auth-warning"]
        return subprocess.run(
            ["redis-cli", "-e", "-p", str(self.port), *login, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
        )

    def said(self) -> str:
        """Return everything that the server has written."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""


@contextlib.contextmanager
def redis_server(folder: Path, **options: Any) -> Iterator[RedisServer]:
    """Run a server for the length of a test; no process of it is left afterwards."""
    server = RedisServer(folder, **options)
    with started(server):
        yield server


_shared: list[RedisServer] = []  # none or one


def shared_redis() -> RedisServer:
    """Return the one server that this process's tests share, started if it does not run."""
    if not _shared:
        atexit.register(stop_shared_redis)
        _shared.append(RedisServer(Path(tempfile.mkdtemp(prefix="dnsd-redis-"))))
    if not _shared[0].running:
        _shared[0].start()
    return _shared[0]


def stop_shared_redis() -> None:
    """End the shared server, if there is one, and remove its folder."""
    atexit.unregister(stop_shared_redis)
    while _shared:
        server = _shared.pop()
        server.close()
        shutil.rmtree(server.folder, ignore_errors=True)
