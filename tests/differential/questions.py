"""Which questions to ask of a zone: each of its names, and names around them, with the types that may matter there.

All of it follows from the zone file and a seed, so that a failure can be had again.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

import dns.exception
import dns.flags
import dns.name
import dns.rdatatype

from tests.differential.asking import Manner, Question
from tests.differential.zones import facts

# How many questions a zone gets at most, besides those for what is there.
MOST_AROUND = 600

# A name's (RFC 1035 §2.3.4). Unit: bytes.
MOST_BYTES = 255

# RRsets from this size on are asked for in every manner. Unit: bytes of RDATA.
LARGE_BYTES = 100

# Types that the lookup treats in a way of their own, or for which there is nothing at most names.
TYPES: list[int] = [
    *(dns.rdatatype.A, dns.rdatatype.AAAA, dns.rdatatype.NS, dns.rdatatype.SOA, dns.rdatatype.CNAME),
    *(dns.rdatatype.DNAME, dns.rdatatype.MX, dns.rdatatype.TXT, dns.rdatatype.DS, dns.rdatatype.ANY),
    *(dns.rdatatype.SRV, dns.rdatatype.PTR, dns.rdatatype.HTTPS, dns.rdatatype.NAPTR, dns.rdatatype.NSEC),
    *(dns.rdatatype.RRSIG, dns.rdatatype.DNSKEY, 65280),
]

LABELS = [b"below", b"*", b"x", b"\x00", b"a.b", b"zzz", b"www"]

FLAGS = [0, dns.flags.RD, dns.flags.CD, dns.flags.AD, dns.flags.RD | dns.flags.AD | dns.flags.CD]

SIZES = [None, 0, 512, 1231, 1232, 1400, 4096]

OUTSIDE = [dns.name.from_text(text) for text in (".", "test.", "example.com.", "arpa.", "nothing.test.", "xwild.test.")]

Asked = tuple[dns.name.Name, int]


def questions_for(apex: str) -> list[Question]:
    """Return the questions for a zone."""
    rng = random.Random(apex)
    records = facts(apex).records
    there = [(name, rdtype) for name in sorted(records) for rdtype in sorted({*records[name], *rng.sample(TYPES, 4)})]
    around = [
        (near, rdtype) for name in sorted(records) for near in _near(name, rng) for rdtype in rng.sample(TYPES, 4)
    ]
    # What a name nearby may inherit: a type of the names that the zone has.
    everything = sorted({rdtype for types in records.values() for rdtype in types})
    around += [(near, rng.choice(everything)) for name in sorted(records) for near in _near(name, rng)]
    around = rng.sample(around, min(MOST_AROUND, len(around)))
    questions = [Question(_recased(name, rng), rdtype, _manner(rng)) for name, rdtype in [*there, *around]]
    questions += [
        Question(name, rdtype, _manner(rng)) for name in _at_the_edge(apex) for rdtype in rng.sample(TYPES, 4)
    ]
    return questions + [Question(name, rdtype, manner) for name, rdtype in _large(apex) for manner in _manners(rng)]


def outside_questions() -> list[Question]:
    """Return questions for names of no zone."""
    rng = random.Random("outside")
    return [Question(name, rdtype, _manner(rng)) for name in OUTSIDE for rdtype in TYPES]


def _large(apex: str) -> Iterator[Asked]:
    for name, types in facts(apex).records.items():
        for rdtype, rdatas in types.items():
            if sum(len(rdata.to_wire() or b"") for rdata in rdatas) >= LARGE_BYTES:
                yield name, rdtype


def _at_the_edge(apex: str) -> Iterator[dns.name.Name]:
    """Yield names below a DNAME that it makes as long as names can be, and one byte longer."""
    for name, types in facts(apex).records.items():
        for rdata in types.get(dns.rdatatype.DNAME, ()):
            for size in (MOST_BYTES, MOST_BYTES + 1):
                room = size - len(rdata.to_wire() or b"")
                with contextlib.suppress(
                    dns.exception.DNSException
                ):  # the name that is asked for may be too long itself
                    yield dns.name.Name([*_labels_of(room), *name.labels])


def _labels_of(size: int) -> Iterator[bytes]:
    """Yield labels that need so many bytes with their lengths."""
    while size:
        part = size if size <= 64 else min(64, size - 2)
        yield b"e" * (part - 1)
        size -= part


def _near(name: dns.name.Name, rng: random.Random) -> Iterator[dns.name.Name]:
    """Yield names below, above and beside a name, as far as they are not too long."""
    label = rng.choice(LABELS)
    candidates = [
        (label, *name.labels),
        (label, rng.choice(LABELS), *name.labels),
        (rng.choice(LABELS), *name.labels[1:]),
        (name.labels[0] + b"x", *name.labels[1:]),
        (name.labels[0][:-1] or b"y", *name.labels[1:]),
        (b"y", *name.labels[2:]) if len(name.labels) > 3 else (b"y", *name.labels),
        (bytes(rng.choice(b"abc-_\x00\xff.*") for _ in range(rng.randint(1, 63))), *name.labels),
    ]
    for labels in candidates:
        try:
            yield dns.name.Name(labels)
        except dns.exception.DNSException:
            continue


def _recased(name: dns.name.Name, rng: random.Random) -> dns.name.Name:
    if rng.random() < 0.7:
        return name
    return dns.name.Name([bytes(_flip(byte, rng) for byte in label) for label in name.labels])


def _flip(byte: int, rng: random.Random) -> int:
    letter = 0x41 <= byte & 0xDF <= 0x5A
    return byte ^ 0x20 if letter and rng.random() < 0.5 else byte


def _manner(rng: random.Random) -> Manner:
    edns = rng.choice(SIZES)
    dnssec_ok = edns is not None and rng.random() < 0.4
    return Manner(tcp=rng.random() < 0.25, edns=edns, dnssec_ok=dnssec_ok, flags=rng.choice(FLAGS))


def _manners(rng: random.Random) -> Iterator[Manner]:
    for edns in SIZES:
        yield Manner(edns=edns, flags=rng.choice(FLAGS))
    for edns in (None, 512):  # a size that has no meaning here
        yield Manner(tcp=True, edns=edns, flags=rng.choice(FLAGS))
