"""Each folder of examples/ says what it shows, and what it asks for exists."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from plumbline import cli
from plumbline.config import load_config

NAMES = ("demand", "fraud", "images", "text")


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_complete(root: Path, tmp_path: Path, name: str) -> None:
    folder = root / "examples" / name
    text = (folder / "README.md").read_text()
    assert f"python examples/run.py {name}" in text
    assert f"examples/{name}" in (root / "examples" / "README.md").read_text() or name in text
    example = yaml.safe_load((folder / "example.yaml").read_text())
    assert example.keys() <= {"data", "drop", "init", "params"}
    given = [
        part
        for option, value in example["init"].items()
        for part in ((f"--{option}",) if value is True else (f"--{option}", value))
    ]
    arguments = cli._parser().parse_args(["init", "--data", "x.csv", *given])
    assert arguments.target == example["init"]["target"]
    params = tmp_path / "params.yaml"
    params.write_text((root / "params.yaml").read_text())
    code = (
        "import sys, yaml; sys.path.insert(0, sys.argv[1]); import run; from pathlib import Path;"
        "run.set_params(Path(sys.argv[3]), run.read(sys.argv[2])['params'])"
    )
    subprocess.run([sys.executable, "-c", code, root / "examples", name, params], check=True)
    config = load_config(params)
    for section, values in example["params"].items():
        for key, value in values.items():
            assert getattr(getattr(config, section), key) == value


def test_data_that_are_not_there_are_named_with_the_readme(root: Path) -> None:
    command = [sys.executable, root / "examples" / "run.py", "fraud", "--data", "/none.csv"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "/none.csv is not there: see examples/fraud/README.md" in done.stderr
