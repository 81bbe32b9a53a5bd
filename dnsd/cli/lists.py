"""`dnsd nodes`, `pools`, `drains`, `consumers` and `history`: what the server knows, as tables."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from dnsd.cli.connection import NODE, Connection, refuse_together, talks_to_server
from dnsd.cli.output import Column, absolute, milliseconds, moment, show_json, show_table
from dnsd.model.drain import ALL_ROLES

if TYPE_CHECKING:
    from dnsd.api.client import Client
    from dnsd.api.schemas import ConsumerInfo, DrainInfo, HistoryInfo, NodeInfo, Page, PoolInfo, RampInfo

NODE_COLUMNS = (
    Column("NODE"),
    Column("ROLE"),
    Column("MODE"),
    Column("HEALTH"),
    Column("SERVING"),
    Column("REGION"),
    Column("WEIGHT", right=True),
    Column("ADDRESSES"),
)
POOL_COLUMNS = (
    Column("POOL"),
    Column("TYPE"),
    Column("ROLE"),
    Column("SERVING", right=True),
    Column("TOTAL", right=True),
    Column("FLOOR", right=True),
    Column("KEPT"),
    Column("ANSWERS FROM"),
    Column("OUT"),
    Column("COMING BACK"),
)
DRAIN_COLUMNS = (
    Column("NODE"),
    Column("ROLES"),
    Column("MODE"),
    Column("HOLDER"),
    Column("STATE"),
    Column("STARTS"),
    Column("EXPIRES"),
    Column("ACTOR"),
    Column("REASON"),
)
CONSUMER_COLUMNS = (
    Column("CONSUMER"),
    Column("KIND"),
    Column("REVISION", right=True),
    Column("BEHIND"),
    Column("LAG", right=True),
    Column("LIVE"),
    Column("LAST SEEN"),
)
HISTORY_COLUMNS = (
    Column("REVISION", right=True),
    Column("AT"),
    Column("ACTION"),
    Column("NODE"),
    Column("ROLES"),
    Column("HOLDER"),
    Column("ACTOR"),
    Column("NOTE"),
    Column("REASON"),
)


@click.command()
@talks_to_server
def nodes(connection: Connection) -> None:
    """List the fleet: a row for each node and role."""
    page = connection.ask(lambda client: client.nodes())
    if connection.as_json:
        show_json(page)
        return
    rows = [row for node in page.items for row in _node_rows(node)]
    if any(row[-1] for row in rows):
        show_table((*NODE_COLUMNS, Column("CHECKS")), rows)
    else:
        show_table(NODE_COLUMNS, [row[:-1] for row in rows])


@click.command()
@talks_to_server
def pools(connection: Connection) -> None:
    """List the pools: what serves, whether the floor is kept, and which nodes are out and why."""
    page = connection.ask(lambda client: client.pools())
    if connection.as_json:
        show_json(page)
        return
    show_table(POOL_COLUMNS, [_pool_row(pool) for pool in page.items])


@click.command()
@talks_to_server
def drains(connection: Connection) -> None:
    """List the drains that stand, scheduled ones included."""
    page = connection.ask(lambda client: client.drains())
    if connection.as_json:
        show_json(page)
        return
    now = time.time()
    show_table(DRAIN_COLUMNS, [_drain_row(drain, now=now) for drain in page.items])


@click.command()
@talks_to_server
def consumers(connection: Connection) -> None:
    """List who applies drain state, and how far each has come."""
    page = connection.ask(lambda client: client.consumers())
    if connection.as_json:
        show_json(page)
        return
    now = time.time()
    show_table(CONSUMER_COLUMNS, [_consumer_row(consumer, now=now) for consumer in page.items])


@click.command()
@click.argument("node", type=NODE, required=False)
@click.option("--jsonl", is_flag=True, help="Print each entry as one line of JSON, as it comes: for an export.")
@talks_to_server
def history(connection: Connection, *, node: str | None, jsonl: bool) -> None:
    """List who did what, when and why, newest first; of one NODE or of all."""
    refuse_together({"--json": connection.as_json, "--jsonl": jsonl})
    if jsonl:
        connection.ask(lambda client: _export_history(client, node))
        return
    page = connection.ask(lambda client: _whole_history(client, node))
    if connection.as_json:
        show_json(page)
        return
    show_table(HISTORY_COLUMNS, [_history_row(entry) for entry in page.items])


async def _whole_history(client: Client, node: str | None) -> Page[HistoryInfo]:
    from dnsd.api.schemas import HistoryInfo, Page

    return Page[HistoryInfo](items=[entry async for entry in client.history(node=node)], next=None)


async def _export_history(client: Client, node: str | None) -> None:
    # Page by page: a history may be longer than memory.
    async for entry in client.history(node=node):
        click.echo(entry.model_dump_json())


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _roles(roles: list[str]) -> str:
    return "all" if ALL_ROLES in roles else ",".join(roles)


def _node_rows(node: NodeInfo) -> list[tuple[str, ...]]:
    shared = (node.region or "", str(node.weight), ",".join(node.addresses))
    return [
        (node.id, role, state.mode, state.health, _yes(state.serving) + _ramp(state.ramp), *shared, state.reason or "")
        for role, state in node.roles.items()
    ]


def _ramp(ramp: RampInfo | None) -> str:
    return "" if ramp is None else f", {ramp.percent} %"


def _pool_row(pool: PoolInfo) -> tuple[str, ...]:
    out = "; ".join(f"{member.node}: {', '.join(member.reasons)}" for member in pool.members if not member.serving)
    back = "; ".join(f"{each.node}{_ramp(each.ramp)}" for each in pool.members if each.serving and each.ramp)
    return (
        pool.owner,
        pool.type,
        pool.role,
        str(pool.serving),
        str(pool.total),
        pool.floor,
        _yes(pool.floor_ok),
        pool.when_empty if pool.tier == "pool" else pool.tier,  # which pool: `pool:<owner>`
        out,
        back,
    )


def _drain_row(drain: DrainInfo, *, now: float) -> tuple[str, ...]:
    expires = "never" if drain.expires_at is None else moment(drain.expires_at, now=now)
    starts = moment(drain.starts_at, now=now)
    return (
        drain.node,
        _roles(drain.roles),
        drain.mode,
        drain.holder,
        drain.state,
        starts,
        expires,
        drain.actor,
        drain.reason,
    )


def _consumer_row(consumer: ConsumerInfo, *, now: float) -> tuple[str, ...]:
    return (
        consumer.id,
        consumer.kind,
        str(consumer.applied_revision),
        _yes(consumer.behind),
        milliseconds(consumer.lag_ms),
        _yes(consumer.live),
        "never" if consumer.last_seen is None else moment(consumer.last_seen, now=now),
    )


def _history_row(entry: HistoryInfo) -> tuple[str, ...]:
    notes = [word for word, true in (("forced", entry.forced), ("all holders", entry.all_holders)) if true]
    return (
        str(entry.revision),
        absolute(entry.at),
        entry.action,
        entry.node,
        _roles(entry.roles),
        entry.holder or "",
        entry.actor,
        ", ".join(notes),
        entry.reason,
    )
