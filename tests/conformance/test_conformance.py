"""Responses as RFCs ask for them, part by part: from the engine, and from a server over UDP and TCP."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest

from dnsd.core.records import Snapshot
from tests.conformance import cases
from tests.conformance.cases import Case, CaseFile
from tests.conformance.packets import packet_of
from tests.conformance.responses import differences, read_response
from tests.conformance.serving import Asker, engine_for, server_for, via, zones_of
from tests.docs.example import ROOT
from tests.support.dnsmessages import NOW, PEER
from tests.support.repeating import recalled, serve

# The parts that need a server go to one process of those that run side by side, which starts it once.
BY_SOCKET = pytest.mark.xdist_group("conformance")

FILES = cases.read_all()
CASES = [case for file in FILES for case in file.cases]

# RFCs of transports, which the server follows and no file of cases speaks of, and the test that does.
ELSEWHERE = {
    1982: "core/test_serials.py::test_what_is_newer",
    7766: "transports/test_tcp.py::test_pipelined_queries_are_answered_in_order",
    7858: "transports/test_tls.py::test_pipelined_queries_are_answered_in_order",
    8446: "transports/test_tls.py::test_an_older_tls_is_refused",
    8484: "transports/test_http.py::test_each_request_has_its_status",
    9210: "e2e/test_tcp_limits.py::test_limits_on_tcp_are_those_of_the_configuration",
}

# How often a case is asked again over UDP, where responses are remembered.
AGAIN = 2

# Not sent by a case: an answer to it says that what was sent before it has none.
SENTINEL = bytes.fromhex("5e5e 0000 0001 0000 0000 0000 00 0002 0001")


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """What an engine has of the zones of all files, together."""
    return Snapshot(generation=1, revision=1, zones=zones_of(FILES, tmp_path_factory.mktemp("zones")), overlay={})


@pytest.fixture(scope="module")
def asker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    """A client of a server with the zones of all files."""
    server = server_for(FILES, tmp_path_factory.mktemp("server"))
    try:
        server.start()
        client = Asker(server.dns_port)
        yield client
        client.close()
    finally:
        server.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_engine_responds_as_the_rfc_asks(snapshot: Snapshot, case: Case) -> None:
    """RCODE, every header bit, the question, all sections and the OPT are the case's."""
    engine = engine_for(case, snapshot)
    now, peer = float(case.value("at", str(NOW))), case.value("from", PEER)
    for transport in case.transports:
        sent = packet_of(case)
        wire = engine.respond(sent, now=now, via=via(transport), peer=peer)
        found = differences(case, sent, wire, now=now)
        if case.fault:
            part = case.fault.partition(":")[0]
            assert [line.partition(":")[0] for line in found] == [part], found
            pytest.xfail(case.fault)
        assert found == [], transport
        if transport == "udp":
            # What UDP answers past the engine, where it has learned the response.
            repeated = [serve(engine, sent, now=now, peer=peer) for _ in range(AGAIN)]
            assert [differences(case, sent, each, now=now) for each in repeated] == [[]] * AGAIN
        if case.opt is not None and "cookie=fresh" in case.opt:
            cookie = read_response(wire or b"").cookie
            again = engine.respond(packet_of(case, cookie=cookie), now=now, via=via(transport), peer=peer)
            assert read_response(again or b"").cookie == cookie


@BY_SOCKET
@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("file", FILES, ids=lambda file: f"rfc{file.rfc}")
def test_a_server_responds_as_the_rfc_asks(asker: Asker, file: CaseFile, transport: str) -> None:
    """Over a socket the response is no other, from master file and configuration to the last byte.

    Nor is it over UDP when the same is asked again.
    """
    found = {}
    for case in file.cases:
        if case.by_socket and transport in case.transports and not case.fault:
            sent = packet_of(case)
            for turn in range(1 + AGAIN if transport == "udp" else 1):
                wire = asker.ask(sent, transport, then=SENTINEL)
                if different := differences(case, sent, wire, now=time.time()):
                    found[case.id, turn] = different
    assert found == {}


def test_most_of_what_is_asked_again_is_known(snapshot: Snapshot) -> None:
    """Where a case says data, a denial or a referral without options, it is the learned response that is looked at."""
    known = 0
    plain = [
        case for case in CASES if "udp" in case.transports and case.sent is None and case.opt in (None, [], ["do"])
    ]
    for case in plain:
        engine = engine_for(case, snapshot)
        sent, now = packet_of(case), float(case.value("at", str(NOW)))
        engine.respond(sent, now=now, via=via("udp"), peer=PEER)
        known += recalled(engine, sent, now=now) is not None
    assert known > len(plain) / 2


def test_a_case_has_a_name_of_its_own() -> None:
    """No two cases have the same id, so that each can be run alone."""
    names = [case.id for case in CASES]
    assert sorted(set(names)) == sorted(names)


def _statuses() -> dict[int, str]:
    """Return how far each RFC about DNS is followed."""
    text = (ROOT / "docs" / "rfc-status.md").read_text().partition("\n## DNS\n")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.split("|")] for line in text.splitlines() if re.match(r"\| \d", line)]
    return {int(number): row[3] for row in rows for number in row[1].split(",")}


def test_what_is_followed_is_tested() -> None:
    """Each RFC that the server is said to follow has cases here, or a test that is named here and is there."""
    followed = {number for number, status in _statuses().items() if status == "follows"}
    assert followed - {file.rfc for file in FILES} == ELSEWHERE.keys()
    for place in ELSEWHERE.values():
        path, _, name = place.partition("::")
        assert f"def {name}(" in (ROOT / "tests" / path).read_text(), place


def test_what_is_tested_has_a_status() -> None:
    """Each RFC with cases is in the table that says how far it is followed."""
    assert {file.rfc for file in FILES} - _statuses().keys() == set()
