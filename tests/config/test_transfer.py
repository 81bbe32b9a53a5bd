"""Transfers in the configuration: what becomes of good tables, and every fault and warning of the others."""

from __future__ import annotations

import base64
from ipaddress import ip_network
from pathlib import Path

import pytest

from dnsd.config.reload import needs_restart
from dnsd.config.settings import Settings
from dnsd.config.transfer import Secondary, TransferKey, TransferSettings
from dnsd.core.names import from_text
from dnsd.model.endpoint import Endpoint
from tests.config.files import GOOD_START, brief, load, problems

SECRET = base64.b64encode(bytes(range(32))).decode()
LISTEN = '[transfer]\nlisten = ["127.0.0.1:5354"]\n'
KEY = f'[[transfer.key]]\nname = "k.example.org"\nsecret = "{SECRET}"\n'
OTHER = '[[transfer.secondary]]\nname = "s2"\naddress = "192.0.2.54:53"\n'
SECONDARY = '[[transfer.secondary]]\nname = "s1"\n'
ADDRESS = 'address = "192.0.2.53:53"\n'
K = TransferKey(name=from_text("k.example.org."), algorithm="hmac-sha256", secret=bytes(range(32)))


def transfer_of(settings: Settings) -> TransferSettings:
    assert settings.transfer is not None
    return settings.transfer


def warnings(settings: Settings) -> list[str]:
    """Return the ids of the warnings, without those of the store."""
    ids = [text.rpartition("[")[2].rstrip("]") for text in settings.warnings]
    return [each for each in ids if each not in ("store-forgets", "serials-forgotten")]


def test_without_the_table_nobody_may_transfer(tmp_path: Path) -> None:
    """There are no settings of transfers then; the table alone gives the defaults, and lets nobody transfer either."""
    assert load(tmp_path, GOOD_START).transfer is None
    settings = load(tmp_path, GOOD_START + LISTEN)
    assert warnings(settings) == ["no-secondaries"]
    found = transfer_of(settings)
    assert found == TransferSettings(
        listen=(Endpoint("127.0.0.1", 5354),),
        keys={},
        secondaries=(),
        coalesce_seconds=1.0,
        history_records=100_000,
    )


def test_a_store_that_forgets_serials_is_told_of(tmp_path: Path) -> None:
    """Only where zones are transferred: secondaries might see older ones after a restart."""
    for url, transfers, warned in (
        ("memory://", LISTEN, True),
        ("memory://", "", False),
        ("sqlite://./s", LISTEN, False),
    ):
        settings = load(tmp_path, f'{GOOD_START}{transfers}[store]\nurl = "{url}"\n')
        assert any("[serials-forgotten]" in each for each in settings.warnings) is warned


def test_a_reload_can_change_transfers_and_not_whether_there_are_any(tmp_path: Path) -> None:
    """Versions of zones are kept from the start on, or not at all."""
    off, on, more = (load(tmp_path, GOOD_START + text) for text in ("", LISTEN, LISTEN + 'coalesce = "2s"\n' + KEY))
    assert needs_restart(off, on) == needs_restart(on, off) == ("transfer",)
    assert needs_restart(on, more) == ()


def test_a_secondary_with_everything(tmp_path: Path) -> None:
    """Names are folded, networks read, and the secret shows in no text of the settings."""
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    (tmp_path / "secret").chmod(0o640)
    text = LISTEN + 'coalesce = "0s"\nhistory = 0\n' + KEY.replace("k.ex", "K.ex")
    text += '[[transfer.key]]\nname = "big."\nalgorithm = "HMAC-SHA512"\nsecret_file = "secret"\n'
    text += SECONDARY + ADDRESS + 'key = "K.EXAMPLE.ORG."\nsources = ["192.0.2.0/24", "2001:db8::1"]\n'
    text += 'zones = ["Example.ORG"]\nnotify = false\n'
    settings = load(tmp_path, GOOD_START + text)
    found = transfer_of(settings)
    assert (found.coalesce_seconds, found.history_records) == (0.0, 0)
    big = TransferKey(name=from_text("big."), algorithm="hmac-sha512", secret=K.secret)
    assert found.keys == {K.name: K, big.name: big}
    assert found.secondaries == (
        Secondary(
            name="s1",
            address=Endpoint("192.0.2.53", 53),
            key=K,
            sources=(ip_network("192.0.2.0/24"), ip_network("2001:db8::1")),
            zones=frozenset({from_text("example.org.")}),
            notify=False,
        ),
    )
    assert warnings(settings) == ["short-secret"]
    assert repr(K.secret)[2:-1] not in repr(settings.transfer)


