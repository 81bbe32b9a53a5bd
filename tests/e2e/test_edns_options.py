"""Options as dig sends them to a server: NSID, cookies, keepalive, and what it shows of extended errors."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.servers import Server, serving, wait_until

CLIENT = "2464c4abcf10c957"
OLD, NEW = "00112233445566778899aabbccddeeff", "ffeeddccbbaa99887766554433221100"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that says who it is; its workers have a secret that nobody configured."""
    with serving(tmp_path_factory.mktemp("options"), store="memory") as server:
        text = server.config.read_text()
        server.config.write_text(text.replace("[server]\n", '[server]\nversion_bind = "dnsd"\nid_server = true\n'))
        server.reload()
        yield server


def cookie_of(text: str) -> tuple[str, str]:
    """Return the cookie that dig shows, and how it judges it."""
    found = re.search(r"^; COOKIE: ([0-9a-f]+) \((\w+)\)", text, re.MULTILINE)
    assert found is not None, text
    return found[1], found[2]


def counted(server: Server, result: str) -> int:
    """Return how many queries with such a cookie have been counted."""
    found = re.search(rf'^dnsd_cookies_total{{result="{result}"}} (\d+)', server.get("/metrics"), re.MULTILINE)
    return 0 if found is None else int(found[1])


def test_dig_sees_who_answers(shared: Server) -> None:
    """`+nsid` shows the id, and class CH has it and the version (RFC 5001, RFC 4892)."""
    assert '("ns1")' in shared.dig("+nsid", "www.example.org")
    assert shared.dig("+short", "CH", "TXT", "id.server").strip() == '"ns1"'
    assert shared.dig("+short", "CH", "TXT", "version.bind").strip() == '"dnsd"'


def test_dig_asks_with_every_option_at_once(shared: Server) -> None:
    """The answer is the usual one, over UDP and TCP; padding is not answered in the open."""
    words = ("+nsid", "+keepalive", "+padding=64", "+subnet=192.0.2.0/24", "+expire", "mail.example.org")
    for transport, keepalive in (("+notcp", False), ("+tcp", True)):
        text = shared.dig(transport, *words)
        assert "status: NOERROR" in text
        assert re.search(r"^mail\.example\.org\.\s+300\s+IN\s+A\s+192\.0\.2\.2$", text, re.MULTILINE)
        assert cookie_of(text)[1] == "good"
        assert ("; TCP-KEEPALIVE: 10.0 secs" in text.replace("TCP KEEPALIVE", "TCP-KEEPALIVE")) is keepalive, text
        assert "; PAD" not in text
        assert "; NSID" in text


def test_workers_agree_on_cookies(shared: Server) -> None:
    """Each query of dig comes from another port, and so to any worker: every one of them takes the same cookie."""
    cookie, judged = cookie_of(shared.dig(f"+cookie={CLIENT}", "www.example.org"))
    assert (cookie[:16], len(cookie), judged) == (CLIENT, 48, "good")
    before = counted(shared, "valid")
    for _ in range(12):
        assert cookie_of(shared.dig(f"+cookie={cookie}", "www.example.org")) == (cookie, "good")
    wait_until(lambda: counted(shared, "valid") == before + 12, "all of them were counted as valid")
    assert counted(shared, "client") > 0


def test_a_bad_cookie_gets_an_answer_and_a_good_one(shared: Server) -> None:
    """RFC 7873 §5.2.4: as one that another server has made."""
    bad = CLIENT + "01000000" + "00" * 12
    text = shared.dig(f"+cookie={bad}", "www.example.org")
    assert "status: NOERROR" in text
    cookie, _ = cookie_of(text)
    assert cookie.startswith(CLIENT)
    assert cookie != bad
    wait_until(lambda: counted(shared, "bad") > 0, "it was counted as bad")


