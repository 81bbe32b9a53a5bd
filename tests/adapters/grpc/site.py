"""The adapter over a service that tests turn, on a free port, with clients that end with it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import grpc

from dnsd.adapters.context import AdapterContext
from dnsd.adapters.grpc import adapter
from dnsd.adapters.grpc.v1 import control_pb2_grpc
from dnsd.adapters.grpc.watching import Watches
from dnsd.config.adapters import LOOPBACK
from dnsd.config.settings import Certificate, GrpcSettings, Token
from dnsd.model.endpoint import Endpoint
from tests.admin.fakebackend import FakeBackend
from tests.support.servers import free_port
from tests.support.waiting import until

# How long whatever is waited for may take on a busy machine. Unit: seconds.
PATIENCE_SECONDS = 20.0


class FakePlane(FakeBackend):
    """The fake service with what the adapter looks at beside it.

    Attributes:
        gate: writes wait for it.
        writing: how many wait there.
    """

    def __init__(self, tokens: Sequence[Token] = ()) -> None:
        super().__init__()
        self.settings = SimpleNamespace(tokens=tuple(tokens))
        self.gate = asyncio.Event()
        self.gate.set()
        self.writing = 0

    async def place_drain(self, *args: Any, **options: Any) -> Any:
        self.writing += 1
        await self.gate.wait()
        self.writing -= 1
        return await super().place_drain(*args, **options)


@dataclass
class GrpcSite:
    """A running adapter.

    Args:
        watches: its open streams of events.
        task: in which it runs.
    """

    plane: FakePlane
    address: str
    context: AdapterContext[GrpcSettings]
    watches: Watches
    task: asyncio.Task[None]
    channel: grpc.aio.Channel

    @property
    def control(self) -> Any:
        """The stub of the control service."""
        return control_pb2_grpc.ControlStub(self.channel)

    def counted(self, result: str) -> int:
        """Return how many calls have ended in a way."""
        return self.context.counts["grpc", result]


@contextlib.asynccontextmanager
async def grpc_site(
    plane: FakePlane | None = None,
    *,
    certificate: Certificate | None = None,
    allow: Sequence[Any] = LOOPBACK,
    send_timeout_seconds: float = PATIENCE_SECONDS,
) -> AsyncIterator[GrpcSite]:
    """Run the adapter for the length of a test."""
    plane = plane or FakePlane()
    made: list[Watches] = []

    def watches(backend: Any) -> Watches:
        made.append(Watches(backend, send_timeout_seconds=send_timeout_seconds))
        return made[0]

    endpoint = Endpoint("127.0.0.1", free_port())
    settings = GrpcSettings(listen=endpoint, allow=tuple(allow), certificate=certificate)
    context: AdapterContext[GrpcSettings] = AdapterContext(plane, "grpc", settings)  # type: ignore[arg-type]
    task = asyncio.create_task(adapter.GrpcAdapter(context, watches=watches).run())
    try:
        await until(lambda: context.up or task.done())
        async with grpc.aio.insecure_channel(endpoint.text) as channel:
            yield GrpcSite(plane, endpoint.text, context, made[0], task, channel)
    finally:
        await stopped(task)


async def stopped(task: asyncio.Task[None]) -> None:
    """End an adapter as its host does."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
