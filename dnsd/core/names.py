"""Domain names as the core keeps them: uncompressed wire form, folded to lower case, final zero byte included.

So a name is a dictionary key, and its parent is a slice of it. Text with escapes is the concern of dnspython, outside
the core; here text is only made of letters, digits, hyphens and underscores, as configuration allows.
"""

from __future__ import annotations

from collections.abc import Iterator

from dnsd.core.constants import MAX_LABEL_SIZE, MAX_NAME_SIZE

ROOT = b"\x00"

# The label that makes a wildcard of the name that it stands before (RFC 4592 §2.1.1).
WILDCARD = b"\x01*"

# RFC 4343: only the ASCII letters fold. Length bytes are at most 63, below "A" (65), so that a name in wire form
# can be folded as a whole: bytes.lower() does exactly that.


def from_text(text: str) -> bytes:
    """Turn a fully qualified name without escapes into folded wire form.

    Raises:
        ValueError: not ASCII, an empty or overlong label, or an overlong name.
    """
    stripped = text[:-1] if text.endswith(".") else text
    if not stripped:
        return ROOT
    wire = bytearray()
    for label in stripped.lower().encode("ascii").split(b"."):
        if not 1 <= len(label) <= MAX_LABEL_SIZE:
            raise ValueError(f"{text!r}: a label has 1 to {MAX_LABEL_SIZE} characters")
        wire.append(len(label))
        wire += label
    wire.append(0)
    if len(wire) > MAX_NAME_SIZE:
        raise ValueError(f"{text!r}: a name has at most {MAX_NAME_SIZE} bytes")
    return bytes(wire)


def to_text(name: bytes) -> str:
    """Write a wire name as text, with the escapes of RFC 1035 §5.1; for messages and logs."""
    if name == ROOT:
        return "."
    return "".join("".join(_escaped(byte) for byte in label) + "." for label in labels(name))


def _escaped(byte: int) -> str:
    if byte in b'.;\\"()@$':
        return "\\" + chr(byte)
    return chr(byte) if 0x21 <= byte <= 0x7E else f"\\{byte:03d}"


def labels(name: bytes) -> Iterator[bytes]:
    """Yield the labels of a wire name, the leftmost first, without the root."""
    offset = 0
    while size := name[offset]:
        yield name[offset + 1 : offset + 1 + size]
        offset += 1 + size


def name_end(wire: bytes, position: int = 0) -> int:
    """Return the position behind the name that begins at a position of uncompressed wire data."""
    while size := wire[position]:
        position += size + 1
    return position + 1


def parent(name: bytes) -> bytes:
    """Return the name without its leftmost label; the root has no parent and must not be asked for."""
    return name[name[0] + 1 :]


def ancestors(name: bytes) -> Iterator[bytes]:
    """Yield the parent, its parent, and so on up to the root."""
    while name != ROOT:
        name = parent(name)
        yield name


def is_at_or_below(name: bytes, ancestor: bytes) -> bool:
    """Say whether a name is an ancestor's own or below it; both folded."""
    while len(name) > len(ancestor):
        name = parent(name)
    return name == ancestor
