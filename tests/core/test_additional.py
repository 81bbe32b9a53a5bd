"""The additional section: what an answer that names hosts has along (RFC 1034 §4.3.2 step 6, RFC 9460 §4.1)."""

from __future__ import annotations

import pytest

from tests.support.dnsmessages import ask, engine_of, shown, zone_of

ZONE = zone_of(
    """
    mail        A 192.0.2.25
    mail        AAAA 2001:db8::25
    *.pool      A 192.0.2.30
    alias       CNAME mail
    sub         NS ns.sub
    ns.sub      A 192.0.2.40
    host.sub    A 192.0.2.41
    gone        DNAME elsewhere.example.net.
    *.gone      A 192.0.2.60
    @           MX 10 mail
    wild        MX 10 any.pool
    hidden      MX 10 host.sub
    glued       MX 10 ns.sub
    aliased     MX 10 alias
    moved       MX 10 x.gone
    nowhere     MX 10 no.such
    kx          KX 10 mail
    rt          RT 10 mail
    afs         AFSDB 1 mail
    web         HTTPS 1 . alpn=h2
    web         A 192.0.2.50
    far         HTTPS 1 mail alpn=h2
    there       HTTPS 0 web
    chain       HTTPS 0 there
    none        HTTPS 0 .
    loop        HTTPS 0 loop
    svc         SVCB 1 mail
    svc         SVCB 2 web port=8443
    """
)

MAIL = ("mail.example.org. 300 A 192.0.2.25", "mail.example.org. 300 AAAA 2001:db8::25")
WEB = ("web.example.org. 300 A 192.0.2.50",)
WEB_SERVICE = 'web.example.org. 300 HTTPS 1 . alpn="h2"'

CASES = {
    "example.org. MX": MAIL,
    "wild.example.org. MX": ("any.pool.example.org. 300 A 192.0.2.30",),
    "hidden.example.org. MX": (),
    "glued.example.org. MX": ("ns.sub.example.org. 300 A 192.0.2.40",),
    "aliased.example.org. MX": (),
    "moved.example.org. MX": (),
    "nowhere.example.org. MX": (),
    "kx.example.org. KX": MAIL,
    "rt.example.org. RT": MAIL,
    "afs.example.org. AFSDB": MAIL,
    "web.example.org. HTTPS": WEB,
    "far.example.org. HTTPS": MAIL,
    "there.example.org. HTTPS": (WEB_SERVICE, *WEB),
    "chain.example.org. HTTPS": ("there.example.org. 300 HTTPS 0 web.example.org.", WEB_SERVICE, *WEB),
    "none.example.org. HTTPS": (),
    "loop.example.org. HTTPS": (),
    "svc.example.org. SVCB": (*MAIL, *WEB),
}


@pytest.mark.parametrize("question", CASES)
def test_additional_records(question: str) -> None:
    """What a client would ask next, each once: through wildcards and SVCB's aliases, not from below a delegation."""
    _, _, additional = shown(ask(engine_of(ZONE), question)).partition("additional:\n")
    assert tuple(line.strip() for line in additional.splitlines()) == CASES[question]


def test_what_does_not_fit_is_left_out() -> None:
    """An optional record makes no answer larger than its limit, and none truncated."""
    hosts = "\n".join(f"h{number} A 192.0.2.{number}\n@ MX 10 h{number}" for number in range(1, 17))
    response = ask(engine_of(zone_of(hosts)), "example.org. MX")
    assert (len(response.answer), "tc" in shown(response)) == (16, False)
    assert 0 < len(response.additional) < 16
