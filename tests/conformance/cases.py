"""Cases of RFCs, written as text: what zones hold, what is asked, and every part of the response.

    zone rfc1034.test.
        @     SOA ns hostmaster 1 7200 900 1209600 60
        www   CNAME host

    case 3.6.2-chain www A +rd ; an alias is followed to its end
        NOERROR qr aa rd
        answer
            www 300 CNAME host
            host 300 A 192.0.2.1

A file is `cases/rfcNNNN.txt`; what follows `case` is a section of that RFC and a word that tells its cases apart. Names
without a final dot are relative to the file's first zone. A line that begins with `;` is a comment.

A question is `name type`, or nothing at all, and then words of how it is asked:

| word                                   | meaning                                                                    |
|----------------------------------------|----------------------------------------------------------------------------|
| `+aa +tc +rd +ra +z +ad +cd`           | header bits of the query                                                   |
| `class=CH`, `opcode=4`, `id=ffff`      |                                                                            |
| `+edns`                                | an OPT of version 0 and 1232 bytes; the words below have one too           |
| `+do`, `size=512`, `version=1`         | of the OPT                                                                 |
| `flags=4000`                           | the OPT's flags, in hexadecimal                                            |
| `opt=CODE`, `opt=CODE:HEX`             | an option; `+nsid`, `+keepalive`, `cookie=HEX`, `padding=SIZE` are others  |
| `+udp`, `+tcp`, `+tls`, `+https`       | over this alone; by default over UDP and TCP                               |
| `policy=NAME`, `at=TIME`, `from=PEER`  | by another policy, at another time, from another address: never by socket  |
| `+direct`                              | never by socket                                                            |

Instead, the case may have a block `sent`, with the packet: hexadecimal digits, text in quotes, and `name:www.test.`.

The first line of what is expected is the RCODE, `opcode=` where that is not 0, and every header bit that is set; or it
is `silence`. The ID and the question come back as they were sent, and a section that is not written is empty; a packet
of bytes has its question, if there is one, in a line `question`. RRsets of the answer stand in their order; records of
an RRset, and of the other sections, in any. `opt` is an OPT of version 0 that offers 1232 bytes, with `do` and the
options that are named behind it; without the line there is no OPT. `bytes` says something of the message as a whole:
`hold`, `lack` or `end` with bytes, `most` or `count` with a size. `fault PART: why` says in which part alone the server
responds otherwise as yet.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import dns.name

FOLDER = Path(__file__).parent / "cases"

SECTIONS = ("answer", "authority", "additional")
TRANSPORTS = ("udp", "tcp", "tls", "https")
_INDENT = 4


@dataclass(slots=True)
class Case:
    """A question and the response that an RFC asks for.

    Args:
        id: `rfc1034-3.6.2-chain`.
        origin: what relative names end in.
        question: name and type as written; empty: nothing is asked.
        words: of how it is asked.
        sent: the packet; None: it is made of the question and the words.
        head: RCODE and flags, or `silence`.
        asked: the question in the response to a packet of bytes; empty: none.
        sections: records by section.
        opt: words of the OPT; None: there is none.
        claims: of the whole message: what is claimed, and its argument.
        fault: the part in which the server responds otherwise as yet, and why; empty: it does not.
    """

    id: str
    title: str
    origin: dns.name.Name
    question: list[str]
    words: list[str]
    sent: bytes | None = None
    head: list[str] = field(default_factory=list)
    asked: str = ""
    sections: dict[str, list[str]] = field(default_factory=dict)
    opt: list[str] | None = None
    claims: list[tuple[str, bytes]] = field(default_factory=list)
    fault: str = ""

    def values(self, name: str) -> list[str]:
        """Return the values of the words `name=…`."""
        return [word.partition("=")[2] for word in self.words if word.startswith(f"{name}=")]

    def value(self, name: str, default: str = "") -> str:
        """Return the value of the one word `name=…`."""
        return (self.values(name) or [default])[0]

    def has(self, name: str) -> bool:
        """Say whether there is a word `+name`."""
        return f"+{name}" in self.words

    @property
    def transports(self) -> list[str]:
        """What it is asked over: what it names, or UDP, and TCP where the response is not one that is cut for UDP."""
        named = [name for name in TRANSPORTS if self.has(name)]
        return named or (["udp"] if {"tc", "silence"} & set(self.head) else ["udp", "tcp"])

    @property
    def by_socket(self) -> bool:
        """Say whether a server with the usual configuration can be asked it."""
        direct = self.has("direct") or any(self.values(name) for name in ("policy", "at", "from"))
        return not direct and not {"tls", "https"} & set(self.transports)


@dataclass(frozen=True, slots=True)
class CaseFile:
    """The cases of an RFC.

    Args:
        rfc: its number.
        zones: text of their master files, by apex.
    """

    rfc: int
    zones: dict[str, str]
    cases: list[Case]


def read_all() -> list[CaseFile]:
    """Read every file of cases, in the order of their numbers."""
    return [read(path) for path in sorted(FOLDER.glob("rfc*.txt"))]


def read(path: Path) -> CaseFile:
    """Read a file of cases.

    Raises:
        ValueError: it is not of the form that this module describes.
    """
    rfc = int(path.stem.removeprefix("rfc"))
    zones: dict[str, str] = {}
    cases: list[Case] = []
    for head, block in _blocks(path.read_text().splitlines(), 0):
        kind, _, rest = head.partition(" ")
        if kind == "zone":
            apex = rest.strip()
            zones[apex] = "\n".join([f"$ORIGIN {apex}", "$TTL 300", *(line.strip() for line in block), ""])
        elif kind == "case" and zones:
            cases.append(_case(f"rfc{rfc}", rest, block, origin=dns.name.from_text(next(iter(zones)))))
        else:
            raise ValueError(f"{path.name}: {head!r}")
    return CaseFile(rfc, zones, cases)


def _blocks(lines: Sequence[str], depth: int) -> Iterator[tuple[str, list[str]]]:
    """Yield each line of a depth, with those that stand deeper below it."""
    head, below = "", list[str]()
    for line in lines:
        if not line.strip() or line.startswith(";"):
            continue
        if line[depth] == " ":
            if not head:
                raise ValueError(f"nothing to belong to: {line!r}")
            below.append(line)
            continue
        if head:
            yield head, below
        head, below = line.strip(), []
    if head:
        yield head, below


def _case(rfc: str, text: str, block: Sequence[str], *, origin: dns.name.Name) -> Case:
    words, _, title = text.partition(" ; ")
    section, *asked = words.split()
    plain = [word for word in asked if not word.startswith("+") and "=" not in word]
    if not title or len(plain) not in (0, 2):
        raise ValueError(f"{rfc}-{section}: a case needs a question and a title")
    case = Case(f"{rfc}-{section}", title.strip(), origin, plain, [word for word in asked if word not in plain])
    for head, below in _blocks(block, _INDENT):
        _add_part(case, head, [line.strip() for line in below])
    if not case.head:
        raise ValueError(f"{case.id}: nothing is expected")
    return case


def _add_part(case: Case, head: str, below: list[str]) -> None:
    kind, *words = head.split()
    if kind in SECTIONS:
        case.sections[kind] = below
    elif kind == "sent":
        case.sent = octets(" ".join(below))
    elif kind == "question":
        case.asked = " ".join(words)
    elif kind == "opt":
        case.opt = words
    elif kind == "bytes":
        claim, _, argument = head.removeprefix("bytes ").partition(" ")
        case.claims.append((claim, argument.encode() if claim in ("most", "count") else octets(argument)))
    elif kind == "fault":
        case.fault = " ".join(words)
    elif not case.head and not below:
        case.head = [kind, *words]
    else:
        raise ValueError(f"{case.id}: {head!r}")


def octets(text: str) -> bytes:
    """Return the bytes that are written as hexadecimal digits, as text in quotes, and as `name:www.test.`."""
    found = b""
    for word in shlex.split(text, posix=False):
        if word.startswith('"'):
            found += word.strip('"').encode()
        elif word.startswith("name:"):
            found += dns.name.from_text(word.removeprefix("name:")).to_wire() or b""
        else:
            found += bytes.fromhex(word)
    return found
