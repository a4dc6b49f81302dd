"""Metrics of classification and regression, in numpy alone.

Each metric is written once, for weighted rows: `Metric.statistic(y, prediction, threshold)` does
what depends on rows alone (sorting, matching) and gives a function of row weights (B, n) that
returns (B,) values. One row of ones is the metric; rows of counts are bootstrap resamples.
scikit-learn is the reference in the tests and is not imported: it takes 2 s to load, and the
training loop asks for a score every epoch.

n rows, C classes, B sets of weights, K classes that are scored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plumbline.errors import ParameterError
from plumbline.evaluation.metrics import classes, values
from plumbline.evaluation.metrics.weighted import Make, OfSums, Targets
from plumbline.inference.decided import predicted_classes
from plumbline.kinds import DoubleArray, Task

__all__ = [
    "METRICS",
    "ROW_LOSSES",
    "Metric",
    "all_scores",
    "predicted_classes",
    "score",
    "together",
]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """How to compute a metric, and how to read it.

    `statistic` maps y (n,), prediction (n, C) or (n, 1) and the threshold to a function of
    row weights (B, n) -> (B,). `by_label` metrics depend on the threshold. `biased` ones grow
    when rows are drawn twice, so their bootstrap intervals are moved back by the mean shift.
    `relative` ones have no fixed scale: a difference is judged as a share of the metric.
    `row_loss` names the loss of `ROW_LOSSES` by which slices are judged; None: they are not.
    """

    statistic: Make
    greater_is_better: bool
    relative: bool = False
    by_label: bool = False
    biased: bool = False
    row_loss: str | None = None

    def function(
        self,
        y: Targets,
        prediction: NDArray[np.floating],
        threshold: float | None = None,
    ) -> float:
        """The metric of all rows; NaN where it is undefined."""
        p = np.asarray(prediction, dtype=np.float64)
        return float(self.statistic(np.asarray(y), p, threshold)(np.ones((1, len(y))))[0])


def score(
    name: str,
    y: Targets,
    prediction: NDArray[np.floating],
    task: Task,
    threshold: float | None = None,
) -> float:
    """One metric.

    Args:
        y: (n,) class numbers, or values.
        prediction: (n, C) probabilities (C = 2 for binary, column 1 = positive), or (n, 1).
        threshold: binary tasks: the positive class is predicted from this probability on;
            None: the more probable class.

    Returns:
        The value; NaN where it is undefined (ROC-AUC of one class, R² of a constant target).

    Raises:
        ParameterError: no such metric, or none of this task.
    """
    if name not in task.spec.metrics:
        raise ParameterError(
            f"'{name}' is no metric of a {task} task",
            file="params.yaml",
            hint=f"choose one of {', '.join(task.spec.metrics)}",
        )
    return METRICS[name].function(y, prediction, threshold)


def all_scores(
    y: Targets,
    prediction: NDArray[np.floating],
    task: Task,
    threshold: float | None = None,
) -> dict[str, float]:
    """Every metric of the task that is defined on these rows (see `score`)."""
    if len(y) == 0:
        return {}
    of = together(task.spec.metrics, y, prediction, threshold)
    values = {name: float(value[0]) for name, value in of(np.ones((1, len(y)))).items()}
    return {name: value for name, value in values.items() if np.isfinite(value)}


def together(
    names: Iterable[str],
    y: Targets,
    prediction: NDArray[np.floating],
    threshold: float | None = None,
) -> Callable[[DoubleArray], dict[str, DoubleArray]]:
    """Row weights (B, n) to the values (B,) of each metric; what several are made of is computed
    once."""
    y, p = np.asarray(y), np.asarray(prediction, dtype=np.float64)
    makes = {name: METRICS[name].statistic for name in names}
    shared = dict.fromkeys(make.sums for make in makes.values() if isinstance(make, OfSums))
    sums = {of: of(y, p, threshold) for of in shared}
    own = {
        name: make(y, p, threshold) for name, make in makes.items() if not isinstance(make, OfSums)
    }

    def values(w: DoubleArray) -> dict[str, DoubleArray]:
        made = {of: sums_of(w) for of, sums_of in sums.items()}
        return {
            name: make.formula(*made[make.sums]) if isinstance(make, OfSums) else own[name](w)
            for name, make in makes.items()
        }

    return values


def _label(formula: Callable[..., DoubleArray]) -> Metric:
    return Metric(
        statistic=OfSums(classes.counts, formula),
        greater_is_better=True,
        by_label=True,
        row_loss="log_loss",
    )


def _rank(formula: Callable[..., DoubleArray]) -> Metric:
    statistic = OfSums(classes.order, formula)
    return Metric(statistic=statistic, greater_is_better=True, row_loss="log_loss")


def _loss(make: Make, row_loss: str, *, relative: bool = False, biased: bool = False) -> Metric:
    return Metric(
        statistic=make,
        greater_is_better=False,
        relative=relative,
        biased=biased,
        row_loss=row_loss,
    )


METRICS: dict[str, Metric] = {
    "accuracy": _label(classes.accuracy),
    "balanced_accuracy": _label(classes.balanced_accuracy),
    "precision": _label(classes.from_counts(classes.hit_share)),
    "recall": _label(classes.from_counts(classes.true_positive_share)),
    "f1": _label(classes.from_counts(classes.f1)),
    "roc_auc": _rank(classes.roc_auc),
    "average_precision": _rank(classes.average_precision),
    "log_loss": _loss(classes.log_loss, "log_loss"),
    "brier": _loss(classes.brier, "log_loss"),
    "ece": _loss(classes.ece, "log_loss", biased=True),
    "mae": _loss(values.errors(values.absolute), "mae", relative=True),
    "mse": _loss(values.errors(values.squared), "mse", relative=True),
    "rmse": _loss(values.errors(values.squared, root=True), "mse", relative=True),
    "r2": Metric(statistic=values.r2, greater_is_better=True, row_loss="mse"),
    "mape": _loss(values.errors(values.relative), "mae", relative=True),
}
# metrics that are means of a loss per row: y (n,) and prediction (n, C) to (n,)
ROW_LOSSES: dict[str, Callable[[Targets, DoubleArray], DoubleArray]] = {
    "log_loss": classes.log_losses,
    "mae": values.row_losses(values.absolute),
    "mse": values.row_losses(values.squared),
}
