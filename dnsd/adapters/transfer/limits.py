"""What secondaries, and whoever else finds the address, may take of the control process."""

from __future__ import annotations

# A message of a transfer. Unit: bytes. A compression pointer reaches no further (RFC 1035 §4.1.4), and it takes well
# below a millisecond to make one.
MESSAGE_BYTES = 16_384

# Records that are looked at in one go where nothing is sent, so that others get their turn. Unit: records.
RECORDS_IN_A_ROW = 1_000

# A query over TCP: one with an SOA and a TSIG of the longest names that there can be has less than half. Unit: bytes.
MAX_QUERY_BYTES = 4_096

# Connections that are open at once. Unit: connections. Over it, the one that is idle longest makes room
# (RFC 7766 §6.2.3).
MAX_CONNECTIONS = 128

# Of these, from one IPv4 address or IPv6 /64. Unit: connections. A secondary with many zones has several at once.
MAX_CONNECTIONS_PER_CLIENT = 32

# How long a connection may be without a whole query. Unit: seconds. Secondaries use one for several zones in a row.
IDLE_SECONDS = 30.0

# How long a client may take to read as much as `UNSENT_BYTES`. Unit: seconds.
STALL_SECONDS = 20.0

# How long a transfer may take, however steadily its client reads: until then it holds its version. Unit: seconds.
MAX_TRANSFER_SECONDS = 1_800.0

# What is written and not yet taken by the kernel, in one connection. Unit: bytes.
UNSENT_BYTES = 65_536

# Transfers that run at once; BIND has the same limit (`transfers-out`). Unit: transfers.
MAX_TRANSFERS = 10

# How long another one waits until one of them ends. Unit: seconds. Knot gives up after so many without an answer.
WAIT_SECONDS = 5.0

# A fault of ours is logged with its traceback, at most once in this time: a client that found one must not be able to
# fill the disk. Unit: seconds.
FAILURE_LOG_SECONDS = 1.0
