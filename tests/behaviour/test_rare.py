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
from plumbline.kinds import Part
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


def test_a_class_of_one_row_and_rows_without_a_class_go_through_the_graph(checkout: Path) -> None:
    """Rows without a target leave out themselves and nothing else: the parts, and what the
    preprocessor learned, are those of the data without them."""
    rows_with(checkout, {"a": 150, "b": 90, "c": 1})
    run(checkout, *STAGES, "explain", "drift", "export")
    alone = pl.read_csv(checkout / "rare.csv")["label"].to_numpy() == "c"
    before = load_split(Paths(checkout))
    assert (before.part[alone] == Part.TRAIN).all()
    learned = (checkout / "artifacts/prepared/preprocessor.json").read_bytes()

    frame = pl.read_csv(checkout / "rare.csv")
    gaps = frame.head(7).with_columns(pl.lit(None, pl.String).alias("label"), x0=pl.lit(1e6))
    pl.concat([frame.head(100), gaps, frame.tail(-100)]).write_csv(checkout / "rare.csv")
    done = plumbline(checkout, "init", "--data", "rare.csv", "--target", "label")
    assert done.returncode == 0 and "missing in 7 rows, which are left out" in done.stdout
    run(checkout, "validate", "split", "normalize")
    after = load_split(Paths(checkout))
    assert (after.part[100:107] == Part.UNUSED).all()
    np.testing.assert_array_equal(np.delete(after.part, slice(100, 107)), before.part)
    assert (checkout / "artifacts/prepared/preprocessor.json").read_bytes() == learned
