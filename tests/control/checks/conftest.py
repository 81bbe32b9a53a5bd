"""The network of these tests."""

from __future__ import annotations

import pytest

from tests.control.checks.rig import FakeProber


@pytest.fixture
def network() -> FakeProber:
    """A network where everything answers."""
    return FakeProber()
