"""DNS cookies: the file with the secrets that servers share (RFC 9018 §5).

A secret is written as 32 hexadecimal digits on a line of its own, as BIND and Knot write theirs. The first makes
cookies, those of all lines are accepted. To change it without refusing anybody: add the new one as the last line on
every server and reload them; move it to the first line, reload; an hour later, remove the old one.
"""

from __future__ import annotations

import re
import stat
from pathlib import Path

from dnsd.config.document import Entry
from dnsd.config.findings import Findings
from dnsd.config.schema import CookiesSection
from dnsd.zonefile.files import read_regular, why_unreadable

# A change of secrets needs two at a time. Each costs a hash, 10 to 14 µs, for a cookie that is none of ours. Unit:
# secrets.
MAX_SECRETS = 8

_SECRET = re.compile(rb"[0-9A-Fa-f]{32}")


def check_cookie_secrets(entry: Entry[CookiesSection], findings: Findings, *, folder: Path) -> tuple[bytes, ...]:
    """Return the secrets of the file; none where there is no file. Problems go to the findings.

    Args:
        folder: what relative paths are relative to.
    """
    if not entry.good("secret_file") or entry.section.secret_file is None:
        return ()
    place = entry.at("secret_file")
    path = folder / entry.section.secret_file
    try:
        lines = read_regular(path).splitlines()
        open_to_others = bool(path.stat().st_mode & stat.S_IROTH)
    except (OSError, ValueError) as error:
        findings.problem(place, "unreadable", message=f"{path} cannot be read: {why_unreadable(error)}")
        return ()
    if open_to_others:
        message = f"everybody on this machine can read {path}, and make cookies with it: chmod o-r"
        findings.warning(place, "secret-open", message=message)
    return _check_lines(lines, path, entry, findings)


def _check_lines(lines: list[bytes], path: Path, entry: Entry[CookiesSection], findings: Findings) -> tuple[bytes, ...]:
    place = entry.at("secret_file")
    secrets: list[bytes] = []
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if _SECRET.fullmatch(text):
            secrets.append(bytes.fromhex(text.decode()))
        elif text:
            # The line itself is not shown: it may be a secret with a slip in it.
            message = f"line {number} of {path} is not a secret: 32 hexadecimal digits"
            findings.problem(place, "bad-cookie-secret", message=message)
    if not any(line.strip() for line in lines):
        message = f"there is no secret in {path}: a line of 32 hexadecimal digits"
        findings.problem(place, "no-cookie-secret", message=message)
    if len(secrets) > MAX_SECRETS:
        message = f"there are {len(secrets)} secrets in {path}, and {MAX_SECRETS} at most"
        findings.problem(place, "bad-cookie-secret", message=message)
    return tuple(secrets)
