"""A reload that fails in a way that nobody thought of: the server goes on, and says so."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace
from pathlib import Path

import pytest

from dnsd.config.settings import Settings
from dnsd.core.names import from_text
from dnsd.core.records import Zone
from dnsd.daemon import reloading
from dnsd.daemon.reloading import Reloader
from tests.control.rig import site_of
from tests.support.dnsmessages import zone_of
from tests.support.fleets import ZONE


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


async def test_zones_that_say_the_same_are_sent_to_no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read anew they are other objects; only the one that differs is in the delta, and nothing of the fleet's is."""

    def zones(address: str) -> dict[bytes, Zone]:
        made = (zone_of("@ NS ns1", apex="same.example."), zone_of(f"www A {address}", apex="differs.example."), ZONE)
        return {each.apex: each for each in made}

    site = await site_of(zones=zones("192.0.2.1"))
    again = replace(site.plane.settings, zones=zones("192.0.2.2"))
    monkeypatch.setattr(reloading, "load_settings", lambda _path, *, starting: again)
    reloader = Reloader(site.plane)
    await reloader.reload()
    assert reloader.counts == {"ok": 1, "failed": 0}
    (delta,) = site.workers.published
    assert (delta.put, delta.removed) == ({}, ())
    assert delta.zones == {from_text("differs.example."): again.zones[from_text("differs.example.")]}
    assert site.workers.snapshot.zones == again.zones


class Circle:
    """Refers to itself, so that only the collector ends it."""

    def __init__(self) -> None:
        self.self = self


async def test_garbage_does_not_stay_with_a_new_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """The collector is told that what is there stays, and only after it has looked for what nobody has any more."""
    site = await site_of()
    settings = site.plane.settings
    monkeypatch.setattr(reloading, "load_settings", lambda _path, *, starting: settings)
    gc.disable()
    try:
        circle = weakref.ref(Circle())
        await Reloader(site.plane).reload()
        assert circle() is None
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
        gc.enable()
