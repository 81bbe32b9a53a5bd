r"""From the bytes of a master file to text for the tokenizer.

A master file has no character set: its data is octets (RFC 1035 §5.1, RFC 2181 §11). UTF-8 is read as such, so that
names of other scripts can be written, and any other byte becomes the escape `\DDD`, which stands for that octet.
"""

from __future__ import annotations

import re

# A pair of backslashes, which is left alone; or what is escaped, with the backslash that quotes it if any.
_PLACE = re.compile(r"\\\\|\\?([\r\udc80-\udcff])")


def text_of(data: bytes) -> str:
    r"""Return the text of a master file, its lines ended by `\n`.

    Only `\n` and `\r\n` end a line. A lone `\r` does not, and becomes an escape as well: whoever reads
    `; old\rwww A 192.0.2.1` in an editor may see a comment.
    """
    lines = data.replace(b"\r\n", b"\n")
    text = lines.decode("utf-8", "surrogateescape")
    return text if text.isascii() and "\r" not in text else _PLACE.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    # The surrogates that stand for bytes are U+DC80 to U+DCFF (PEP 383).
    return f"\\{ord(match[1]) & 0xFF:03d}" if match[1] else match[0]
