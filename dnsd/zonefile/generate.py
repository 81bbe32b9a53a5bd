r"""`$GENERATE`: one line of a master file that stands for many records. It is BIND's, and in no RFC.

    $GENERATE range owner [TTL] [class] type data

A `$` in the owner and the data is replaced by the counter; `${offset,width,base}` shifts, pads and writes it in
base d, o, x or X, or with n or N as the hexadecimal digits of a name below ip6.arpa: the lowest first, separated by
dots, where the width counts digits and dots. `$$` and `\$` are a dollar sign.

Where the data is one quoted word, its quotes only hold it together: `$GENERATE 1-9 h$ MX "0 ."` makes records with the
data `0 .`, and `"\"a b\""` those with the data `"a b"`. So it is in BIND. Where the data is several words, quotes mean
what they mean in any record.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

# What one line may make, so that a slip of the pen does not fill the memory. Unit: records. A /16's reverse zone fits.
MAX_GENERATED = 65_536

# No label and no number in a record is longer. Unit: characters.
MAX_WIDTH = 127

_RANGE = re.compile(r"(\d{1,10})-(\d{1,10})(?:/(\d{1,10}))?", re.ASCII)
_PLACE = re.compile(r"\\.|\$\$|\$(?:\{([^}]*)\})?", re.DOTALL)
_MODIFIER = re.compile(r"([+-]?\d{1,10})(?:,(\d{1,3})(?:,([doxXnN]))?)?", re.ASCII)

# What may stand between the owner and the type.
_TTL_OR_CLASS = re.compile(r"\d\w*|IN|CH|HS|CLASS\d+", re.ASCII | re.IGNORECASE)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def generated_lines(words: Sequence[str]) -> Iterator[str]:
    """Yield the record lines that a `$GENERATE` stands for.

    Args:
        words: what follows the directive, as written: range, owner, and the rest of a record.

    Raises:
        ValueError: a bad range or modifier, too many records, or a word missing.
    """
    if len(words) < 4:
        raise ValueError("$GENERATE needs a range, an owner, a type and data")
    template = " ".join([*words[1:-1], _last(words)])
    for counter in _numbers(words[0]):
        yield _expanded(template, counter)


def _last(words: Sequence[str]) -> str:
    """Return the last word, without its quotes where it is all of the data."""
    last = words[-1]
    kind = next((place for place, word in enumerate(words) if place > 1 and not _TTL_OR_CLASS.fullmatch(word)), 0)
    if not last.startswith('"') or kind != len(words) - 2:
        return last
    return _ESCAPED.sub(lambda match: '"' if match[1] == '"' else match[0], last[1:-1])


def _numbers(text: str) -> range:
    match = _RANGE.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is not a range such as 1-10 or 0-100/2")
    start, stop, step = int(match[1]), int(match[2]), int(match[3] or 1)
    if stop < start or step < 1:
        raise ValueError(f"the range {text!r} is empty")
    numbers = range(start, stop + 1, step)
    if len(numbers) > MAX_GENERATED:
        raise ValueError(f"the range {text!r} makes {len(numbers)} records; at most {MAX_GENERATED} are allowed")
    return numbers


def _expanded(template: str, counter: int) -> str:
    def replaced(match: re.Match[str]) -> str:
        if match[0].startswith("\\"):
            return match[0]
        # "$" alone is special to nothing but this directive, so that a literal one needs no escape in the record.
        return "$" if match[0] == "$$" else _number(counter, match[1])

    return _PLACE.sub(replaced, template)


def _number(counter: int, modifier: str | None) -> str:
    if modifier is None:
        return str(counter)
    match = _MODIFIER.fullmatch(modifier)
    if not match or int(match[2] or 0) > MAX_WIDTH:
        raise ValueError(f"${{{modifier}}} is not of the form ${{offset,width,base}}")
    number, width, base = counter + int(match[1]), int(match[2] or 0), match[3] or "d"
    if base in "nN":
        return _nibbles(number, width, "x" if base == "n" else "X")
    return format(number, base).zfill(width)


def _nibbles(number: int, width: int, base: str) -> str:
    """Return hexadecimal digits, the lowest first, each but the last with a dot behind it.

    Args:
        width: the least number of digits and dots; an even one ends in a dot, as in BIND.
    """
    if number < 0:
        raise ValueError(f"{number} has no hexadecimal digits for a name")
    digits = format(number, base)[::-1]
    return ".".join(digits.ljust((width + 1) // 2, "0")) + (
        "." if width % 2 == 0 and width > 2 * len(digits) - 1 else ""
    )
