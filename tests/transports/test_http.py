"""DNS over HTTPS without sockets: what each request is answered, over HTTP/1.1 and HTTP/2, and malformed ones."""

from __future__ import annotations

import h11
import pytest
from h2.settings import SettingCodes
from hypothesis import given, settings
from hypothesis import strategies as st

from dnsd.transports.doh import MAX_BODY_BYTES, MEDIA_TYPE, Reply, Request
from dnsd.transports.http1 import Http1
from dnsd.transports.http2 import MAX_STREAMS, Http2
from dnsd.transports.http2_frames import OTHER_FRAMES, OTHER_FRAMES_PER_REQUEST
from tests.support.dnsmessages import query
from tests.transports.http_client import ANSWER, POST, QUERY, Client2, coded, doh, get

# --- what a request is answered -------------------------------------------------------------------------------------


def reply(method: str, target: str, content_type: str = "", body: bytes = b"") -> Reply:
    return doh().reply(Request(method, target, content_type, body))


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (Request("GET", get(), "", b""), 200),
        (Request("GET", f"/dns-query?x=1&dns={coded(QUERY)}", "", b""), 200),
        (Request("POST", "/dns-query", MEDIA_TYPE, QUERY), 200),
        (Request("POST", "/dns-query?x", "Application/DNS-Message; x=y", QUERY), 200),
        (Request("GET", "/dns-query", "", b""), 400),
        (Request("GET", "/dns-query?dns=", "", b""), 400),
        (Request("GET", f"/dns-query?dns={coded(QUERY)}&dns={coded(QUERY)}", "", b""), 400),
        (Request("GET", f"/dns-query?{'&' * 100}", "", b""), 400),
        (Request("GET", "/dns-query?dns=AAAA+AAAA", "", b""), 400),
        (Request("GET", "/dns-query?dns=AAAAAAAAAAAAAAAAAA==", "", b""), 400),
        (Request("GET", "/dns-query?dns=AAAAA", "", b""), 400),
        (Request("GET", get(b"short"), "", b""), 400),
        (Request("POST", "/dns-query", MEDIA_TYPE, b""), 400),
        (Request("POST", "/dns-query", MEDIA_TYPE, ANSWER), 400),
        (Request("GET", f"/?dns={coded(QUERY)}", "", b""), 404),
        (Request("GET", f"/dns-query/?dns={coded(QUERY)}", "", b""), 404),
        (Request("PUT", "/dns-query", MEDIA_TYPE, QUERY), 405),
        (Request("HEAD", get(), "", b""), 405),
        (Request("POST", "/dns-query", MEDIA_TYPE, bytes(MAX_BODY_BYTES + 1)), 413),
        (Request("POST", "/dns-query", "", QUERY), 415),
        (Request("POST", "/dns-query", "application/json", QUERY), 415),
    ],
)
def test_each_request_has_its_status(request_: Request, status: int) -> None:
    """A query gets its answer; anything else says what is wrong with it."""
    found = doh().reply(request_)
    fields = dict(found.fields)
    assert found.status == status
    if status == 200:
        assert (found.body, fields["content-type"], fields["cache-control"]) == (ANSWER, MEDIA_TYPE, "max-age=120")
    assert fields.get("allow") == ("GET, POST" if status == 405 else None)
    assert found.body or request_.method == "HEAD"


def test_a_dns_error_is_an_answer() -> None:
    """Whatever the RCODE, HTTP has done its part; nothing of an error is kept."""
    found = reply("POST", "/dns-query", MEDIA_TYPE, query("www.example.com. A"))
    assert (found.status, found.body[3] & 15, dict(found.fields)["cache-control"]) == (200, 5, "max-age=0")


# --- HTTP/1.1 -------------------------------------------------------------------------------------------------------


def http1(*, max_requests: int = 100) -> Http1:
    return Http1(doh(), max_requests=max_requests)


