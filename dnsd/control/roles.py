"""The one check of whether a role that a request names is one that the configuration knows."""

from __future__ import annotations

from collections.abc import Sequence

from dnsd.errors import InvalidRequest


def require_known(role: str, known: Sequence[str], *, field: str) -> None:
    """Refuse a role that the configuration does not know.

    Args:
        field: the field of the request that names it.

    Raises:
        InvalidRequest: with the roles that there are.
    """
    if role not in known:
        raise InvalidRequest(f"unknown role {role!r}; the roles are {', '.join(known)}", field=field)
