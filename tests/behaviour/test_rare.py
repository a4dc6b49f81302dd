"""A class so rare that folds, batches or parts lack it: the graph ends well, or says what to do."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from tests.made import plumbline, plumbline_here

from plumbline.config import Paths
from plumbline.stages.inputs import load_split

STAGES = ("validate", "split", "normalize", "tune", "train", "evaluate")


def rows_with(folder: Path, counts: dict[str, int]) -> None:
    """A checkout of rows of these classes, told apart by their numbers, in few epochs."""
    rng = np.random.default_rng(0)
    label = rng.permutation(np.repeat(list(counts), list(counts.values())))
    shift = np.array([list(counts).index(value) for value in label])
    frame = {f"x{j}": (rng.normal(size=len(label)) + shift).round(3) for j in range(4)}
    pl.DataFrame({**frame, "label": label}).write_csv(folder / "rare.csv")
    done = plumbline(folder, "init", "--data", "rare.csv", "--target", "label")
    assert done.returncode == 0, done.stderr
    params = yaml.safe_load((folder / "params.yaml").read_text())
    params["split"]["folds"] = 5
    params["tune"] |= {"trials": 2, "epochs": 3}
    params["train"] |= {"epochs": 4}
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def run(folder: Path, *stages: str) -> None:
    for stage in stages:
        assert plumbline_here(folder, stage) == 0, stage


def test_folds_that_score_no_row_of_a_class(checkout: Path) -> None:
    rows_with(checkout, {"a": 150, "b": 90, "c": 6})
    run(checkout, *STAGES)
    split = load_split(Paths(checkout))
    rare = pl.read_csv(checkout / "rare.csv")["label"].to_numpy() == "c"
    scored = [rare[split.fold(k)[1]].sum() for k in range(split.folds.shape[1])]
    assert min(scored) == 0  # or the test says nothing
    assert json.loads((checkout / "artifacts/tuning/best.json").read_text())
    result = json.loads((checkout / "reports/metrics.json").read_text())
    assert np.isfinite(result["test"]["accuracy"])


def test_fewer_rows_of_a_class_than_folds(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The metric of the search needs both classes in a fold: said, and mended as said."""
    rows_with(checkout, {"no": 240, "yes": 6})
    run(checkout, "validate", "split", "normalize")
    assert plumbline_here(checkout, "tune") == 2
    message = capsys.readouterr().err
    assert "split.folds: roc_auc cannot be computed in any fold" in message
    params = yaml.safe_load((checkout / "params.yaml").read_text())
    params["split"]["folds"] = 3
    (checkout / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    run(checkout, *STAGES[1:])
