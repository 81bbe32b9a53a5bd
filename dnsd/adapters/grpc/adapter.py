"""The gRPC server: its address, its limits, the services on it, and their end."""

from __future__ import annotations

from collections.abc import Callable

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from admin.backend import Backend
from dnsd.adapters.context import AdapterContext
from dnsd.adapters.grpc.frame import Frame
from dnsd.adapters.grpc.health import SERVICES, Health
from dnsd.adapters.grpc.service import Control
from dnsd.adapters.grpc.v1 import control_pb2_grpc
from dnsd.adapters.grpc.watching import Watches
from dnsd.config.settings import GrpcSettings
from dnsd.errors import StartError
from dnsd.model.endpoint import Endpoint

# Calls at once of the whole server, streams included; one more gets RESOURCE_EXHAUSTED. Unit: calls.
MAX_CALLS = 512

# The largest message taken, as the admin interface has it for bodies. Unit: bytes.
MAX_MESSAGE_SIZE = 64 * 1024

# How long calls in flight may take to end when the server stops. Unit: seconds.
SHUTDOWN_GRACE_SECONDS = 1.0

OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.so_reuseport", 0),  # or a second server gets the same port, and half of the calls
    ("grpc.max_receive_message_length", MAX_MESSAGE_SIZE),
    ("grpc.max_concurrent_streams", 100),  # of one connection
    ("grpc.max_allowed_incoming_connections", 256),
    ("grpc.server_handshake_timeout_ms", 10_000),  # for a connection to say that it is HTTP/2, TLS included
    ("grpc.max_connection_idle_ms", 300_000),
    # A peer that is gone is noticed within 40 s; without, a watcher's end would stay for hours.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # What a client's own pings may be, or it is sent away.
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
)


class GrpcAdapter:
    """Serves the control API over gRPC.

    Args:
        watches: makes the place of the open streams of events.
    """

    def __init__(
        self, context: AdapterContext[GrpcSettings], *, watches: Callable[[Backend], Watches] = Watches
    ) -> None:
        self._context = context
        self._make_watches = watches

    async def run(self) -> None:
        """See `Adapter.run`."""
        plane = self._context.plane
        watches, health = self._make_watches(plane), Health(plane)
        control = Control(plane, watches)
        server = grpc.aio.server(
            interceptors=(Frame(self._context),), options=OPTIONS, maximum_concurrent_rpcs=MAX_CALLS
        )
        control_pb2_grpc.add_ControlServicer_to_server(control, server)
        health_pb2_grpc.add_HealthServicer_to_server(health, server)
        names = (*SERVICES[1:], health_pb2.DESCRIPTOR.services_by_name["Health"].full_name, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, server)
        endpoint = self._listen(server)
        try:
            await server.start()
            self._context.listening(endpoint.text + (" with TLS" if self._context.settings.certificate else ""))
            await server.wait_for_termination()
        finally:
            watches.close()
            health.close()
            await server.stop(SHUTDOWN_GRACE_SECONDS)
            await control.finish()

    def _listen(self, server: grpc.aio.Server) -> Endpoint:
        settings = self._context.settings
        wanted = settings.listen
        if wanted is None:
            raise ValueError("the gRPC adapter needs an address")
        try:
            if settings.certificate is None:
                port = server.add_insecure_port(wanted.text)
            else:
                pair = (settings.certificate.key, settings.certificate.certificate)
                port = server.add_secure_port(wanted.text, grpc.ssl_server_credentials([pair]))
        except RuntimeError:  # the library has no more to say
            message = f"it cannot listen on {wanted.text}: the address is in use, or not of this machine"
            raise StartError(message) from None
        return Endpoint(wanted.host, port)
