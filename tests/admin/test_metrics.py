"""The exposition, read back by Prometheus' own parser."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from admin.metrics import PROPAGATION_BUCKETS_SECONDS, Metrics, MetricsSample
from tests.admin.fakebackend import FakeBackend
from tests.admin.site import Site

SAMPLE = MetricsSample(
    queries={("udp", "NOERROR"): 41, ("tcp", "NXDOMAIN"): 1},
    events={("cookies", "valid"): 2, ("rate_limited", "slipped"): 5, ("tcp", "accepted"): 6, ("tcp", "refused"): 1},
    dropped=7,
    failures=8,
    send_errors=9,
    receive_errors=10,
    tcp_open=3,
    answer_generation=12,
    store_revision=9,
    applied_revision=8,
    pool_members={("edge.example.org.", "serving"): 3, ("edge.example.org.", "draining"): 1},
    pool_fail_open={"edge.example.org.": True, "ingest.example.org.": False},
    drains={("draining", "edge"): 2, ("maintenance", "*"): 1},
    drain_age_seconds={("edge-1", "edge", "ops"): 63.5},
    drains_indefinite=1,
    drains_overdue=2,
    checks={("http", "status"): 11, ("tcp", "ok"): 12},
    check_targets={"up": 13, "down": 14, "unknown": 15},
    check_lag_seconds=0.25,
    store_up=True,
    state_age_seconds=0.25,
    store_outages=4,
    store_divergences=1,
    worker_restarts=2,
    reloads={"ok": 3, "failed": 1},
    adapters_up={"haproxy": True, "consul": False},
    adapter_requests={("haproxy", "ok"): 16},
    zone_versions={"made": 17, "failed": 1},
)

Values = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def read(text: str) -> Values:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


EXPECTED: Values = {
    ("dnsd_adapter_up", (("adapter", "haproxy"),)): 1,
    ("dnsd_adapter_up", (("adapter", "consul"),)): 0,
    ("dnsd_adapter_requests_total", (("adapter", "haproxy"), ("result", "ok"))): 16,
    ("dnsd_zone_versions_total", (("result", "made"),)): 17,
    ("dnsd_zone_versions_total", (("result", "failed"),)): 1,
    ("dnsd_store_outages_total", ()): 4,
    ("dnsd_store_divergences_total", ()): 1,
    ("dnsd_queries_total", (("rcode", "NOERROR"), ("transport", "udp"))): 41,
    ("dnsd_queries_total", (("rcode", "NXDOMAIN"), ("transport", "tcp"))): 1,
    ("dnsd_cookies_total", (("result", "valid"),)): 2,
    ("dnsd_rate_limited_total", (("action", "slipped"),)): 5,
    ("dnsd_tcp_connections_total", (("event", "accepted"),)): 6,
    ("dnsd_tcp_connections_total", (("event", "refused"),)): 1,
    ("dnsd_tcp_connections_open", ()): 3,
    ("dnsd_packets_dropped_total", ()): 7,
    ("dnsd_failures_total", ()): 8,
    ("dnsd_send_errors_total", ()): 9,
    ("dnsd_receive_errors_total", ()): 10,
    ("dnsd_answer_generation", ()): 12,
    ("dnsd_revision", (("stage", "store"),)): 9,
    ("dnsd_revision", (("stage", "applied"),)): 8,
    ("dnsd_pool_members", (("pool", "edge.example.org."), ("state", "serving"))): 3,
    ("dnsd_pool_members", (("pool", "edge.example.org."), ("state", "draining"))): 1,
    ("dnsd_pool_fail_open", (("pool", "edge.example.org."),)): 1,
    ("dnsd_pool_fail_open", (("pool", "ingest.example.org."),)): 0,
    ("dnsd_drains", (("mode", "draining"), ("role", "edge"))): 2,
    ("dnsd_drains", (("mode", "maintenance"), ("role", "*"))): 1,
    ("dnsd_drain_age_seconds", (("holder", "ops"), ("node", "edge-1"), ("role", "edge"))): 63.5,
    ("dnsd_drains_indefinite", ()): 1,
    ("dnsd_drains_overdue", ()): 2,
    ("dnsd_checks_total", (("result", "status"), ("type", "http"))): 11,
    ("dnsd_checks_total", (("result", "ok"), ("type", "tcp"))): 12,
    ("dnsd_check_targets", (("state", "up"),)): 13,
    ("dnsd_check_targets", (("state", "down"),)): 14,
    ("dnsd_check_targets", (("state", "unknown"),)): 15,
    ("dnsd_check_lag_seconds", ()): 0.25,
    ("dnsd_store_up", ()): 1,
    ("dnsd_state_age_seconds", ()): 0.25,
    ("dnsd_worker_restarts_total", ()): 2,
    ("dnsd_reloads_total", (("result", "ok"),)): 3,
    ("dnsd_reloads_total", (("result", "failed"),)): 1,
}


async def test_every_value_of_a_sample_is_exposed(backend: FakeBackend) -> None:
    """Each value comes through HTTP under its documented name and labels, and nothing else of ours does."""
    async with Site(backend, metrics=Metrics(lambda: SAMPLE).scrape) as site:
        values = read((await site.get("/metrics")).text)
    ours = {key: value for key, value in values.items() if key[0].startswith("dnsd_")}
    assert {key: value for key, value in ours.items() if not key[0].startswith("dnsd_propagation")} == EXPECTED
    assert not any(key[0].startswith("python_") for key in values)


def test_propagation_is_a_histogram() -> None:
    """Each observation counts in the bucket that it fits and in those above."""
    metrics = Metrics(lambda: SAMPLE)
    for seconds in (0.0004, 0.003, 0.003, 99.0):
        metrics.observe_propagation(seconds)
    values = read(metrics.render().decode())
    name = "dnsd_propagation_seconds"
    buckets = {bound: values[f"{name}_bucket", (("le", bound),)] for bound in ("0.0005", "0.0025", "0.005", "+Inf")}
    assert buckets == {"0.0005": 1, "0.0025": 1, "0.005": 3, "+Inf": 4}
    assert values[f"{name}_count", ()] == 4
    assert (PROPAGATION_BUCKETS_SECONDS[0], PROPAGATION_BUCKETS_SECONDS[-1]) == (0.0005, 10.0)


def test_each_scrape_takes_a_new_sample() -> None:
    """Values are those of the scrape, and two servers' metrics do not meet."""
    samples = iter(
        [
            SAMPLE,
            MetricsSample(
                answer_generation=13, store_revision=0, applied_revision=0, store_up=False, state_age_seconds=5
            ),
        ]
    )
    metrics = Metrics(lambda: next(samples))
    other = Metrics(lambda: SAMPLE)
    other.observe_propagation(1.0)
    metrics.render()
    values = read(metrics.render().decode())
    assert (values["dnsd_answer_generation", ()], values["dnsd_store_up", ()]) == (13, 0)
    assert values["dnsd_propagation_seconds_count", ()] == 0
