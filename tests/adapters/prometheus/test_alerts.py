"""The rules for alerts, with promtool: each fires when it should, and not when it should not."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.docs.blocks import blocks_of
from tests.docs.example import ROOT
from tests.support.prometheus import promtool

RULES = ROOT / "deploy" / "prometheus" / "dnsd-alerts.yml"
PAGE = ROOT / "docs" / "integrations" / "prometheus.md"

UP = 'up{job="dnsd",instance="ns1"}'
MARGIN, MEMBERS = (
    'dnsd_pool_floor_margin{instance="ns1",pool="p."}',
    'dnsd_pool_members{instance="ns1",pool="p.",state="%s"}',
)
SECONDARY = 'dnsd_secondary_zones{instance="%s",secondary="knot-1",state="%s"}'
REVISION = 'dnsd_revision{instance="ns1",stage="%s"}'


@dataclass(frozen=True)
class Case:
    """Series, in promtool's notation, and the alerts that must be firing at an instant.

    Args:
        at: from the first sample on, by `unit`.
        firing: for each alert that fires, its labels beside its name and severity.
        unit: from one sample to the next, and from one look at the rules to the next: `m` or `h`.
    """

    what: str
    series: dict[str, str]
    at: int
    firing: list[dict[str, str]] = field(default_factory=list)
    unit: str = "m"


CASES: dict[str, tuple[Case, ...]] = {
    "DnsdDown": (
        Case("a server that is gone", {UP: "1 0x9"}, 5, [{"instance": "ns1", "job": "dnsd"}]),
        Case("one scrape that failed", {UP: "1 0 1x9"}, 5),
        Case("something else that is gone", {'up{job="nodes",instance="a"}': "0x9"}, 5),
    ),
    "DnsdDrainForgotten": (
        Case(
            "a day, as two servers say it",
            {
                'dnsd_drain_age_seconds{instance="ns1",node="a",role="*",holder="ops"}': "86400x5",
                'dnsd_drain_age_seconds{instance="ns2",node="a",role="*",holder="ops"}': "86401x5",
            },
            1,
            [{"node": "a", "role": "*", "holder": "ops"}],
        ),
        Case("less", {'dnsd_drain_age_seconds{instance="ns1",node="a",role="*",holder="ops"}': "86000x5"}, 4),
    ),
    "DnsdDrainsIndefinite": (
        Case("for a day", {'dnsd_drains_indefinite{instance="ns1"}': "1x30"}, 25, [{}], unit="h"),
        Case("for less", {'dnsd_drains_indefinite{instance="ns1"}': "1x10 0 1x20"}, 25, unit="h"),
    ),
    "DnsdPoolFloorNear": (
        Case(
            "nothing to spare, and a node drained",
            {MARGIN: "0x20", MEMBERS % "drained": "1x20", MEMBERS % "serving": "1x20"},
            15,
            [{"pool": "p."}],
        ),
        Case("nothing to spare, and nobody out", {MARGIN: "0x20", MEMBERS % "drained": "0x20"}, 15),
        Case("one to spare", {MARGIN: "1x20", MEMBERS % "unhealthy": "1x20"}, 15),
        Case("for a moment", {MARGIN: "0x5 1x15", MEMBERS % "drained": "1x20"}, 15),
    ),
    "DnsdPoolFloorBroken": (
        Case("too few", {MARGIN: "-1x9"}, 3, [{"pool": "p."}]),
        Case("just enough", {MARGIN: "0x9"}, 3),
    ),
    "DnsdPoolFailsOpen": (
        Case("it does", {'dnsd_pool_fail_open{instance="ns1",pool="p."}': "1x9"}, 3, [{"pool": "p."}]),
        Case("it does not", {'dnsd_pool_fail_open{instance="ns1",pool="p."}': "0x9"}, 3),
    ),
    "DnsdStoreDown": (
        Case(
            "one server's",
            {'dnsd_store_up{instance="ns1"}': "0x9", 'dnsd_store_up{instance="ns2"}': "1x9"},
            3,
            [{"instance": "ns1"}],
        ),
        Case("up", {'dnsd_store_up{instance="ns1"}': "1x9"}, 3),
    ),
    "DnsdStateStale": (
        Case("over a minute", {'dnsd_state_age_seconds{instance="ns1"}': "61x9"}, 1, [{"instance": "ns1"}]),
        Case("between two heartbeats", {'dnsd_state_age_seconds{instance="ns1"}': "2x9"}, 1),
    ),
    "DnsdStoreLostWrites": (
        Case("once", {'dnsd_store_divergences_total{instance="ns1"}': "0 1x9"}, 5, [{"instance": "ns1"}]),
        Case("never", {'dnsd_store_divergences_total{instance="ns1"}': "1x9"}, 5),
    ),
    "DnsdWorkersBehind": (
        Case(
            "they are",
            {REVISION % "store": "7x9", REVISION % "applied": "6x9"},
            3,
            [{"instance": "ns1"}],
        ),
        Case(
            "they are, as two jobs say that scrape the same server",
            {
                f'dnsd_revision{{instance="ns1",job="{job}",stage="{stage}"}}': values
                for job in ("dnsd", "other")
                for stage, values in (("store", "7x9"), ("applied", "6x9"))
            },
            3,
            [{"instance": "ns1", "job": "dnsd"}, {"instance": "ns1", "job": "other"}],
        ),
        Case("they follow", {REVISION % "store": "7 8 9x7", REVISION % "applied": "6 8 9x7"}, 3),
    ),
    "DnsdConsumerBehind": (
        Case(
            "as two servers see it",
            {
                'dnsd_consumer_behind_seconds{instance="ns1",kind="router",id="r1"}': "31x9",
                'dnsd_consumer_behind_seconds{instance="ns2",kind="router",id="r1"}': "40x9",
            },
            1,
            [{"kind": "router", "id": "r1"}],
        ),
        Case("for a moment", {'dnsd_consumer_behind_seconds{instance="ns1",kind="router",id="r1"}': "3 _x9"}, 1),
    ),
    "DnsdConsumerSilent": (
        Case("one", {'dnsd_consumers{instance="ns1",kind="dns",state="silent"}': "1x9"}, 6, [{"kind": "dns"}]),
        Case("behind is not silent", {'dnsd_consumers{instance="ns1",kind="dns",state="behind"}': "1x9"}, 6),
        Case("none", {'dnsd_consumers{instance="ns1",kind="dns",state="silent"}': "0x9"}, 6),
    ),
    "DnsdSecondaryBehind": (
        Case(
            "one zone behind and one unknown, as two servers see it",
            {
                SECONDARY % ("ns1", "behind"): "1x9",
                SECONDARY % ("ns1", "silent"): "1x9",
                SECONDARY % ("ns2", "behind"): "1x9",
            },
            4,
            [{"secondary": "knot-1"}],
        ),
        Case("for a moment", {SECONDARY % ("ns1", "behind"): "1 0x9"}, 4),
        Case("level", {SECONDARY % ("ns1", "level"): "3x9", SECONDARY % ("ns1", "behind"): "0x9"}, 4),
    ),
    "DnsdWorkersRestart": (
        Case("one did", {'dnsd_worker_restarts_total{instance="ns1"}': "0 1x9"}, 3, [{"instance": "ns1"}]),
        Case("long ago", {'dnsd_worker_restarts_total{instance="ns1"}': "0 1x30"}, 30),
    ),
    "DnsdAdapterDown": (
        Case(
            "one of two",
            {
                'dnsd_adapter_up{instance="ns1",adapter="haproxy"}': "0x9",
                'dnsd_adapter_up{instance="ns1",adapter="consul"}': "1x9",
            },
            4,
            [{"instance": "ns1", "adapter": "haproxy"}],
        ),
        Case("for a moment", {'dnsd_adapter_up{instance="ns1",adapter="haproxy"}': "0 1x9"}, 4),
    ),
    "DnsdReloadFailed": (
        Case(
            "one did",
            {'dnsd_reloads_total{instance="ns1",result="failed"}': "0 1x9"},
            3,
            [{"instance": "ns1", "result": "failed"}],
        ),
        Case("another did not", {'dnsd_reloads_total{instance="ns1",result="ok"}': "0 1x9"}, 3),
    ),
}  # fmt: skip

NODE = 'up{job="nodes",instance="192.0.2.1:9100",node="a",mode="%s"}'
AGE = 'dnsd_drain_age_seconds{job="dnsd",instance="ns1",node="a",role="edge",holder="ops"}'
GONE = {"job": "nodes", "instance": "192.0.2.1:9100", "node": "a", "mode": "normal", "severity": "critical"}
OF_THE_PAGE: dict[str, tuple[Case, ...]] = {
    "NodeDown": (
        Case("gone", {NODE % "normal": "0x9"}, 4, [GONE]),
        Case("gone and drained", {NODE % "draining": "0x9", NODE % "normal": "1 _x9"}, 4),
    ),
    "NodeDownUndrained": (
        Case("gone", {NODE % "normal": "0x9"}, 4, [GONE]),
        Case("gone and drained", {NODE % "normal": "0x9", AGE: "60x9"}, 4),
    ),
}


def _test_of(alert: str, case: Case, severity: str | None) -> dict[str, object]:
    """Return a case as promtool takes it."""
    labels = [{"alertname": alert, "alertstate": "firing", **each} for each in case.firing]
    if severity is not None:
        labels = [{**each, "severity": severity} for each in labels]
    samples = [{"labels": f"ALERTS{{{_pairs(each)}}}", "value": 1} for each in labels]
    return {
        "name": f"{alert}: {case.what}",
        "interval": f"1{case.unit}",
        "input_series": [{"series": series, "values": values} for series, values in case.series.items()],
        "promql_expr_test": [
            {
                "expr": f'ALERTS{{alertname="{alert}",alertstate="firing"}}',
                "eval_time": f"{case.at}{case.unit}",
                "exp_samples": samples,
            }
        ],
    }


def _pairs(labels: dict[str, str]) -> str:
    return ",".join(f"{key}={json.dumps(value)}" for key, value in labels.items())


def _severities(rules: str) -> dict[str, str]:
    return dict(re.findall(r"- alert: (\w+)\n(?:.*\n)*?\s+severity: (\w+)", rules))


def test_each_rule_fires_when_it_should_and_not_else(tmp_path: Path) -> None:
    """One case at least in which it does, with its labels, and one in which it does not; what is told has no gap."""
    severities = _severities(RULES.read_text())
    assert list(CASES) == list(severities)
    for alert, cases in CASES.items():
        assert {bool(case.firing) for case in cases} == {True, False}, alert
    told = {
        "interval": "1m",
        "input_series": [{"series": s, "values": v} for s, v in CASES["DnsdDrainForgotten"][0].series.items()],
        "alert_rule_test": [
            {
                "eval_time": "1m",
                "alertname": "DnsdDrainForgotten",
                "exp_alerts": [
                    {
                        "exp_labels": {"node": "a", "role": "*", "holder": "ops", "severity": "warning"},
                        "exp_annotations": {
                            "summary": "a has been drained by ops for 1d 0h 0m 1s",
                            "description": "Role * (*: all). `dnsd drains` says why; "
                            "`dnsd undrain a --holder ops` ends it.",
                        },
                    }
                ],
            }
        ],
    }  # fmt: skip
    shutil.copy(RULES, tmp_path)
    promtool("check", "rules", RULES.name, folder=tmp_path)
    every = [(alert, case) for alert, cases in CASES.items() for case in cases]
    for unit, more in (("m", [told]), ("h", [])):
        tests = [_test_of(alert, case, severities[alert]) for alert, case in every if case.unit == unit]
        document = {"rule_files": [RULES.name], "evaluation_interval": f"1{unit}", "tests": [*tests, *more]}
        (tmp_path / f"{unit}.yml").write_text(json.dumps(document))  # JSON is YAML
    promtool("test", "rules", "m.yml", "h.yml", folder=tmp_path)


def test_the_pages_rules_leave_drained_nodes_alone(tmp_path: Path) -> None:
    """Both ways of the page: a node that is gone is told, and one that is gone and drained is not."""
    rules = blocks_of(PAGE, "yaml")[1]
    assert list(OF_THE_PAGE) == re.findall(r"- alert: (\w+)", rules)
    (tmp_path / "nodes.yml").write_text(rules)
    tests = [_test_of(alert, case, None) for alert, cases in OF_THE_PAGE.items() for case in cases]
    document = {"rule_files": ["nodes.yml"], "evaluation_interval": "1m", "tests": tests}
    (tmp_path / "tests.yml").write_text(json.dumps(document))
    promtool("check", "rules", "nodes.yml", folder=tmp_path)
    promtool("test", "rules", "tests.yml", folder=tmp_path)


def test_a_rule_that_is_wrong_would_be_found(tmp_path: Path) -> None:
    """The cases judge: with a rule turned round, promtool says which alert is not as expected."""
    (tmp_path / RULES.name).write_text(RULES.read_text().replace("dnsd_store_up == 0", "dnsd_store_up == 1"))
    test = _test_of("DnsdStoreDown", CASES["DnsdStoreDown"][0], "critical")
    document = {"rule_files": [RULES.name], "evaluation_interval": "1m", "tests": [test]}
    (tmp_path / "tests.yml").write_text(json.dumps(document))
    with pytest.raises(AssertionError, match="ALERTS"):
        promtool("test", "rules", "tests.yml", folder=tmp_path)