def raw(method: str, target: str, body: bytes = b"", **fields: str) -> bytes:
    """Return a request as it is sent; underscores in names of fields are hyphens."""
    lines = [f"{method} {target} HTTP/1.1", "Host: ns1.example.org"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def replies(output: bytes, count: int) -> list[tuple[int, dict[str, str], bytes]]:
    """Read replies with a client's own eyes; there is nothing behind them."""
    found = []
    for _ in range(count):
        client = h11.Connection(h11.CLIENT)
        client.send(h11.Request(method="GET", target="/", headers=[("host", "x")]))
        client.send(h11.EndOfMessage())
        client.receive_data(output)
        client.receive_data(b"")
        body = b""
        while not isinstance(event := client.next_event(), h11.EndOfMessage):
            if isinstance(event, h11.Response):
                head = event
            if isinstance(event, h11.Data):
                body += event.data
        found.append((head.status_code, {n.decode(): v.decode() for n, v in head.headers}, body))
        output = client.trailing_data[0]
    assert output == b""
    return found


def test_requests_follow_each_other_on_a_connection() -> None:
    """Several in one segment, by GET and POST, and one that is cut anywhere: replies come in order."""
    requests = [raw("GET", get()), raw("POST", "/dns-query", QUERY, content_type=MEDIA_TYPE), raw("GET", "/")] * 3
    http = http1()
    output = b"".join(http.receive(bytes([byte])) for byte in b"".join(requests[:4]))
    output += http.receive(b"".join(requests[4:]))
    assert [(status, body == ANSWER) for status, _, body in replies(output, 9)] == [
        (200, True),
        (200, True),
        (404, False),
    ] * 3
    assert (http.asked, http.over) == (9, False)


def test_a_body_in_chunks_is_put_together() -> None:
    """Also where the client waits to be told to go on."""
    http = http1()
    head = raw("POST", "/dns-query", content_type=MEDIA_TYPE, transfer_encoding="chunked", expect="100-continue")
    assert http.receive(head).startswith(b"HTTP/1.1 100 ")
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (QUERY[:7], QUERY[7:]))
    ((status, _, body),) = replies(http.receive(chunks + b"0\r\n\r\n"), 1)
    assert (status, body) == (200, ANSWER)


def test_the_connection_ends_after_its_last_request() -> None:
    """The last reply says so, and what follows is not read."""
    http = http1(max_requests=2)
    first, second = replies(http.receive(raw("GET", get()) * 3), 2)
    assert ("connection" in first[1], second[1]["connection"], http.over) == (False, "close", True)


def test_http_1_0_is_answered_once() -> None:
    """A client of the old kind gets its answer and the end."""
    http = http1()
    output = http.receive(f"GET {get()} HTTP/1.0\r\n\r\n".encode())
    assert (output.endswith(ANSWER), http.over) == (True, True)


def test_a_refusal_of_head_has_no_body() -> None:
    """Also where it is refused before its end, by a length or by what is no HTTP."""
    for head in (raw("HEAD", get(), content_length="65536"), raw("HEAD", get(), transfer_encoding="chunked")):
        http = http1()
        output = http.receive(head + b"no chunk\r\n")
        assert output.startswith((b"HTTP/1.1 413 ", b"HTTP/1.1 400 "))
        assert (output.endswith(b"\r\n\r\n"), http.over) == (True, True)


@pytest.mark.parametrize("prefix", ["https://ns1.example.org", "HTTPS://ns1.example.org:8443", "http://[2001:db8::1]"])
def test_a_target_may_be_absolute(prefix: str) -> None:
    """RFC 9112 §3.2.2: scheme and authority before the path change nothing."""
    ((status, _, body), (elsewhere, _, _)) = replies(
        http1().receive(raw("GET", prefix + get()) + raw("GET", prefix)), 2
    )
    assert (status, body, elsewhere) == (200, ANSWER, 404)


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "in chunks"])
def test_too_large_a_body_is_refused_before_it_is_read(declared: bool) -> None:
    """With its length said, nothing of it is waited for; without, no more than is allowed is kept."""
    http = http1()
    if declared:
        output = http.receive(raw("POST", "/dns-query", content_type=MEDIA_TYPE, content_length="65536"))
    else:
        http.receive(raw("POST", "/dns-query", content_type=MEDIA_TYPE, transfer_encoding="chunked"))
        output = http.receive(b"10000\r\n" + bytes(65536))
    ((status, fields, _),) = replies(output, 1)
    assert (status, fields["connection"], http.over) == (413, "close", True)


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x20" + QUERY + b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b"x: " + b"y" * 20_000,
        raw("POST", "/dns-query", content_length="1", transfer_encoding="nonsense"),
        raw("POST", "/dns-query", content_length="9" * 5000),
    ],
)
def test_what_is_no_http_ends_the_connection(data: bytes) -> None:
    """One reply says that it was bad, and nothing more is read."""
    http = http1()
    ((status, _, _),) = replies(http.receive(data), 1)
    assert (status, http.over) == (400, True)


# --- HTTP/2 ---------------------------------------------------------------------------------------------------------


