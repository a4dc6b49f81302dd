"""Run an example: `python examples/run.py fraud`.

It clones this checkout into `examples/runs/NAME` and runs there what the example's README says:
`plumbline init`, a few settings, `plumbline repro`. Your own checkout is not touched.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import yaml
from ruamel.yaml import YAML

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
DATA = Path(os.environ.get("PLUMBLINE_TEST_DATA", ROOT.parent / "shared" / "data"))
NAMES = tuple(sorted(file.parent.name for file in HERE.glob("*/example.yaml")))


def main() -> int:
    """Run an example; returns the exit code of what stopped it."""
    parser = argparse.ArgumentParser(prog="python examples/run.py", description=__doc__)
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--data", type=Path, help="file or folder; its README says where from")
    arguments = parser.parse_args()
    example = read(arguments.name)
    data = (arguments.data or DATA / example["data"]).resolve()
    if not data.exists():
        print(f"{data} is not there: see examples/{arguments.name}/README.md", file=sys.stderr)
        return 2
    work = HERE / "runs" / arguments.name
    clone(work)
    options = options_of(example["init"])
    source = prepare(data, example, work)
    code = call(work, "init", "--data", str(source), *options)
    if code == 0:
        set_params(work / "params.yaml", example.get("params", {}))
        code = call(work, "repro")
    print(f"\nit is in {os.path.relpath(work)}")
    return code


def read(name: str) -> dict[str, Any]:
    """What an example needs: `data`, options of `init`, columns to `drop`, `params`."""
    content: dict[str, Any] = yaml.safe_load((HERE / name / "example.yaml").read_text())
    return content


def options_of(given: Mapping[str, str | bool]) -> list[str]:
    """Options of a command; `true` stands for one without a value."""
    pairs = [
        (f"--{name}",) if value is True else (f"--{name}", str(value))
        for name, value in given.items()
    ]
    return [part for pair in pairs for part in pair]


def clone(work: Path) -> None:
    """A fresh clone of the last commit."""
    shutil.rmtree(work, ignore_errors=True)
    work.parent.mkdir(exist_ok=True)
    subprocess.run(["git", "clone", "--quiet", ROOT, work], check=True)


def prepare(data: Path, example: Mapping[str, Any], work: Path) -> Path:
    """The data as `init` gets them: as they are, or without some columns."""
    if "drop" not in example:
        return data
    made = work.parent / f"{work.name}.csv"
    pl.read_csv(data, infer_schema=False).drop(example["drop"]).write_csv(made)
    return made


def set_params(file: Path, params: Mapping[str, Any]) -> None:
    """Other values in params.yaml; its comments stay."""
    reader = YAML()
    content = reader.load(file)
    merge(content, params)
    with file.open("w", encoding="utf-8") as opened:
        reader.dump(content, opened)


def merge(content: Any, params: Mapping[str, Any]) -> None:
    """Set nested keys."""
    for name, value in params.items():
        if isinstance(value, Mapping) and isinstance(content.get(name), Mapping):
            merge(content[name], value)
        else:
            content[name] = value


def call(work: Path, *arguments: str) -> int:
    """A command of plumbline in the clone, with the code of the clone."""
    print(f"$ plumbline {' '.join(arguments)}", flush=True)
    bin_folder = str(Path(sys.executable).parent)
    variables = {
        **os.environ,
        "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join([str(work / "src"), str(work)]),
    }
    command = [sys.executable, "-m", "plumbline", *arguments]
    return subprocess.run(command, cwd=work, env=variables, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
