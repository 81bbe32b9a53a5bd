"""Hypothesis strategies for the types of the model, as stores and the API may meet them."""

from __future__ import annotations

from hypothesis import strategies as st

from dnsd.model.drain import ALL_ROLES, Drain, Mode
from dnsd.model.node import MAX_PORT, MAX_PRIORITY, MAX_WEIGHT, Monitor, Node
from dnsd.model.report import Report
from dnsd.model.state import Action, HistoryEntry
from dnsd.model.times import to_milliseconds

# From 1970 to the year 2200, kept to the millisecond: there a float still tells microseconds apart.
instants = st.integers(min_value=0, max_value=7_258_118_400_000).map(lambda ms: to_milliseconds(ms / 1000))
roles = st.sampled_from(["ingest", "edge", "storage", "processing"])
node_ids = st.from_regex(r"[a-z][a-z0-9-]{0,8}[a-z0-9]", fullmatch=True)
holders = st.from_regex(r"[a-z][a-z0-9_.@:-]{0,9}", fullmatch=True)
texts = st.text(max_size=20)
revisions = st.integers(min_value=0, max_value=2**63 - 1)

drains = st.builds(
    Drain,
    node=node_ids,
    role=roles | st.just(ALL_ROLES),
    holder=holders,
    mode=st.sampled_from(Mode),
    reason=texts,
    actor=texts,
    created_at=instants,
    starts_at=instants,
    expires_at=st.none() | instants,
    revision=revisions,
    forced=st.booleans(),
)

nodes = st.builds(
    Node,
    id=node_ids,
    addresses=st.lists(st.ip_addresses().map(str), max_size=4, unique=True).map(tuple),
    roles=st.lists(roles, min_size=1, unique=True).map(tuple),
    region=st.none() | texts,
    cluster=st.none() | texts,
    location=st.none() | st.tuples(st.floats(-90, 90), st.floats(-180, 180)),
    weight=st.integers(0, MAX_WEIGHT),
    labels=st.dictionaries(texts, texts, max_size=3),
    ports=st.dictionaries(roles, st.integers(1, MAX_PORT), max_size=2),
    priority=st.none() | st.integers(1, MAX_PRIORITY),
    monitor=st.sampled_from(Monitor),
)

_counts = st.dictionaries(st.sampled_from(["viewers", "inputs", "jobs"]), st.none() | st.integers(0, 2**40))

reports = st.builds(
    Report,
    node=node_ids,
    sequence=st.integers(0, 2**63 - 1),
    observed_at=instants,
    received_at=instants,
    health=st.dictionaries(roles, st.booleans()),
    sessions=st.dictionaries(roles, _counts),
    applied_revision=st.none() | revisions,
    local_drains=st.lists(roles, unique=True).map(tuple),
    leaving=st.booleans(),
)

entries = st.builds(
    HistoryEntry,
    revision=revisions,
    at=instants,
    actor=texts,
    action=st.sampled_from(Action),
    node=node_ids,
    roles=st.lists(roles, unique=True).map(tuple),
    holder=st.none() | holders,
    reason=texts,
    forced=st.booleans(),
    all_holders=st.booleans(),
    before=st.lists(drains.map(Drain.to_json), max_size=2).map(tuple),
    after=st.lists(nodes.map(Node.to_json), max_size=2).map(tuple),
)