def test_many_requests_at_a_time() -> None:
    """As many as a client may have under way, by GET and POST, are each answered on their own stream."""
    client = Client2()
    streams = [
        client.ask() if number % 2 else client.ask("POST", "/dns-query", QUERY, fields=POST)
        for number in range(MAX_STREAMS)
    ]
    client.go()
    assert {client.status[stream] for stream in streams} == {200}
    assert {client.bodies[stream] for stream in streams} == {ANSWER}
    assert client.ended == set(streams)


def test_http_2_has_the_same_statuses() -> None:
    """Not found, a wrong method, a wrong type, and a reply without a body to HEAD."""
    client = Client2()
    asked = (("GET", "/"), ("DELETE", "/dns-query"), ("POST", "/dns-query"), ("HEAD", get()))
    streams = [client.ask(method, target) for method, target in asked]
    client.go()
    assert [client.status[stream] for stream in streams] == [404, 405, 415, 405]
    assert (client.ended, streams[-1] in client.bodies) == (set(streams), False)


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "as it comes"])
def test_too_large_a_body_is_refused_on_its_stream(declared: bool) -> None:
    """It costs its own stream; others of the connection go on, and have its window back."""
    client = Client2()
    client.go()
    fields = POST | ({"content-length": "65536"} if declared else {})
    for _ in range(5):
        large = client.ask("POST", "/dns-query", b"", end=False, fields=fields)
        for part in range(4):
            client.http.send_data(large, bytes(16_384), end_stream=part == 3)
        client.go()
        assert (client.status[large], large in client.ended) == (413, True)
    small = client.ask()
    client.go()
    assert client.bodies[small] == ANSWER


def test_a_body_without_an_end_is_cut() -> None:
    """Beyond some patience, the stream of a request that was refused is reset."""
    client = Client2()
    client.go()
    large = client.ask("POST", "/dns-query", b"", end=False, fields=POST)
    while large not in client.reset:
        client.http.send_data(large, bytes(16_384))
        client.go()
    assert (client.status[large], client.reset[large]) == (413, 0)


def test_a_client_that_takes_nothing_is_refused_further_requests() -> None:
    """Replies that wait for its window are bounded; what it asks beyond may be asked again elsewhere."""
    client = Client2(window=0, max_unsent=2000)
    client.go()
    streams = [client.ask(target=get(query("big.example.org. TXT"))) for _ in range(20)]
    client.go()
    refused = [stream for stream in streams if client.reset.get(stream) == 7]
    kept = [stream for stream in streams if stream not in refused]
    assert 0 < len(kept) <= 8
    client.http.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 65_535})
    client.go()
    assert client.ended == set(kept)


def test_a_request_that_is_taken_back_is_not_answered() -> None:
    """Streams that are opened and reset cost no lookup, and count towards the end of the connection."""
    client = Client2(max_requests=50)
    client.go()
    for _ in range(50):
        client.http.reset_stream(client.ask())
    client.go()
    assert (client.server.asked, client.server.over, client.gone) == (0, True, 0)


def test_the_connection_ends_after_its_last_request_over_http_2() -> None:
    """It says goodbye behind the last answer."""
    client = Client2(max_requests=3)
    streams = [client.ask() for _ in range(3)]
    client.go()
    assert {client.bodies[stream] for stream in streams} == {ANSWER}
    assert (client.server.over, client.gone) == (True, 0)


def test_a_server_that_stops_says_goodbye() -> None:
    """The client may ask somebody else what was not answered."""
    client = Client2()
    client.go()
    client.http.receive_data(client.server.goodbye())
    assert client.server.over


@pytest.mark.parametrize(
    "data",
    [
        raw("GET", get()),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 50,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x00\x00\x00\x00\x00\x01",
    ],
)
def test_what_is_no_http_2_ends_the_connection(data: bytes) -> None:
    """HTTP/1.1 where HTTP/2 was agreed upon, rubbish, and frames out of place."""
    server = Http2(doh(), max_requests=10, max_unsent=1000)
    server.receive(data)
    assert server.over


def frame(length: int, kind: int, *, stream: int = 1, body: bytes = b"") -> bytes:
    return length.to_bytes(3, "big") + bytes([kind, 0]) + stream.to_bytes(4, "big") + body


