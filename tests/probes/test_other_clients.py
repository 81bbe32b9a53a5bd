"""kdig and delv as clients: what other programs than dig read in an answer, and think of it."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.servers import PATIENCE_SECONDS, Server

COOKIE = "0102030405060708"

# Words for kdig → the header's RCODE and flags, and the names of what stands in the OPT; empty: there is no OPT.
KDIG = {
    "+noedns SOA example.org": ("NOERROR qr aa rd", ""),
    "+edns +dnssec +nsid SOA example.org": ("NOERROR qr aa rd", "Version NSID"),
    f"+norecurse +cookie={COOKIE} +subnet=192.0.2.0/24 +expire edge.example.org": ("NOERROR qr aa", "Version COOKIE"),
    "+edns=1 +nsid edge.example.org": ("BADVERS qr rd", "Version"),
    "+ednsopt=65001:c0ffee +padding=128 AAAA edge.example.org": ("NOERROR qr aa rd", "Version"),
    "+tcp +keepopen +nsid far.example.org": ("NOERROR qr aa rd", "Version NSID"),
    "+adflag +cdflag +zflag +aaflag +raflag +norec x.old.example.org": ("NOERROR qr aa", ""),
    "+bufsize=512 TXT big.example.org": ("NOERROR qr aa rd", "Version"),
    "+bufsize=512 +ignore TXT big.example.org": ("NOERROR qr aa tc rd", "Version"),
    "+edns missing.nodes.example.org": ("NXDOMAIN qr aa rd", "Version"),
    "+edns host.sub.example.org": ("NOERROR qr rd", "Version"),
    "+edns www.elsewhere.test": ("REFUSED qr rd", "Version EDE"),
}

# `name type` → how delv begins, and the data of the last record.
DELV = {
    "www.example.org A": ("authoritative", "192.0.2.13"),
    "far.example.org AAAA": ("authoritative", "2001:db8::12"),
    "x.old.example.org A": ("authoritative", "192.0.2.80"),
    "a.wild.example.org TXT": ("authoritative", '"any"'),
    "edge-1.nodes.example.org A": ("authoritative", "192.0.2.11"),
    "example.org MX": ("authoritative", "10 mail.example.org."),
    "nodes.example.org A": ("negative response, unsigned answer", ";-$NXRRSET"),
    "missing.example.org A": ("negative response, unsigned answer", ";-$NXDOMAIN"),
}

# A key of nobody, for a name that no test asks for: delv does not run without.
ANCHOR = f'trust-anchors {{ "elsewhere.test." static-key 257 3 13 "{"A" * 86}=="; }};\n'


def run(*words: str | Path) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=2 * PATIENCE_SECONDS)
    told = [line for line in done.stderr.splitlines() if line and "retrying over TCP" not in line]
    assert (done.returncode, told) == (0, []), done.stdout
    return done.stdout


def kdig(server: Server, host: str, *words: str) -> str:
    return run("kdig", f"@{host}", "-p", str(server.dns_port), "+retry=0", "+timeout=5", *words)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("words", KDIG)
def test_kdig_reads_what_it_asked_for(shared: Server, host: str, words: str) -> None:
    """RCODE, flags and options are as asked, and there is no warning."""
    text = kdig(shared, host, *words.split())
    header = re.search(r"status: (\w+);.*\n;; Flags: ([a-z ]*);", text)
    assert header is not None, text
    opt = text.partition(";; EDNS PSEUDOSECTION:\n")[2].partition("\n\n")[0]
    options = re.findall(r"^;; ([\w-]+):", opt, re.MULTILINE)
    assert (f"{header[1]} {header[2]}", " ".join(options)) == KDIG[words]
    assert not re.search(r"WARNING|\bERROR", text)
    if "COOKIE" in options:
        assert re.search(rf"COOKIE: {COOKIE}[0-9A-F]{{32}}\n", text)


def test_kdig_asks_many_questions_on_one_connection(shared: Server) -> None:
    """With `+keepopen` each answer comes over the connection of the first."""
    names = ["edge.example.org", "www.example.org", "big.example.org", "missing.example.org"] * 5
    text = kdig(shared, "127.0.0.1", "+tcp", "+keepopen", *names)
    assert text.count("(TCP)") == len(names)
    assert text.count("status: NXDOMAIN") == 5


def test_kdig_writes_the_answer_as_json(shared: Server) -> None:
    """RFC 8427: the fields of the header and the records are those of the message."""
    document: Any = json.loads(kdig(shared, "127.0.0.1", "+json", "+norecurse", "AAAA", "us.edge.example.org"))
    document = document[-1] if isinstance(document, list) else document
    message = document.get("responseMessage", document)
    assert [message[key] for key in ("QR", "AA", "TC", "RD", "RA", "RCODE", "ANCOUNT")] == [1, 1, 0, 0, 0, 0, 0]
    assert [record["TYPEname"] for record in message["authorityRRs"]] == ["SOA"]


@pytest.mark.parametrize("question", DELV)
def test_delv_takes_an_unsigned_answer_for_what_it_is(shared: Server, tmp_path: Path, question: str) -> None:
    """It asks as a validator does, with DO and CD, follows aliases, and finds nothing to validate and nothing wrong."""
    anchors = tmp_path / "anchors"
    anchors.write_text(ANCHOR)
    where = ["@127.0.0.1", "-p", str(shared.dns_port), "-a", str(anchors), "+root=elsewhere.test"]
    done = subprocess.run(["delv", *where, *question.split()], capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    told, data = DELV[question]
    assert done.stdout.startswith(f"; {told}\n"), done.stdout + done.stderr
    assert data in done.stdout
    # Of what is not there it says so, as of a failure: "ncache nxdomain", "ncache nxrrset".
    complaints = [line for line in done.stderr.splitlines() if "resolution failed: ncache nx" not in line]
    assert complaints == []
