"""The way from a question to its answer, name by name: zone, wildcard, alias, delegation, pool or per-node name.

It walks with the engine's own lookup and says what each step found. It knows nothing of drains or health.
"""

from __future__ import annotations

from collections.abc import Iterator

import dns.name
import dns.rdatatype

from dnsd.api.schemas import ExplainedStep
from dnsd.core.answer import Answer, Kind
from dnsd.core.constants import ANY, CNAME, DNAME, NXDOMAIN
from dnsd.core.fleet import Fleet
from dnsd.core.limits import MAX_ALIASES
from dnsd.core.lookup import look_up
from dnsd.core.records import ADDRESS_TYPES, Snapshot, Zone
from dnsd.core.services import types_of
from dnsd.model.pool import PoolSpec, PoolType


def name_text(name: bytes) -> str:
    """Write a name in wire form for people, with the escapes of master files."""
    return dns.name.from_wire(name, 0)[0].to_text()


def steps_of(snapshot: Snapshot, fleet: Fleet, qname: bytes, qtype: int) -> list[ExplainedStep]:
    """Return what is found at the name that was asked for, and at each name that an alias leads to."""
    return list(_walk(snapshot, fleet, qname, qtype))


def _walk(snapshot: Snapshot, fleet: Fleet, qname: bytes, qtype: int) -> Iterator[ExplainedStep]:
    seen: set[bytes] = set()
    name = qname
    while True:
        if name in seen:
            yield _stop(name, "loop", "the aliases lead back to here: the answer ends with them")
            return
        if len(seen) > MAX_ALIASES:
            yield _stop(name, "too-long", f"more than {MAX_ALIASES} aliases: the answer ends here, a resolver asks on")
            return
        seen.add(name)
        alias = None if qtype == CNAME else look_up(snapshot, name, CNAME)
        target = None if alias is None else _target(alias, qtype)
        if alias is None or target is None:
            yield _last_step(snapshot, fleet, name, qtype, first=len(seen) == 1)
            return
        yield _alias_step(alias, name, target)
        name = target


def _target(alias: Answer, qtype: int) -> bytes | None:
    """Return where an answer to a question for a CNAME leads the question that is explained."""
    if alias.kind is not Kind.DATA or alias.answer[-1][1].rdtype != CNAME:
        return None
    # An ANY is answered with the CNAME itself, but goes on behind a DNAME (RFC 6672 §3.2).
    if qtype == ANY and alias.answer[0][1].rdtype != DNAME:
        return None
    return alias.answer[-1][1].rdatas[0].lower()


def _alias_step(alias: Answer, name: bytes, target: bytes) -> ExplainedStep:
    owner, first = alias.answer[0]
    if first.rdtype == DNAME:
        said = f"below the DNAME of {name_text(owner)}, which makes it an alias of {name_text(target)}"
    elif alias.wildcard is not None:
        said = f"synthesised from the wildcard {name_text(alias.wildcard)}: an alias of {name_text(target)}"
    else:
        said = f"an alias (CNAME) of {name_text(target)}"
    return _step(name, alias, source="zone", outcome="alias", said=said, target=target)


def _last_step(snapshot: Snapshot, fleet: Fleet, name: bytes, qtype: int, *, first: bool) -> ExplainedStep:
    found = look_up(snapshot, name, qtype)
    if found.zone is None:
        said = "in none of this server's zones: " + ("refused" if first else "a resolver asks on elsewhere")
        return _stop(name, "outside", said)
    kind = dns.rdatatype.to_text(dns.rdatatype.RdataType.make(qtype))
    if found.kind is Kind.REFERRAL and found.closest_encloser is not None:
        cut = name_text(found.closest_encloser)
        said = f"{cut} is delegated: the answer refers to its name servers"
        return _step(name, found, source="delegation", outcome="referral", said=said)
    if found.kind is Kind.OVERFLOW:
        return _step(name, found, source="zone", outcome="failed", said="a DNAME makes the name too long (YXDOMAIN)")
    if found.rcode == NXDOMAIN:
        encloser = name_text(found.closest_encloser or found.zone.apex)
        said = f"does not exist, and {encloser}, above it, has no wildcard"
        return _step(name, found, source="none", outcome="nxdomain", said=said)
    return _existing(snapshot, fleet, name, qtype, found, kind)


