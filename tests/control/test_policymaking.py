"""What the control process adds to the configured policy before workers get it."""

from __future__ import annotations

from dnsd.control.policymaking import Policymaker
from dnsd.core.policy import AnswerPolicy

SECRET = bytes(16)


def test_without_a_configured_secret_there_is_one_for_all_workers() -> None:
    """It is the same each time, so that a worker that is started later agrees, and another one after a restart."""
    maker = Policymaker()
    configured = AnswerPolicy(cookies=True)
    (secret,) = maker.complete(configured, stale=False).cookie_secrets
    assert len(secret) == 16
    assert maker.complete(configured, stale=True).cookie_secrets == (secret,)
    assert Policymaker().complete(configured, stale=False).cookie_secrets != (secret,)


def test_configured_secrets_stay_alone() -> None:
    """Servers that share a secret must not accept another one besides."""
    configured = AnswerPolicy(cookies=True, cookie_secrets=(SECRET,))
    assert Policymaker().complete(configured, stale=False) == configured


def test_without_cookies_there_is_no_secret() -> None:
    """A worker without a secret understands no cookie, whatever file is configured."""
    assert Policymaker().complete(AnswerPolicy(cookie_secrets=(SECRET,)), stale=False).cookie_secrets == ()


def test_a_store_out_of_reach_is_told() -> None:
    """Workers say of stale answers that they are."""
    assert Policymaker().complete(AnswerPolicy(nsid="ns1"), stale=True) == AnswerPolicy(nsid="ns1", stale=True)
