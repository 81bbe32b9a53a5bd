"""How to answer, whatever is asked for: the engine's part of the configuration."""

from __future__ import annotations

from pathlib import Path

from dnsd.config.cookies import check_cookie_secrets
from dnsd.config.document import Document, Entry
from dnsd.config.findings import Findings
from dnsd.config.rate_limit import check_rate_limit
from dnsd.config.schema import ServerSection
from dnsd.core.policy import AnswerPolicy

# The longest texts that the server tells of itself. Unit: bytes. Of NSID: what fits beside all else into an error
# response of 512 bytes; of a TXT record: RFC 1035 §3.3.
MAX_NSID = 128
MAX_TEXT = 255


def check_answering(
    document: Document, findings: Findings, *, folder: Path, server_id: str, workers: int
) -> AnswerPolicy:
    """Return the policy; problems go to the findings.

    Args:
        folder: what relative paths are relative to.
        server_id: what the server tells as its NSID, unless told otherwise.
        workers: answer processes, which share a rate limit among them.
    """
    server, cookies = document.server, document.cookies
    nsid = _text(server, "nsid", findings, most=MAX_NSID)
    id_server = server.good("id_server") and server.section.id_server
    return AnswerPolicy(
        nsid=server_id if nsid is None else nsid,
        version_text=_text(server, "version_bind", findings, most=MAX_TEXT) or "",
        id_text=server_id if id_server else "",
        cookies=cookies.good("enabled") and cookies.section.enabled,
        cookie_secrets=check_cookie_secrets(cookies, findings, folder=folder),
        require_cookies=cookies.good("require") and cookies.section.require,
        rate_limit=check_rate_limit(document.rate_limit, findings, workers=workers),
    )


def _text(server: Entry[ServerSection], key: str, findings: Findings, *, most: int) -> str | None:
    if not server.good(key):
        return None
    text: str | None = getattr(server.section, key)
    if text is not None and len(text.encode()) > most:
        findings.problem(server.at(key), "bad-value", message=f"should have at most {most} bytes")
    return text
