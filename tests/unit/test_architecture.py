"""The architecture holds: one graph, sections and stages in agreement, imports light."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import grimp
import pytest
import yaml

from plumbline.config import Config, load_config
from plumbline.config.load import ALWAYS_SEARCHED
from plumbline.stages import STAGES, load_stage
from plumbline.stages.tune import CANNOT_MATTER

SHARED_SECTIONS = {"seed", "data", "model", "runtime"}
OTHER_SECTIONS = {"serve", "monitor", "retrain"}  # of commands that are no stage


@pytest.fixture(scope="module")
def graph(root: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((root / "dvc.yaml").read_text())
    return loaded["stages"]


def test_stages_and_graph_agree(graph: dict[str, Any]) -> None:
    assert tuple(graph) == STAGES
    for name, stage in graph.items():
        assert stage["cmd"] == f"plumbline {name}"


@pytest.mark.parametrize("name", STAGES)
def test_every_stage_can_be_loaded(name: str) -> None:
    assert callable(load_stage(name))


def test_every_stage_has_its_section(root: Path) -> None:
    sections = {f.name for f in dataclasses.fields(Config)} - {"tuned"}
    assert sections == set(STAGES) | SHARED_SECTIONS | OTHER_SECTIONS
    assert set(yaml.safe_load((root / "params.yaml").read_text())) == sections


def test_every_key_is_written_and_explained(root: Path) -> None:
    text = (root / "params.yaml").read_text()
    written = yaml.safe_load(text)
    config = load_config(root / "params.yaml")
    for section in dataclasses.fields(config):
        value = getattr(config, section.name)
        if not dataclasses.is_dataclass(value):
            continue
        assert set(written[section.name]) == {f.name for f in dataclasses.fields(value)}
    free = ("space", "columns")  # their keys are the user's
    lines = text.splitlines()
    for number, line in enumerate(lines):
        bare = line.strip()
        if not bare or bare.startswith("#") or ":" not in bare:
            continue
        indent = len(line) - len(line.lstrip())
        parent = next(
            (
                above.strip().split(":")[0]
                for above in reversed(lines[:number])
                if above.strip() and len(above) - len(above.lstrip()) < indent
            ),
            "",
        )
        if parent in free:
            continue
        explained = "#" in line or lines[number - 1].strip().startswith("#")
        own_section = indent == 0
        assert explained or own_section or bare.endswith(":"), f"params.yaml:{number + 1}: {line}"


def test_dependencies_and_parameters_exist(root: Path, graph: dict[str, Any]) -> None:
    outputs = {
        out if isinstance(out, str) else next(iter(out))
        for stage in graph.values()
        for kind in ("outs", "metrics")
        for out in stage.get(kind, [])
    }
    written = yaml.safe_load((root / "params.yaml").read_text())
    for name, stage in graph.items():
        for dependency in stage["deps"]:
            assert dependency in outputs or dependency == "data" or (root / dependency).exists(), (
                f"{name}: {dependency}"
            )
        assert f"src/plumbline/stages/{name}.py" in stage["deps"]
        for key in stage["params"]:
            node = written
            for part in key.split("."):
                assert part in node, f"{name}: {key}"
                node = node[part]


GROUND = (
    "address",
    "artifacts",
    "config",
    "database",
    "errors",
    "examples",
    "files",
    "kinds",
    "manifest",
    "markup",
    "tables",
    "stages",
)  # under every stage


def test_a_stage_depends_on_the_code_that_it_runs(root: Path, graph: dict[str, Any]) -> None:
    """Else it would keep what older code made."""
    imports = grimp.build_graph("plumbline", cache_dir=None)
    inputs = "plumbline.stages.inputs"
    readers = imports.find_modules_that_directly_import(inputs)
    imports.remove_module(inputs)  # it reads for all of them; what for is named by each itself
    for name, stage in graph.items():
        used = imports.find_upstream_modules(f"plumbline.stages.{name}")
        if f"plumbline.stages.{name}" in readers:
            assert "src/plumbline/stages/inputs.py" in stage["deps"], name
        for module in used:
            parts = module.split(".")[1:]
            if not parts or parts[0] in GROUND:
                continue
            path = Path("src", *module.split("."))
            file = path / "__init__.py" if (root / path).is_dir() else path.with_suffix(".py")
            above = {str(file), *map(str, file.parents)}
            assert above & set(stage["deps"]), f"{name} runs {file}"


def test_outputs_outlive_a_failed_stage(graph: dict[str, Any]) -> None:
    for stage in graph.values():
        for kind in ("outs", "metrics"):
            for out in stage.get(kind, []):
                assert isinstance(out, dict) and next(iter(out.values()))["persist"], out


def test_tune_depends_on_all_of_train_that_changes_its_result(
    root: Path, graph: dict[str, Any]
) -> None:
    written = yaml.safe_load((root / "params.yaml").read_text())
    searched = {key.removeprefix("train.") for key in ALWAYS_SEARCHED}
    listed = {p.removeprefix("train.") for p in graph["tune"]["params"] if p.startswith("train.")}
    assert listed == set(written["train"]) - searched - set(CANNOT_MATTER)


HEAVY = (
    "torch",
    "mlflow",
    "prefect",
    "evidently",
    "great_expectations",
    "shap",
    "lime",
    "sklearn",
    "pandas",
    "matplotlib",
    "optuna",
    "fastapi",
    "dvc",
)


def test_the_command_line_imports_nothing_heavy() -> None:
    code = "import sys, plumbline.cli; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not set(loaded) & set(HEAVY)


def test_fitting_and_exporting_import_only_what_they_use() -> None:
    code = "import sys, plumbline.stages.train, plumbline.stages.export; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not set(loaded) & {"sklearn", "scipy", "pandas", "mlflow", "shap"}


def test_imports_point_down(root: Path) -> None:
    done = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
