"""A stage reads what dvc.yaml says it reads, and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.e2e.conftest import run, set_params

pytestmark = pytest.mark.e2e
STAGES = list(yaml.safe_load((Path(__file__).parents[2] / "dvc.yaml").read_text())["stages"])
LEAST: dict[str, dict[str, Any]] = {
    "tune": {"trials": 1, "epochs": 2},
    "train": {"epochs": 2, "learning_curve": []},
    "evaluate": {"bootstrap": 200},
    "explain": {"rows": 5, "background": 10, "lime_rows": 1, "faithfulness_rows": 2},
}


def alone(checkout: Path, folder: Path, stage: str) -> Path:
    """A folder with the dependencies of a stage alone, and quick parameters."""
    graph = yaml.safe_load((checkout / "dvc.yaml").read_text())
    for name in ("dvc.yaml", *graph["stages"][stage]["deps"]):
        source, place = checkout / name, folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, place, dirs_exist_ok=True)
        else:
            shutil.copy2(source, place)
    shutil.copy2(checkout / "params.yaml", folder / "params.yaml")
    set_params(folder, LEAST)
    return folder


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_needs_its_declared_dependencies_alone(
    checkout: Path, tmp_path: Path, root: Path, stage: str
) -> None:
    folder = alone(checkout, tmp_path, stage)
    run(folder, "plumbline", stage, source=root)
    graph = yaml.safe_load((checkout / "dvc.yaml").read_text())
    for listed in ("outs", "metrics"):
        for out in graph["stages"][stage].get(listed, []):
            assert (folder / next(iter(out))).exists(), out


def test_what_the_severity_of_an_expectation_changes(copy: Path) -> None:
    """Validation, and who shows or keeps it: no fit, no figure."""
    path = copy / "expectations.yaml"
    content = yaml.safe_load(path.read_text())
    name = next(n for n, c in content["columns"].items() if "range" in c)
    severity = content["columns"][name]["range"].get("severity", "critical")
    content["columns"][name]["range"]["severity"] = {
        "critical": "warning",
        "warning": "critical",
    }[severity]
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    done = run(copy, "dvc", "repro")
    ran = [line.split("'")[1] for line in done.stdout.splitlines() if "Running stage" in line]
    assert ran[0] == "validate" and set(ran) <= {"validate", "register", "report"}, ran
