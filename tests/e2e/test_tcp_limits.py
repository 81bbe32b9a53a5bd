"""What the configuration says of TCP holds in the workers, and what becomes of connections is counted."""

from __future__ import annotations

import re
import socket
from contextlib import ExitStack
from pathlib import Path

from tests.support.options import packet
from tests.support.servers import Server, serving, wait_until

LIMITS = """
[tcp]
idle = "1s"
connections_per_client = 2
queries_per_connection = 1
"""

QUERY = packet("edge.example.org A")
FRAMED = len(QUERY).to_bytes(2, "big") + QUERY


def connected(server: Server) -> socket.socket:
    """Return a connection to the one worker."""
    return socket.create_connection(("127.0.0.1", server.dns_port), timeout=5.0)


def figures(server: Server) -> dict[str, float]:
    """Return the metrics of connections."""
    text = server.get("/metrics")
    found = re.findall(r'^dnsd_tcp_connections_total\{event="(\w+)"\} (\S+)', text, re.MULTILINE)
    found += re.findall(r"^dnsd_tcp_connections_(open) (\S+)", text, re.MULTILINE)
    return {event: float(count) for event, count in found}


def test_limits_on_tcp_are_those_of_the_configuration(tmp_path: Path) -> None:
    """A query on a connection, two connections of a client, a second of silence; each end is counted as what it was."""
    with serving(tmp_path, store="memory", workers=1, more=LIMITS) as server, ExitStack() as stack:
        with connected(server) as client:
            client.sendall(FRAMED * 2)
            answers = client.makefile("rb").read()
        assert len(answers) == 2 + int.from_bytes(answers[:2], "big")
        wait_until(lambda: figures(server)["accepted"] == 1 and not figures(server)["open"], "it is closed")
        for _ in range(3):
            stack.enter_context(connected(server))
        expected = {"accepted": 3, "refused": 1, "evicted": 0, "timed_out": 2, "open": 0}
        wait_until(lambda: figures(server) == expected, "every connection is counted")
