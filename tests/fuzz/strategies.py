"""Packets for hypothesis: queries with all that one may have, some of it broken, and those that differ little."""

from __future__ import annotations

import struct

import dns.name
from hypothesis import strategies as st

from dnsd.core.constants import AXFR, IXFR, OPT, TSIG
from tests.fuzz.checking import SIZES
from tests.fuzz.corpus import packets

# Of example.org, as `checking` has it.
_OWNERS = """\
edge alias a1 loop x.tree y.long q.near x.sub sub ns.sub v.w a.b.deep deep _s._tcp svc svc2 down n1.nodes nodes no
"""

KEPT = sorted(packets().values())

_types = st.one_of(
    st.sampled_from([1, 2, 5, 6, 15, 16, 28, 33, 39, 43, 64, 65, 255, OPT, TSIG, AXFR, IXFR, 128, 249, 666]),
    st.integers(0, 0xFFFF),
)
_classes = st.one_of(st.sampled_from([1, 1, 1, 3, 4, 254, 255]), st.integers(0, 0xFFFF))
_labels = st.one_of(st.binary(min_size=1, max_size=63), st.sampled_from([b"edge", b"EDGE", b"*", b"a", b"x" * 63]))


def _wire(name: str) -> bytes:
    return dns.name.from_text(name).to_wire() or b""


def _long(size: int) -> bytes:
    """Return a name of so many bytes on the wire."""
    last = size - 3 * 64 - 2
    return (b"\x3f" + b"l" * 63) * 3 + bytes([last]) + b"m" * last + b"\0"


_names: st.SearchStrategy[bytes] = st.one_of(
    st.sampled_from([_long(size) for size in (254, 255, 256, 257)]),
    st.sampled_from([_wire(f"{name}.example.org.") for name in _OWNERS.split()]),
    st.sampled_from([_wire(f"t{size}.example.org.") for size in SIZES]),
    st.sampled_from([_wire(name) for name in ("example.org.", "far.example.net.", "id.server.", "version.bind.", ".")]),
    st.lists(_labels, max_size=5).map(lambda labels: b"".join(bytes([len(each)]) + each for each in labels) + b"\0"),
    st.lists(_labels, max_size=3).map(
        lambda labels: b"".join(bytes([len(each)]) + each for each in labels) + _wire("example.org.")
    ),
    st.integers(0, 0x3FFF).map(lambda offset: struct.pack("!H", 0xC000 | offset)),
)

_cookies = st.one_of(
    st.binary(max_size=45), st.just(b"12345678"), st.binary(min_size=24, max_size=24), st.binary(min_size=8, max_size=8)
)
_option = st.one_of(
    st.tuples(st.just(10), _cookies),
    st.tuples(st.sampled_from([3, 8, 9, 11, 12, 15]), st.binary(max_size=12)),
    st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=40)),
)
_options = st.one_of(
    st.lists(_option, max_size=6).map(
        lambda options: b"".join(struct.pack("!HH", code, len(data)) + data for code, data in options)
    ),
    st.binary(max_size=30),
)


@st.composite
def _opts(draw: st.DrawFn) -> bytes:
    options = draw(_options)
    size = draw(st.sampled_from([0, 511, 512, 513, 1231, 1232, 1233, 4096, 0xFFFF]))
    flags = draw(st.integers(0, 0xFFFF))
    version = draw(st.sampled_from([0, 0, 0, 0, 1, 255]))
    owner = draw(st.sampled_from([b"\0", b"\0", b"\0", b"\1a\0"]))
    return owner + struct.pack("!HHBBHH", OPT, size, draw(st.integers(0, 255)), version, flags, len(options)) + options


@st.composite
def _signatures(draw: st.DrawFn) -> bytes:
    mac, more = draw(st.binary(max_size=40)), draw(st.binary(max_size=8))
    data = draw(_names) + struct.pack("!HIHH", 0, 1_700_000_000, 300, len(mac)) + mac
    data += struct.pack("!HHH", 1, 0, len(more)) + more
    return draw(_names) + struct.pack("!HHIH", TSIG, draw(st.sampled_from([255, 255, 1])), 0, len(data)) + data


@st.composite
def _records(draw: st.DrawFn) -> bytes:
    data = draw(st.binary(max_size=30))
    return (
        draw(_names)
        + struct.pack("!HHIH", draw(_types), draw(_classes), draw(st.integers(0, 2**32 - 1)), len(data))
        + data
    )


@st.composite
def queries(draw: st.DrawFn) -> bytes:
    """Draw what is laid out as a message: header, question, records, OPT and TSIG; lengths and counts may lie."""
    most = draw(st.sampled_from([1, 1, 1, 2]))
    questions = draw(st.lists(st.tuples(_names, _types, _classes), min_size=1, max_size=most))
    body = b"".join(name + struct.pack("!HH", rdtype, rdclass) for name, rdtype, rdclass in questions)
    records = draw(st.lists(_records(), max_size=draw(st.sampled_from([0, 0, 2]))))
    records += draw(st.lists(_opts(), max_size=draw(st.sampled_from([0, 1, 1, 2]))))
    records += draw(st.lists(_signatures(), max_size=draw(st.sampled_from([0, 0, 0, 1]))))
    counts = [len(questions), 0, 0, len(records)]
    if draw(st.sampled_from([False] * 9 + [True])):
        counts[draw(st.integers(0, 3))] += draw(st.sampled_from([-1, 1, 0xFFF0]))
    flags = draw(st.one_of(st.sampled_from([0, 0x0100, 0x0130]), st.integers(0, 0x7FFF)))
    head = struct.pack("!HHHHHH", draw(st.integers(0, 0xFFFF)), flags, *(count & 0xFFFF for count in counts))
    return head + body + b"".join(records) + draw(st.sampled_from([b"", b"", b"", b"\0"]))


@st.composite
def mutants(draw: st.DrawFn) -> bytes:
    """Draw one of the corpus, with some of its bytes changed, missing, doubled, or from another one."""
    packet = bytearray(draw(st.sampled_from(KEPT)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(packet)))
        end = draw(st.integers(at, min(len(packet), at + 20)))
        match draw(st.sampled_from(["change", "insert", "remove", "double", "splice"])):
            case "change":
                packet[at:end] = draw(st.binary(min_size=end - at, max_size=end - at))
            case "insert":
                packet[at:at] = draw(st.binary(max_size=8))
            case "remove":
                del packet[at:end]
            case "double":
                packet[at:at] = packet[at:end]
            case "splice":
                packet[at:] = draw(st.sampled_from(KEPT))[at:]
    return bytes(packet)
