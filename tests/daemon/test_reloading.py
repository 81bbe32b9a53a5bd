"""A reload that fails in a way that nobody thought of: the server goes on, and says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from dnsd.config.settings import Settings
from dnsd.daemon import reloading
from dnsd.daemon.reloading import Reloader
from tests.control.rig import site_of


async def test_a_fault_of_ours_in_reading_is_a_failed_reload(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever reading the files raises, the settings stay, the failure is counted and the traceback is logged."""

    def broken(_path: Path, *, starting: bool) -> Settings:
        raise RecursionError("too deep")

    site = await site_of()
    settings = site.plane.settings
    monkeypatch.setattr(reloading, "load_settings", broken)
    reloader = Reloader(site.plane)
    await reloader.reload()
    assert reloader.counts == {"ok": 0, "failed": 1}
    assert site.plane.settings is settings
    assert "RecursionError: too deep [not-read]" in caplog.text
    assert "Traceback" in caplog.text
