"""Nodes' URLs, from a template such as `https://{id}.nodes.example.org:{port}/live/{key}`."""

from __future__ import annotations

import string
from ipaddress import ip_address
from urllib.parse import quote, urlsplit

from dnsd.model.node import Node

FIELDS = ("id", "address", "ipv4", "ipv6", "region", "cluster", "port", "role", "key")

_SCHEMES = ("http", "https", "rtmp", "rtmps", "rtsp", "rtsps", "srt", "ws", "wss")


class UrlTemplate:
    """A template that was found to be good.

    Raises:
        ValueError: with one sentence on what is wrong.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            parts = list(string.Formatter().parse(text))
        except ValueError:
            raise ValueError(f"{text!r} has a brace that nothing closes or opens") from None
        named = [(name, spec, conversion) for _, name, spec, conversion in parts if name is not None]
        for name, spec, conversion in named:
            if name not in FIELDS or spec or conversion:
                raise ValueError(f"{text!r} has a field {{{name}}}; there are {', '.join(FIELDS)}")
        checked_url(text.format(**dict.fromkeys(FIELDS, "1")))
        if not {"id", "address", "ipv4", "ipv6"} & {name for name, _, _ in named}:
            raise ValueError(f"{text!r} is the same for every node: it needs {{id}} or {{address}}")

    def url_of(self, node: Node, *, role: str, key: str) -> str | None:
        """Return a node's URL; None: it lacks what a field stands for."""
        ipv4 = [text for text in node.addresses if ip_address(text).version == 4]
        ipv6 = [f"[{text}]" for text in node.addresses if ip_address(text).version == 6]
        values = {
            "id": node.id,
            "address": (f"[{node.addresses[0]}]" if ":" in node.addresses[0] else node.addresses[0])
            if node.addresses
            else None,
            "ipv4": next(iter(ipv4), None),
            "ipv6": next(iter(ipv6), None),
            "region": _quoted(node.region),
            "cluster": _quoted(node.cluster),
            "port": str(node.ports[role]) if role in node.ports else None,
            "role": role,
            "key": quote(key, safe="", errors="replace"),
        }
        used = {name for _, name, _, _ in string.Formatter().parse(self.text) if name is not None}
        if any(values[name] is None for name in used):
            return None
        return self.text.format(**values)


def checked_url(text: str) -> str:
    """Return a URL that clients can be sent to.

    Raises:
        ValueError: with one sentence on what is wrong.
    """
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError as error:
        raise ValueError(f"{text!r} is not a URL: {error}") from None
    if parts.scheme not in _SCHEMES or not parts.hostname or not text.isprintable() or " " in text:
        raise ValueError(f"{text!r} is not a URL with a host and one of {', '.join(_SCHEMES)}")
    return text


def _quoted(text: str | None) -> str | None:
    return None if text is None else quote(text, safe="")
