"""grpc.health.v1: whether the server answers as it should, which is what `/readyz` says.

The server as a whole (the empty name) and `dnsd.v1.Control` are the same to it.
"""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from admin.backend import Backend
from dnsd.adapters.grpc.frame import Context
from dnsd.adapters.grpc.v1 import control_pb2

SERVICES = ("", control_pb2.DESCRIPTOR.services_by_name["Control"].full_name)

# How often it is looked for whoever watches: readiness makes no event. Unit: seconds.
LOOK_SECONDS = 0.5

# The messages; what the type checker is told of them leaves out those of `List`.
_MESSAGES: Any = health_pb2

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


class Health(health_pb2_grpc.HealthServicer):
    """The health service of a server."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._closing = asyncio.Event()

    def close(self) -> None:
        """Tell everybody who watches that the server stops, and end these calls."""
        self._closing.set()

    def _status(self, service: str) -> int:
        if service not in SERVICES:
            return SERVICE_UNKNOWN
        if self._closing.is_set() or not self._backend.readiness().ready:
            return NOT_SERVING
        return SERVING

    async def Check(self, request: health_pb2.HealthCheckRequest, context: Context) -> health_pb2.HealthCheckResponse:
        """Say how a service is now."""
        if request.service not in SERVICES:
            await context.abort(grpc.StatusCode.NOT_FOUND, "there is no such service here")
        return health_pb2.HealthCheckResponse(status=self._status(request.service))

    async def List(self, _request: object, _context: Context) -> Any:
        """Say how every service is now."""
        statuses = {name: health_pb2.HealthCheckResponse(status=self._status(name)) for name in SERVICES}
        return _MESSAGES.HealthListResponse(statuses=statuses)

    async def Watch(self, request: health_pb2.HealthCheckRequest, context: Context) -> None:
        """Say how a service is, and again whenever that changes."""
        told: int | None = None
        while True:
            status = self._status(request.service)
            if status != told:
                await context.write(health_pb2.HealthCheckResponse(status=status))
                told = status
            if self._closing.is_set():
                return
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._closing.wait()
            except TimeoutError:
                continue
