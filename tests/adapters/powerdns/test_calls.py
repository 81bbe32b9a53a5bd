"""The forms in which PowerDNS calls: a line of JSON, a path, a form, or a document; as pdns_server 4.7 sends them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsd.adapters.powerdns.calls import Call, MalformedCall, from_http, from_json, no_answer, no_result, written

FORM = "application/x-www-form-urlencoded"
LOOKUP = {"qname": "a.example.org.", "qtype": "ANY", "zone-id": "-1"}


def http(path: str, *, headers: dict[str, str] | None = None, content_type: str = "", body: bytes = b"") -> Call:
    return from_http(path, headers or {}, content_type=content_type, body=body)


@pytest.mark.parametrize(
    ("path", "method", "parameters"),
    [
        ("/lookup/example%2eorg%2e/SOA", "lookup", {"qname": "example.org.", "qtype": "SOA"}),
        ("/lookup/%2e/NS", "lookup", {"qname": ".", "qtype": "NS"}),
        ("/lookup/a%2fb%5c%2e%25%3f%2e/A", "lookup", {"qname": "a/b\\.%?.", "qtype": "A"}),
        ("/getAllDomains?includeDisabled=true", "getAllDomains", {"includeDisabled": "true"}),
        ("/list/7/example%2eorg%2e", "list", {"domain_id": "7", "zonename": "example.org."}),
        ("/getDomainMetadata/x%2e/TSIG%2dALLOW%2dAXFR", "getDomainMetadata", {"name": "x.", "kind": "TSIG-ALLOW-AXFR"}),
        ("/searchRecords?maxResults=10&pattern=%2a%2eorg", "searchRecords", {"maxResults": "10", "pattern": "*.org"}),
        ("/getUpdatedMasters", "getUpdatedMasters", {}),
        ("/setNotified/7", "setNotified", {}),
    ],
)
def test_a_path_names_method_and_parameters(path: str, method: str, parameters: dict[str, str]) -> None:
    """Every part is encoded by itself, so that a name may have a slash, a dot or a percent sign in it."""
    assert http(path) == Call(method, parameters)


def test_the_zone_is_in_a_header() -> None:
    """Names of headers are of any case to those who hand them in; others of PowerDNS's are not looked at."""
    headers = {"X-RemoteBackend-zone-id": "-1", "X-RemoteBackend-local": "0.0.0.0"}
    assert http("/lookup/a.example.org./ANY", headers=headers) == Call("lookup", LOOKUP)


def test_forms_and_documents_are_calls_too() -> None:
    """`post=yes` has parameters in a form, and `post_json=yes` all of it in a document."""
    form = urlencode({"parameters": json.dumps(LOOKUP)}).encode()
    assert http("/lookup", content_type=FORM, body=form) == Call("lookup", LOOKUP)
    document = json.dumps({"method": "lookup", "parameters": LOOKUP}).encode()
    assert http("/", content_type="text/javascript", body=document) == Call("lookup", LOOKUP)
    assert from_json(document) == Call("lookup", LOOKUP)
    assert from_json(b'{"method": "getTSIGKeys"}') == Call("getTSIGKeys", {})
    assert http("/setTSIGKey/key%2e", content_type=FORM, body=b"algorithm=a&content=b") == Call("setTSIGKey", {})


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"lookup"',
        b"{}",
        b'{"method": 1}',
        b'{"method": "lookup", "parameters": []}',
        b'{"method": "lookup"} {"method": "lookup"}',
        b"\xff\xfe",
        b"[" * 20_000,
        b'{"method": ' + b"9" * 5000 + b"}",
        b"\x00" * 100,
    ],
)
def test_what_is_no_call_is_malformed(text: bytes) -> None:
    """No JSON, no object, no method, or too deep to be read."""
    with pytest.raises(MalformedCall):
        from_json(text)
    with pytest.raises(MalformedCall):
        http("/", content_type="text/javascript", body=text)


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("/lookup", {}),
        ("/lookup/a", {}),
        ("/lookup/a/A/b", {}),
        ("/list/example.org.", {}),
        ("/lookup", {"content_type": FORM, "body": b"parameters=%7b"}),
        ("/lookup", {"content_type": FORM, "body": b"parameters=[]"}),
        ("/lookup", {"content_type": FORM, "body": b"x=1&" * 2000 + b"parameters=1"}),
        ("/searchRecords?" + "x&" * 2000, {}),
    ],
)
def test_paths_and_forms_that_lack_something_are_malformed(path: str, more: dict[str, Any]) -> None:
    """Each says why in one line."""
    with pytest.raises(MalformedCall) as caught:
        http(path, **more)
    assert str(caught.value)
    assert "\n" not in str(caught.value)


def test_replies_are_lines_of_ascii() -> None:
    """A "no" is `false`; what PowerDNS has to answer SERVFAIL for is no result at all."""
    assert written(no_result("h\u00e9")) == b'{"result":false,"log":["h\\u00e9"]}\n'
    assert written(no_answer("x")) == b'{"result":null,"log":["x"]}\n'


@given(st.text(max_size=60), st.binary(max_size=60), st.sampled_from(["", FORM, "text/javascript"]))
def test_whatever_comes_is_a_call_or_malformed(path: str, body: bytes, content_type: str) -> None:
    """No input is anything else."""
    document = json.dumps({"method": path, "parameters": {path: path}}).encode()
    readers: tuple[Callable[[], Call], ...] = (
        lambda: http(f"/{path}", content_type=content_type, body=body),
        lambda: from_json(body),
        lambda: from_json(document),
    )
    for read in readers:
        with contextlib.suppress(MalformedCall):
            assert isinstance(read().method, str)
