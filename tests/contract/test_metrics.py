"""Every metric gives what scikit-learn gives, and says NaN where there is nothing to say."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from plumbline.config.model import MetricName
from plumbline.errors import ParameterError
from plumbline.evaluation.metrics import (
    METRICS,
    all_scores,
    predicted_classes,
    score,
    together,
)
from plumbline.kinds import TASKS, Task

CLASSIFICATION = [Task.BINARY, Task.MULTICLASS]


def averaging(y: Any, classes: int) -> dict[str, Any]:
    """How scikit-learn is asked for the same average: over the classes that occur."""
    if classes == 2:
        return {"labels": [1], "average": None}
    return {"labels": np.unique(y), "average": "macro"}


def one_against_rest(of: Callable[[Any, Any], float], y: Any, p: Any, *, both_sides: bool) -> float:
    classes = [1] if p.shape[1] == 2 else range(p.shape[1])
    values = [
        of(y == c, p[:, c])
        for c in classes
        if (y == c).any() and not (both_sides and (y == c).all())
    ]
    return float(np.mean(values)) if values else math.nan


def reference_ece(y: Any, p: Any) -> float:
    """Guo et al. 2017, equation 5, written as a loop over bins."""
    confidence, hit = p.max(axis=1), p.argmax(axis=1) == y
    total = 0.0
    for m in range(15):
        inside = (confidence > m / 15) & (confidence <= (m + 1) / 15)
        if inside.any():
            total += inside.mean() * abs(hit[inside].mean() - confidence[inside].mean())
    return float(total)


def reference(name: str, y: Any, p: Any) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(np.ravel(REFERENCE[name](y, p))[0])


def label(p: Any) -> Any:
    return p.argmax(axis=1)


def of_counts(function: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    def call(y: Any, p: Any) -> Any:
        if p.shape[1] == 2 and not (y == 1).any():
            return math.nan
        return function(y, label(p), zero_division=0, **averaging(y, p.shape[1]))

    return call


REFERENCE: dict[str, Callable[[Any, Any], Any]] = {
    "accuracy": lambda y, p: sk.accuracy_score(y, label(p)),
    "balanced_accuracy": lambda y, p: sk.balanced_accuracy_score(y, label(p)),
    "precision": of_counts(sk.precision_score),
    "recall": of_counts(sk.recall_score),
    "f1": of_counts(sk.f1_score),
    "roc_auc": lambda y, p: one_against_rest(sk.roc_auc_score, y, p, both_sides=True),
    "average_precision": lambda y, p: one_against_rest(
        sk.average_precision_score, y, p, both_sides=False
    ),
    "log_loss": lambda y, p: sk.log_loss(y, p, labels=np.arange(p.shape[1])),
    "brier": lambda y, p: sk.brier_score_loss(y, p, labels=np.arange(p.shape[1])),
    "ece": reference_ece,
    "mae": lambda y, p: sk.mean_absolute_error(y, p[:, 0]),
    "mse": lambda y, p: sk.mean_squared_error(y, p[:, 0]),
    "rmse": lambda y, p: sk.root_mean_squared_error(y, p[:, 0]),
    "r2": lambda y, p: sk.r2_score(y, p[:, 0]) if np.ptp(y) > 0 else math.nan,
    "mape": lambda y, p: (
        sk.mean_absolute_percentage_error(y[y != 0], p[y != 0, 0]) if (y != 0).any() else math.nan
    ),
}


@st.composite
def classified(draw: st.DrawFn) -> tuple[Any, Any]:
    """Classes and probabilities, with ties, extremes and absent classes."""
    n = draw(st.integers(1, 30))
    classes = draw(st.sampled_from([2, 3, 23]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    y = rng.integers(0, draw(st.integers(1, classes)), n)
    p = rng.dirichlet(np.full(classes, draw(st.sampled_from([0.05, 1.0, 50.0]))), n)
    digits = draw(st.sampled_from([1, 16]))  # one digit: many ties, zeros and ones
    p[:, 1:] = np.round(p[:, 1:], digits)
    p[:, 0] = 1 - p[:, 1:].sum(axis=1)
    return y, np.clip(p, 0.0, 1.0) / np.clip(p, 0.0, 1.0).sum(axis=1, keepdims=True)


@st.composite
def measured(draw: st.DrawFn) -> tuple[Any, Any]:
    n = draw(st.integers(2, 30))
    value = st.floats(-1e6, 1e6).map(lambda v: round(v, 2))
    y = draw(st.lists(value, min_size=n, max_size=n))
    p = draw(st.lists(value, min_size=n, max_size=n))
    return np.array(y), np.array(p)[:, None]


@settings(deadline=None, max_examples=150)
@given(classified())
def test_classification_is_as_scikit_learn_has_it(rows: tuple[Any, Any]) -> None:
    y, p = rows
    task = Task.BINARY if p.shape[1] == 2 else Task.MULTICLASS
    for name in task.spec.metrics:
        np.testing.assert_allclose(
            score(name, y, p, task), reference(name, y, p), rtol=1e-9, atol=1e-12, err_msg=name
        )


@settings(deadline=None)
@given(measured())
def test_regression_is_as_scikit_learn_has_it(rows: tuple[Any, Any]) -> None:
    y, p = rows
    for name in Task.REGRESSION.spec.metrics:
        np.testing.assert_allclose(
            score(name, y, p, Task.REGRESSION), reference(name, y, p), rtol=1e-7, err_msg=name
        )


def test_choices_and_parameters_agree() -> None:
    assert set(METRICS) == set(get_args(MetricName)) == set(REFERENCE)
    assert {name for task in TASKS for name in task.spec.metrics} == set(METRICS)


@pytest.mark.parametrize("name", list(METRICS))
def test_whole_weights_are_repeated_rows(name: str) -> None:
    """What the bootstrap relies on: a row of weight 3 counts as three rows."""
    rng = np.random.default_rng(0)
    task = Task.MULTICLASS if name in Task.MULTICLASS.spec.metrics else Task.REGRESSION
    y = rng.integers(0, 4, 50)
    p = np.round(rng.dirichlet(np.ones(4), 50), 1)
    if task == Task.REGRESSION:
        y, p = rng.normal(size=50), rng.normal(size=(50, 1))
    weights = rng.integers(0, 4, (5, 50))
    result = METRICS[name].statistic(y, p, None)(weights.astype(float))
    beside_others = together(task.spec.metrics, y, p)(weights.astype(float))[name]
    np.testing.assert_array_equal(beside_others, result)
    for row, value in zip(weights, result, strict=True):
        again = np.repeat(np.arange(50), row)
        assert value == pytest.approx(score(name, y[again], p[again], task), rel=1e-9)


@pytest.mark.parametrize("name", list(METRICS))
def test_a_better_prediction_has_the_better_score(name: str) -> None:
    metric = METRICS[name]
    rng = np.random.default_rng(1)
    if name in Task.MULTICLASS.spec.metrics:
        y = rng.integers(0, 2, 200)
        noise = rng.random(200)
        good, bad = (np.clip(s * y + (1 - s) * noise, 0, 1) for s in (0.9, 0.0))
        better, worse = (np.stack([1 - p, p], axis=1) for p in (good, bad))
    else:
        y = rng.normal(size=200) + 3
        better, worse = y[:, None] + 0.1, y[:, None] + rng.normal(size=(200, 1))
    gain = metric.function(y, better) - metric.function(y, worse)
    assert gain != 0
    assert (gain > 0) == metric.greater_is_better


def test_the_threshold_moves_labels_alone() -> None:
    rng = np.random.default_rng(2)
    y = rng.integers(0, 2, 100)
    p = np.stack([1 - (u := rng.random(100)), u], axis=1)
    plain, half = all_scores(y, p, Task.BINARY), all_scores(y, p, Task.BINARY, 0.5)
    low = all_scores(y, p, Task.BINARY, 0.1)
    assert plain == half
    moved = {name for name in plain if plain[name] != low[name]}
    assert moved == {name for name, metric in METRICS.items() if metric.by_label}
    assert low["recall"] == pytest.approx(sk.recall_score(y, u >= 0.1))


def test_a_threshold_is_reached_by_the_value_itself() -> None:
    p = np.array([[0.7, 0.3], [0.71, 0.29], [0.5, 0.5]])
    assert predicted_classes(p, 0.3).tolist() == [1, 0, 1]
    assert predicted_classes(p).tolist() == [0, 0, 0]


def test_one_class_only_leaves_out_what_is_undefined() -> None:
    p = np.array([[0.9, 0.1], [0.2, 0.8]])
    negatives = all_scores(np.zeros(2), p, Task.BINARY)
    assert set(negatives) == {"accuracy", "balanced_accuracy", "log_loss", "brier", "ece"}
    positives = all_scores(np.ones(2), p, Task.BINARY)
    assert "roc_auc" not in positives
    assert positives["recall"] == 0.5
    assert math.isnan(score("roc_auc", np.ones(2), p, Task.BINARY))


def test_extreme_probabilities_give_a_finite_loss() -> None:
    p = np.array([[1.0, 0.0], [0.0, 1.0]])
    eps = np.finfo(np.float64).eps
    assert score("log_loss", np.array([1, 0]), p, Task.BINARY) == pytest.approx(-math.log(eps))
    perfect = all_scores(np.array([0, 1]), p, Task.BINARY)
    assert perfect["roc_auc"] == perfect["accuracy"] == perfect["average_precision"] == 1
    assert perfect["brier"] == perfect["ece"] == 0
    assert perfect["log_loss"] == pytest.approx(0, abs=1e-12)


def test_constant_predictions_have_no_order() -> None:
    y = np.array([0, 1, 1, 0])
    assert score("roc_auc", y, np.full((4, 2), 0.5), Task.BINARY) == 0.5
    assert score("average_precision", y, np.full((4, 2), 0.5), Task.BINARY) == 0.5


def test_a_constant_target_has_no_r2() -> None:
    result = all_scores(np.full(5, 0.1), np.full((5, 1), 0.1), Task.REGRESSION)
    assert result == {"mae": 0, "mse": 0, "rmse": 0, "mape": 0}


def test_no_rows_have_no_scores() -> None:
    assert all_scores(np.zeros(0), np.zeros((0, 2)), Task.BINARY) == {}


def test_float32_predictions_are_scored_in_double() -> None:
    y = np.array([1.0, 2.0], dtype=np.float32)
    p = np.array([[1.5], [2.5]], dtype=np.float32)
    assert score("rmse", y, p, Task.REGRESSION) == 0.5


def test_a_metric_of_another_task_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"'rmse' is no metric of a binary task.*accuracy"):
        score("rmse", np.zeros(2), np.full((2, 2), 0.5), Task.BINARY)
