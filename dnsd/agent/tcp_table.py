"""Counts established TCP connections by local port, in one pass over the kernel's table however many ports are asked.

The table is that of this process's network namespace. Nothing here knows roles.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

PROC_NET = Path("/proc/net")

# `  1: 0100007F:1F90 0100007F:C350 01 …`: slot, local address and port, remote ones, state (01: established), all in
# hexadecimal. Fifty thousand lines are 7.5 MB: a regular expression reads them in a fraction of what a split costs.
_ESTABLISHED = re.compile(rb":([0-9A-F]{4}) [0-9A-F]+:[0-9A-F]{4} 01 ")


def count_established(ports: Iterable[int], *, proc_net: Path = PROC_NET) -> dict[int, int]:
    """Return how many established connections each local port has.

    Args:
        proc_net: the folder with `tcp` and `tcp6`.

    Raises:
        OSError: the table cannot be read, so that nothing is known.
    """
    counts = _from_proc(proc_net) if (proc_net / "tcp").exists() else _from_psutil()
    return {port: counts[port] for port in ports}


def _from_proc(proc_net: Path) -> Counter[int]:
    counts: Counter[bytes] = Counter()
    for name in ("tcp", "tcp6"):
        path = proc_net / name
        if name == "tcp" or path.exists():  # a kernel may be without IPv6
            counts.update(_ESTABLISHED.findall(path.read_bytes()))
    return Counter({int(port, 16): count for port, count in counts.items()})


def _from_psutil() -> Counter[int]:
    # Only here: on Linux the table itself is read, at a small part of the cost.
    import psutil

    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.Error as error:
        raise OSError(f"connections cannot be listed: {error}") from error
    return Counter(each.laddr.port for each in connections if each.status == psutil.CONN_ESTABLISHED and each.laddr)
