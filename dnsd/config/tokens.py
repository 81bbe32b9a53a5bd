"""Bearer tokens of the admin interface."""

from __future__ import annotations

import re
from collections.abc import Sequence

from dnsd.config.document import Entry
from dnsd.config.findings import Findings
from dnsd.config.schema import TokenSection
from dnsd.config.settings import Scope, Token
from dnsd.model.node import HOLDER, NODE_ID

_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


def check_tokens(entries: Sequence[Entry[TokenSection]], findings: Findings) -> tuple[Token, ...]:
    """Return the tokens; problems go to the findings."""
    names: set[str] = set()
    hashes: set[str] = set()
    tokens: list[Token] = []
    for entry in entries:
        if entry.good("name"):
            _check_name(entry, names, findings)
        if entry.good("sha256"):
            _check_hash(entry, hashes, findings)
        if entry.good("node"):
            _check_node(entry, findings)
        if entry.good("consumer"):
            _check_consumer(entry, findings)
        if not entry.faulty:
            section = entry.section
            token = Token(
                name=section.name,
                scope=Scope(section.scope),
                sha256=section.sha256.lower(),
                node=section.node,
                consumer=section.consumer,
            )
            tokens.append(token)
    return tuple(tokens)


def _check_name(entry: Entry[TokenSection], names: set[str], findings: Findings) -> None:
    name = entry.section.name
    if not HOLDER.fullmatch(name):
        message = f"{name!r} cannot be an actor: letters, digits and _ . @ : - , at most 128"
        findings.problem(entry.at("name"), "bad-token-name", message=message)
    elif name in names:
        findings.problem(entry.at("name"), "duplicate-token", message=f'there is a token named "{name}" already')
    names.add(name)


def _check_hash(entry: Entry[TokenSection], hashes: set[str], findings: Findings) -> None:
    sha256 = entry.section.sha256.lower()
    if not _SHA256.fullmatch(sha256):
        message = "should be the token's SHA-256 in 64 hexadecimal digits, as `dnsd token NAME` prints it"
        findings.problem(entry.at("sha256"), "bad-sha256", message=message)
    elif sha256 in hashes:
        findings.problem(entry.at("sha256"), "duplicate-sha256", message="another token has the same SHA-256")
    hashes.add(sha256)


def _check_node(entry: Entry[TokenSection], findings: Findings) -> None:
    node = entry.section.node
    if node is not None and not NODE_ID.fullmatch(node):
        findings.problem(entry.at("node"), "bad-node-id", message=f"{node!r} is not a node id")
    if not entry.good("scope"):
        return
    if entry.section.scope == "agent" and node is None:
        message = "an agent's token names the node that it speaks for"
        findings.problem(entry.at("node"), "token-without-node", message=message)
    elif entry.section.scope != "agent" and node is not None:
        message = f"only an agent's token is bound to a node, and this one's scope is {entry.section.scope}"
        findings.problem(entry.at("node"), "token-with-node", message=message)


def _check_consumer(entry: Entry[TokenSection], findings: Findings) -> None:
    consumer = entry.section.consumer
    if consumer is None:
        return
    if not HOLDER.fullmatch(consumer):
        message = f"{consumer!r} cannot be a router's id: letters, digits and _ . @ : - , at most 128"
        findings.problem(entry.at("consumer"), "bad-consumer-id", message=message)
    if entry.good("scope") and entry.section.scope != "router":
        message = f"only a router's token is bound to a consumer, and this one's scope is {entry.section.scope}"
        findings.problem(entry.at("consumer"), "token-with-consumer", message=message)
