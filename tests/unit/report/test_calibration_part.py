"""The reliability diagram's words hold on both sides of one half, and for more classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.unit.report.sample import config, write_sample

from plumbline.evaluation.curves import curve_tables
from plumbline.evaluation.decision import Decision, PartPredictions
from plumbline.inference.decision import apply_temperature
from plumbline.kinds import DoubleArray, Task
from plumbline.report.about import about
from plumbline.report.blocks import Figures, Subsection
from plumbline.report.read import Reports
from plumbline.report.sections.probability import calibration


def part(folder: Path, task: str) -> Subsection:
    reports = Reports(write_sample(folder, task))
    return calibration(reports, about(config(task), reports))


def overconfident(classes: int) -> pl.DataFrame:
    """The reliability table of probabilities that are true, sharpened."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1.5, (20_000, classes))
    true: DoubleArray = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    y = (true.cumsum(1) < rng.random((20_000, 1))).sum(1)
    predictions = PartPredictions(
        task=Task.BINARY if classes == 2 else Task.MULTICLASS,
        y=y,
        rows=np.arange(20_000),
        prediction=apply_temperature(true, 0.5),
        decision=Decision(),
    )
    return curve_tables(predictions, [f"c{i}" for i in range(classes)])["calibration"]


def test_two_classes(tmp_path: Path) -> None:
    made = part(tmp_path, "binary")
    assert "Overconfident is below the line right of 0.5 and above it left of 0.5" in made.read
    assert "probability of 0.8 for malignant, eight in ten should be malignant" in made.read
    (figures,) = (b for b in made.blocks if isinstance(b, Figures))
    assert "predicted probability of malignant" in figures.figures[0].caption
    # and that is what an overconfident model looks like
    table = overconfident(2)
    gap = (table["observed"] - table["predicted"]).to_numpy()
    right = table["predicted"].to_numpy() > 0.5
    assert (gap[right] < 0).all() and (gap[~right] > 0).all()


def test_more_classes(tmp_path: Path) -> None:
    made = part(tmp_path, "multiclass")
    assert "below the line the model is overconfident" in made.read and "0.5" not in made.read
    (figures,) = (b for b in made.blocks if isinstance(b, Figures))
    assert "probability of the predicted class" in figures.figures[0].caption
    table = overconfident(4)
    assert (table["observed"] < table["predicted"]).mean() == pytest.approx(1.0, abs=0.11)
