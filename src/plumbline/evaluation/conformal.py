"""Split conformal prediction: sets and intervals that hold the truth as often as promised.

From rows that the model was not fitted on, without an assumption about the model; the promise is
on average over rows that are exchangeable with those (Vovk et al. 2005; Lei et al. 2018).

n rows, C classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from plumbline.evaluation.metrics.weighted import Targets
from plumbline.kinds import BoolArray, DoubleArray, Task


@dataclass(frozen=True, kw_only=True)
class Conformal:
    """What makes a set or an interval of a prediction.

    Classification (`lac`): the set holds every class of at least `minimum_probability`, and the
    most probable one. Regression (`absolute`): the interval is the value ± `half_width`, None
    where there are too few rows to promise anything.
    """

    method: str
    coverage: float
    rows: int
    minimum_probability: float | None = None
    half_width: float | None = None

    def to_json(self) -> dict[str, Any]:
        """For decision.json; the key of the other task is left out."""
        own = "minimum_probability" if self.method == "lac" else "half_width"
        return {
            "method": self.method,
            "coverage": self.coverage,
            "rows": self.rows,
            own: getattr(self, own),
        }

    @classmethod
    def from_json(cls, state: dict[str, Any]) -> Self:
        """What `to_json` wrote."""
        return cls(**state)


def fit_conformal(y: Targets, prediction: DoubleArray, task: Task, coverage: float) -> Conformal:
    """Learn from rows that the model was not fitted on.

    The k-th least score of n, k = ceil((n + 1) * coverage), is what makes the promise hold for
    finite n. Classification scores by 1 - probability of the actual class (least ambiguous
    classifier, Sadinle et al. 2019): of all sets that hold the promise the smallest on average,
    and a plain comparison wherever the model is served. Regression scores by absolute residual.

    Args:
        y: (n,) class numbers or values.
        prediction: (n, C) calibrated probabilities or (n, 1) values.
        coverage: share of rows whose truth is to be inside, in (0, 1).
    """
    n = len(y)
    # 10 * 0.9 is 9.000000000000002 for some n and share: not a row more for that
    k = math.ceil((n + 1) * coverage - 1e-9)
    if task.has_classes:
        of_actual = np.sort(prediction[np.arange(n), y.astype(np.int64)])[::-1]
        least = float(of_actual[k - 1]) if k <= n else 0.0
        return Conformal(method="lac", coverage=coverage, rows=n, minimum_probability=least)
    residuals = np.sort(np.abs(y.astype(np.float64) - prediction[:, 0]))
    half = float(residuals[k - 1]) if k <= n else None
    return Conformal(method="absolute", coverage=coverage, rows=n, half_width=half)


def prediction_sets(conformal: Conformal, prediction: DoubleArray) -> BoolArray:
    """(n, C) probabilities to (n, C): which classes each row's set holds; never none."""
    assert conformal.minimum_probability is not None
    inside: BoolArray = prediction >= conformal.minimum_probability
    inside[np.arange(len(prediction)), prediction.argmax(axis=1)] = True
    return inside


def prediction_intervals(
    conformal: Conformal, prediction: DoubleArray
) -> tuple[DoubleArray, DoubleArray]:
    """(n, 1) values to low and high, each (n,); NaN where no interval can be promised."""
    half = math.nan if conformal.half_width is None else conformal.half_width
    return prediction[:, 0] - half, prediction[:, 0] + half


def measure(conformal: Conformal, y: Targets, prediction: DoubleArray) -> dict[str, float]:
    """On rows it was not fitted on: `coverage`, the share of rows whose truth is inside, and
    `mean_size`, classes per set or the interval's width. Empty where nothing can be measured."""
    if len(y) == 0 or (conformal.method == "absolute" and conformal.half_width is None):
        return {}
    if conformal.method == "lac":
        sets = prediction_sets(conformal, prediction)
        hit = sets[np.arange(len(y)), y.astype(np.int64)]
        return {"coverage": float(hit.mean()), "mean_size": float(sets.sum(axis=1).mean())}
    low, high = prediction_intervals(conformal, prediction)
    values = y.astype(np.float64)
    hit = (values >= low) & (values <= high)
    return {"coverage": float(hit.mean()), "mean_size": float((high - low).mean())}
