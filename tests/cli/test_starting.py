"""How a command loads what it needs."""

from __future__ import annotations

import gc

import pytest

from dnsd.housekeeping import without_collector


def load_what_is_not_there() -> None:
    with without_collector():
        assert not gc.isenabled()
        raise ImportError


def test_garbage_is_not_looked_for_while_modules_are_loaded() -> None:
    """It is again afterwards, also where loading fails, and not where it was not before."""
    assert gc.isenabled()
    with pytest.raises(ImportError):
        load_what_is_not_there()
    assert gc.isenabled()
    with without_collector():
        with without_collector():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()
