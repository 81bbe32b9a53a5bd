"""Active checks of the configuration: what becomes of good ones, every fault of the others, and who is left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from dnsd.model.check import CheckSpec, CheckType, Probe
from dnsd.model.node import Monitor
from tests.config.check_cases import CHECKS, HTTP, HTTPS, NODE, TCP
from tests.config.files import GOOD_START, brief, load, problems
from tests.support.certificates import make_pair


def checks(folder: Path, text: str) -> list[CheckSpec]:
    return list(load(folder, GOOD_START + text).checks)


def warnings(folder: Path, text: str) -> list[str]:
    """Return the ids of the warnings, but for that of a store in memory."""
    found = [text.rpartition("[")[2].rstrip("]") for text in load(folder, GOOD_START + text).warnings]
    return sorted(each for each in found if each != "store-forgets")


@pytest.mark.parametrize(("added", "expected"), CHECKS)
def test_a_fault_is_reported_where_it_stands(tmp_path: Path, added: str, expected: list[tuple[str, int, str]]) -> None:
    """Exactly the faults of the text are reported."""
    assert brief(problems(tmp_path, GOOD_START + added)) == sorted(expected)


def test_a_check_that_says_little_has_defaults(tmp_path: Path) -> None:
    """Every 5 s, with 2 s of time, twice to rise and three times to fall."""
    (check,) = checks(tmp_path, NODE + TCP)
    probe = Probe(type=CheckType.TCP, port=80, interval_seconds=5, timeout_seconds=2, rise=2, fall=3, jitter=0.1)
    assert check == CheckSpec(roles=("edge",), port=80, probe=probe)


def test_a_check_has_what_it_says(tmp_path: Path) -> None:
    """Every key of a check over HTTPS, with a certificate of one's own."""
    pair = make_pair()
    pair.write(tmp_path)
    text = HTTPS + (
        'match = { labels = { tier = "gold" }, region = "eu" }\naddresses = "ipv6"\n'
        'interval = "1m"\ntimeout = "500ms"\nrise = 1\nfall = 5\njitter = 0\n'
        'path = "/healthz?deep=1"\nhost = "www.example.org"\nstatus = [204, "300-399"]\nbody = "fine"\n'
        'tls_verify = true\nca = "cert.pem"\n'
    )
    (check,) = checks(tmp_path, text)
    probe = Probe(
        type=CheckType.HTTPS,
        port=80,
        interval_seconds=60,
        timeout_seconds=0.5,
        rise=1,
        fall=5,
        jitter=0,
        path="/healthz?deep=1",
        host="www.example.org",
        statuses=((204, 204), (300, 399)),
        body="fine",
        ca=pair.certificate.decode(),
    )
    assert check == CheckSpec(
        roles=("edge",), match={"tier": "gold", "region": "eu"}, port=80, versions=(6,), probe=probe
    )


@pytest.mark.parametrize(
    ("written", "statuses"),
    [
        ("200", ((200, 200),)),
        ('"200"', ((200, 200),)),
        ('"200-299"', ((200, 299),)),
        ('["200", 404]', ((200, 200), (404, 404))),
    ],
)
def test_statuses_are_written_in_several_ways(
    tmp_path: Path, written: str, statuses: tuple[tuple[int, int], ...]
) -> None:
    """One, a range, or a list of both."""
    (check,) = checks(tmp_path, HTTP + f"status = {written}\n")
    assert check.probe.statuses == statuses


def test_a_time_out_that_is_not_named_is_within_the_interval(tmp_path: Path) -> None:
    """A check that comes often waits no longer than until it comes again."""
    (check,) = checks(tmp_path, TCP + 'interval = "500ms"\n')
    assert check.probe.timeout_seconds == 0.5


def test_a_node_may_leave_its_health_to_checks(tmp_path: Path) -> None:
    """`monitor = "check"`, with a check that is for it, is nothing to warn of."""
    assert load(tmp_path, GOOD_START + NODE + TCP).nodes["n1"].monitor is Monitor.CHECK
    assert warnings(tmp_path, NODE + TCP) == []


@pytest.mark.parametrize(
    ("added", "expected"),
    [
        (NODE, ["node-without-check"]),
        (NODE.replace('["edge"]', '["edge", "ingest"]') + TCP, ["node-without-check"]),
        (
            NODE.replace(', "2001:db8::1"', "") + TCP + 'addresses = "ipv6"\n',
            ["check-without-nodes", "node-without-check"],
        ),
        (NODE + TCP + 'match = { tier = "gold" }\n', ["check-without-nodes", "node-without-check", "unknown-label"]),
        (NODE + TCP.replace("port = 80\n", ""), ["check-without-nodes", "node-without-check"]),
        (NODE + "ports = { edge = 8080 }\n" + TCP.replace("port = 80\n", ""), []),
        (NODE.replace('"check"', '"none"') + TCP, ["check-without-nodes"]),
        (NODE.replace('"check"', '"agent"') + TCP, []),
        (NODE.replace('"check"', '"agent"'), []),
        (TCP, []),
    ],
)
def test_who_is_left_out_is_warned_of(tmp_path: Path, added: str, expected: list[str]) -> None:
    """A node without a check in a role, and a check without nodes; agents need none."""
    assert warnings(tmp_path, added) == expected
