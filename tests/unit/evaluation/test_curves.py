"""The tables behind the plots agree with scikit-learn and with the metrics, and stay small."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn import metrics as sk

from plumbline.evaluation.curves import (
    CALIBRATION,
    CONFUSION,
    CONFUSION_LINES,
    POINTS,
    PR,
    ROC,
    confusion,
    curve_tables,
    pr_curve,
    roc_curve,
)
from plumbline.evaluation.decision import Decision, PartPredictions
from plumbline.evaluation.metrics import score
from plumbline.kinds import Task

SCHEMAS = {"roc": ROC, "pr": PR, "calibration": CALIBRATION, "confusion": CONFUSION}


def binary(n: int, seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    p = np.round(1 / (1 + np.exp(-(2 * y - 1 + rng.normal(size=n)))), 3)
    return y, np.stack([1 - p, p], axis=1)


def many(n: int, classes: int, seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, n)
    p = rng.dirichlet(np.ones(classes), n) + 0.3 * np.eye(classes)[y]
    return y, p / p.sum(axis=1, keepdims=True)


def predictions(y: Any, p: Any, task: Task) -> PartPredictions:
    return PartPredictions(
        task=task, y=y, rows=np.arange(len(y)), prediction=p, decision=Decision()
    )


def area(frame: pl.DataFrame, x: str, y: str) -> float:
    return float(np.trapezoid(frame[y].to_numpy(), frame[x].to_numpy()))


def test_roc_is_scikit_learns() -> None:
    y, p = binary(100)
    frame = roc_curve(y, p)
    false, true, thresholds = sk.roc_curve(y, p[:, 1], drop_intermediate=False)
    np.testing.assert_allclose(frame["false_positive_rate"], false)
    np.testing.assert_allclose(frame["true_positive_rate"], true)
    np.testing.assert_allclose(frame["threshold"][1:], thresholds[1:])
    assert frame["threshold"][0] is None


def test_pr_is_scikit_learns() -> None:
    y, p = binary(100)
    frame = pr_curve(y, p)
    precision, recall, thresholds = sk.precision_recall_curve(y, p[:, 1])
    np.testing.assert_allclose(frame["precision"], precision[:-1][::-1])
    np.testing.assert_allclose(frame["recall"], recall[:-1][::-1])
    np.testing.assert_allclose(frame["threshold"], thresholds[::-1])


def test_a_long_curve_is_thinned_and_keeps_its_ends_and_area() -> None:
    y, p = binary(20_000)
    p[:, 1] += np.random.default_rng(1).random(20_000) * 1e-6  # as many points as rows
    frame = roc_curve(y, p)
    assert len(frame) == POINTS
    assert frame.row(0)[:2] == (0, 0) and frame.row(-1)[:2] == (1, 1)
    result = area(frame, "false_positive_rate", "true_positive_rate")
    assert result == pytest.approx(score("roc_auc", y, p, Task.BINARY), abs=0.002)
    assert len(pr_curve(y, p)) == POINTS


def test_of_more_classes_the_mean_curve_has_the_mean_area() -> None:
    y, p = many(3000, 5)
    roc = roc_curve(y, p)
    assert len(roc) == POINTS and roc["threshold"].null_count() == POINTS
    result = area(roc, "false_positive_rate", "true_positive_rate")
    assert result == pytest.approx(score("roc_auc", y, p, Task.MULTICLASS), abs=0.01)
    pr = area(pr_curve(y, p), "recall", "precision")
    assert pr == pytest.approx(score("average_precision", y, p, Task.MULTICLASS), abs=0.02)


def test_a_class_that_does_not_occur_is_left_out() -> None:
    y, p = many(500, 4)
    y[y == 3] = 0
    result = area(roc_curve(y, p), "false_positive_rate", "true_positive_rate")
    assert result == pytest.approx(score("roc_auc", y, p, Task.MULTICLASS), abs=0.02)


def test_every_table_has_its_header_and_regression_that_alone() -> None:
    y, p = binary(50)
    for of, classes, empty in (
        (predictions(y, p, Task.BINARY), ("no", "yes"), False),
        (predictions(*many(50, 23), Task.MULTICLASS), [f"c{i}" for i in range(23)], False),
        (predictions(np.zeros(50), np.zeros((50, 1)), Task.REGRESSION), (), True),
        (predictions(y[:0], p[:0], Task.BINARY), ("no", "yes"), True),
    ):
        tables = curve_tables(of, classes)
        for name, schema in SCHEMAS.items():
            assert tables[name].columns == list(schema)
            assert tables[name].is_empty() == empty, name
    header = curve_tables(of, classes)["roc"].write_csv()
    assert header == "false_positive_rate,true_positive_rate,threshold\n"


def test_one_class_only_has_no_roc() -> None:
    p = binary(20)[1]
    for y in (np.zeros(20, dtype=int), np.ones(20, dtype=int)):
        assert roc_curve(y, p).is_empty()
    assert pr_curve(np.zeros(20, dtype=int), p).is_empty()
    assert set(pr_curve(np.ones(20, dtype=int), p)["precision"]) == {1}


def test_two_rows() -> None:
    tables = curve_tables(
        predictions(np.array([0, 1]), np.array([[0.9, 0.1], [0.2, 0.8]]), Task.BINARY),
        ("no", "yes"),
    )
    assert tables["roc"]["true_positive_rate"].to_list() == [0, 1, 1]
    assert tables["calibration"]["rows"].to_list() == [2]


def counted(frame: pl.DataFrame) -> dict[tuple[str, str], float]:
    grouped = frame.group_by("actual", "predicted").agg(pl.col("count").sum())
    return {(a, p): n for a, p, n in grouped.iter_rows()}


def test_confusion_has_a_line_per_row() -> None:
    """DVC's template counts lines."""
    y, predicted = np.array([0, 0, 1, 1, 1]), np.array([0, 1, 1, 1, 0])
    frame = confusion(y, predicted, ("no", "yes"))
    assert len(frame) == 5 and set(frame["count"]) == {1}
    assert counted(frame) == {
        ("no", "no"): 1,
        ("no", "yes"): 1,
        ("yes", "no"): 1,
        ("yes", "yes"): 2,
    }


def test_a_confusion_of_many_rows_stays_small_and_exact() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 200_000)
    predicted = np.where(rng.random(200_000) < 0.999, y, (y + 1) % 3)
    predicted[np.flatnonzero(y == 0)[0]] = 2  # a mistake made once
    frame = confusion(y, predicted, ("a", "b", "c"))
    assert len(frame) <= CONFUSION_LINES + 9
    expected = sk.confusion_matrix(y, predicted)
    for (a, p), n in counted(frame).items():
        assert n == pytest.approx(expected["abc".index(a), "abc".index(p)])
    assert ("a", "c") in counted(frame)
    lines = frame.group_by("actual").len().sort("actual")["len"].to_numpy()
    np.testing.assert_allclose(lines / lines.sum(), np.bincount(y) / len(y), atol=0.005)
