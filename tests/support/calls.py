"""Calls of a real server's HTTP interface, with nothing of dnsd in between."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

from tests.support.servers import Server


def http(server: Server, method: str, path: str, body: object = None) -> tuple[int, Any]:
    """Call the admin interface with nothing of ours in between."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(server.url + path, data=data, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as refusal:
        with refusal:
            kind, document = refusal.headers["Content-Type"], json.load(refusal)
    assert kind == "application/problem+json"
    return document["status"], document
