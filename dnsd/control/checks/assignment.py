"""Which targets stand behind which nodes and roles, both ways, kept up to date node by node.

It knows no network and no results.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from dnsd.model.check import CheckSpec, Target
from dnsd.model.node import Monitor, Node


class Assignment:
    """The targets of the nodes that are checked."""

    def __init__(self) -> None:
        self._of_node: dict[str, dict[str, tuple[Target, ...]]] = {}
        self._barred: dict[str, dict[str, tuple[Target, ...]]] = {}
        self._users: dict[Target, set[str]] = {}

    @property
    def targets(self) -> Iterable[Target]:
        """Every target that somebody needs, once."""
        return self._users.keys()

    @property
    def nodes(self) -> Iterable[str]:
        """Every node that is checked, or should be."""
        return self._of_node.keys()

    def of(self, node: str) -> Mapping[str, tuple[Target, ...]]:
        """Return a node's targets by role; a role without one is there where nothing else tells its health."""
        return self._of_node.get(node, {})

    def barred(self, node: str, role: str) -> Sequence[Target]:
        """Return those of a node for a role that must not be tried; they are not among its targets."""
        return self._barred.get(node, {}).get(role, ())

    def users(self, target: Target) -> Collection[str]:
        """Return the nodes that a target is behind."""
        return self._users.get(target, ())

    def put(
        self, key: str, node: Node | None, checks: Sequence[CheckSpec], *, local: bool
    ) -> tuple[set[Target], set[Target]]:
        """Take a node as it is now.

        Args:
            node: None: it is gone.
            local: whether a registered node may be tried at addresses of this machine or link, as a configured one.

        Returns:
            The targets that nobody needed before, and those that nobody needs any more.
        """
        before = {target for targets in self.of(key).values() for target in targets}
        found = {} if node is None else _by_role(node, checks)
        self._barred.pop(key, None)
        if node is not None and not (local or node.configured):
            found = self._without_local(key, found)
        after = {target for targets in found.values() for target in targets}
        if found:
            self._of_node[key] = found
        else:
            self._of_node.pop(key, None)
        new = {target for target in after if target not in self._users}
        for target in after - before:
            self._users.setdefault(target, set()).add(key)
        gone = set()
        for target in before - after:
            self._users[target].discard(key)
            if not self._users[target]:
                del self._users[target]
                gone.add(target)
        return new, gone

    def _without_local(self, key: str, found: Mapping[str, tuple[Target, ...]]) -> dict[str, tuple[Target, ...]]:
        """Return what may be tried of a node that has no say over this machine; the rest is barred."""
        barred = {role: tuple(each for each in targets if is_local(each.address)) for role, targets in found.items()}
        if any(barred.values()):
            self._barred[key] = barred
        return {role: tuple(each for each in found[role] if each not in barred[role]) for role in found}


def is_local(address: str) -> bool:
    """Say whether an address means this machine or its link: loopback, link-local or unspecified, also as IPv4 in IPv6.

    Args:
        address: canonical text.
    """
    found: IPv4Address | IPv6Address = ip_address(address)
    if isinstance(found, IPv6Address):
        found = found.ipv4_mapped or found
    return found.is_loopback or found.is_link_local or found.is_unspecified


def _by_role(node: Node, checks: Sequence[CheckSpec]) -> dict[str, tuple[Target, ...]]:
    """Return all targets that a node has, those that must not be tried among them."""
    if node.monitor is Monitor.NONE:
        return {}
    found: dict[str, tuple[Target, ...]] = {}
    for role in node.roles:
        targets = tuple(dict.fromkeys(target for check in checks for target in check.targets_of(node, role)))
        if targets or node.monitor is Monitor.CHECK:
            found[role] = targets
    return found
