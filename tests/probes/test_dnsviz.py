"""dnsviz, which looks for what is wrong with a zone and its servers, on a zone of ours."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.servers import PATIENCE_SECONDS, Server, started

DNSVIZ = Path(sys.executable).parent / "dnsviz"


@pytest.fixture
def at_home(tmp_path: Path) -> Iterator[Server]:
    """A server at the address that its zone names, so that nobody is asked anywhere else."""
    server = Server(tmp_path, store="memory")
    zone = tmp_path / "example.org.zone"
    zone.write_text(zone.read_text().replace("192.0.2.1\n", "127.0.0.1\n"))
    with started(server):
        yield server


def dnsviz(*words: str | Path, fed: str = "") -> Any:
    done = subprocess.run([DNSVIZ, *words], input=fed, capture_output=True, text=True, timeout=3 * PATIENCE_SECONDS)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout or "{}")


def test_dnsviz_finds_nothing_wrong(at_home: Server) -> None:
    """Unknown versions, options and flags of EDNS, cookies, case, TCP, truncation, denials: no error and no warning."""
    home = f"example.org+:ns1.example.org=127.0.0.1:{at_home.dns_port}"
    found = dnsviz("probe", "-4", "-A", "-E", "-t", "1", "-x", home, "example.org")
    asked = found["example.org."]["queries"]
    assert len(asked) > 15
    assert {query["edns_version"] for query in (each["options"] for each in asked)} == {0, 100}
    probed = json.dumps(found)
    assert dnsviz("grok", "-l", "warning", fed=probed) == {}
    judged = dnsviz("grok", "-l", "info", fed=probed)["example.org."]
    assert judged["status"] == "NOERROR"
