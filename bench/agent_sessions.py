"""What an agent's count of sessions costs on a node with many of them: `python -m bench.agent_sessions`.

It holds connections over the loopback in this process, both ends, and reads the table as the agent does, and then as
psutil does. It judges nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import resource
import socket
import time
from collections.abc import Callable

import psutil

from dnsd.agent.tcp_table import count_established

# From one source address at most, well below the ports that the kernel has for it. Unit: connections.
PER_SOURCE = 20_000

REPEATS = 5


def least_milliseconds(work: Callable[[], object]) -> float:
    """Return the least time of several runs."""
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times) * 1000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=5_000, help="two open files each")
    # Not one that the kernel gives to clients: another address's client with that port would be counted too.
    parser.add_argument("--port", type=int, default=23_456)
    options = parser.parse_args()
    connections = options.connections
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", options.port), backlog=128))
        address = listener.getsockname()
        for number in range(connections):
            source = (f"127.0.0.{2 + number // PER_SOURCE}", 0)
            stack.enter_context(socket.create_connection(address, source_address=source))
            stack.enter_context(listener.accept()[0])
        counted = count_established([address[1]])[address[1]]
        own = least_milliseconds(lambda: count_established([address[1]]))
        others = least_milliseconds(lambda: psutil.net_connections(kind="tcp"))
    print(f"{counted} sessions ({2 * connections} lines): {own:.1f} ms; by psutil {others:.1f} ms")


if __name__ == "__main__":
    main()
