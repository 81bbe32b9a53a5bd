"""The Dockerfile's own steps, carried out in an empty folder."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from dnsd.config.loading import load_settings
from tests.docs.example import ROOT

# The steps fetch and unpack every library, beside other tests. Unit: seconds.
BUILD_SECONDS = 280.0


@pytest.mark.timeout(BUILD_SECONDS + 20)
def test_the_image_builds_starts_answers_and_ends() -> None:
    """The Dockerfile's steps make a server that passes its health check, answers, and ends on its stop signal."""
    done = subprocess.run(
        [ROOT / "scripts" / "try-dockerfile"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=BUILD_SECONDS,
    )
    assert done.returncode == 0, done.stdout
    said = done.stdout.splitlines()
    assert [said.index(word) for word in ("healthy", "answers", "ended as told")] == sorted(
        said.index(word) for word in ("healthy", "answers", "ended as told")
    )


def test_the_images_configuration_is_sound(tmp_path: Path) -> None:
    """The configuration that the image starts with passes every check, beside the zones that the image has."""
    (tmp_path / "config.toml").write_text((ROOT / "deploy" / "container.toml").read_text())
    (tmp_path / "zones").symlink_to(ROOT / "zones")
    assert load_settings(tmp_path / "config.toml").warnings == ()