def test_dig_shows_why_an_answer_is_not_the_usual_one(shared: Server) -> None:
    """RFC 8914: `EDE` with the code and the text, for a name of nobody and for a pool whose nodes are all drained."""
    assert "; EDE: 20 (Not Authoritative)" in shared.dig("www.example.com")
    assert "; EDE" not in shared.dig("ingest.example.org")
    for node in ("ingest-1", "ingest-2"):
        shared.cli("drain", node, "--reason", "test", "--force", "--wait", "applied")
    text = shared.dig("ingest.example.org")
    assert "; EDE: 0 (Other): (pool: every node is drained)" in text
    assert "192.0.2.21" in text
    for node in ("ingest-1", "ingest-2"):
        shared.cli("undrain", node, "--wait", "applied")
    assert "; EDE" not in shared.dig("ingest.example.org")


def test_servers_share_a_secret_through_changes_and_restarts(tmp_path: Path) -> None:
    """Two servers with one file take each other's cookies, also while the secret is changed, and after a restart."""
    more = '\n[cookies]\nsecret_file = "secrets"\nrequire = true\n'
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
        (folder / "secrets").write_text(f"{OLD}\n")
    with serving(folders[0], store="memory", workers=1, more=more) as one:
        with serving(folders[1], store="memory", workers=1, more=more) as two:

            def good(cookie: str) -> bool:
                return all("status: NOERROR" in each.dig("+nobadcookie", f"+cookie={cookie}", "www.example.org")
                           for each in (one, two))  # fmt: skip

            text = one.dig("+nobadcookie", f"+cookie={CLIENT}", "www.example.org")
            assert "status: BADCOOKIE" in text
            first, _ = cookie_of(text)
            assert good(first)
            assert "status: NOERROR" in two.dig("www.example.org"), "dig asks again with the cookie that it has learned"
            for secrets in ([OLD, NEW], [NEW, OLD]):
                for server in (one, two):
                    (server.folder / "secrets").write_text("\n".join(secrets))
                    server.reload()
                    assert good(first)
                    assert good(cookie_of(server.dig("+nobadcookie", f"+cookie={CLIENT}", "www.example.org"))[0])
            last, _ = cookie_of(one.dig("+nobadcookie", f"+cookie={CLIENT}", "www.example.org"))
            for server in (one, two):
                (server.folder / "secrets").write_text(NEW)
                server.reload()
            assert good(last)
            assert not good(first)
        one.stop()
        one.start()
        assert "status: NOERROR" in one.dig("+nobadcookie", f"+cookie={last}", "www.example.org")


def test_a_file_that_is_broken_changes_nothing(tmp_path: Path) -> None:
    """A reload that cannot read its secrets is refused, and the cookies from before go on being good."""
    (tmp_path / "secrets").write_text(OLD)
    with serving(tmp_path, store="memory", workers=1, more='\n[cookies]\nsecret_file = "secrets"\n') as server:
        assert "[secret-open]" in server.said()
        cookie, _ = cookie_of(server.dig(f"+cookie={CLIENT}", "www.example.org"))
        (tmp_path / "secrets").write_text("nonsense")
        assert server.process is not None
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "[bad-cookie-secret]" in server.said(), "the refusal is reported")
        assert cookie_of(server.dig(f"+cookie={cookie}", "www.example.org")) == (cookie, "good")


def test_a_worker_that_is_replaced_knows_the_secret(server: Server) -> None:
    """The secret that nobody configured outlives a worker, as does what it says of the server."""
    cookie, _ = cookie_of(server.dig(f"+cookie={CLIENT}", "www.example.org"))
    before = {worker.pid for worker in server.workers()}
    for pid in before:
        server.kill(pid)
    wait_until(lambda: len({worker.pid for worker in server.workers()} - before) == 2, "both workers are replaced")
    wait_until(lambda: server.is_ready() and server.readiness()["workers"] == 2, "both of the new ones answer")
    for _ in range(8):
        assert cookie_of(server.dig("+nsid", f"+cookie={cookie}", "www.example.org")) == (cookie, "good")


def test_answers_of_orphans_are_stale(server: Server) -> None:
    """When the control process is gone, workers say so of pools, and of nothing else (RFC 8914 §4.4)."""
    server.kill()
    stale = "; EDE: 3 (Stale Answer): (from the last known state)"
    wait_until(lambda: stale in server.dig("edge.example.org"), "an orphan says that its answer is stale")
    assert "; EDE" not in server.dig("mail.example.org")
