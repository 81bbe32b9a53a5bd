"""The control API over gRPC: `proto/dnsd/v1/control.proto` over the service that is behind the HTTP interface.

Only this package knows gRPC, and nothing of it is loaded where `[grpc]` is not configured. `v1` is generated.
"""
