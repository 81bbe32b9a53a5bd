"""The Lua scripts that Redis runs for us, each one step that nothing comes between."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from redis.asyncio import Redis


def source(name: str) -> str:
    """Return the text of a script of this folder."""
    return (files(__package__) / f"{name}.lua").read_text(encoding="utf-8")


COMMIT = source("commit")
PUT_REPORTS = source("put_reports")
CONSUMERS = source("consumers")
CLAIM_SERIALS = source("claim_serials")
TOGETHER = source("together")


async def together(client: Redis, *commands: tuple[str, ...]) -> list[Any]:
    """Run commands as one step, and return their answers as Redis gives them to scripts: maps are flat lists.

    Args:
        commands: words, of which the second is a key.
    """
    words: list[str] = []
    for command in commands:
        words += [str(len(command)), *command]
    answers: list[Any] = await client.register_script(TOGETHER)([command[1] for command in commands], words)
    return answers
