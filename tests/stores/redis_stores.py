"""Redis stores for tests of what only they do: opened at a URL, with the keys of a server beside them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis

from dnsd.errors import StoreUnavailable
from dnsd.stores.opening import open_store
from dnsd.stores.redis.store import RedisStore
from tests.support.redis import RedisServer


def store_at(url: str, *, prefix: str = "dnsd", min_replicas: int = 0) -> RedisStore:
    """Return a store that is not open yet."""
    store = open_store(url, prefix=prefix, base=Path("/"), min_replicas=min_replicas)
    assert isinstance(store, RedisStore)
    return store


@contextlib.asynccontextmanager
async def opened(url: str, *, prefix: str = "dnsd", min_replicas: int = 0) -> AsyncIterator[RedisStore]:
    """Have a store open for a while."""
    store = store_at(url, prefix=prefix, min_replicas=min_replicas)
    try:
        await store.open()
        yield store
    finally:
        await store.close()


async def refusal(url: str, kind: type[StoreUnavailable], *, prefix: str = "dnsd") -> str:
    """Open a store that must be refused, and return its one line."""
    store = store_at(url, prefix=prefix)
    with pytest.raises(StoreUnavailable) as caught:
        await store.open()
    await store.close()
    assert type(caught.value) is kind, caught.value
    says = str(caught.value)
    assert says.startswith(f"{store.label}: ")
    assert "\n" not in says
    return says


def everything_in(server: RedisServer) -> dict[bytes, object]:
    """Return every key of a server with its content, as bytes that Redis can restore it from."""
    with redis.Redis(port=server.port, password=server.password) as client:
        return {key: client.dump(key) for key in client.keys("*")}
