"""The parameters of calls: what each means, and what is wrong with it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsd.adapters.consul.query import MAX_WAIT_SECONDS, BadQueryError, Query, read_query


def read(**parameters: str | list[str]) -> Query:
    given_ = {
        name.replace("_", "-"): [value] if isinstance(value, str) else value for name, value in parameters.items()
    }
    return read_query(given_, datacenter="dc1")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("", 300.0),
        ("10s", 10.0),
        ("5m", 300.0),
        ("1m30s", 90.0),
        ("1.5s", 1.5),
        ("100ms", 0.1),
        ("1h", MAX_WAIT_SECONDS),
        ("0", 300.0),
        ("0s", 300.0),
        ("-5s", 300.0),
    ],
)
def test_a_wait_is_a_duration_as_go_writes_it(text: str, seconds: float) -> None:
    """None, and one that is not above 0, is five minutes; ten at most."""
    assert read(wait=text).wait_seconds == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["10", "s", "1x", "ten", "1s " * 3, "1" * 400 + "s", "٣s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    """With Consul's words."""
    with pytest.raises(BadQueryError, match="Invalid wait time") as caught:
        read(wait=text)
    assert caught.value.status == 400


@pytest.mark.parametrize("text", ["x", "-1", "1.0", str(2**64), "٣", "9" * 5000])
def test_what_is_no_index_is_refused(text: str) -> None:
    """With Consul's words."""
    with pytest.raises(BadQueryError, match="Invalid index"):
        read(index=text)


def test_what_would_narrow_an_answer_is_honoured_or_refused() -> None:
    """Tags and metadata are taken; filters, peers, other datacenters and namespaces are refused, not passed over."""
    query = read(tag=["b", "a", "b", ""], node_meta=["k:v:w", "x"], passing="", index="7", near="_agent", unknown="1")
    assert (query.tags, query.node_meta, query.passing, query.index) == (("a", "b"), (("k", "v:w"), ("x", "")), True, 7)
    assert read(passing="false", dc="dc1", ns="default", filter="") == Query()
    for parameters, status in (
        ({"filter": "Checks is empty"}, 400),
        ({"peer": "x"}, 400),
        ({"ns": "team"}, 400),
        ({"partition": "team"}, 400),
        ({"passing": "maybe"}, 400),
        ({"stale": "", "consistent": ""}, 400),
        ({"dc": "dc2"}, 500),
    ):
        with pytest.raises(BadQueryError) as caught:
            read(**parameters)
        assert caught.value.status == status, parameters


@given(
    parameters=st.dictionaries(
        st.sampled_from(["index", "wait", "passing", "dc", "tag", "node-meta", "ns", "filter", "stale", "x"]),
        st.lists(st.text(max_size=30), min_size=1, max_size=3),
    )
)
def test_whatever_is_sent_is_read_or_refused(parameters: dict[str, list[str]]) -> None:
    """Nothing else comes of it than a query within its bounds, or an error with a status."""
    refused = 0
    try:
        query = read_query(parameters, datacenter="dc1")
    except BadQueryError as error:
        query, refused = Query(), error.status
    assert refused in (0, 400, 500)
    assert 0 < query.wait_seconds <= MAX_WAIT_SECONDS
    assert 0 <= query.index < 2**64