def test_what_a_secondary_does_not_say(tmp_path: Path) -> None:
    """It asks from its own address, or from anywhere with its key; without an address nobody waits for it."""
    settings = load(
        tmp_path, GOOD_START + LISTEN + KEY + SECONDARY + ADDRESS + OTHER.replace("s2", "s3") + "key='k.example.org'\n"
    )
    assert [each.sources for each in transfer_of(settings).secondaries] == [
        (ip_network("192.0.2.53"),),
        (ip_network("192.0.2.54"),),
    ]
    assert all(each.zones is None and each.notify for each in transfer_of(settings).secondaries)
    settings = load(tmp_path, GOOD_START + LISTEN + KEY + SECONDARY + 'key = "k.example.org."\n')
    (hidden,) = transfer_of(settings).secondaries
    assert (hidden.address, hidden.sources, hidden.notify) == (None, (), False)
    assert warnings(settings) == ["secondary-unseen"]


@pytest.mark.parametrize(
    ("added", "expected"),
    [
        ("[transfer]\n", [("missing-key", 5, "transfer.listen")]),
        ("[transfer]\nlisten = []\n", [("bad-value", 6, "transfer.listen")]),
        ('[transfer]\nlisten = ["127.0.0.1:0"]\n', [("bad-port", 6, "transfer.listen[0]")]),
        ('[transfer]\nlisten = ["0.0.0.0:5353"]\n', [("overlapping-listen", 6, "transfer.listen[0]")]),
        ('[transfer]\nlisten = ["127.0.0.1:8053"]\n', [("duplicate-listen", 6, "transfer.listen[0]")]),
        (LISTEN + 'coalesce = "61s"\n', [("bad-duration", 7, "transfer.coalesce")]),
        (LISTEN + "history = -1\n", [("bad-value", 7, "transfer.history")]),
        (LISTEN + "keys = []\n", [("unknown-key", 7, "transfer.keys")]),
        (
            LISTEN + "[[transfer.key]]\n[[transfer.secondary]]\n",
            [
                ("missing-key", 7, "transfer.key[0].name"),
                ("missing-key", 7, "transfer.key[0].secret"),
                ("missing-key", 8, "transfer.secondary[0].name"),
                ("open-secondary", 8, "transfer.secondary[0]"),
            ],
        ),
        (LISTEN + KEY.replace(SECRET, "c2VjcmV"), [("bad-secret", 9, "transfer.key[0].secret")]),
        (LISTEN + KEY.replace(SECRET, "é"), [("bad-secret", 9, "transfer.key[0].secret")]),
        (LISTEN + KEY.replace(SECRET, ""), [("bad-secret", 9, "transfer.key[0].secret")]),
        (LISTEN + KEY + 'secret_file = "zone"\n', [("two-secrets", 10, "transfer.key[0].secret_file")]),
        (LISTEN + KEY + KEY.replace("k.ex", "K.ex"), [("duplicate-key", 11, "transfer.key[1].name")]),
        (LISTEN + KEY.replace("k.ex", "k..ex"), [("bad-name", 8, "transfer.key[0].name")]),
        (LISTEN + KEY + 'algorithm = "hmac-sha1"\n', [("weak-algorithm", 10, "transfer.key[0].algorithm")]),
        (LISTEN + KEY + 'algorithm = "HMAC-MD5"\n', [("weak-algorithm", 10, "transfer.key[0].algorithm")]),
        (LISTEN + KEY + 'algorithm = "hmac-sha255"\n', [("unknown-algorithm", 10, "transfer.key[0].algorithm")]),
        (
            LISTEN + '[[transfer.key]]\nname = "k"\nsecret_file = "gone"\n',
            [("unreadable", 9, "transfer.key[0].secret_file")],
        ),
        (
            LISTEN + KEY + SECONDARY + 'key = "key.example.org"\n',
            [("unknown-transfer-key", 12, "transfer.secondary[0].key")],
        ),
        # The key that is meant may be the one whose name cannot be read.
        (LISTEN + KEY.replace("k.ex", "k..ex") + SECONDARY + 'key = "k"\n', [("bad-name", 8, "transfer.key[0].name")]),
        (LISTEN + SECONDARY + ADDRESS.replace(":53", ":0"), [("bad-port", 9, "transfer.secondary[0].address")]),
        (LISTEN + SECONDARY + 'address = "192.0.2.53"\n', [("bad-address", 9, "transfer.secondary[0].address")]),
        (
            LISTEN + SECONDARY + ADDRESS + 'sources = ["192.0.2.1/24"]\n',
            [("bad-network", 10, "transfer.secondary[0].sources[0]")],
        ),
        (LISTEN + SECONDARY + ADDRESS + "zones = []\n", [("bad-value", 10, "transfer.secondary[0].zones")]),
        (
            LISTEN + SECONDARY + ADDRESS + 'zones = ["example.com", "a b"]\n',
            [
                ("bad-name", 10, "transfer.secondary[0].zones[1]"),
                ("unknown-zone", 10, "transfer.secondary[0].zones[0]"),
            ],
        ),
        (
            LISTEN + SECONDARY + ADDRESS + SECONDARY + ADDRESS,
            [("duplicate-secondary", 11, "transfer.secondary[1].name")],
        ),
        (
            LISTEN + SECONDARY.replace("s1", "s 1") + ADDRESS,
            [("bad-secondary-name", 8, "transfer.secondary[0].name")],
        ),
        (
            LISTEN + KEY + SECONDARY + 'key = "k.example.org"\nnotify = true\n',
            [("notify-nowhere", 13, "transfer.secondary[0].notify")],
        ),
    ],
)
def test_a_fault_is_reported_where_it_stands(tmp_path: Path, added: str, expected: list[tuple[str, int, str]]) -> None:
    """Exactly the faults of the text are reported, and no secret is repeated."""
    found = problems(tmp_path, GOOD_START + added)
    assert brief(found) == sorted(expected)
    assert not any(SECRET in str(each) or "c2VjcmV" in str(each) for each in found)


def test_what_is_odd_but_serves(tmp_path: Path) -> None:
    """A secondary that is everybody, and secrets that everybody can read or guess, are warned about."""
    (tmp_path / "secret").write_text(base64.b64encode(b"secret").decode())
    (tmp_path / "secret").chmod(0o644)
    key = '[[transfer.key]]\nname = "k"\nsecret_file = "secret"\n'
    settings = load(tmp_path, GOOD_START + LISTEN + key + SECONDARY + ADDRESS + 'sources = ["::/0"]\n')
    assert sorted(warnings(settings)) == ["secondary-is-anybody", "secret-open", "short-secret"]


def test_an_adapter_does_not_get_the_address_of_transfers(tmp_path: Path) -> None:
    """No two parts of the server listen in one place."""
    (clash,) = problems(tmp_path, GOOD_START + LISTEN + '[haproxy]\nlisten = "127.0.0.1:5354"\n')
    assert (clash.id, clash.place) == ("duplicate-listen", "haproxy.listen")
    assert clash.message == "127.0.0.1:5354 is listed already, by transfer.listen[0]"
