"""The keys that the tables of Prometheus and Consul have beside those of every adapter."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest

from dnsd.config.settings import ConsulSettings, PrometheusSettings
from dnsd.model.endpoint import Endpoint
from tests.config.files import GOOD_START, brief, load, problems

LOOPBACK = ip_network("127.0.0.0/8"), ip_network("::1/128")
HERE = Endpoint("127.0.0.1", 9181)
LISTEN = 'listen = "127.0.0.1:9181"\n'


def test_each_has_its_keys(tmp_path: Path) -> None:
    """A port for targets, which there need not be, and the name of the datacenter."""
    for text, settings in (
        ("[prometheus]\n", PrometheusSettings(listen=HERE, allow=LOOPBACK)),
        ("[prometheus]\nport = 9100\n", PrometheusSettings(listen=HERE, allow=LOOPBACK, port=9100)),
        ("[consul]\n", ConsulSettings(listen=HERE, allow=LOOPBACK)),
        ('[consul]\ndatacenter = "paris-1"\n', ConsulSettings(listen=HERE, allow=LOOPBACK, datacenter="paris-1")),
    ):
        assert list(load(tmp_path, GOOD_START + text + LISTEN).adapters.values()) == [settings]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[prometheus]\nport = 0\n", ("bad-value", 6, "prometheus.port")),
        ('[prometheus]\nport = "9100"\n', ("wrong-type", 6, "prometheus.port")),
        ('[consul]\ndatacenter = "Paris"\n', ("bad-datacenter", 6, "consul.datacenter")),
        ('[consul]\ndatacenter = ""\n', ("bad-datacenter", 6, "consul.datacenter")),
        ("[consul]\ndatacenter = 1\n", ("wrong-type", 6, "consul.datacenter")),
    ],
)
def test_what_they_cannot_be_is_told_with_its_place(tmp_path: Path, text: str, problem: tuple[str, int, str]) -> None:
    """One problem each, and nothing else."""
    assert brief(problems(tmp_path, GOOD_START + text + LISTEN)) == [problem]
