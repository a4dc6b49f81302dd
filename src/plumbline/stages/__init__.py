"""The stages of dvc.yaml, each a module with `run(config, paths) -> Report`.

A module is imported only when its stage runs: the libraries behind some of them take
seconds to load.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from plumbline.config import Config, Paths

ABOUT = {  # in the order of the graph
    "validate": "check the data against expectations.yaml; stops on a violation",
    "split": "training, validation and test parts, folds; stops on target leakage",
    "normalize": "impute, scale and encode, fitted on training rows",
    "tune": "search hyperparameters over the folds",
    "train": "fit the final model",
    "evaluate": "metrics with intervals, calibration, baselines, slices",
    "explain": "SHAP and LIME, with their measured faithfulness",
    "drift": "compare test rows with training rows (Evidently)",
    "export": "write the ONNX model; stops if it differs from the torch model",
    "register": "log the run and the model version in MLflow; choose the champion",
    "report": "write the page, reports/index.html",
}
STAGES = tuple(ABOUT)


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a stage tells its user: a table of results, and where to look next."""

    rows: Sequence[tuple[str, str]]
    outputs: Sequence[Path] = ()


class StageFunction(Protocol):
    """Reads what dvc.yaml names as dependencies, writes what it names as outputs, whole."""

    def __call__(self, config: Config, paths: Paths) -> Report: ...


def load_stage(name: str) -> StageFunction:
    """The `run` function of a stage, by its name in `STAGES`."""
    assert name in STAGES, name
    return cast(StageFunction, import_module(f"plumbline.stages.{name}").run)


def print_report(title: str, report: Report, seconds: float) -> None:
    """Print a result table and where to look next."""
    width = max((len(label) for label, _ in report.rows), default=0)
    print(f"── {title} · {seconds:.1f} s")
    for label, value in report.rows:
        print(f"  {label:<{width}}  {value}")
    here = Path.cwd()
    for path in report.outputs:
        print(f"  → {path.relative_to(here) if path.is_relative_to(here) else path}")
