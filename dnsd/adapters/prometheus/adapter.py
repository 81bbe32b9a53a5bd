"""`GET /targets`: the scrape targets of one role, of several, or of all.

Prometheus keeps the list that it has where it gets an error, so that a question that cannot be meant, such as one for a
role that is misspelt, gets an error and never an empty list.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from itertools import product

from aiohttp import web

from dnsd.adapters.context import AdapterContext
from dnsd.adapters.members import member_of
from dnsd.adapters.prometheus.targets import TargetGroup, target_group
from dnsd.adapters.sending import send_json
from dnsd.adapters.shell import HttpAdapter, plain_error
from dnsd.adapters.writing import written
from dnsd.config.settings import PrometheusSettings
from dnsd.model.node import MAX_PORT

# Nodes that are looked at before others get their turn: a drain must not wait for a large fleet's list. Unit: nodes.
NODES_AT_ONCE = 200

PARAMETERS = ("role", "port", "family")
VERSIONS = {"ipv4": 4, "ipv6": 6}


class PrometheusAdapter:
    """Serves the targets.

    Args:
        context: of the adapter.
    """

    def __init__(self, context: AdapterContext[PrometheusSettings]) -> None:
        self._context = context
        self._turn = asyncio.Lock()  # of those who ask at once: all of their lists together would hold drains up
        self._http = HttpAdapter(context, [("GET", "/targets", self._targets)])

    async def run(self) -> None:
        """See `Adapter.run`."""
        await self._http.run()

    async def _targets(self, request: web.Request) -> web.StreamResponse:
        try:
            roles, port, version = self._asked(request)
        except ValueError as error:
            return plain_error(400, str(error))
        async with self._turn:
            body = await self._written(roles, port, version)
        return await send_json(request, body)

    async def _written(self, roles: tuple[str, ...], port: int | None, version: int | None) -> bytes:
        groups: list[TargetGroup] = []
        for place, (role, node) in enumerate(self._places(roles)):
            if place % NODES_AT_ONCE == NODES_AT_ONCE - 1:
                await asyncio.sleep(0)
            group = self._group(role, node, port, version)
            if group is not None:
                groups.append(group)
        # A thread: a large fleet's list is megabytes of text.
        return await asyncio.to_thread(written, iter(groups))

    def _asked(self, request: web.Request) -> tuple[tuple[str, ...], int | None, int | None]:
        """Return the roles, the port and the IP version that are asked for.

        Raises:
            ValueError: what is wrong with the question.
        """
        unknown = sorted(set(request.query) - set(PARAMETERS))
        if unknown:
            raise ValueError(f"{unknown[0]!r} is not a parameter: {', '.join(PARAMETERS)}")
        known = self._context.plane.settings.roles
        roles = tuple(dict.fromkeys(request.query.getall("role", [])))
        strange = [role for role in roles if role not in known]
        if strange:
            raise ValueError(f"{strange[0]!r} is not a role: {', '.join(known)}")
        port = request.query.get("port")
        if port is not None and not (re.fullmatch("[0-9]{1,5}", port) and 1 <= int(port) <= MAX_PORT):
            raise ValueError(f"{port[:20]!r} is not a port: 1 to {MAX_PORT}")
        family = request.query.get("family")
        if family is not None and family not in VERSIONS:
            raise ValueError(f"{family[:20]!r} is not a family: {', '.join(VERSIONS)}")
        version = None if family is None else VERSIONS[family]
        return roles or known, None if port is None else int(port), version

    def _places(self, roles: tuple[str, ...]) -> Iterator[tuple[str, str]]:
        return product(roles, sorted(self._context.plane.publisher.fleet.nodes))

    def _group(self, role: str, node: str, port: int | None, version: int | None) -> TargetGroup | None:
        plane = self._context.plane
        member = member_of(plane.publisher.fleet, role, node, now=plane.clock())
        if member is None:
            return None  # it has not this role, or has gone since the list began
        if port is None:
            port = self._context.settings.port if member.port is None else member.port
        return target_group(member, port=port, version=version)
