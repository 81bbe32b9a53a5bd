"""Simple lines: they come to what the tokenizer and dnspython make of them, fault by fault."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import dns.name
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dnsd.core import names
from dnsd.zonefile.simple import SimpleLines
from dnsd.zonefile.statement import Scope
from dnsd.zonefile.zone import Request, read_and_check
from tests.zonefile.files import GOOD_START


@contextmanager
def _nothing_is_simple() -> Iterator[None]:
    def read(_self: SimpleLines, _text: str, offset: int, _scope: Scope, *, file: str, line: int) -> tuple[int, int]:
        return offset, line

    with patch.object(SimpleLines, "read", read):
        yield


def _outcome(path: Path) -> object:
    checked = read_and_check(Request(path=path, apex=names.from_text("example.org.")))
    gathered = {
        key: (each.ttl, each.rdatas, each.canonicals, each.line) for key, each in checked.gathering.records.items()
    }
    return list(gathered.items()), checked.types, checked.problems, checked.warnings


def _same(path: Path, text: str) -> None:
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with _nothing_is_simple():
        expected = _outcome(path)
    assert _outcome(path) == expected


_LABEL = st.sampled_from(["a", "b", "WWW", "x_y", "ns1", "1", "a" * 63, "b" * 64, "*", "xn--a", "in", "A", "-c", ""])
_NAME = (
    st.lists(_LABEL, min_size=1, max_size=5).map(".".join)
    | st.lists(_LABEL, max_size=3).map(lambda labels: ".".join([*labels, "example.org."]))
    | st.sampled_from(
        ["@", ".", "other.", "@a", "a\\.b", "é", "$x", "ns1.EXAMPLE.org.", "xexample.org.", "a..b", '"a"']
    )
)
_SPACE = st.sampled_from([" ", "\t", "  \t ", " ( ", "\f"]).map(str) | st.just(" ")
_TTL = st.sampled_from(["", "", "300", "1h", "1H30m", "0", "2147483648", "99999999999", "5x", "3\u0660", "7w"])
_CLASS = st.sampled_from(["", "", "IN", "in", "CH", "CLASS1", "IN IN"])
_TYPE = st.sampled_from(["A", "aaaa", "AAAA", "NS", "cname", "CNAME", "Mx", "MX", "SRV", "TXT", "PTR", "DNAME", "IN"])
_NUMBER = st.sampled_from(["0", "10", "65535", "65536", "007", "000010", "-1", "x"])
_ADDRESS = (
    st.ip_addresses().map(str)
    | st.ip_addresses(v=6).map(lambda address: address.exploded.upper())
    | st.sampled_from(["192.0.2.1", "1.2.3", "01.2.3.4", "1.2.3.256", "1.2.3.4.", "::", "1::", "::ffff:1.2.3.4", ":::"])
    | st.sampled_from(["fe80::1%eth0", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1::2:3:4:5:6:7:8", "12345::", "1:", ":1"])
)
_TEXT = st.text(st.sampled_from(' ab;()"\\\t#@$é'), max_size=8)
_STRING = (
    _TEXT.map(lambda text: f'"{text}"') | _TEXT | st.sampled_from(['"' + "x" * 255 + '"', "y" * 256, '"a""b"', '""'])
)
_DATA = (
    _ADDRESS
    | _NAME
    | st.tuples(_NUMBER, _NAME).map(" ".join)
    | st.tuples(_NUMBER, _NUMBER, _NUMBER, _NAME).map("\t".join)
    | st.lists(_STRING, max_size=4).map(" ".join)
    | st.sampled_from(["", "\\# 4 C0000201", "192.0.2.1 x", "( 192.0.2.1 )"])
)
_END = st.sampled_from(["", "", "", " ", "\t;x", ";", ' ; "(', " )", "\r"])
_FITTING = {"A": st.ip_addresses(v=4).map(str), "AAAA": st.ip_addresses(v=6).map(str), "NS": _NAME, "TXT": _STRING}
_FITTING |= {"CNAME": _NAME, "MX": st.tuples(_NUMBER, _NAME).map(" ".join), "PTR": _NAME}
_GOOD_NAME = st.sampled_from(["@", "a", "b", "WWW", "a.b", "ns1", "c.example.org.", "*", "*.a", "", ""])


@st.composite
def _record(draw: st.DrawFn) -> str:
    owner, space, end = draw(_GOOD_NAME | _NAME), draw(_SPACE), draw(_END)
    kind = draw(st.sampled_from(sorted(_FITTING)))
    if draw(st.booleans()):
        return f"{draw(_GOOD_NAME)} {draw(_TTL)} {kind} {draw(_FITTING[kind])}{end}"
    first, second = draw(st.permutations([draw(_TTL), draw(_CLASS)]))
    return space.join([owner, *filter(None, [first, second]), draw(_TYPE), draw(_DATA)]) + end


_DIRECTIVE = st.sampled_from(
    ["$TTL 60", "$TTL x", "$ORIGIN sub", "$ORIGIN example.org.", "$ORIGIN other.", "$ORIGIN a..b", "$ORIGIN b\\.c"]
) | st.sampled_from(
    ["$GENERATE 1-3 g$ A 192.0.2.$", "$GENERATE 1-2 c CNAME t$", '$GENERATE 1-2 $ TXT "a ; b"', "$INCLUDE none"]
)
_NOT_RECORDS = _DIRECTIVE | st.sampled_from(["", "   ", "; comment", "\t; (", "w A (", "192.0.2.9 )"])
_LINES = st.lists(_record() | _record() | _NOT_RECORDS, max_size=12)
_ENDING = st.sampled_from(["\n", ""])


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=_LINES, ending=_ENDING, started=st.booleans())
@example(
    lines=["a A 192.0.2.1", " A 192.0.2.2", "b MX 65 X.Y", "b mx 97 x.y", "b SRV 65 66 67 T"], ending="", started=True
)
@example(
    lines=["$ORIGIN bad..name", "a A 192.0.2.1", "a.example.org. A 192.0.2.1", " A 192.0.2.2"],
    ending="\n",
    started=True,
)
def test_a_file_comes_to_the_same_with_and_without(
    tmp_path: Path, lines: list[str], ending: str, started: bool
) -> None:
    """Records with their order, TTL, case and line, problems and warnings are the same where nothing is simple."""
    _same(tmp_path / "zone", (GOOD_START if started else "") + "\n".join(lines) + ending)


@pytest.mark.parametrize(
    "line",
    [
        "a A 192.0.2.1",
        "a.b 300 IN AAAA 2001:db8::1 ; with a comment",
        "@ IN 1h30m ns Ns1.Example.ORG.",
        "\tMX 10 mail",
        "_sip._tcp SRV 0 5 5060 .",
        'a TXT "v=spf1 (all); -all" word ;end',
        "*.a CNAME @",
        "; nothing",
        "  \t",
    ],
)
def test_common_lines_are_simple(tmp_path: Path, line: str) -> None:
    """The lines that large zones are made of need no tokenizer."""
    checked = read_and_check(Request(path=tmp_path / "none", apex=names.from_text("example.org.")))
    simple = SimpleLines(checked.gathering)
    scope = Scope(dns.name.from_text("example.org."), owner=names.from_text("x.example.org."), default_ttl=60)
    text = line + "\n"
    assert simple.read(text, 0, scope, file="zone", line=7) == (len(text), 8)
