"""A file that is not there: which stage or command makes it, by dvc.yaml."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from plumbline.errors import DataError
from plumbline.files import read_yaml

OUTPUTS = ("outs", "metrics", "plots")
# what no stage writes
GIVEN = {
    "data": "run `dvc pull data.dvc` for the sample, or `plumbline init` for your own data",
    "expectations.yaml": "restore it with git, or run `plumbline init` on your own data",
}


def refuse_missing(stage: str, root: Path) -> None:
    """Check the declared inputs of a stage; code is left to Python.

    Raises:
        DataError: one is missing, or an empty folder; names what makes it.
    """
    stages = _stages(root)
    for path in _paths(stages.get(stage, {}), ("deps",)):
        if path.startswith("src/"):
            continue
        place = root / path
        if not place.exists() or (place.is_dir() and not any(place.iterdir())):
            raise _missing(path, stages)


def explain_missing(file: Path, root: Path) -> DataError | None:
    """The message for a file that was not found; None where no stage or command makes it."""
    if not file.absolute().is_relative_to(root.absolute()):
        return None
    path = file.absolute().relative_to(root.absolute()).as_posix()
    stages = _stages(root)
    written = [out for stage in stages.values() for out in _paths(stage, OUTPUTS)]
    known = any(path == out or path.startswith(f"{out}/") for out in (*written, *GIVEN))
    return _missing(path, stages) if known else None


def _missing(path: str, stages: Mapping[str, Any]) -> DataError:
    for name, stage in stages.items():
        if any(path == out or path.startswith(f"{out}/") for out in _paths(stage, OUTPUTS)):
            return DataError(
                f"not there: the stage '{name}' writes it",
                file=path,
                hint=f"run `dvc repro {name}` (that stage and what it needs)",
            )
    return DataError("not there", file=path, hint=GIVEN.get(path.split("/")[0]))


def _stages(root: Path) -> Mapping[str, Any]:
    """The stages of dvc.yaml; none where it cannot be read, which is not asked for here."""
    try:
        content = read_yaml(root / "dvc.yaml")
        return dict(content["stages"])
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        return {}


def _paths(stage: Mapping[str, Any], keys: tuple[str, ...]) -> Iterator[str]:
    for key in keys:
        for entry in stage.get(key, ()):
            yield entry if isinstance(entry, str) else next(iter(entry))
