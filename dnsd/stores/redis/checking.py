"""Whether a Redis is one that dnsd can use: its version, whose keys those are, and what layout they have.

Looked at each time a connection is made, before anything is read or written. It touches nothing that is there; only a
prefix without any key gets the number of our layout.
"""

from __future__ import annotations

from redis.asyncio import Redis

from dnsd.errors import StoreRefused
from dnsd.stores.redis import layout, scripts
from dnsd.stores.redis.connecting import Checked


async def check_server(client: Redis, keys: layout.Keys, *, label: str) -> Checked:
    """Check a server, and say what it is.

    Args:
        label: what messages call the store.

    Raises:
        StoreRefused: another version, keys of somebody else's, or a newer layout.
        RedisError, OSError: it cannot be asked, or does not take the first write.
        ValueError: its revision is no number.
    """
    about = await client.info("server")
    replication = await client.info("replication")
    reason = _why_not_version(str(about.get("redis_version", "")))
    if reason is not None:
        raise StoreRefused(f"{label}: {reason}")
    types = await scripts.together(client, *(("TYPE", key) for key in keys.types))
    there = {key: found for key, found in zip(keys.types, types, strict=True) if found != "none"}
    for key, found in there.items():
        if found != keys.types[key]:
            raise StoreRefused(f"{label}: {layout.other_type(key, found)}")
    schema = await client.get(keys.schema)
    if schema is None and not there.keys().isdisjoint(keys.written_by_dnsd_alone):
        raise StoreRefused(f"{label}: there are keys of this prefix without {keys.schema}: {layout.NOT_OURS}")
    if schema not in (None, layout.SCHEMA):
        raise StoreRefused(f"{label}: {layout.other_schema(str(schema))}")
    await client.xread({keys.changes: "0-0"}, count=1)  # whoever may not do this would hear of nothing
    if schema is None:
        await client.set(keys.schema, layout.SCHEMA, nx=True)
    return Checked(
        run_id=str(about.get("run_id", "")),
        is_replica=str(replication.get("role")) != "master",
        revision=int(await client.get(keys.revision) or 0),
        replicas=int(replication.get("connected_slaves", 0)),
    )


def _why_not_version(text: str) -> str | None:
    numbers = tuple(int(part) for part in text.split(".")[:2] if part.isdigit())
    if len(numbers) == 2 and numbers >= layout.OLDEST_VERSION:
        return None
    oldest = ".".join(map(str, layout.OLDEST_VERSION))
    return f"it is Redis {text or 'of an unknown version'}, and dnsd needs {oldest} or newer, or Valkey"
