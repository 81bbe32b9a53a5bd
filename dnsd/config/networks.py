"""Networks of clients, proxies and secondaries, as sockets tell their addresses, and lists of them in a file."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from dnsd.config.document import Entry
from dnsd.config.findings import Findings

# RFC 4291 §2.5.5.2: so many bits stand before the IPv4 address in one that is mapped.
_MAPPED_BITS = 96
_MAPPED = IPv6Network("::ffff:0:0/96")


def good_networks(
    entry: Entry[Any], key: str, findings: Findings
) -> Iterator[tuple[int, str, IPv4Network | IPv6Network]]:
    """Yield the good networks of a list, each with its place in it and its text; problems go to the findings."""
    for index, text in entry.texts(key):
        try:
            network = _read_network(text)
        except ValueError as error:
            message = f"{text!r} is no address or network such as 192.0.2.1 or 192.0.2.0/24: {error}"
            findings.problem(entry.at(key, index), "bad-network", message=message)
        else:
            yield index, text, network


def _read_network(text: str) -> IPv4Network | IPv6Network:
    """Read an address or a network; one of IPv4-mapped addresses becomes the network of IPv4, as clients have it.

    Raises:
        ValueError: something else, or one with a zone (`fe80::%eth0/64`); the message says what is wrong.
    """
    if "%" in text:
        raise ValueError(f"{text!r} has a zone, which no network has")
    network = _parsed(text)
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        mapped = network.network_address.ipv4_mapped
        return IPv4Network(f"{mapped}/{network.prefixlen - _MAPPED_BITS}")
    return network


def _parsed(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text)
    except ValueError:
        around = ip_network(text, strict=False)
        raise ValueError(f"there are bits beyond the prefix; the network is {around}") from None
