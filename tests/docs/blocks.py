"""What documents show: the blocks of code of a page."""

from __future__ import annotations

import re
from pathlib import Path


def blocks_of(page: Path, language: str) -> list[str]:
    """Return the blocks of a language, in their order."""
    return re.findall(rf"^```{re.escape(language)}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


def replaced(text: str, values: dict[str, str]) -> str:
    """Return a text with what it prints replaced; each value must be there."""
    for printed, used in values.items():
        assert printed in text, f"the page does not print {printed!r}"
        text = text.replace(printed, used)
    return text
