"""A class so rare that folds, batches or parts lack it: the graph ends well, or says what to do."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from tests.made import plumbline

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


@pytest.mark.parametrize(
    "counts", [{"no": 240, "yes": 6}, {"a": 150, "b": 90, "c": 6}], ids=["binary", "multiclass"]
)
def test_folds_without_a_class(checkout: Path, counts: dict[str, int]) -> None:
    rows_with(checkout, counts)
    for stage in STAGES:
        done = plumbline(checkout, stage)
        assert done.returncode == 0, f"{stage}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    split = load_split(Paths(checkout))
    label = pl.read_csv(checkout / "rare.csv")["label"].to_numpy()
    rare = label == min(counts, key=lambda name: counts[name])
    scored = [rare[split.fold(k)[1]].sum() for k in range(split.folds.shape[1])]
    assert min(scored) == 0  # or the test says nothing
    best = json.loads((checkout / "artifacts/tuning/best.json").read_text())
    assert best
    found = json.loads((checkout / "reports/metrics.json").read_text())
    assert np.isfinite(found["test"]["accuracy"])
