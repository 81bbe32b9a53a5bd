"""Who may use an adapter, by address."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address


def is_allowed(peer: str | None, networks: Sequence[IPv4Network | IPv6Network]) -> bool:
    """Say whether an address is in one of these networks.

    Args:
        peer: as a socket tells it, with or without a zone; None: whoever comes over a socket in the file system, whose
            mode has judged already.
    """
    if peer is None:
        return True
    try:
        address = ip_address(peer.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address.version == network.version and address in network for network in networks)
