"""The URLs of Redis: what they mean, what is wrong with others, and that no password is ever shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from dnsd.stores.opening import is_remote, open_store, why_not
from dnsd.stores.redis.address import Address, Credentials, Kind, Tls, parse

BASE = Path("/etc/dnsd")

GOOD: dict[str, Address] = {
    "redis://10.0.0.1": Address(kind=Kind.TCP, hosts=(("10.0.0.1", 6379),)),
    "redis://h:7000/3": Address(kind=Kind.TCP, hosts=(("h", 7000),), db=3),
    "redis://[2001:db8::1]:7000/0": Address(kind=Kind.TCP, hosts=(("2001:db8::1", 7000),)),
    "redis://h1,h2:7001,[::1]/0": Address(kind=Kind.TCP, hosts=(("h1", 6379), ("h2", 7001), ("::1", 6379))),
    "redis://:p%40ss@h": Address(kind=Kind.TCP, hosts=(("h", 6379),), credentials=Credentials(password="p@ss")),
    "redis://dnsd:p:q/r@h/1": Address(
        kind=Kind.TCP, hosts=(("h", 6379),), db=1, credentials=Credentials(user="dnsd", password="p:q/r")
    ),
    "rediss://h": Address(kind=Kind.TLS, hosts=(("h", 6379),), tls=Tls()),
    "rediss://h/0?ca=ca.pem&cert=/c.pem&key=k%20.pem": Address(
        kind=Kind.TLS,
        hosts=(("h", 6379),),
        tls=Tls(ca=BASE / "ca.pem", cert=Path("/c.pem"), key=BASE / "k .pem"),
    ),
    "unix:///run/redis/redis.sock": Address(kind=Kind.UNIX, path="/run/redis/redis.sock"),
    "unix://u:p@/run/r%20s?db=2": Address(
        kind=Kind.UNIX, path="/run/r s", db=2, credentials=Credentials(user="u", password="p")
    ),
    "redis+sentinel://s1,s2:1/fleet/2": Address(
        kind=Kind.SENTINEL, hosts=(("s1", 26379), ("s2", 1)), service="fleet", db=2
    ),
    "redis+sentinel://:p@s/my%2Ffleet?sentinel_password=q&sentinel_user=w": Address(
        kind=Kind.SENTINEL,
        hosts=(("s", 26379),),
        service="my/fleet",
        credentials=Credentials(password="p"),
        sentinel=Credentials(user="w", password="q"),
    ),
}


@pytest.mark.parametrize(("url", "address"), GOOD.items(), ids=list(GOOD))
def test_a_url_is_read(url: str, address: Address) -> None:
    """Hosts, ports, database, as whom, and files relative to the configuration."""
    scheme, _, rest = url.partition("://")
    assert why_not(url) is None
    assert is_remote(url) is True
    assert parse(Kind(scheme), rest, base=BASE) == address
    assert open_store(url, prefix="dnsd", base=BASE).label == address.label


@pytest.mark.parametrize(
    ("url", "label"),
    [
        ("redis://u:secret@h1,h2:7000/0", "redis h1:6379, h2:7000"),
        ("redis://u:secret@h1/4", "redis h1:6379/4"),
        ("rediss://u:secret@[::1]/0", "redis [::1]:6379"),
        ("unix://u:secret@/run/redis.sock?db=1", "redis /run/redis.sock, database 1"),
        ("redis+sentinel://:secret@s1,s2/fleet/0?sentinel_password=secret", "redis fleet at s1:26379, s2:26379"),
    ],
)
def test_a_store_is_called_by_its_place(url: str, label: str) -> None:
    """Without who speaks to it; another database is another store."""
    store = open_store(url, prefix="dnsd", base=BASE)
    assert store.label == label
    scheme, _, rest = url.partition("://")
    assert "secret" not in repr(parse(Kind(scheme), rest, base=BASE))


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("redis://", "names no host"),
        ("redis://:secret@", "names no host"),
        ("redis://h,,h2", "names no host"),
        ("redis://h:secret", "a port is"),
        ("redis://h:0", "a port is"),
        ("redis://h:65536", "a port is"),
        ("redis://h:1:2", "in brackets"),
        ("redis://[::1", "in brackets"),
        ("redis://[::1]x", "in brackets"),
        ("redis://secret@h", "USER:PASSWORD"),
        ("redis://h/x", "'x' is not the number"),
        ("redis://h/-1", "is not the number"),
        ("redis://h/99999999", "is not the number"),
        ("redis://h/0/1", "the number of a database"),
        ("redis://h/0?db=1", "'db' is not known"),
        ("redis://h?", None),
        ("redis://h?x", "NAME=VALUE"),
        ("redis://h h", "percent-encoded"),
        ("rediss://h?ca=a&cert=b", "go together"),
        ("rediss://h?insecure=1", "'insecure' is not known"),
        ("unix://run/redis.sock", "absolute path"),
        ("unix:///run/", "absolute path"),
        ("unix:///run/redis.sock?db=x", "is not the number"),
        ("redis+sentinel://h", "names its service"),
        ("redis+sentinel://h/", "names its service"),
        ("redis+sentinel://h/s/x", "is not the number"),
        ("redis+sentinel://h/s/0/1", "the number of a database"),
    ],
)
def test_a_url_that_is_wrong_is_explained(url: str, says: str | None) -> None:
    """One sentence, without the password that may be in it."""
    reason = why_not(url)
    if says is None:
        assert reason is None
        return
    assert reason is not None
    assert says in reason
    assert "secret" not in reason
