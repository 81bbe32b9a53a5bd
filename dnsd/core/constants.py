"""Numbers of the DNS protocol that the core speaks of by name (IANA's DNS parameters registry)."""

from __future__ import annotations

# RR types (RFC 1035 §3.2.2 and later ones where named)
A = 1
NS = 2
CNAME = 5
SOA = 6
PTR = 12
MX = 15
TXT = 16
AFSDB = 18  # RFC 1183
RT = 21  # RFC 1183
AAAA = 28  # RFC 3596
SRV = 33  # RFC 2782
KX = 36  # RFC 2230
DNAME = 39  # RFC 6672
OPT = 41  # RFC 6891
DS = 43  # RFC 4034
RRSIG = 46  # RFC 4034
SVCB = 64  # RFC 9460
HTTPS = 65  # RFC 9460
TSIG = 250  # RFC 8945
IXFR = 251  # RFC 1995
AXFR = 252  # RFC 5936
ANY = 255

# Classes (RFC 1035 §3.2.4)
CLASS_IN = 1
CLASS_CH = 3
CLASS_ANY = 255

# RCODEs (RFC 6895 §2.3); above 15 they need EDNS
NOERROR = 0
FORMERR = 1
SERVFAIL = 2
NXDOMAIN = 3
NOTIMP = 4
REFUSED = 5
YXDOMAIN = 6
NOTAUTH = 9  # RFC 2136, RFC 8945 §3
BADVERS = 16
BADCOOKIE = 23  # RFC 7873 §8

# EDNS options
OPTION_NSID = 3  # RFC 5001
OPTION_COOKIE = 10  # RFC 7873
OPTION_KEEPALIVE = 11  # RFC 7828
OPTION_PADDING = 12  # RFC 7830
OPTION_EXTENDED_ERROR = 15  # RFC 8914

# Header flags, as bits of its third and fourth byte read as one number
QR = 0x8000
AA = 0x0400
TC = 0x0200
RD = 0x0100

HEADER_SIZE = 12  # RFC 1035 §4.1.1
MAX_NAME_SIZE = 255  # RFC 1035 §2.3.4, in bytes on the wire
MAX_LABEL_SIZE = 63
MAX_MESSAGE_SIZE = 65535  # a TCP message's length has two bytes (RFC 1035 §4.2.2)
CLASSIC_UDP_SIZE = 512  # RFC 1035 §4.2.1: without EDNS
