"""Split conformal prediction: sets and intervals that hold the truth as often as promised.

From rows that the model was not fitted on, without an assumption about the model; the promise is
on average over rows that are exchangeable with those (Vovk et al. 2005; Lei et al. 2018).

n rows, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from plumbline.evaluation.metrics.weighted import Targets
from plumbline.inference.decided import State, prediction_intervals, prediction_sets
from plumbline.kinds import DoubleArray, Task


@dataclass(frozen=True, kw_only=True)
class Method:
    """How a set or an interval is made of a prediction.

    Attributes:
        fit: y (n,), prediction (n, C) and k to what it learned: the k-th least score of the n rows
            is what holds the promise; there is none where k > n.
        columns: what a table of predictions shows of it, (n,) each.
        measure: `coverage` and `mean_size` of rows that it was not fitted on.
    """

    name: str
    fit: Callable[[Targets, DoubleArray, int], dict[str, float | None]]
    columns: Callable[[State, DoubleArray], dict[str, DoubleArray]]
    measure: Callable[[State, Targets, DoubleArray], dict[str, float]]


@dataclass(frozen=True, kw_only=True)
class Conformal:
    """A method of `CONFORMAL` with what it learned from `rows` rows for a promised coverage."""

    method: Method
    coverage: float
    rows: int
    state: State

    def to_json(self) -> dict[str, Any]:
        """For decision.json."""
        own = {"method": self.method.name, "coverage": self.coverage, "rows": self.rows}
        return {**own, **self.state}


def fit_conformal(y: Targets, prediction: DoubleArray, task: Task, coverage: float) -> Conformal:
    """Learn from rows that the model was not fitted on.

    The k-th least score of n, k = ceil((n + 1) * coverage), is what makes the promise hold for
    finite n.

    Args:
        y: (n,) class numbers or values.
        prediction: (n, C) calibrated probabilities or values.
        coverage: share of rows whose truth is to be inside, in (0, 1).
    """
    method = CONFORMAL[task]
    # 10 * 0.9 is 9.000000000000002 for some n and share: not a row more for that
    k = math.ceil((len(y) + 1) * coverage - 1e-9)
    state = method.fit(y, prediction, k)
    return Conformal(method=method, coverage=coverage, rows=len(y), state=state)


def measure(conformal: Conformal, y: Targets, prediction: DoubleArray) -> dict[str, float]:
    """On rows it was not fitted on: `coverage`, the share of rows whose truth is inside, and
    `mean_size`, classes per set or the interval's width. Empty where nothing can be measured."""
    return conformal.method.measure(conformal.state, y, prediction) if len(y) else {}


def _fit_sets(y: Targets, prediction: DoubleArray, k: int) -> dict[str, float | None]:
    """Scores are 1 - probability of the actual class (least ambiguous classifier, Sadinle et al.
    2019): of all sets that hold the promise the smallest on average, and a plain comparison
    wherever the model is served."""
    of_actual = np.sort(prediction[np.arange(len(y)), y.astype(np.int64)])[::-1]
    return {"minimum_probability": float(of_actual[k - 1]) if k <= len(y) else 0.0}


def _measure_sets(state: State, y: Targets, prediction: DoubleArray) -> dict[str, float]:
    sets = prediction_sets(state, prediction)
    hit = sets[np.arange(len(y)), y.astype(np.int64)]
    return {"coverage": float(hit.mean()), "mean_size": float(sets.sum(axis=1).mean())}


def _fit_width(y: Targets, prediction: DoubleArray, k: int) -> dict[str, float | None]:
    """Scores are absolute residuals."""
    residuals = np.sort(np.abs(y.astype(np.float64) - prediction[:, 0]))
    return {"half_width": float(residuals[k - 1]) if k <= len(y) else None}


def measure_intervals(ends: Mapping[str, DoubleArray], y: Targets) -> dict[str, float]:
    """Of intervals from `low` to `high`; nothing where no interval is promised."""
    low, high, values = ends["low"], ends["high"], y.astype(np.float64)
    if np.isnan(low).all():
        return {}
    hit = (values >= low) & (values <= high)
    return {"coverage": float(hit.mean()), "mean_size": float((high - low).mean())}


SETS = Method(
    name="lac", fit=_fit_sets, columns=lambda state, prediction: {}, measure=_measure_sets
)
INTERVALS = Method(
    name="absolute",
    fit=_fit_width,
    columns=prediction_intervals,
    measure=lambda state, y, p: measure_intervals(prediction_intervals(state, p), y),
)
CONFORMAL: dict[Task, Method] = {
    Task.BINARY: SETS,
    Task.MULTICLASS: SETS,
    Task.REGRESSION: INTERVALS,
}
