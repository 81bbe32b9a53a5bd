"""Starts a worker: `python -m dnsd.workers FD`, where FD is its inherited end of the channel."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys

from dnsd.workers.process import Worker


def main() -> int:
    """Run a worker until its end; returns the exit status."""
    # A terminal's Ctrl-C and hang-up reach every process of the group. What they mean is the control process's to say.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s worker[%(process)d] %(levelname)s: %(message)s", stream=sys.stderr
    )
    return asyncio.run(Worker().run(socket.socket(fileno=int(sys.argv[1]))))


if __name__ == "__main__":
    sys.exit(main())
