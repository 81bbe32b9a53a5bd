"""`[grpc]` in the configuration: what is refused, and what a server without the libraries says."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from dnsd.config.loading import load_settings
from dnsd.config.settings import GrpcSettings
from dnsd.errors import ConfigurationError
from tests.support.certificates import make_pair

TOKEN = f'[[admin.token]]\nname = "olga"\nscope = "operator"\nsha256 = "{"0" * 64}"\n'


def _load(folder: Path, section: str, more: str = "") -> GrpcSettings:
    path = folder / "config.toml"
    path.write_text(f"version = 1\n{more}[grpc]\n{section}\n")
    found = load_settings(path).adapters["grpc"]
    assert isinstance(found, GrpcSettings)
    return found


def _problems(folder: Path, section: str, more: str = "") -> dict[str, str]:
    with pytest.raises(ConfigurationError) as caught:
        _load(folder, section, more)
    return {f"{problem.place} {problem.id}": problem.message for problem in caught.value.problems}


def test_a_certificate_and_its_key_make_it_tls(tmp_path: Path) -> None:
    """With both files it has TLS, without it has none; one alone is of no use."""
    pair = make_pair()
    pair.write(tmp_path)
    assert _load(tmp_path, 'listen = "127.0.0.1:8054"').certificate is None
    both = _load(tmp_path, 'listen = "127.0.0.1:8054"\ncertificate = "cert.pem"\nkey = "key.pem"').certificate
    assert both is not None
    assert (both.certificate, both.key) == (pair.certificate, pair.key)
    assert set(_problems(tmp_path, 'listen = "127.0.0.1:8054"\ncertificate = "cert.pem"')) == {"grpc.key missing-key"}


def test_beyond_loopback_it_needs_tokens_and_somebody_who_is_allowed(tmp_path: Path) -> None:
    """An address that others reach is refused without tokens, and without saying who may connect."""
    outside = 'listen = "192.0.2.1:8054"'
    assert set(_problems(tmp_path, outside)) == {"grpc.listen adapter-open", "grpc.listen grpc-open"}
    assert set(_problems(tmp_path, outside, TOKEN)) == {"grpc.listen adapter-open"}
    allowed = outside + '\nallow = ["192.0.2.0/24"]'
    assert set(_problems(tmp_path, allowed)) == {"grpc.listen grpc-open"}
    assert len(_load(tmp_path, allowed, TOKEN).allow) == 3


def test_where_its_libraries_are_missing_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A configuration that asks for gRPC on a server without it is a problem that names the remedy."""

    def find_spec(name: str) -> object:
        if name == "google.protobuf":
            raise ModuleNotFoundError(name)  # as where there is no package `google` at all
        return None if name == "grpc" else importlib.util.find_spec(name)

    monkeypatch.setattr("dnsd.config.adapters.find_spec", find_spec)
    problems = _problems(tmp_path, 'listen = "127.0.0.1:8054"')
    assert problems == {
        "grpc missing-libraries": "gRPC needs libraries that are not installed, grpc, google.protobuf: "
        "pip install 'dnsd[grpc]'"
    }
