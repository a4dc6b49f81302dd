"""What the plots show: bounded tables, with a header alone where the task has no such plot.

n rows, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import polars as pl

from plumbline.evaluation.calibration import reliability
from plumbline.evaluation.decision import PartPredictions
from plumbline.kinds import BoolArray, DoubleArray, IntArray, Task

POINTS = 201  # of a curve, at most
CONFUSION_LINES = 10_000
ROC = {"false_positive_rate": pl.Float64, "true_positive_rate": pl.Float64, "threshold": pl.Float64}
PR = {"recall": pl.Float64, "precision": pl.Float64, "threshold": pl.Float64}
CALIBRATION = {
    "predicted": pl.Float64,
    "observed": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "rows": pl.Int64,
}
CONFUSION = {"actual": pl.String, "predicted": pl.String, "count": pl.Float64}
TABLES: dict[str, dict[str, Any]] = {
    "roc": ROC,
    "pr": PR,
    "calibration": CALIBRATION,
    "confusion": CONFUSION,
}
BESIDE = ("roc", "pr")  # drawn of the baselines, too


def curve_tables(predictions: PartPredictions, classes: Sequence[str]) -> dict[str, pl.DataFrame]:
    """The tables `roc`, `pr`, `calibration` and `confusion` of a part's rows; a header alone of
    those that the task does not have.

    Args:
        classes: the C labels, if there are any.
    """
    made = {name: draw(predictions, classes) for name, draw in CURVES[predictions.task].items()}
    return {**{name: pl.DataFrame(schema=schema) for name, schema in TABLES.items()}, **made}


def baseline_curves(baselines: Mapping[str, PartPredictions]) -> dict[str, pl.DataFrame]:
    """The tables `baseline_roc` and `baseline_pr`: a column `model`, then those of `roc`, `pr`."""
    made = {}
    for table in BESIDE:
        frames = [pl.DataFrame(schema={"model": pl.String, **TABLES[table]})]
        for name, predictions in baselines.items():
            if table in CURVES[predictions.task]:
                drawn = CURVES[predictions.task][table](predictions, ())
                frames.append(drawn.select(pl.lit(name).alias("model"), pl.all()))
        made[f"baseline_{table}"] = pl.concat(frames)
    return made


def _roc(predictions: PartPredictions, classes: Sequence[str]) -> pl.DataFrame:
    return roc_curve(predictions.y.astype(np.int64), predictions.prediction)


def _pr(predictions: PartPredictions, classes: Sequence[str]) -> pl.DataFrame:
    return pr_curve(predictions.y.astype(np.int64), predictions.prediction)


def _calibration(predictions: PartPredictions, classes: Sequence[str]) -> pl.DataFrame:
    table = [asdict(b) for b in reliability(predictions.y.astype(np.int64), predictions.prediction)]
    return pl.DataFrame(table, schema=CALIBRATION)


def _confusion(predictions: PartPredictions, classes: Sequence[str]) -> pl.DataFrame:
    return confusion(
        predictions.y.astype(np.int64), predictions.predicted.astype(np.int64), classes
    )


Draw = Callable[[PartPredictions, Sequence[str]], pl.DataFrame]
_OF_CLASSES: dict[str, Draw] = {
    "roc": _roc,
    "pr": _pr,
    "calibration": _calibration,
    "confusion": _confusion,
}
CURVES: dict[Task, dict[str, Draw]] = {
    Task.BINARY: _OF_CLASSES,
    Task.MULTICLASS: _OF_CLASSES,
    Task.REGRESSION: {},
}


def roc_curve(y: IntArray, prediction: DoubleArray) -> pl.DataFrame:
    """True against false positive rate of the positive class, highest threshold first.

    Of more than two classes the mean over those that occur, each against the rest, at fixed
    false positive rates (no threshold then).
    """
    curves = []
    for positive, scores in _one_against_rest(y, prediction):
        if positive.all():
            continue
        hits, rows, thresholds = _counts(positive, scores)
        false = (rows - hits) / (rows[-1] - hits[-1])
        curves.append((false, hits / hits[-1], thresholds))
    if not curves:
        return pl.DataFrame(schema=ROC)
    if prediction.shape[1] == 2:
        return _frame(ROC, *_thin(*curves[0]))
    grid = np.linspace(0, 1, POINTS)
    mean = np.mean([np.interp(grid, false, true) for false, true, _ in curves], axis=0)
    mean[0] = 0.0
    return _frame(ROC, grid, mean, np.full(POINTS, np.nan))


def pr_curve(y: IntArray, prediction: DoubleArray) -> pl.DataFrame:
    """Precision against recall of the positive class, highest threshold first; of more than
    two classes the mean over those that occur, at fixed recalls."""
    curves = []
    for positive, scores in _one_against_rest(y, prediction):
        hits, rows, thresholds = (values[1:] for values in _counts(positive, scores))
        curves.append((hits / hits[-1], hits / rows, thresholds))
    if not curves:
        return pl.DataFrame(schema=PR)
    if prediction.shape[1] == 2:
        return _frame(PR, *_thin(*curves[0]))
    grid = np.linspace(0, 1, POINTS)
    mean = np.mean([p[np.searchsorted(r, grid - 1e-12)] for r, p, _ in curves], axis=0)
    return _frame(PR, grid, mean, np.full(POINTS, np.nan))


def confusion(y: IntArray, predicted: IntArray, classes: Sequence[str]) -> pl.DataFrame:
    """A line per row, as DVC's template wants: it counts lines. Of more than 10,000 rows each
    cell gets its share of as many lines, at least one; `count` is the number of rows that a line
    stands for, so that the sum over lines is exact."""
    size = len(classes)
    counts = np.bincount(y * size + predicted, minlength=size * size)
    share = min(1.0, CONFUSION_LINES / max(len(y), 1))
    lines = np.maximum(np.round(counts * share), counts > 0).astype(np.int64)
    cells = np.repeat(np.arange(size * size), lines)
    each = counts / np.maximum(lines, 1)
    labels = np.array(list(classes), dtype=object)
    return pl.DataFrame(
        {
            "actual": labels[cells // max(size, 1)].tolist(),
            "predicted": labels[cells % max(size, 1)].tolist(),
            "count": each[cells],
        },
        schema=CONFUSION,
    )


def _one_against_rest(y: IntArray, prediction: DoubleArray) -> list[tuple[BoolArray, DoubleArray]]:
    """(positive (n,), scores (n,)) of the positive class, or of every class; if it occurs."""
    columns = [1] if prediction.shape[1] == 2 else range(prediction.shape[1])
    return [(y == c, prediction[:, c]) for c in columns if (y == c).any()]


def _counts(
    positive: BoolArray, scores: DoubleArray
) -> tuple[DoubleArray, DoubleArray, DoubleArray]:
    """Positives and rows at or above each different score, highest first; and that score. The
    first entry is above all scores: nothing, at threshold NaN."""
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    hits = np.cumsum(positive[order])[ends].astype(np.float64)
    start = np.zeros(1)
    return (
        np.concatenate([start, hits]),
        np.concatenate([start, ends + 1.0]),
        np.concatenate([start * np.nan, scores[order][ends]]),
    )


def _thin(*columns: DoubleArray) -> tuple[DoubleArray, ...]:
    """At most `POINTS` of the points, evenly, the ends among them."""
    n = len(columns[0])
    keep = np.unique(np.round(np.linspace(0, n - 1, min(n, POINTS))).astype(np.int64))
    return tuple(column[keep] for column in columns)


def _frame(schema: dict[str, type[pl.Float64]], *columns: DoubleArray) -> pl.DataFrame:
    data = dict(zip(schema, columns, strict=True))
    return pl.DataFrame(data, schema=schema).with_columns(pl.all().fill_nan(None))
