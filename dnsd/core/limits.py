"""The core's limits: every number that bounds a message or the work for one, with its unit and source."""

from __future__ import annotations

# The largest UDP response that we send, and the payload size that our OPT offers. Unit: bytes. RFC 9715 §3.1 and
# appendix A: fits an IPv6 path of 1280 bytes without fragments.
MAX_UDP_SIZE = 1232

# Padded responses have a multiple of so many bytes. Unit: bytes. RFC 8467 §4.1 recommends it for servers.
PADDING_BLOCK = 468

# CNAME and DNAME steps that one answer follows. Unit: aliases. A resolver asks on from where an answer ends, so that
# a longer chain costs it a query and nothing else; RFC 1034 §3.6.2 asks for chains to be followed, not how far.
MAX_ALIASES = 16

# Names whose addresses are added to an answer of records that name hosts. Unit: names. They are optional
# (RFC 1034 §4.3.2 step 6); the in-domain glue of a referral is not, and not counted here.
MAX_ADDITIONAL_NAMES = 16

# SVCB and HTTPS records in AliasMode that one answer follows, in its additional section. Unit: aliases. RFC 9460 §4.1
# has clients follow further ones by themselves.
MAX_SERVICE_ALIASES = 4

# Offsets that a compression pointer can reach. Unit: bytes. RFC 1035 §4.1.4: 14 bits.
POINTER_REACH = 0x4000

# The two bits that make a pointer of an offset (RFC 1035 §4.1.4).
POINTER = 0xC000

# RCODEs that are counted: those of RFC 6895 §2.3. Unit: entries.
RCODE_SLOTS = 24

# Compression pointers on the way to the end of a name that we write. Unit: pointers. RFC 1035 sets no limit, but
# decoders do: Go's net package gives up after 10, dnspython after 16.
MAX_POINTER_HOPS = 8
