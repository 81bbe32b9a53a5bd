"""Builds the gRPC code from `proto/`, for wheels and for editable installs: it is generated, and not kept in git.

What is there already and was made from the present definition by the present generator is left as it is, so that an
sdist, which has it, needs no generator. Run as a program, it builds into the source tree: `python hatch_build.py`.
With DNSD_WITHOUT_GRPC=1 in the environment nothing is generated, for those who will not use it.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
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
SKIP = "DNSD_WITHOUT_GRPC"
MODULES = ("control_pb2.py", "control_pb2.pyi", "control_pb2_grpc.py")

_ABOUT = '"""The messages and the service of {definition}, generated: do not edit. {stamp}"""\n'


class GrpcBuildHook(BuildHookInterface):
    """Adds the generated package to what is built."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Return the generator, where something is to be generated."""
        return [] if is_skipped() or is_built(Path(self.root)) else [GENERATOR]

    def initialize(self, _version: str, build_data: dict[str, Any]) -> None:
        """Generate the code before files are collected."""
        root = Path(self.root)
        if not is_skipped():
            build(root)
        if is_built(root):
            build_data["artifacts"].append(f"/{PACKAGE}/*")


def is_skipped() -> bool:
    """Say whether whoever builds does without the code."""
    return os.environ.get(SKIP, "") not in ("", "0")


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
        SystemExit: there is no generator, the definition is faulty, or the source tree cannot be written; with which.
    """
    if is_built(root):
        return
    if find_spec("grpc_tools") is None:  # as with `pip --no-build-isolation`
        raise SystemExit(_failing(f"needs {GENERATOR}, which is not installed"))
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={root / 'proto'}"]
        command += [f"--{kind}={folder}" for kind in ("python_out", "pyi_out", "grpc_python_out")]
        if subprocess.run([*command, DEFINITION], check=False).returncode:
            raise SystemExit(_failing("has failed, see above"))
        try:
            _install(Path(folder) / "dnsd" / "v1", root)
        except OSError as error:
            raise SystemExit(_failing(f"cannot write into the source tree: {error}")) from None


def _install(made: Path, root: Path) -> None:
    target = root / PACKAGE
    target.mkdir(parents=True, exist_ok=True)
    for name in MODULES:
        text = (made / name).read_text()
        # Where the definition is for clients (package dnsd.v1) is not where its code is in this package.
        (target / name).write_text(text.replace("from dnsd.v1 import", f"from {PACKAGE.replace('/', '.')} import"))
    # Last: what was interrupted does not pass for built.
    (target / "__init__.py").write_text(_ABOUT.format(definition=f"proto/{DEFINITION}", stamp=stamp(root)))


def _failing(why: str) -> str:
    return f"Generating {PACKAGE} {why}. Set {SKIP}=1 to build dnsd without gRPC."


if __name__ == "__main__":
    build(Path(__file__).parent)