@pytest.mark.parametrize(
    "frames",
    [
        frame(16_385, 0),
        frame(0xFFFFFF, 4, stream=0),
        frame(16_000, 1, body=bytes(16_000)) + frame(385, 9),
    ],
    ids=["large frame", "largest frame", "fields in many frames"],
)
def test_what_is_announced_is_judged_before_it_comes(frames: bytes) -> None:
    """A frame, or a request's fields, beyond what is allowed end the connection before they are kept."""
    client = Client2()
    client.go()
    client.take(b"".join(client.server.receive(bytes([byte])) for byte in frames))
    assert (client.server.over, client.gone) == (True, 11)


@pytest.mark.parametrize(
    "kind", [0, 2, 4, 6, 8, 0xAA], ids=["data", "priority", "settings", "ping", "window", "unknown"]
)
def test_frames_that_ask_nothing_are_bounded(kind: int) -> None:
    """Some are allowed to a connection, and some more for each request; beyond, it ends."""
    body = {2: b"\0\0\0\0\1", 6: bytes(8), 8: b"\0\0\0\1"}.get(kind, b"")
    other = frame(len(body), kind, stream=3 if kind in (0, 2) else 0, body=body)
    client = Client2()
    client.ask()
    client.ask("POST", "/dns-query", end=False, fields=POST)
    client.go()
    for _ in range(OTHER_FRAMES):
        client.take(client.server.receive(other))
    assert not client.server.over
    for _ in range(2 * OTHER_FRAMES_PER_REQUEST):
        client.take(client.server.receive(other))
    assert (client.server.over, client.gone) == (True, 11)


def test_fields_on_a_stream_that_was_reset_ask_nothing() -> None:
    """They begin no request, however often they come, and so they are bounded as well."""
    client = Client2()
    stream = client.ask()
    head = client.http.data_to_send()
    client.take(client.server.receive(head))
    reset = frame(4, 3, stream=stream + 2, body=bytes(4))
    again = frame(3, 1, stream=stream + 2, body=b"\x82\x84\x87")
    client.server.receive(frame(4, 1, stream=stream + 2, body=b"\x82\x84\x87\xbe") + reset)
    for _ in range(OTHER_FRAMES + 2 * OTHER_FRAMES_PER_REQUEST):
        client.server.receive(again)
    assert client.server.over


def test_a_long_session_may_have_many_frames() -> None:
    """A client that answers each reply with windows and pings goes on for as long as it asks."""
    client = Client2()
    for _ in range(5 * OTHER_FRAMES):
        stream = client.ask()
        client.go()
        client.http.ping(b"12345678")
        client.http.increment_flow_control_window(len(client.bodies[stream]))
        client.go()
    assert (client.server.over, len(client.ended)) == (False, 5 * OTHER_FRAMES)


def test_endless_headers_are_not_kept() -> None:
    """Fields beyond what a request may have end the connection."""
    client = Client2()
    client.go()
    for number in range(200):
        client.ask(fields={f"x{number}-{each}": "y" * 900 for each in range(30)})
        if client.server.over:
            break
        client.server.receive(client.http.data_to_send())
    assert client.server.over


# --- anything -------------------------------------------------------------------------------------------------------


def session2() -> bytes:
    client = Client2()
    for number in range(4):
        client.ask() if number % 2 else client.ask("POST", "/dns-query", QUERY, fields=POST)
    data: bytes = client.http.data_to_send()
    return data


SESSIONS = {
    "GET": raw("GET", get()) + raw("POST", "/dns-query", QUERY, content_type=MEDIA_TYPE) * 2,
    **{
        method: raw(method, target, content_length="9") + bytes(9) + raw(method, target, transfer_encoding="chunked")
        for method, target in (("HEAD", get()), ("CONNECT", "ns1.example.org:443"), ("OPTIONS", "*"))
    },
    "large": raw("HEAD", get(), content_length="65536"),
    "h2": session2(),
}


@given(
    version=st.sampled_from(sorted(SESSIONS)),
    edits=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 20), st.binary(max_size=20)), max_size=4),
    step=st.integers(1, 100),
)
@settings(max_examples=300)
def test_no_bytes_are_a_fault_of_ours(version: str, edits: list[tuple[int, int, bytes]], step: int) -> None:
    """A session that was tampered with anywhere, and cut anyhow, raises nothing."""
    data = SESSIONS[version]
    for start, removed, added in edits:
        data = data[:start] + added + data[start + removed :]
    http = Http2(doh(), max_requests=10, max_unsent=1000) if version == "h2" else http1()
    for start in range(0, len(data), step):
        if not http.over:
            http.receive(data[start : start + step])
    http.goodbye()
