"""The probes of ISC's EDNS compliance tester, sent by dig to a whole server."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.probes.digging import complaints, dig, outcome_of
from tests.probes.ednscomp import MORE, PROBES, TYPES, TYPES_AT_THE_APEX, WITH_COOKIES_ASKED_FOR, ZONE
from tests.support.servers import Server, serving

HOSTS = ("127.0.0.1", "::1")
CLIENT_COOKIE = "0102030405060708"


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that asks for cookies."""
    with serving(tmp_path_factory.mktemp("strict"), store="memory", more="\n[cookies]\nrequire = true\n") as server:
        yield server


@pytest.mark.parametrize("name", PROBES | MORE)
def test_a_probe_is_answered_as_the_tester_has_it(shared: Server, name: str) -> None:
    """Over IPv4 and IPv6 RCODE, flags, records and OPT are those of the table, and dig has nothing to complain of."""
    probe = (PROBES | MORE)[name]
    for host in HOSTS:
        text = dig(host, shared.dns_port, probe.words)
        assert outcome_of(text) == probe.outcome, text
        if probe.verdict == "ok":
            assert complaints(text) == []
        if "COOKIE" in probe.outcome:
            assert re.search(rf"^; COOKIE: {CLIENT_COOKIE}[0-9a-f]{{32}} \(good\)", text, re.MULTILINE)


def test_the_tester_has_few_reasons_to_say_more_than_ok() -> None:
    """Whoever adds a probe with another verdict changes this line as well."""
    verdicts = {name: probe.verdict for name, probe in (PROBES | MORE).items() if probe.verdict != "ok"}
    assert verdicts == {"dnswkk": "badkey"}


@pytest.mark.parametrize("name", WITH_COOKIES_ASKED_FOR)
def test_a_server_that_asks_for_cookies_says_so_to_those_who_know_them(strict: Server, name: str) -> None:
    """BADCOOKIE with a server cookie is `ok` where the query has one; others are answered as ever."""
    text = dig("127.0.0.1", strict.dns_port, PROBES[name].words)
    assert outcome_of(text) == WITH_COOKIES_ASKED_FOR[name]


def test_truncated_answers_keep_to_the_size_that_was_offered(shared: Server) -> None:
    """RFC 8906 §8.2.7: no answer over UDP has more bytes than the query's OPT says, and 512 without one."""
    for words in ("+noedns", "+edns=0 +bufsize=512", "+edns=0 +bufsize=1"):
        text = dig("127.0.0.1", shared.dns_port, f"{words} +nocookie +ignore TXT big.{ZONE}")
        size = re.search(r"^;; MSG SIZE  rcvd: (\d+)", text, re.MULTILINE)
        assert size is not None
        assert int(size[1]) <= 512


def test_every_type_is_answered_from_data(shared: Server) -> None:
    """RFC 8906 §3.1.2: of a type that is not there, known or unknown, there is no data; that is no error."""
    words = " ".join(f"{rdtype} {ZONE}" for rdtype in TYPES)
    answers = dig("127.0.0.1", shared.dns_port, f"+noedns +noad +norec {words}").split(";; Got answer:\n")[1:]
    found = {text.split(";; QUESTION SECTION:\n")[1].split()[2]: outcome_of(text) for text in answers}
    expected = {rdtype: "NOERROR qr aa" + (f", {rdtype}" if rdtype in TYPES_AT_THE_APEX else "") for rdtype in TYPES}
    assert found == expected
