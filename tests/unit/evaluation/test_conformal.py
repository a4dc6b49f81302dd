"""Sets and intervals hold the truth as often as promised, on rows they were not fitted on."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from plumbline.evaluation.conformal import (
    fit_conformal,
    measure,
    prediction_intervals,
    prediction_sets,
)
from plumbline.kinds import Task


def classified(n: int, seed: int, noise: float = 1.0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 4, n)
    z = 2.0 * np.eye(4)[y] + noise * rng.normal(size=(n, 4))
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    return y, p


def valued(n: int, seed: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    y = rng.normal(size=n)
    return y, (y + rng.standard_t(3, size=n))[:, None]


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.99])
@pytest.mark.parametrize("make", [classified, valued])
def test_the_promise_holds_on_average(make: Any, coverage: float) -> None:
    task = Task.MULTICLASS if make is classified else Task.REGRESSION
    held = []
    for seed in range(60):
        conformal = fit_conformal(*make(120, seed), task, coverage)
        held.append(measure(conformal, *make(500, 1000 + seed))["coverage"])
    # between coverage and coverage + 1 / (n + 1), but for the noise of 60 draws; where many sets
    # would be empty, the most probable class that they get instead adds to it
    assert np.mean(held) > coverage - 0.01
    if make is valued or coverage > 0.8:
        assert np.mean(held) < coverage + 1 / 121 + 0.01


def test_the_quantile_is_that_of_n_plus_one() -> None:
    y = np.zeros(9)
    p = np.arange(1.0, 10.0)[:, None]
    assert fit_conformal(y, p, Task.REGRESSION, 0.9).state["half_width"] == 9
    assert fit_conformal(y, p, Task.REGRESSION, 0.5).state["half_width"] == 5
    assert fit_conformal(y[:8], p[:8], Task.REGRESSION, 0.9).state["half_width"] is None


def test_too_few_rows_promise_nothing_and_say_so() -> None:
    conformal = fit_conformal(np.zeros(2), np.ones((2, 1)), Task.REGRESSION, 0.9)
    assert measure(conformal, np.zeros(3), np.ones((3, 1))) == {}
    low, high = prediction_intervals(conformal.state, np.ones((3, 1))).values()
    assert np.isnan(low).all() and np.isnan(high).all()
    everything = fit_conformal(np.array([0, 1]), np.full((2, 2), 0.5), Task.BINARY, 0.9)
    assert prediction_sets(everything.state, np.array([[1.0, 0.0]])).all()


def test_a_surer_model_has_smaller_sets() -> None:
    sizes = []
    for noise in (0.3, 1.0, 3.0):
        conformal = fit_conformal(*classified(500, 0, noise), Task.MULTICLASS, 0.9)
        sizes.append(measure(conformal, *classified(500, 1, noise))["mean_size"])
    assert 1 <= sizes[0] < sizes[1] < sizes[2] <= 4


def test_a_set_is_never_empty() -> None:
    perfect = np.eye(3)[[0, 1, 2] * 10]
    conformal = fit_conformal(np.array([0, 1, 2] * 10), perfect, Task.MULTICLASS, 0.9)
    assert conformal.state["minimum_probability"] == 1
    unsure = np.array([[0.4, 0.35, 0.25]])
    assert prediction_sets(conformal.state, unsure).tolist() == [[True, False, False]]


def test_nothing_to_measure_on_no_rows() -> None:
    conformal = fit_conformal(*classified(50, 0), Task.MULTICLASS, 0.9)
    assert measure(conformal, np.zeros(0), np.zeros((0, 4))) == {}


@pytest.mark.parametrize("make", [classified, valued])
def test_it_goes_through_json(make: Any) -> None:
    task = Task.MULTICLASS if make is classified else Task.REGRESSION
    conformal = fit_conformal(*make(50, 0), task, 0.9)
    state = json.loads(json.dumps(conformal.to_json(), allow_nan=False))
    assert state == {**state, **conformal.state} and state["method"] == conformal.method.name
    assert state["coverage"] == 0.9 and state["rows"] == 50
