"""Builds the gRPC code from `proto/`, for wheels and for editable installs: it is generated, and not kept in git.

What is there already and was made from the present definition by the present generator is left as it is, so that an
sdist, which has it, needs no generator. Run as a program, it builds into the source tree: `python hatch_build.py`.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run as a program, where nothing is packaged
    BuildHookInterface = object

# The generator decides which versions of grpcio and protobuf the code runs with: pyproject.toml asks for no less.
GENERATOR = "grpcio-tools==1.85.1"

DEFINITION = "dnsd/v1/control.proto"
PACKAGE = "dnsd/adapters/grpc/v1"
MODULES = ("control_pb2.py", "control_pb2.pyi", "control_pb2_grpc.py")

_ABOUT = '"""The messages and the service of {definition}, generated: do not edit. {stamp}"""\n'


class GrpcBuildHook(BuildHookInterface):
    """Adds the generated package to what is built."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Return the generator, where something is to be generated."""
        return [] if is_built(Path(self.root)) else [GENERATOR]

    def initialize(self, _version: str, build_data: dict[str, Any]) -> None:
        """Generate the code before files are collected."""
        build(Path(self.root))
        build_data["artifacts"].append(f"/{PACKAGE}/*")


def stamp(root: Path) -> str:
    """Return what the generated package says of its source."""
    digest = hashlib.sha256((root / "proto" / DEFINITION).read_bytes()).hexdigest()
    return f"SHA-256 {digest}, {GENERATOR}"


def is_built(root: Path) -> bool:
    """Say whether the code is there and was made from the definition as it is."""
    init = root / PACKAGE / "__init__.py"
    there = all((root / PACKAGE / name).is_file() for name in MODULES) and init.is_file()
    return there and stamp(root) in init.read_text()


def build(root: Path) -> None:
    """Generate the code where that is due.

    Raises:
        CalledProcessError: the definition is faulty, or there is no generator; which, is on stderr.
    """
    if is_built(root):
        return
    target = root / PACKAGE
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={root / 'proto'}"]
        command += [f"--{kind}={folder}" for kind in ("python_out", "pyi_out", "grpc_python_out")]
        subprocess.run([*command, DEFINITION], check=True)
        for name in MODULES:
            text = (Path(folder) / "dnsd" / "v1" / name).read_text()
            # Where the definition is for clients (package dnsd.v1) is not where its code is in this package.
            (target / name).write_text(text.replace("from dnsd.v1 import", f"from {PACKAGE.replace('/', '.')} import"))
    # Last: what was interrupted does not pass for built.
    (target / "__init__.py").write_text(_ABOUT.format(definition=f"proto/{DEFINITION}", stamp=stamp(root)))


if __name__ == "__main__":
    build(Path(__file__).parent)
