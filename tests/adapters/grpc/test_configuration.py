"""`[grpc]` in the configuration: what is refused, and what a server without the libraries says."""

from __future__ import annotations

import importlib.util
import sys
from importlib.abc import MetaPathFinder
from pathlib import Path

import pytest
from google.protobuf.runtime_version import VersionError

from dnsd.adapters.context import AdapterContext
from dnsd.config.loading import load_settings
from dnsd.config.settings import GrpcSettings
from dnsd.daemon.adapting import FACTORIES
from dnsd.errors import ConfigurationError, StartError
from tests.adapters.grpc.site import FakePlane
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

    def spec_of(name: str) -> object:
        if name == "google.protobuf":
            raise ModuleNotFoundError(name)  # as where there is no package `google` at all
        return None if name == "grpc" else importlib.util.find_spec(name)

    monkeypatch.setattr("dnsd.config.adapters.find_spec", spec_of)
    problems = _problems(tmp_path, 'listen = "127.0.0.1:8054"')
    assert problems == {
        "grpc missing-libraries": "gRPC needs libraries that are not installed, grpc, google.protobuf: "
        f"{sys.executable} -m pip install 'dnsd[grpc]'"
    }


def test_where_its_code_was_not_generated_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkout that was installed without the code of gRPC, as `make setup` does, is told how to get it."""

    def spec_of(name: str) -> object:
        if name == "dnsd.adapters.grpc.v1.control_pb2_grpc":
            raise ModuleNotFoundError(name)  # its package is not there either
        return importlib.util.find_spec(name)

    monkeypatch.setattr("dnsd.config.adapters.find_spec", spec_of)
    problems = _problems(tmp_path, 'listen = "127.0.0.1:8054"')
    assert list(problems) == ["grpc missing-code"]
    assert problems["grpc missing-code"].endswith(f"source, {sys.executable} -m pip install --editable '.[grpc]'")


@pytest.mark.parametrize(
    "error", [VersionError("the gencode is newer"), RuntimeError("grpc is older"), ImportError("x")]
)
def test_libraries_that_do_not_fit_are_no_fault_of_ours(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where its code refuses the libraries that are there, it cannot start, for which its host has a line of log."""

    class Unfit(MetaPathFinder):
        def find_spec(self, name: str, *_: object) -> None:
            if name == "dnsd.adapters.grpc.adapter":
                raise error

    monkeypatch.delitem(sys.modules, "dnsd.adapters.grpc.adapter", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Unfit(), *sys.meta_path])
    with pytest.raises(StartError, match=f"its code cannot be loaded, .* {error}"):
        FACTORIES["grpc"](AdapterContext(FakePlane(), "grpc", GrpcSettings(listen=None, allow=())))  # type: ignore[arg-type]
