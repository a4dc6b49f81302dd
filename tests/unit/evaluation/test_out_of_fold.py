"""Held-out predictions of a bag: who predicts which row, and what is promised from them."""

from __future__ import annotations

from typing import Any

import numpy as np

from plumbline.evaluation.conformal import fit_conformal, measure
from plumbline.evaluation.out_of_fold import in_sample, out_of_fold
from plumbline.kinds import Task
from plumbline.tables import NEVER

NETWORKS, ROWS, FEATURES, NEW = 5, 60, 25, 400


def test_means_over_the_networks_that_a_row_is_for() -> None:
    members: Any = [lambda given, k=k: np.full((len(given["x"]), 1), float(k)) for k in range(3)]
    inputs, bag = {"x": np.zeros((4, 1))}, np.array([0, 1, 2, NEVER], dtype=np.uint8)
    held_out = out_of_fold(members, {"x": np.zeros((3, 1))}, bag[:3])
    assert held_out[:, 0].tolist() == [0, 1, 2]
    assert in_sample(members, inputs, bag)[:, 0].tolist() == [1.5, 1, 0.5, 1]


def test_intervals_by_held_out_predictions_hold_what_they_promise() -> None:
    """Least squares that nearly memorizes its rows, 200 times: 90 % intervals from predictions of
    rows that each fit was held out from cover at least as many new rows, and not nearly all;
    from predictions of rows that were fitted on they do not."""
    rng = np.random.default_rng(0)
    promised, fitted_on = [], []
    for _ in range(200):
        slope = rng.normal(size=FEATURES)
        x, new = rng.normal(size=(ROWS, FEATURES)), rng.normal(size=(NEW, FEATURES))
        y, y_new = (rows @ slope + 3 * rng.normal(size=len(rows)) for rows in (x, new))
        bag = (np.arange(ROWS) % NETWORKS).astype(np.uint8)
        fits = [np.linalg.lstsq(x[bag != k], y[bag != k])[0] for k in range(NETWORKS)]
        members: Any = [lambda given, w=w: (given["x"] @ w)[:, None] for w in fits]
        prediction = np.mean([new @ w for w in fits], axis=0)[:, None]
        for how, coverage in ((out_of_fold, promised), (in_sample, fitted_on)):
            conformal = fit_conformal(y, how(members, {"x": x}, bag), Task.REGRESSION, 0.9)
            coverage.append(measure(conformal, y_new, prediction)["coverage"])
    assert 0.9 <= np.mean(promised) < 0.97
    assert np.mean(fitted_on) < 0.8
