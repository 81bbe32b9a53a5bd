"""The generated code and the definition: one is made from the other, is complete, and is loaded where it is needed."""

from __future__ import annotations

import importlib.util
import itertools
import re
import shutil
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING, Any, get_args, get_origin

import pytest
from google.protobuf.descriptor import Descriptor
from pydantic import BaseModel

from dnsd.adapters.grpc.answers import prefix_of, source_of
from dnsd.adapters.grpc.v1 import control_pb2 as pb
from dnsd.api import schemas as s
from tests.docs.example import ROOT

if TYPE_CHECKING:
    from pathlib import Path

CONSTRAINTS = dict(
    line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")
)


def _hook() -> Any:
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# --- building -------------------------------------------------------------------------------------------------------


def test_the_code_is_what_the_definition_makes(tmp_path: Path) -> None:
    """Built anew from this very definition, the code is what is installed; of another one, it is built again."""
    hook = _hook()
    shutil.copytree(ROOT / "proto", tmp_path / "proto")
    assert not hook.is_built(tmp_path)
    hook.build(tmp_path)
    assert hook.is_built(tmp_path)
    built, installed = tmp_path / hook.PACKAGE, ROOT / hook.PACKAGE
    for name in ("__init__.py", *hook.MODULES):
        assert (installed / name).read_text() == (built / name).read_text(), (
            "run `make setup-test`: the code is out of date"
        )

    definition = tmp_path / "proto" / hook.DEFINITION
    definition.write_text(definition.read_text().replace("rpc Watch(", "rpc Follow("))
    assert not hook.is_built(tmp_path)
    hook.build(tmp_path)
    assert "def Follow(" in (built / "control_pb2_grpc.py").read_text()


def test_a_build_without_a_definition_that_is_sound_fails(tmp_path: Path) -> None:
    """A faulty definition ends the build, and leaves nothing that passes for built."""
    hook = _hook()
    definition = tmp_path / "proto" / hook.DEFINITION
    definition.parent.mkdir(parents=True)
    definition.write_text('syntax = "proto3";\nmessage {')
    with pytest.raises(SystemExit, match="has failed, see above"):
        hook.build(tmp_path)
    assert not hook.is_built(tmp_path)


