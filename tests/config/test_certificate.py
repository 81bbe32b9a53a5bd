"""The certificate of DNS over TLS and HTTPS: read, judged, and what is said of one that cannot be used."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from dnsd.errors import Problem
from tests.config.files import GOOD_START, load, problems
from tests.support.certificates import Pair, make_pair

TEXT = GOOD_START + '[tls]\nlisten = ["127.0.0.1:853"]\ncertificate = "cert.pem"\nkey = "key.pem"\n'
CERTIFICATE, KEY = 7, 8  # their lines


def faults(folder: Path, pair: Pair) -> list[tuple[str, int]]:
    pair.write(folder)
    return [(problem.id, problem.line) for problem in problems(folder, TEXT)]


def test_a_good_pair_is_read_whole(tmp_path: Path) -> None:
    """Its bytes are what workers get, a chain behind it included; it does not show in messages."""
    pair, other = make_pair(), make_pair()
    chain = Pair(pair.certificate + other.certificate, pair.key)
    chain.write(tmp_path)
    settings = load(tmp_path, TEXT)
    found = settings.certificate
    assert found is not None
    assert (found.certificate, found.key, settings.warnings[:-1]) == (chain.certificate, chain.key, ())
    assert abs(found.expires_at - time.time() - 30 * 86_400) < 60
    assert "PRIVATE" not in repr(settings)


def test_a_key_of_another_certificate(tmp_path: Path) -> None:
    """One problem, at the key: two good files that do not belong together."""
    assert faults(tmp_path, Pair(make_pair().certificate, make_pair().key)) == [("key-mismatch", KEY)]


def test_a_key_that_is_encrypted(tmp_path: Path) -> None:
    """Nobody is asked for a password."""
    assert faults(tmp_path, make_pair(password=b"secret")) == [("key-encrypted", KEY)]


@pytest.mark.parametrize("junk", [b"", b"no PEM", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_files_that_hold_something_else(tmp_path: Path, junk: bytes) -> None:
    """Both are told, each at its own line."""
    assert faults(tmp_path, Pair(junk, junk)) == [("bad-certificate", CERTIFICATE), ("bad-key", KEY)]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """A missing file and a folder: the path and the reason."""
    (tmp_path / "key.pem").mkdir()
    found = problems(tmp_path, TEXT)
    assert [(problem.id, problem.line) for problem in found] == [("unreadable", CERTIFICATE), ("unreadable", KEY)]
    assert f"{tmp_path / 'cert.pem'} cannot be read: No such file or directory" in found[0].message
    assert "Is a directory" in found[1].message


def test_a_pair_that_the_library_refuses(tmp_path: Path) -> None:
    """What reads well and yet cannot be used, here for too short a key, is told in the library's words."""
    make_pair(rsa_bits=1024).write(tmp_path)
    (found,) = problems(tmp_path, TEXT)
    assert (found.id, found.line) == ("bad-certificate", CERTIFICATE)
    assert "EE_KEY_TOO_SMALL" in found.message


@pytest.mark.parametrize(
    ("begins", "ends", "warning"),
    [(-60, -1, "certificate-expired"), (1, 30, "certificate-not-yet-valid")],
)
def test_a_certificate_out_of_its_time_serves_with_a_warning(
    tmp_path: Path, begins: float, ends: float, warning: str
) -> None:
    """Clients will complain, and some do not look: it is better than no answer."""
    make_pair(begins_in_days=begins, ends_in_days=ends).write(tmp_path)
    settings = load(tmp_path, TEXT)
    assert settings.certificate is not None
    assert [line for line in settings.warnings if warning in line]


def test_a_certificate_without_listeners_is_checked(tmp_path: Path) -> None:
    """It is of no use yet, but a mistake in it shows at once."""
    Pair(make_pair().certificate, make_pair().key).write(tmp_path)
    found: list[Problem] = problems(tmp_path, TEXT.replace('listen = ["127.0.0.1:853"]\n', ""))
    assert [problem.id for problem in found] == ["key-mismatch"]
