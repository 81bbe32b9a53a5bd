"""The control API over gRPC: `proto/dnsd/v1/control.proto` over the service that is behind the HTTP interface.

Only this package knows gRPC, and nothing of it is loaded where `[grpc]` is not configured. `v1` is generated.
"""

import os

# The library reads it when it is loaded. It has a line on stderr for each handshake that fails, which peers choose.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
