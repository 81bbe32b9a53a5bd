"""Where DNS is answered over TLS and HTTPS, and which proxies in front of it are believed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dnsd.config.certificate import check_certificate
from dnsd.config.document import Document, Entry
from dnsd.config.endpoints import check_listen
from dnsd.config.findings import Findings
from dnsd.config.networks import good_networks
from dnsd.config.schema import Section
from dnsd.config.url_paths import check_url_path
from dnsd.model.endpoint import Endpoint


def check_fronts(
    document: Document, findings: Findings, *, folder: Path, listen: tuple[Endpoint, ...]
) -> dict[str, Any]:
    """Return the fields of `Settings` that are about TLS, HTTPS and proxies; problems go to the findings.

    Args:
        folder: what relative paths are relative to.
        listen: the addresses that are taken already.
    """
    tls = check_listen(document.tls, findings, taken=listen)
    https = check_listen(document.https, findings, taken=(*listen, *tls))
    needed_by = "tls.listen" if tls else "https.listen" if https else ""
    return {
        "tls_listen": tls,
        "https_listen": https,
        "https_path": check_url_path(document.https, findings, example="/dns-query") or "",
        "certificate": check_certificate(document.tls, findings, folder=folder, needed_by=needed_by),
        "proxies": _check_proxies(document.proxy, findings),
    }


def _check_proxies(proxy: Entry[Section], findings: Findings) -> tuple[str, ...]:
    found: list[str] = []
    for index, text, network in good_networks(proxy, "from", findings):
        if network.prefixlen == 0:
            message = f"{text} is everybody: whoever asks may claim any address. List the proxies alone"
            findings.warning(proxy.at("from", index), "proxy-is-anybody", message=message)
        found.append(str(network))
    return tuple(found)


def warn_of_parted_limits(proxy: Entry[Section], findings: Findings, *, workers: int) -> None:
    """Say what rate limits come to where few sockets of a proxy ask for many clients.

    Args:
        workers: answer processes, each with its part of the limits; the kernel chooses one by the proxy's port.
    """
    if proxy.texts("from") and workers > 1:
        message = (
            f"a proxy that asks over UDP from one port reaches one of {workers} workers, whose limits are 1/{workers} "
            "of [rate_limit]: have it ask from many (dnsdist: sockets=64), or set higher limits"
        )
        findings.warning(proxy.at("from"), "limits-behind-proxy", message=message)
