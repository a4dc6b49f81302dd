"""Temperature mends confidence, never the order, and never makes validation rows worse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from plumbline.evaluation.calibration import (
    RANGE,
    apply_temperature,
    fit_temperature,
    reliability,
)
from plumbline.evaluation.metrics import score
from plumbline.kinds import Task


def sharpened(n: int, classes: int, by: float, seed: int = 0) -> tuple[Any, Any]:
    """Classes drawn from true probabilities, and those probabilities to the power `by`."""
    rng = np.random.default_rng(seed)
    truth = rng.dirichlet(np.ones(classes), n)
    y = np.array([rng.choice(classes, p=row) for row in truth])
    p = truth**by
    return y, p / p.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("by", [0.5, 3.0])
def test_the_temperature_undoes_what_was_done(classes: int, by: float) -> None:
    y, p = sharpened(4000, classes, by)
    t = fit_temperature(y, p)
    assert t == pytest.approx(by, rel=0.1)
    after = apply_temperature(p, t)
    assert score("ece", y, after, Task.MULTICLASS) < score("ece", y, p, Task.MULTICLASS)


def test_with_many_rows_it_is_the_least_log_loss() -> None:
    y, p = sharpened(5000, 3, 2.0)
    result = minimize_scalar(
        lambda t: score("log_loss", y, apply_temperature(p, t), Task.MULTICLASS), bounds=(0.05, 20)
    )
    assert fit_temperature(y, p) == pytest.approx(result.x, rel=1e-2)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 40), st.sampled_from([2, 3, 23]))
def test_validation_rows_never_get_worse(seed: int, n: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, n)
    p = rng.dirichlet(np.full(classes, 0.1), n)
    t = fit_temperature(y, p)
    assert RANGE[0] <= t <= RANGE[1]
    before = score("log_loss", y, p, Task.MULTICLASS)
    after = apply_temperature(p, t)
    assert score("log_loss", y, after, Task.MULTICLASS) <= before
    np.testing.assert_allclose(after.sum(axis=1), 1)
    np.testing.assert_array_equal(after.argmax(axis=1), p.argmax(axis=1))


def test_a_few_rows_that_are_all_right_do_not_make_it_certain() -> None:
    y, p = np.array([0, 1, 0, 1]), np.array([[0.8, 0.2], [0.2, 0.8]] * 2)
    t = fit_temperature(y, p)
    assert 0.3 < t < 1


def test_zero_and_one_stay_and_nothing_is_divided_by_zero() -> None:
    p = np.array([[1.0, 0.0], [0.0, 1.0], [1e-300, 1.0]])
    for t in RANGE:
        out = apply_temperature(p, t)
        assert np.isfinite(out).all()
        np.testing.assert_array_equal(out[:2], p[:2])
    # what was said for certain no temperature takes back
    assert fit_temperature(np.array([1, 0, 0]), p) == 1


def test_temperature_one_changes_nothing() -> None:
    p = np.random.default_rng(0).dirichlet(np.ones(3), 5)
    assert apply_temperature(p, 1.0) is p
    assert fit_temperature(np.zeros(0, dtype=np.int64), np.zeros((0, 3))) == 1


def test_the_table_says_what_was_seen() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(1000)
    y = (rng.random(1000) < p**2).astype(int)
    table = reliability(y, np.stack([1 - p, p], axis=1))
    assert len(table) == 10 and sum(b.rows for b in table) == 1000
    assert [b.predicted for b in table] == sorted(b.predicted for b in table)
    for b in table:
        assert b.low <= b.observed <= b.high
        assert abs(b.observed - b.predicted**2) < 0.15
    assert table[5].high < table[5].predicted  # overconfident, and seen to be


def test_the_table_of_hardly_any_rows_and_of_one_probability() -> None:
    assert reliability(np.zeros(0, dtype=int), np.zeros((0, 2))) == []
    (only,) = reliability(np.array([0, 1] * 50), np.full((100, 2), 0.5))
    assert (only.rows, only.predicted, only.observed) == (100, 0.5, 0.5)
    (small,) = reliability(np.array([1, 1]), np.array([[0.1, 0.9], [0.0, 1.0]]))
    assert small.observed == 1 and small.low < 0.5


def test_of_more_classes_the_most_probable_counts() -> None:
    y, p = sharpened(2000, 4, 1.0)
    table = reliability(y, p)
    for b in table:
        assert b.predicted >= 0.25
        assert b.observed == pytest.approx(b.predicted, abs=0.12)
