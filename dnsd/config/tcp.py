"""What TCP clients may take of a worker."""

from __future__ import annotations

from dnsd.config.document import Entry
from dnsd.config.durations import check_duration
from dnsd.config.findings import Findings
from dnsd.config.schema import TcpSection
from dnsd.transports.limits import TcpLimits

# The range that `TcpLimits` gives. Unit: seconds.
LEAST_IDLE_SECONDS = 1.0
MOST_IDLE_SECONDS = 600.0


def check_tcp(entry: Entry[TcpSection], findings: Findings) -> TcpLimits:
    """Return the limits; problems go to the findings."""
    section = entry.section
    idle, evictable = MOST_IDLE_SECONDS, 0.0
    if entry.good("idle"):
        idle = check_duration(
            section.idle,
            entry.at("idle"),
            findings,
            least_seconds=LEAST_IDLE_SECONDS,
            most_seconds=MOST_IDLE_SECONDS,
        )
    if entry.good("evictable_after"):
        path = entry.at("evictable_after")
        # Where nobody names it, it gives way to a shorter `idle`.
        named = "evictable_after" in section.model_fields_set
        most = idle if named else MOST_IDLE_SECONDS
        evictable = check_duration(section.evictable_after, path, findings, least_seconds=0.0, most_seconds=most)
    if entry.good("connections", "connections_per_client"):
        _check_share(entry, findings)
    if entry.faulty:
        return TcpLimits()
    return TcpLimits(
        idle_seconds=idle,
        connections=section.connections,
        connections_per_client=min(section.connections_per_client, section.connections),
        evictable_seconds=min(evictable, idle),
        queries_per_connection=section.queries_per_connection,
        unsent_bytes=section.unsent_bytes,
    )


def _check_share(entry: Entry[TcpSection], findings: Findings) -> None:
    section = entry.section
    if section.connections_per_client > section.connections and "connections_per_client" in section.model_fields_set:
        message = f"is more than all clients together may have, {section.connections}"
        findings.problem(entry.at("connections_per_client"), "bad-value", message=message)
