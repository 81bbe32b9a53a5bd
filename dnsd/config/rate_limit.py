"""How much a network gets over UDP, and who gets any amount."""

from __future__ import annotations

from dnsd.config.document import Entry
from dnsd.config.durations import check_duration
from dnsd.config.findings import Findings
from dnsd.config.networks import good_networks
from dnsd.config.schema import RateLimitSection
from dnsd.core.ratelimit import RateLimit

# A shorter window has no room for the bursts of a resolver whose cache ran out; in a longer one a limit is none.
# Unit: seconds.
LEAST_WINDOW_SECONDS = 1.0
MOST_WINDOW_SECONDS = 60.0


def check_rate_limit(entry: Entry[RateLimitSection], findings: Findings, *, workers: int) -> RateLimit | None:
    """Return what a network gets from one worker; None: any number, or there is a fault, which goes to the findings.

    Args:
        workers: the server's figures are divided by their number.
    """
    section = entry.section
    window = 0.0
    if entry.good("window"):
        window = check_duration(
            section.window,
            entry.at("window"),
            findings,
            least_seconds=LEAST_WINDOW_SECONDS,
            most_seconds=MOST_WINDOW_SECONDS,
        )
    allow = tuple(str(network) for _, _, network in good_networks(entry, "allow", findings))
    if entry.faulty or not section.responses_per_second:
        return None
    return RateLimit(
        responses_per_second=section.responses_per_second,
        total_per_second=section.total_per_second,
        window_seconds=window,
        slip=section.slip,
        ipv4_prefix=section.ipv4_prefix,
        ipv6_prefix=section.ipv6_prefix,
        allow=allow,
        starts_at=section.starts_at,
    ).shared_by(workers)
