"""A fleet of any size, as dnsd's configuration and as what other servers have in its place; and questions about it.

Each pool has the same number of nodes, and each node an IPv4 and an IPv6 address. Addresses are from the networks for
benchmarks (RFC 2544) and documents (RFC 3849), so nothing here reaches anybody.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

APEX = "example.org"
POOL_TTL, NODE_TTL = 30, 300

_FIRST_V4 = int(IPv4Address("198.18.0.0"))
_FIRST_V6 = int(IPv6Address("2001:db8::"))

ZONE_HEAD = f"""\
$ORIGIN {APEX}.
$TTL 300
@    SOA   ns1 hostmaster 1 7200 900 1209600 60
@    NS    ns1
ns1  A     192.0.2.1
"""


@dataclass(frozen=True, slots=True)
class BenchFleet:
    """So many nodes, in so many pools; node number n is in pool number n modulo pools."""

    nodes: int
    pools: int

    def node(self, number: int) -> str:
        """Return a node's id."""
        return f"edge-{number}"

    def v4(self, number: int) -> str:
        """Return a node's IPv4 address."""
        return str(IPv4Address(_FIRST_V4 + 1 + number))

    def v6(self, number: int) -> str:
        """Return a node's IPv6 address."""
        return str(IPv6Address(_FIRST_V6 + 1 + number))

    def node_name(self, number: int) -> str:
        """Return a node's own name, without the final dot."""
        return f"{self.node(number)}.nodes.{APEX}"

    def pool_name(self, pool: int) -> str:
        """Return a pool's owner, without the final dot."""
        return f"pool-{pool}.streams.{APEX}"

    def members(self, pool: int) -> range:
        """Return the numbers of a pool's nodes."""
        return range(pool, self.nodes, self.pools)

    # --- configurations -----------------------------------------------------------------------------------------

    def dnsd_tables(self, *, monitor: str = "none") -> str:
        """Write the fleet's part of dnsd's configuration; every answer holds every node of its pool."""
        most = -(-self.nodes // self.pools)
        nodes = (
            f'[[node]]\nid = "{self.node(number)}"\naddresses = ["{self.v4(number)}", "{self.v6(number)}"]\n'
            f'roles = ["edge"]\ncluster = "c{number % self.pools}"\nmonitor = "{monitor}"\n'
            for number in range(self.nodes)
        )
        pools = (
            f'[[pool]]\nname = "{self.pool_name(pool)}."\nrole = "edge"\nmatch = {{ cluster = "c{pool}" }}\n'
            f"ttl = {POOL_TTL}\nmax_answers = {most}\n"
            for pool in range(self.pools)
        )
        record = f'[[node_record]]\nname = "{{id}}.nodes.{APEX}."\nttl = {NODE_TTL}\n'
        return "".join([record, *nodes, *pools])

    def static_zone(self) -> str:
        """Write the fleet as a zone that never changes."""
        pools = (
            f"{self.pool_name(pool)}. {POOL_TTL} {kind} {address}\n"
            for pool in range(self.pools)
            for number in self.members(pool)
            for kind, address in (("A", self.v4(number)), ("AAAA", self.v6(number)))
        )
        return "".join([ZONE_HEAD, *pools, *self._node_records()])

    def gdnsd_zone(self) -> str:
        """Write the fleet as a zone of gdnsd, where pools are resources of its plugin multifo."""
        pools = (f"{self.pool_name(pool)}. {POOL_TTL} DYNA multifo!pool-{pool}\n" for pool in range(self.pools))
        return "".join([ZONE_HEAD, *pools, *self._node_records()])

    def gdnsd_resources(self) -> str:
        """Write the pools for gdnsd's plugin multifo; addresses are up unless its admin_state says otherwise."""
        return "".join(
            f"    pool-{pool} => {{ addrs_v4 => [ {', '.join(map(self.v4, self.members(pool)))} ], "
            f"addrs_v6 => [ {', '.join(map(self.v6, self.members(pool)))} ] }}\n"
            for pool in range(self.pools)
        )

    def _node_records(self) -> Iterator[str]:
        for number in range(self.nodes):
            yield f"{self.node_name(number)}. {NODE_TTL} A {self.v4(number)}\n"
            yield f"{self.node_name(number)}. {NODE_TTL} AAAA {self.v6(number)}\n"

    # --- questions, a line each, as dnsperf reads them ------------------------------------------------------------

    def repeating(self) -> Iterator[str]:
        """Yield the questions of a day: every pool and every node, both families, in random order, pools as often."""
        pools = [f"{self.pool_name(pool)} {kind}" for pool in range(self.pools) for kind in ("A", "AAAA")]
        nodes = [f"{self.node_name(number)} {kind}" for number in range(self.nodes) for kind in ("A", "AAAA")]
        lines = nodes + pools * max(1, len(nodes) // len(pools))
        random.Random(1).shuffle(lines)
        yield from lines

    def never_twice(self, count: int, *, run: int) -> Iterator[str]:
        """Yield questions of which each is asked once: pools in mixed case, and names that do not exist, in turn.

        Args:
            count: how many; up to two million are different for each pool.
            run: different numbers give different questions.
        """
        for number in range(run * count, (run + 1) * count, 2):
            pool, kind = number // 2 % self.pools, "AAAA" if number // 2 // self.pools & 1 else "A"
            yield f"{mixed_case(self.pool_name(pool), number // 2 // self.pools // 2)} {kind}"
            yield f"missing-{number}.{APEX} A"


def mixed_case(name: str, number: int) -> str:
    """Return a name with the letters in upper case that a number has bits for."""
    letters = []
    for letter in name:
        if letter.isalpha():
            letters.append(letter.upper() if number & 1 else letter)
            number >>= 1
        else:
            letters.append(letter)
    return "".join(letters)
