"""What a transfer of a large zone takes: AXFR of dnsd beside Knot, NSD and BIND, without a key and with one.

A client that only counts records reads the zone, so that it is the server that is measured; dig, which also writes them
out, is there as what an operator sees. Run it with `python -m bench.transfer_cost`; it prints a table. Nothing here is
a test.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import dns.message
import dns.name
import dns.tsig

from bench.owned import Owned, find_program
from bench.servers import from_zones
from bench.zones import write_zone
from tests.support.servers import free_port, serving, wait_until

APEX = "large.example."
KEY_NAME = "transfer-key."
RECORDS = 100_000
ROUNDS = 5

# A server that serves a large zone may take so long to begin. Unit: seconds.
PATIENCE_SECONDS = 120.0

DNSD = """\
[[zone]]
name = "{apex}"
file = "{file}"

[transfer]
listen = ["127.0.0.1:{port}"]

[[transfer.key]]
name = "{key}"
secret = "{secret}"

[[transfer.secondary]]
name = "plain"
sources = ["127.0.0.1"]

[[transfer.secondary]]
name = "signed"
key = "{key}"
"""

KNOT = """\
key:
  - id: {key}
    algorithm: hmac-sha256
    secret: {secret}
acl:
  - id: plain
    address: 127.0.0.1
    action: transfer
  - id: signed
    key: {key}
    action: transfer
zone:
"""

NSD = """\
key:
  name: "{key}"
  algorithm: hmac-sha256
  secret: "{secret}"
zone:
  provide-xfr: 127.0.0.1 NOKEY
  provide-xfr: 127.0.0.1 {key}
"""

BIND = """\
key "{key}" {{ algorithm hmac-sha256; secret "{secret}"; }};
options {{
  allow-transfer {{ any; }};
"""


def axfr_query(secret: bytes | None) -> bytes:
    """Return a query for the whole zone, signed where there is a secret."""
    query = dns.message.make_query(APEX, "AXFR")
    if secret is not None:
        name = dns.name.from_text(KEY_NAME)
        query.use_tsig({name: dns.tsig.Key(name, secret, dns.tsig.HMAC_SHA256)})
    return query.to_wire()


def transfer(port: int, secret: bytes | None, records: int) -> float:
    """Read a zone, and return the seconds that it took."""
    query = axfr_query(secret)
    began = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as sock, sock.makefile("rb") as stream:
        sock.sendall(len(query).to_bytes(2, "big") + query)
        found = 0
        while found < records + 1:  # the SOA stands there twice
            head = stream.read(2)
            message = stream.read(int.from_bytes(head, "big"))
            if len(message) < 12 or message[3] & 0x0F:
                raise RuntimeError(f"no zone: {message[:12].hex()}")
            found += int.from_bytes(message[6:8], "big")
    return time.perf_counter() - began


def dig(port: int, secret: bytes | None, records: int) -> float:
    """Have dig read a zone and write it out, and return the seconds that it took."""
    signing = [] if secret is None else ["-y", f"hmac-sha256:{KEY_NAME}:{b64encode(secret).decode()}"]
    words = ["dig", "@127.0.0.1", "-p", str(port), *signing, APEX, "AXFR"]
    began = time.perf_counter()
    output = subprocess.run(words, capture_output=True, check=True).stdout
    seconds = time.perf_counter() - began
    if f"XFR size: {records + 1} records".encode() not in output[-500:]:
        raise RuntimeError(f"dig has no zone: {output[-500:].decode()}")
    return seconds


@contextlib.contextmanager
def primary(name: str, folder: Path, zone: Path, secret: str) -> Iterator[int]:
    """Run a server that gives the zone to anybody here and to whoever has the key; yields its port for transfers."""
    names = {"key": KEY_NAME, "secret": secret}
    if name == "dnsd":
        port = free_port()
        text = DNSD.format(apex=APEX, file=zone, port=port, **names)
        with serving(folder, more=text, workers=1):
            yield port
        return
    server = from_zones(name, name, folder, {APEX: zone})
    config = folder / "config"
    text = config.read_text()
    if name == "knot":
        text = text.replace("zone:\n", KNOT.format(**names), 1) + "\n    acl: [plain, signed]\n"
    elif name == "nsd":
        text = text.replace("zone:\n", NSD.format(**names), 1)
    else:
        text = text.replace("options {\n", BIND.format(**names), 1)
    config.write_text(text)
    server.owned = Owned(server.words, folder, cores=frozenset(os.sched_getaffinity(0)))
    try:
        yield server.port
    finally:
        server.stop()


def row(name: str, secret: bytes, *, records: int, rounds: int) -> str:
    """Measure a server, and return its row: the least of some rounds, since what else the machine does only adds."""
    with tempfile.TemporaryDirectory(prefix="dnsd-transfer-") as folder:
        zone = Path(folder) / "large.zone"
        write_zone(zone, records)
        with primary(name, Path(folder), zone, b64encode(secret).decode()) as port:
            wait_until(partial(_answers, port, records), f"{name} gives the zone", seconds=PATIENCE_SECONDS)
            takes = [partial(take, port, each, records) for take in (transfer, dig) for each in (None, secret)]
            found = [[take() for take in takes] for _ in range(rounds)]
    plain, signed, *digs = (min(each) for each in zip(*found, strict=True))
    return f"| {name} | {records / plain:,.0f} | {records / signed:,.0f} | {digs[0]:.2f} | {digs[1]:.2f} |"


def main(words: Sequence[str]) -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description="What a transfer of a large zone takes.")
    parser.add_argument("--records", type=int, default=RECORDS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args(words)
    secret = secrets.token_bytes(32)
    print(f"AXFR of {options.records:,} records\n")
    print("| server | records/s | records/s, TSIG | dig, s | dig with TSIG, s |\n|---|---|---|---|---|")
    for name, program in (("dnsd", "dig"), ("knot", "knotd"), ("nsd", "nsd"), ("bind", "named")):
        if find_program(program) is None:
            print(f"| {name} is not there |")
        else:
            print(row(name, secret, records=options.records, rounds=options.rounds), flush=True)


def _answers(port: int, records: int) -> bool:
    try:
        transfer(port, None, records)
    except (OSError, RuntimeError):
        return False
    return True


if __name__ == "__main__":
    main(sys.argv[1:])
