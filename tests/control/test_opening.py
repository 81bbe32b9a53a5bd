"""What a server starts from: the store, the store and what it has lost, or the last state on the disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dnsd.control import announcing
from dnsd.control.announcing import Announcement
from dnsd.control.opening import Opening, open_state
from dnsd.errors import StoreRefused, StoreUnavailable
from dnsd.model.state import FleetState
from dnsd.stores import laststate
from dnsd.stores.laststate import LastState
from tests.control.rig import BreakableStore, Clock, settings_of, site_of
from tests.stores.samples import a_drain, placed, put_drain
from tests.support.fleets import NOW, drain
from tests.support.waiting import until

NAME = "redis h:6379, prefix dnsd"


class RemoteStore(BreakableStore):
    """A store that can be out of reach when it is opened.

    Args:
        refuses: it is there and not usable.
    """

    def __init__(self, *, away: bool = False, refuses: bool = False) -> None:
        super().__init__()
        self.reads_fail = away
        self.refuses = refuses

    @property
    def remote(self) -> bool:
        return True

    async def open(self) -> None:
        await super().open()
        if self.refuses:
            raise StoreRefused("wrong password")
        self._may_read()


KNOWN = replace(FleetState(drains={drain("a").key: drain("a", revision=3)}), revision=3, mark="ab")


def kept(folder: Path, *, state: FleetState = KNOWN, store: str = NAME) -> Path:
    """Leave a last state in a folder."""
    path = folder / "last-state"
    laststate.write(path, LastState(store=store, heard_at=NOW - 60, state=state))
    return path


async def opened(store: BreakableStore, path: Path | None) -> Opening:
    announcement = Announcement("ns1", store, clock=lambda: NOW)
    try:
        return await open_state(store, state_file=path, store_name=NAME, announcement=announcement, clock=lambda: NOW)
    finally:
        await announcement.end()


async def test_a_store_that_is_there_is_what_counts() -> None:
    """Without a file, and with everybody told that this server comes up before it loads."""
    store = RemoteStore()
    told: list[Any] = []
    load = store.load

    async def load_and_note() -> FleetState:
        told.extend(await store.consumers())
        return await load()

    store.load = load_and_note  # type: ignore[method-assign]
    assert await opened(store, None) == Opening(state=FleetState())
    assert [(each.id, each.kind, each.applied) for each in told] == [("ns1", "dns", 0)]


async def test_a_store_that_has_gone_on_is_what_counts(tmp_path: Path) -> None:
    """The file is older: nothing of it is used."""
    store = RemoteStore()
    await store.open()
    await put_drain(store, 0)
    state = await store.load()
    path = kept(tmp_path, state=replace(state, drains={}))
    await put_drain(store, 1, node="edge-2")
    assert {key.node for key in (await opened(store, path)).state.drains} == {"edge-1", "edge-2"}


async def test_a_store_that_has_lost_what_the_file_knows_gets_it_back(tmp_path: Path) -> None:
    """It was flushed while no server ran."""
    store = RemoteStore()
    opening = await opened(store, kept(tmp_path))
    assert opening.restoration is not None
    assert [each.node for each in opening.restoration.drains] == ["a"]
    assert opening.state == await store.load()
    assert opening.state.revision == 4


async def test_a_store_that_has_lost_something_and_takes_no_writes_is_served_with_the_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What either has is in force."""
    store = RemoteStore()
    await store.open()
    await put_drain(store, 0)
    store.writes_fail = True
    opening = await opened(store, kept(tmp_path))
    assert {key.node for key in opening.state.drains} == {"a", "edge-1"}
    assert (opening.restoration, opening.heard_at) == (None, None)
    assert "cannot be written back yet" in caplog.text


