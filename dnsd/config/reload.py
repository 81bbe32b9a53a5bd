"""Which settings a reload cannot change: what is bound, opened or started once."""

from __future__ import annotations

from dnsd.config.settings import Settings

# The key or table in the file, and the field of `Settings` that holds it.
_FIXED = (
    ("server.id", "server_id"),
    ("server.listen", "listen"),
    ("server.workers", "workers"),
    ("tcp", "tcp"),
    ("tls.listen", "tls_listen"),
    ("https.listen", "https_listen"),
    ("https.path", "https_path"),
    ("proxy", "proxies"),
    ("admin.listen", "admin_listen"),
    ("store.url", "store_url"),
    ("store.prefix", "store_prefix"),
    ("store.state_file", "state_file"),
    ("store.min_replicas", "min_replicas"),
)


def needs_restart(old: Settings, new: Settings) -> tuple[str, ...]:
    """Return the keys that differ and that only a restart can change, as `server.listen`.

    Args:
        old: what the server runs with.
        new: what a reload has read.
    """
    keys = [key for key, field in _FIXED if getattr(old, field) != getattr(new, field)]
    if (old.transfer is None) != (new.transfer is None):
        keys.append("transfer")  # versions of zones are kept from the start on, or not at all
    return tuple(keys)
