"""Who may be connected."""

from __future__ import annotations

from dataclasses import dataclass

from dnsd.adapters.transfer.connections import Connections


@dataclass(eq=False, slots=True)
class Known:
    """A connection that knows whether it was closed."""

    peer: str
    aborted: bool = False

    def abort(self) -> None:
        """See `Connection.abort`."""
        self.aborted = True


def test_the_connection_that_is_idle_longest_makes_room() -> None:
    """Over the limit, a new client gets in, and whoever has waited longest without a query is closed."""
    connections = Connections(limit=3, limit_per_client=3)
    first, second, third, fourth = (Known(f"192.0.2.{number}") for number in range(4))
    assert all(map(connections.admit, (first, second, third)))
    connections.busy(first)
    connections.busy(second)
    connections.idle(second)
    assert connections.admit(fourth)
    assert [each.aborted for each in (first, second, third, fourth)] == [False, False, True, False]
    assert len(connections) == 3


def test_a_client_makes_room_for_itself_alone() -> None:
    """Over the limit of one client, a connection of its own is closed; addresses of an IPv6 /64 are one client."""
    connections = Connections(limit=9, limit_per_client=2)
    other = Known("2001:db8:0:1::1")
    own = [Known(f"2001:db8::{number}") for number in range(1, 4)]
    assert all(map(connections.admit, (other, *own)))
    assert [each.aborted for each in (other, *own)] == [False, True, False, False]


def test_who_is_answered_is_not_closed_for_another() -> None:
    """Where everybody is being answered, a new connection has to go; once one has left, the next gets in."""
    connections = Connections(limit=2, limit_per_client=2)
    busy = [Known("192.0.2.1"), Known("192.0.2.2")]
    for each in busy:
        assert connections.admit(each)
        connections.busy(each)
    assert not connections.admit(Known("192.0.2.3"))
    connections.leave(busy[0])
    connections.leave(busy[0])
    connections.idle(busy[0])  # too late: it is gone
    assert connections.admit(Known("192.0.2.3"))
    assert not any(each.aborted for each in busy)