@pytest.mark.parametrize("value", ["1", "0", ""])
def test_whoever_does_without_grpc_needs_no_generator(
    value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With DNSD_WITHOUT_GRPC=1 a build asks for nothing and generates nothing; what is there already is packaged."""
    monkeypatch.setenv("DNSD_WITHOUT_GRPC", value)
    hook = _hook()
    shutil.copytree(ROOT / "proto", tmp_path / "proto")

    class Here(hook.GrpcBuildHook):  # type: ignore[misc, name-defined]
        root = str(tmp_path)

    builder: Any = Here.__new__(Here)  # what makes one in earnest is the packager, which tests have not
    skipped = value == "1"
    assert builder.dependencies() == ([] if skipped else [hook.GENERATOR])
    data: dict[str, list[str]] = {"artifacts": []}
    builder.initialize("editable", data)
    assert hook.is_built(tmp_path) is not skipped
    assert data["artifacts"] == ([] if skipped else [f"/{hook.PACKAGE}/*"])
    hook.build(tmp_path)
    data["artifacts"].clear()
    builder.initialize("standard", data)
    assert data["artifacts"] == [f"/{hook.PACKAGE}/*"]


def test_a_first_look_does_without_grpc() -> None:
    """`make setup` asks for no generator, and what tests need is made again where the definition is another."""
    lines = (ROOT / "Makefile").read_text().splitlines()
    assert f"\t{_hook().SKIP}=1 $(BIN)/pip install --quiet --editable ." in lines
    needs = next(line for line in lines if line.startswith("$(VENV)/.installed-test:"))
    assert {"hatch_build.py", f"proto/{_hook().DEFINITION}"} <= set(needs.split())
    for page in ("docs/integrations/grpc.md", "docs/adr/0034-grpc-is-an-extra.md"):
        assert f"{_hook().SKIP}=1" in (ROOT / page).read_text()


def test_a_build_without_a_generator_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing installs the generator for it, or nothing can be written, a build says so in one line."""
    hook = _hook()
    shutil.copytree(ROOT / "proto", tmp_path / "proto")
    (tmp_path / "dnsd").write_text("in the way of the folder")
    with pytest.raises(SystemExit, match=r"cannot write into the source tree: .* Set DNSD_WITHOUT_GRPC=1 "):
        hook.build(tmp_path)
    monkeypatch.setattr(hook, "find_spec", lambda _: None)
    with pytest.raises(SystemExit, match=r"needs grpcio-tools==\S+, which is not installed. Set DNSD_WITHOUT_GRPC=1 "):
        hook.build(tmp_path)


def test_the_generator_and_what_runs_its_code_fit_together() -> None:
    """The generator is of one version everywhere, and the extra asks for nothing older than its code does."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    generator = f"grpcio-tools=={CONSTRAINTS['grpcio-tools']}"
    assert generator == _hook().GENERATOR
    assert generator in project["test"]
    package = ROOT / _hook().PACKAGE
    needs_grpc = re.search(r"GRPC_GENERATED_VERSION = '([\d.]+)'", (package / "control_pb2_grpc.py").read_text())
    needs_protobuf = re.search(r"Protobuf Python Version: ([\d.]+)", (package / "control_pb2.py").read_text())
    assert needs_grpc is not None
    assert needs_protobuf is not None
    assert {f"grpcio>={needs_grpc[1]}", f"protobuf>={needs_protobuf[1]}"} <= set(project["grpc"])


# --- loading --------------------------------------------------------------------------------------------------------


def test_only_the_adapter_loads_grpc() -> None:
    """A server that does not configure gRPC has loaded nothing of it, and no other module names it."""
    program = "import sys, dnsd.cli.main, dnsd.cli.serve, dnsd.daemon.serving\nprint(*sys.modules, sep='\\n')"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "dnsd.daemon.adapting" in loaded
    assert [name for name in loaded if name.split(".")[0] in ("grpc", "google", "grpc_health")] == []
    pattern = re.compile(r"^\s*(?:import|from) (?:grpc|google|grpc_\w+)\b", re.MULTILINE)
    modules = [path for folder in ("dnsd", "admin") for path in (ROOT / folder).rglob("*.py")]
    naming = [path for path in modules if pattern.search(path.read_text())]
    adapter = ROOT / "dnsd" / "adapters" / "grpc"
    assert naming
    assert [path for path in naming if adapter not in path.parents] == []


# --- the definition -------------------------------------------------------------------------------------------------

DOCUMENTS: tuple[tuple[Any, type[BaseModel]], ...] = (
    (pb.DrainOutcome, s.DrainOutcome),
    (pb.Node, s.NodeInfo),
    (pb.Pool, s.PoolInfo),
    (pb.Consumer, s.ConsumerInfo),
    (pb.NodeStatus, s.NodeStatus),
    (pb.Event, s.Event),
    (pb.FieldError, s.FieldError),
)


def _models(annotation: Any) -> list[type[BaseModel]]:
    """Return the models that a field's type has in it."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]


def _words(annotation: Any) -> list[str]:
    """Return the words that a field's type is limited to."""
    if get_origin(annotation) is not None and all(isinstance(part, str) for part in get_args(annotation)):
        return list(get_args(annotation))
    return [word for part in get_args(annotation) for word in _words(part)]


def _check(descriptor: Descriptor, model: type[BaseModel]) -> None:
    fields: Any = descriptor.fields
    sources = {source_of(field): field for field in fields}
    assert set(sources) == set(model.model_fields), descriptor.full_name
    for name, field in sources.items():
        annotation = model.model_fields[name].annotation
        if field.enum_type is not None:
            words = _words(annotation)
            names = {f"{prefix_of(field.enum_type)}{word.upper()}" for word in words}
            assert len(names) > 1, name
            assert names <= set(field.enum_type.values_by_name), name
        value = field.message_type
        if value is not None and value.GetOptions().map_entry:
            value = value.fields_by_name["value"].message_type
        for inner in _models(annotation):
            _check(value, inner)


@pytest.mark.parametrize(("message", "model"), DOCUMENTS, ids=lambda each: each.__name__)
def test_a_message_has_every_field_of_its_document(message: Any, model: type[BaseModel]) -> None:
    """What HTTP tells of drains, nodes, pools, consumers, status and events, a message tells too, and no more."""
    _check(message.DESCRIPTOR, model)


def test_an_order_has_every_field_of_its_request() -> None:
    """What HTTP takes for a drain and its release, a message takes too, with the node, the revision and the wait."""
    beside = {"node", "if_revision", "wait_applied", "timeout"}
    for message, model in ((pb.DrainRequest, s.DrainRequest), (pb.UndrainRequest, s.ReleaseRequest)):
        fields: Any = message.DESCRIPTOR.fields
        assert {field.name for field in fields} == beside | set(model.model_fields)


def test_everything_in_the_definition_is_explained() -> None:
    """Every message, call and enumeration has a comment before it."""
    lines = (ROOT / "proto" / "dnsd" / "v1" / "control.proto").read_text().splitlines()
    bare = [
        line
        for before, line in itertools.pairwise(lines)
        if re.match(r"\s*(message|rpc|enum|service) ", line) and not before.lstrip().startswith("//")
    ]
    assert bare == []
