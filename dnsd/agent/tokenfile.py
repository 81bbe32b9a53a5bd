"""Reads the bearer token from its file."""

from __future__ import annotations

from pathlib import Path

from dnsd.api.address import checked_token

# A token and the end of its line; a larger file is something else. Unit: bytes.
MAX_SIZE = 4096


def read_token(path: Path) -> str:
    """Return the token in a file, without the space around it.

    Raises:
        ValueError: it cannot be read or holds no token; the message does not repeat what is in it.
    """
    try:
        if not path.is_file():
            raise ValueError(f"{path}: {'it is not a file' if path.exists() else 'there is no such file'}")
        with path.open("rb") as file:
            raw = file.read(MAX_SIZE + 1)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    try:
        text = raw.decode("ascii").strip()
    except UnicodeDecodeError:
        text = ""
    if not text or len(raw) > MAX_SIZE:
        raise ValueError(f"{path} holds no token")
    return checked_token(text)
