"""Tells systemd how the agent is: sd_notify(3), in plain datagrams. Without systemd it does nothing."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

# Of what the watchdog allows between two signs of life; sd_watchdog_enabled(3) recommends half.
WATCHDOG_SHARE = 0.5


class Notifier:
    """Sends states to the service manager.

    Args:
        environment: has NOTIFY_SOCKET and WATCHDOG_USEC where there is one.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        name = environment.get("NOTIFY_SOCKET", "")
        # "@" stands for the zero byte of an abstract name.
        self._address = f"\0{name[1:]}" if name.startswith("@") else name
        self._watchdog_usec = environment.get("WATCHDOG_USEC", "")
        self._watchdog_pid = environment.get("WATCHDOG_PID", "")
        self._status = ""

    @property
    def watchdog_seconds(self) -> float | None:
        """How often a sign of life is due; None: nobody waits for one."""
        if not self._address or not self._watchdog_usec.isdigit() or int(self._watchdog_usec) == 0:
            return None
        if self._watchdog_pid and self._watchdog_pid != str(os.getpid()):
            return None
        return int(self._watchdog_usec) / 1e6 * WATCHDOG_SHARE

    def ready(self) -> None:
        """Say that the agent runs."""
        self._send("READY=1")

    def status(self, text: str) -> None:
        """Say what `systemctl status` is to show; sent when it is another."""
        if text != self._status:
            self._status = text
            self._send(f"STATUS={text}")

    def alive(self) -> None:
        """Give the watchdog its sign of life."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """Say that the agent is about to end."""
        self._send("STOPPING=1")

    def extend(self, seconds: float) -> None:
        """Ask for so much time from now, whatever time-out is set."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")

    def _send(self, state: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.setblocking(False)
                sock.sendto(state.encode(), self._address)
        except OSError:
            pass  # a service manager that does not listen is no reason to fail