def _existing(snapshot: Snapshot, fleet: Fleet, name: bytes, qtype: int, found: Answer, kind: str) -> ExplainedStep:
    """Tell what a name that exists, or that a wildcard stands in for, has for the question."""
    source_name = name if found.wildcard is None else found.wildcard
    text = name_text(source_name)
    by = "" if found.wildcard is None else f"synthesised from the wildcard {text}: "
    outcome = {Kind.DATA: "data", Kind.NODATA: "nodata", Kind.FAILED: "failed"}[found.kind]
    if _is_of_pool(fleet.pools.get(text), qtype, outcome):
        said = _of_pool(fleet.pools[text], qtype, kind)[outcome]
        return _step(name, found, source="pool", outcome=outcome, said=by + said, pool=text)
    node = fleet.node_named(text) if qtype in ADDRESS_TYPES or qtype == ANY else None
    if node is not None:
        has = "its addresses" if outcome == "data" else f"it has no {kind} address (NODATA)"
        said = f"the own name of node {node}, which no drain changes: {has}"
        return _step(name, found, source="node-record", outcome=outcome, said=by + said, node=node)
    if outcome == "nodata" and not _rrsets_at(snapshot, found.zone, source_name):
        said = "no records, but names below it (an empty non-terminal)"
    elif outcome == "nodata":
        said = f"exists, without {kind} records (NODATA)"
    else:
        said = f"{kind} records of the zone file"
    return _step(name, found, source="zone", outcome=outcome, said=by + said)


def _is_of_pool(pool: PoolSpec | None, qtype: int, outcome: str) -> bool:
    if pool is None:
        return False
    # A pool that points to its nodes is explained as well to those who forget to ask for its type.
    return qtype == ANY or qtype in types_of(pool) or (qtype in ADDRESS_TYPES and outcome == "nodata")


def _of_pool(pool: PoolSpec, qtype: int, kind: str) -> dict[str, str]:
    """Return what there is to say of a pool, by the outcome."""
    data = "addresses" if pool.type is PoolType.ADDRESS else f"{pool.type.value.upper()} records"
    asked = qtype == ANY or qtype in types_of(pool)
    none = f"a pool without {kind} records to answer (NODATA)"
    return {
        "data": f"a pool, with {data} to answer",
        "nodata": none if asked else f"a pool that is answered with {data}, and has no {kind} records (NODATA)",
        "failed": "a pool that answers SERVFAIL while it is empty",
    }


def _rrsets_at(snapshot: Snapshot, zone: Zone | None, name: bytes) -> bool:
    node = snapshot.overlay.get(name) or (zone.nodes.get(name) if zone is not None else None)
    return node is not None and bool(node.rrsets)


def _stop(name: bytes, outcome: str, said: str) -> ExplainedStep:
    return _step(name, Answer(), source="none", outcome=outcome, said=said)


def _step(
    name: bytes,
    found: Answer,
    *,
    source: str,
    outcome: str,
    said: str,
    target: bytes | None = None,
    pool: str | None = None,
    node: str | None = None,
) -> ExplainedStep:
    return ExplainedStep.model_validate(
        {
            "name": name_text(name),
            "zone": None if found.zone is None else name_text(found.zone.apex),
            "source": source,
            "outcome": outcome,
            "wildcard": None if found.wildcard is None else name_text(found.wildcard),
            "target": None if target is None else name_text(target),
            "pool": pool,
            "node": node,
            "text": said,
        }
    )
