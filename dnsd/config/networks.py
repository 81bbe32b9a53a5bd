"""Networks of clients and proxies, as sockets tell their addresses."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network

# RFC 4291 §2.5.5.2: so many bits stand before the IPv4 address in one that is mapped.
_MAPPED_BITS = 96
_MAPPED = IPv6Network("::ffff:0:0/96")


def read_network(text: str) -> IPv4Network | IPv6Network:
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
