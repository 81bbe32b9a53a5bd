"""Starts a worker: `python -m dnsd.workers FD [FD]`, with its inherited ends of the channel's one or two pairs."""

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
    channel, *descriptors = (socket.socket(fileno=int(fd)) for fd in sys.argv[1:])
    return asyncio.run(Worker().run(channel, descriptors=descriptors[0] if descriptors else None))


if __name__ == "__main__":
    sys.exit(main())
