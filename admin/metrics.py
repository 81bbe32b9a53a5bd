"""Metrics in Prometheus' text format, made at each scrape from one sample of plain values.

The registry is private to its `Metrics`: nothing that a library registers by default gets in. It knows nothing of how
the values are counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

# From a swap within one process to a store that is slow to answer. Unit: seconds.
PROPAGATION_BUCKETS_SECONDS = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip


# What workers count besides queries, by kind: its metric, what that says, and the label of the outcomes.
EVENTS = {
    "tls_handshakes": ("dnsd_tls_handshakes", "Handshakes of DNS over TLS and HTTPS.", "result"),
    "proxy_refused": ("dnsd_proxy_refused", "What came from a proxy without a good PROXY header.", "transport"),
    "cookies": ("dnsd_cookies", "Queries with a COOKIE option.", "result"),
    "rate_limited": ("dnsd_rate_limited", "Answers over UDP that were over the limit of a network.", "action"),
    "tcp": ("dnsd_tcp_connections", "TCP connections, by what happened to them.", "event"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsSample:
    """Every value that is exposed, at one instant.

    Args:
        queries: (transport, RCODE's name) → queries answered since the start.
        events: (kind, one of `EVENTS`; outcome) → how often since the start.
        dropped: packets that got no answer, such as responses; those over a limit are among the events.
        failures: queries that met a fault of ours.
        send_errors: answers over UDP that the kernel refused.
        receive_errors: reads of packets over UDP that failed.
        tcp_open: TCP connections that are open now.
        answer_generation: of the snapshot that every worker serves.
        store_revision, applied_revision: what the store holds, and what all live workers have applied.
        pool_members: (pool, state) → nodes.
        pool_fail_open: pool → it answers from nodes that are not serving.
        pool_margins: pool → nodes that it can lose and keep its floor.
        consumers: (kind, state) → consumers.
        consumers_behind: (kind, id) → seconds since the store has had what it has not applied.
        drains: (mode, role) → active drains; role `*`: those of all roles.
        drain_age_seconds: (node, role, holder) → since the drain took effect.
        drains_indefinite: drains without an expiry.
        drains_overdue: drains that are in force for longer than the warning age.
        state_age_seconds: since the store was last heard.
        store_outages: how often the store went out of reach since the start.
        store_divergences: how often it was found to have lost writes.
        checks: (type, result) → tries of active checks since the start.
        check_targets: state (`up`, `down`, `unknown`) → targets of active checks.
        check_lag_seconds: how late the last try began.
        worker_restarts: workers replaced since the start.
        reloads: result (`ok`, `failed`) → configuration reloads since the start.
        adapters_up: adapter → whether it serves, of those that are configured.
        adapter_requests: (adapter, result) → requests since the start.
        secondary_zones: (secondary, state) → zones that are `level`, `behind` or `silent` there.
        notifies: (secondary, result) → NOTIFY messages since the start.
        zone_versions: result (`made`, `alone`, `failed`) → versions of zones since the start.
    """

    queries: Mapping[tuple[str, str], int] = field(default_factory=dict)
    events: Mapping[tuple[str, str], int] = field(default_factory=dict)
    dropped: int = 0
    failures: int = 0
    send_errors: int = 0
    receive_errors: int = 0
    tcp_open: int = 0
    answer_generation: int
    store_revision: int
    applied_revision: int
    pool_members: Mapping[tuple[str, str], int] = field(default_factory=dict)
    pool_fail_open: Mapping[str, bool] = field(default_factory=dict)
    pool_margins: Mapping[str, int] = field(default_factory=dict)
    consumers: Mapping[tuple[str, str], int] = field(default_factory=dict)
    consumers_behind: Mapping[tuple[str, str], float] = field(default_factory=dict)
    drains: Mapping[tuple[str, str], int] = field(default_factory=dict)
    drain_age_seconds: Mapping[tuple[str, str, str], float] = field(default_factory=dict)
    drains_indefinite: int = 0
    drains_overdue: int = 0
    store_up: bool
    state_age_seconds: float
    store_outages: int = 0
    store_divergences: int = 0
    checks: Mapping[tuple[str, str], int] = field(default_factory=dict)
    check_targets: Mapping[str, int] = field(default_factory=dict)
    check_lag_seconds: float = 0.0
    worker_restarts: int = 0
    reloads: Mapping[str, int] = field(default_factory=dict)
    adapters_up: Mapping[str, bool] = field(default_factory=dict)
    adapter_requests: Mapping[tuple[str, str], int] = field(default_factory=dict)
    secondary_zones: Mapping[tuple[str, str], int] = field(default_factory=dict)
    notifies: Mapping[tuple[str, str], int] = field(default_factory=dict)
    zone_versions: Mapping[str, int] = field(default_factory=dict)


class Metrics:
    """The metrics of one server.

    Args:
        sample: returns the values of now; called once per scrape.
    """

    def __init__(self, sample: Callable[[], MetricsSample]) -> None:
        self._sample = sample
        self._registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._registry)
        self._propagation = Histogram(
            "dnsd_propagation_seconds",
            "From an accepted change to its being applied by a consumer.",
            buckets=PROPAGATION_BUCKETS_SECONDS,
            registry=self._registry,
        )

    def observe_propagation(self, seconds: float) -> None:
        """Count one change that a consumer has applied."""
        self._propagation.observe(seconds)

    def render(self) -> bytes:
        """Return the exposition."""
        return self._write(self._sample())

    async def scrape(self) -> bytes:
        """Return the exposition, and let others have their turns while it is written."""
        # A thread: a thousand pools are a third of a megabyte of text, and drains must not wait for it.
        return await asyncio.to_thread(self._write, self._sample())

    def _write(self, sample: MetricsSample) -> bytes:
        return generate_latest(_Exposed(sample, self._registry))


class _Exposed(Collector):
    """A sample, and what counts by itself."""

    def __init__(self, sample: MetricsSample, registry: CollectorRegistry) -> None:
        self._sample = sample
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        sample = self._sample
        yield from _answering(sample)
        yield from _events(sample)
        yield from _pools(sample)
        yield from _consumers(sample)
        yield from _drains(sample)
        yield from _checks(sample)
        yield from _adapters(sample)
        yield from _secondaries(sample)
        yield from self._registry.collect()


def _answering(sample: MetricsSample) -> Iterator[Metric]:
    yield _counter("dnsd_queries", "Queries answered.", ("transport", "rcode"), sample.queries.items())
    yield _gauge("dnsd_answer_generation", "Generation that every worker serves.", sample.answer_generation)
    stages = {("store",): sample.store_revision, ("applied",): sample.applied_revision}
    yield _gauges("dnsd_revision", "Revision that the store holds and that is applied.", ("stage",), stages.items())
    yield _gauge("dnsd_store_up", "Whether the store answers.", sample.store_up)
    yield _gauge("dnsd_state_age_seconds", "Time since the store was last heard.", sample.state_age_seconds)
    outages = {(): sample.store_outages}
    yield _counter("dnsd_store_outages", "Times that the store went out of reach.", (), outages.items())
    divergences = {(): sample.store_divergences}
    yield _counter("dnsd_store_divergences", "Times that the store had lost writes.", (), divergences.items())
    restarts = {(): sample.worker_restarts}
    yield _counter("dnsd_worker_restarts", "Answer workers that were replaced.", (), restarts.items())
    reloads = {(result,): count for result, count in sample.reloads.items()}
    yield _counter("dnsd_reloads", "Reloads of the configuration.", ("result",), reloads.items())


def _events(sample: MetricsSample) -> Iterator[Metric]:
    for name, text, count in (
        ("dnsd_packets_dropped", "Packets that got no answer, such as responses.", sample.dropped),
        ("dnsd_failures", "Queries that met a fault of ours and got SERVFAIL.", sample.failures),
        ("dnsd_send_errors", "Answers over UDP that the kernel refused.", sample.send_errors),
        ("dnsd_receive_errors", "Reads of packets over UDP that failed.", sample.receive_errors),
    ):
        yield _counter(name, text, (), {(): count}.items())
    yield _gauge("dnsd_tcp_connections_open", "TCP connections that are open.", sample.tcp_open)
    for kind, (name, text, label) in EVENTS.items():
        counts = {(outcome,): count for (of, outcome), count in sample.events.items() if of == kind}
        yield _counter(name, text, (label,), counts.items())


def _pools(sample: MetricsSample) -> Iterator[Metric]:
    yield _gauges("dnsd_pool_members", "Nodes of a pool.", ("pool", "state"), sample.pool_members.items())
    fail_open = {(pool,): value for pool, value in sample.pool_fail_open.items()}
    yield _gauges(
        "dnsd_pool_fail_open", "Whether a pool answers from nodes that do not serve.", ("pool",), fail_open.items()
    )

    margins = {(pool,): value for pool, value in sample.pool_margins.items()}
    text = "Nodes that a pool can lose, the heaviest first, and keep its floor."
    yield _gauges("dnsd_pool_floor_margin", text, ("pool",), margins.items())


def _consumers(sample: MetricsSample) -> Iterator[Metric]:
    yield _gauges("dnsd_consumers", "Consumers of drain state.", ("kind", "state"), sample.consumers.items())
    yield _gauges(
        "dnsd_consumer_behind_seconds",
        "Time since the store has had what a consumer has not applied.",
        ("kind", "id"),
        sample.consumers_behind.items(),
    )


def _drains(sample: MetricsSample) -> Iterator[Metric]:
    yield _gauges("dnsd_drains", "Active drains.", ("mode", "role"), sample.drains.items())
    yield _gauges(
        "dnsd_drain_age_seconds",
        "Time since a drain took effect.",
        ("node", "role", "holder"),
        sample.drain_age_seconds.items(),
    )
    yield _gauge("dnsd_drains_indefinite", "Drains without an expiry.", sample.drains_indefinite)
    yield _gauge("dnsd_drains_overdue", "Drains in force for longer than the warning age.", sample.drains_overdue)


def _checks(sample: MetricsSample) -> Iterator[Metric]:
    yield _counter("dnsd_checks", "Tries of active checks.", ("type", "result"), sample.checks.items())
    targets = {(state,): count for state, count in sample.check_targets.items()}
    yield _gauges("dnsd_check_targets", "What active checks try, by its state.", ("state",), targets.items())
    yield _gauge("dnsd_check_lag_seconds", "How late the last try of a check began.", sample.check_lag_seconds)


def _adapters(sample: MetricsSample) -> Iterator[Metric]:
    up = {(adapter,): value for adapter, value in sample.adapters_up.items()}
    yield _gauges("dnsd_adapter_up", "Whether an adapter that is configured serves.", ("adapter",), up.items())
    requests = sample.adapter_requests.items()
    yield _counter("dnsd_adapter_requests", "Requests to adapters.", ("adapter", "result"), requests)


def _secondaries(sample: MetricsSample) -> Iterator[Metric]:
    zones = sample.secondary_zones.items()
    yield _gauges("dnsd_secondary_zones", "Zones by how far a secondary is.", ("secondary", "state"), zones)
    yield _counter("dnsd_notifies", "NOTIFY messages.", ("secondary", "result"), sample.notifies.items())
    versions = {(result,): count for result, count in sample.zone_versions.items()}
    yield _counter("dnsd_zone_versions", "Versions of zones for secondaries.", ("result",), versions.items())


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=float(value))


def _gauges(name: str, text: str, labels: tuple[str, ...], values: Iterable[tuple[tuple[str, ...], float]]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for key, value in values:
        family.add_metric(key, float(value))
    return family


def _counter(name: str, text: str, labels: tuple[str, ...], values: Iterable[tuple[tuple[str, ...], float]]) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for key, value in values:
        family.add_metric(key, float(value))
    return family
