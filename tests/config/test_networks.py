"""Lists of networks: each table that has one reads it as the others do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.config.files import GOOD_START, problems

SECONDARY = '[transfer]\nlisten = ["127.0.0.1:5354"]\n[[transfer.secondary]]\nname = "s1"\naddress = "192.0.2.53:53"\n'


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ("[rate_limit]\n", "allow"),
        ("[proxy]\n", "from"),
        ('[haproxy]\nlisten = "127.0.0.1:8055"\n', "allow"),
        (SECONDARY, "sources"),
    ],
)
def test_what_is_no_network_is_told_alike_in_each_table(tmp_path: Path, table: str, key: str) -> None:
    """The text, what it should have been, and why it is not: in the same words, and at the place in the list."""
    text = GOOD_START + table + key + ' = ["192.0.2.0/24", "192.0.2.5/24", "here"]\n'
    beyond, name = problems(tmp_path, text)
    form = "{!r} is no address or network such as 192.0.2.1 or 192.0.2.0/24: "
    assert beyond.message == form.format("192.0.2.5/24") + (
        "there are bits beyond the prefix; the network is 192.0.2.0/24"
    )
    assert name.message.startswith(form.format("here"))
    assert [each.place[-3:] for each in (beyond, name)] == ["[1]", "[2]"]
    assert {each.id for each in (beyond, name)} == {"bad-network"}
