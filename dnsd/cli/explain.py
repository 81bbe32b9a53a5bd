"""`dnsd explain NAME [TYPE]`: what a query would be answered now, and why, for people."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from dnsd.cli.connection import Connection, talks_to_server
from dnsd.cli.output import Column, clean, moment, show_json, show_table
from dnsd.cli.sentences import applied_and_pending

if TYPE_CHECKING:
    from dnsd.api.schemas import ExplainedNode, ExplainedPool, Explanation

NODE_COLUMNS = (
    Column("NODE"),
    Column("IN"),
    Column("MODE"),
    Column("HEALTH"),
    Column("REPORTED"),
    Column("WEIGHT", right=True),
    Column("SHARE", right=True),
    Column("MAY BE DRAINED"),
    Column("WHY"),
)

# On a terminal: the words that lines begin with.
_STYLE_OF_LABEL = {"answer:": "bold", "way:": "bold", "pool": "bold", "note:": "cyan"}


@click.command(
    epilog="""\b
Examples:
  dnsd explain edge.example.org
  dnsd explain edge.example.org AAAA
  dnsd explain www.example.org MX --client 192.0.2.77"""
)
@click.argument("name")
@click.argument("rdtype", metavar="[TYPE]", default="A")
@click.option("--client", metavar="IP", help="Who would ask; makes no difference in this version.")
@talks_to_server
def explain(connection: Connection, *, name: str, rdtype: str, client: str | None) -> None:
    """Say what a query for NAME would be answered now, and every reason on the way to it.

    TYPE is A unless given.
    """
    explanation = connection.ask(lambda api: api.explain(name, rdtype, client=client))
    if connection.as_json:
        show_json(explanation)
        return
    now = time.time()
    for line in answer_lines(explanation):
        _show(line)
    for pool in explanation.pools:
        for line in pool_lines(pool):
            _show(line)
        show_table(NODE_COLUMNS, [_node_row(node, now=now) for node in pool.nodes])
    for line in progress_lines(explanation):
        _show(line)


def answer_lines(explanation: Explanation) -> Iterator[str]:
    """Tell the answer and the way to it, line by line."""
    asked = f"{explanation.name} {explanation.type}"
    client = "" if explanation.client is None else f" from {explanation.client}"
    answer = explanation.answer
    yield f"answer: {asked}{client}: {answer.rcode}, flags {' '.join(answer.flags) or 'none'}"
    for section in ("answer", "authority", "additional"):
        records: list[str] = getattr(answer, section)
        if records and section != "answer":
            yield f"  {section}:"
        yield from (f"  {record}" for record in records)
    if not answer.answer:
        yield "  no records in the answer section"
    for number, step in enumerate(explanation.steps):
        zone = "" if step.zone is None else f" (zone {step.zone})"
        yield f"{'way:' if number == 0 else 'then:'} {step.name}{zone}: {step.text}"


def pool_lines(pool: ExplainedPool) -> Iterator[str]:
    """Tell what a pool is and what it answers from, line by line."""
    match = "".join(f", {key} {value}" for key, value in pool.match.items())
    kind, records = ("", "addresses") if pool.type == "address" else (f"type {pool.type}, ", "records")
    yield f"pool {pool.owner}: {kind}role {pool.role}{match}; TTL {pool.ttl} s, at most {pool.max_answers} {records}"
    yield f"  {pool.text}"
    kept = "kept" if pool.floor_ok else "not kept"
    yield f"  {pool.serving} of {pool.total} serve; floor {pool.floor}, {kept}; when empty: {pool.when_empty}"
    if pool.nodes_left_out:
        yield f"  {pool.nodes_left_out} more nodes do not match and are not listed"


def progress_lines(explanation: Explanation) -> Iterator[str]:
    """Tell who answers like this already, line by line."""
    done = sum(worker.applied for worker in explanation.workers)
    workers = f"{done} of {len(explanation.workers)} workers answer from it"
    yield f"revision {explanation.revision}, generation {explanation.generation}: {workers}"
    yield from applied_and_pending(explanation.applied, explanation.pending, already=True)
    yield from (f"note: {note}" for note in explanation.notes)


def _node_row(node: ExplainedNode, *, now: float) -> tuple[str, ...]:
    drainable = {None: "", True: "no: floor", False: "yes"}[node.drain_breaks_floor]
    return (
        node.node,
        "in" if node.answered else "out",
        node.mode if node.matches else "",
        node.health if node.matches else "",
        moment(node.reported_at, now=now) if node.matches and node.reported_at is not None else "",
        str(node.weight),
        _share(node),
        drainable,
        "; ".join(node.reasons),
    )


def _share(node: ExplainedNode) -> str:
    if node.ramp is not None and node.answered:
        return f"ramp {node.ramp.percent}%"
    return "" if node.share is None else f"{node.share:.0%}"


def _show(line: str) -> None:
    text = clean(line)
    if not sys.stdout.isatty():
        click.echo(text)
        return
    from rich.console import Console
    from rich.text import Text

    label, space, rest = text.partition(" ")
    shown = Text(label, style=_STYLE_OF_LABEL.get(label, "")) + Text(space + rest)
    Console().print(shown, soft_wrap=True)