async def test_a_store_that_is_away_leaves_the_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The state of then, on the clock of then, and one line that says so."""
    opening = await opened(RemoteStore(away=True), kept(tmp_path))
    assert opening == Opening(state=KNOWN, heard_at=NOW - 60)
    (record,) = caplog.records
    assert (record.levelname, "starting from its last state" in record.getMessage()) == ("ERROR", True)


async def test_without_a_file_there_is_no_start_while_the_store_is_away(tmp_path: Path) -> None:
    """A server that knows no drains must not answer."""
    for path in (None, tmp_path / "last-state"):
        with pytest.raises(StoreUnavailable, match="no last state to start from"):
            await opened(RemoteStore(away=True), path)


async def test_a_damaged_file_is_no_start(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is named, and not used."""
    path = kept(tmp_path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(StoreUnavailable, match="no last state to start from"):
        await opened(RemoteStore(away=True), path)
    assert f"the last state is of no use: {path} is damaged" in caplog.text


async def test_the_file_of_another_store_is_put_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Its drains are of another fleet: neither served nor written back."""
    path = kept(tmp_path, store="redis other:6379, prefix dnsd")
    before = path.read_bytes()
    store = RemoteStore()
    assert (await opened(store, path)).state == FleetState()
    with pytest.raises(StoreUnavailable):
        await opened(RemoteStore(away=True), path)
    assert "was that of another store" in caplog.text
    assert (path.exists(), (tmp_path / "last-state.other").read_bytes()) == (False, before)


async def test_the_file_of_another_store_that_cannot_be_put_aside_is_not_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The server starts all the same, and says what becomes of the file."""
    path = kept(tmp_path, store="redis other:6379, prefix dnsd")
    (tmp_path / "last-state.other" / "full").mkdir(parents=True)
    assert (await opened(RemoteStore(), path)).state == FleetState()
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert "cannot be moved" in record.getMessage()
    assert "takes its place" in record.getMessage()


async def test_a_server_that_starts_without_its_store_is_announced_once_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while it is still starting."""
    monkeypatch.setattr(announcing, "HEARTBEAT_SECONDS", 0.002)
    store = RemoteStore(away=True)
    announcement = Announcement("ns1", store, clock=lambda: NOW)
    await open_state(store, state_file=kept(tmp_path), store_name=NAME, announcement=announcement, clock=lambda: NOW)
    store.reads_fail = False
    await until(lambda: "ns1" in store._consumers, "it is announced")
    await announcement.withdraw()
    assert await store.consumers() == ()


async def test_a_store_that_refuses_us_is_no_outage(tmp_path: Path) -> None:
    """A wrong password is for an operator to mend, whatever is on the disk."""
    with pytest.raises(StoreRefused):
        await opened(RemoteStore(refuses=True), kept(tmp_path))


async def test_a_store_that_takes_no_writes_is_served_from(caplog: pytest.LogCaptureFixture) -> None:
    """What can be read is served; that nobody was told is logged."""
    store = RemoteStore()
    store.writes_fail = True
    assert (await opened(store, None)).state == FleetState()
    assert "do not know that this one comes up" in caplog.text


async def test_a_server_that_started_without_its_store_finds_it(tmp_path: Path) -> None:
    """Out of reach from the first moment; then it catches up, and freshness goes on."""
    store = RemoteStore(away=True)
    opening = await opened(store, kept(tmp_path))
    clock = Clock()
    away = BreakableStore()
    await away.open()
    site = await site_of(store=away, clock=clock, heard=False, heard_at=opening.heard_at)
    assert (site.plane.store_health.up, site.plane.store_health.fresh, site.plane.store_health.outages) == (
        False,
        False,
        1,
    )
    assert site.plane.publisher.fleet.hold.since == NOW - 60
    await site.hear()
    assert site.plane.store_health.up is True
    assert site.plane.publisher.fleet.hold.until == clock.wall


async def test_the_last_state_is_kept_and_kept_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """At the end as it is; a disk that fails is told of once, in the log and in the readiness, until it works again."""
    store = RemoteStore()
    await store.open()
    path = tmp_path / "folder" / "last-state"
    site = await site_of(store=store, state_file=path)
    assert settings_of([], [], state_file=path).state_file == path
    keeper = site.plane._keeper
    assert keeper is not None
    await site.drain("a")
    (tmp_path / "folder").write_text("a file where the folder should be")
    for _ in range(2):
        await keeper.keep()
    assert [record.getMessage() for record in caplog.records] == [
        f"the last state cannot be kept in {path}: File exists"
    ]
    assert "the last state cannot be kept: File exists" in site.plane.readiness().problems
    (tmp_path / "folder").unlink()
    caplog.set_level("INFO")
    await keeper.keep()
    last = laststate.read(path)
    assert last is not None
    assert last.state == await store.load()
    assert last.state.mark == (await store.load()).mark
    assert "is kept again" in caplog.text
    assert "the last state cannot be kept" not in str(site.plane.readiness().problems)


async def test_a_state_that_cannot_be_written_down_is_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Another program has left text in the store that is no UTF-8: the server goes on."""
    store = RemoteStore()
    await store.open()
    change = placed(replace(a_drain(revision=1), reason="\ud800"))
    await store.commit(expected_revision=0, changes=[change], history=[], at=NOW)
    site = await site_of(store=store, state_file=tmp_path / "last-state")
    keeper = site.plane._keeper
    assert keeper is not None
    await keeper.keep()
    assert keeper.problem is not None
    assert "surrogates not allowed" in keeper.problem
    assert "the last state cannot be kept" in caplog.text
