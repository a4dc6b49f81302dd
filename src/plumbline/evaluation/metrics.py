"""Metrics of classification and regression, in numpy alone.

Each metric is written once, for weighted rows: `Metric.statistic(y, prediction, threshold)` does
what depends on rows alone (sorting, matching) and gives a function of row weights (B, n) that
returns (B,) values. One row of ones is the metric; rows of counts are bootstrap resamples.
scikit-learn is the reference in the tests and is not imported: it takes 2 s to load, and the
training loop asks for a score every epoch.

n rows, C classes, B sets of weights, K classes that are scored.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plumbline.errors import ParameterError
from plumbline.kinds import BoolArray, DoubleArray, IntArray, Task

Targets = NDArray[np.generic]  # (n,) class numbers or values
Statistic = Callable[[DoubleArray], DoubleArray]  # row weights (B, n) to (B,)
Make = Callable[[Targets, DoubleArray, float | None], Statistic]
ECE_BINS = 15
EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, kw_only=True)
class Metric:
    """How to compute a metric, and how to read it.

    `statistic` maps y (n,), prediction (n, C) or (n, 1) and the threshold to a function of
    row weights (B, n) -> (B,). `by_label` metrics depend on the threshold. `biased` ones grow
    when rows are drawn twice, so their bootstrap intervals are moved back by the mean shift.
    """

    statistic: Make
    greater_is_better: bool
    classification: bool = True
    by_label: bool = False
    biased: bool = False

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
    if name not in metric_names(task):
        raise ParameterError(
            f"'{name}' is no metric of a {task} task",
            file="params.yaml",
            mend=f"choose one of {', '.join(metric_names(task))}",
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
    values = {name: score(name, y, prediction, task, threshold) for name in metric_names(task)}
    return {name: value for name, value in values.items() if np.isfinite(value)}


def metric_names(task: Task) -> tuple[str, ...]:
    """The metrics that a task has."""
    return tuple(n for n, m in METRICS.items() if m.classification == task.is_classification)


def default_metric(task: Task) -> str:
    """The metric that counts where none is named."""
    return {Task.BINARY: "roc_auc", Task.MULTICLASS: "accuracy", Task.REGRESSION: "rmse"}[task]


def predicted_classes(prediction: DoubleArray, threshold: float | None = None) -> IntArray:
    """(n, C) probabilities to (n,) class numbers; `threshold` is for two classes only."""
    if threshold is not None and prediction.shape[1] == 2:
        return np.asarray(prediction[:, 1] >= threshold, dtype=np.int64)
    return np.asarray(prediction.argmax(axis=1), dtype=np.int64)


def _scored_classes(y: Targets, prediction: DoubleArray) -> IntArray:
    """The positive class of two; of more, those that occur in y. (K,), K = 0 if undefined."""
    present: IntArray = np.unique(y).astype(np.int64)
    if prediction.shape[1] > 2:
        return present
    positive: IntArray = present[present == 1]
    return positive


def _mean_of(values: DoubleArray | BoolArray) -> Statistic:
    rows = values.astype(np.float64)
    return lambda w: _divide(w @ rows, w.sum(axis=1))


def _divide(above: DoubleArray, below: DoubleArray, empty: float = np.nan) -> DoubleArray:
    out: DoubleArray = np.full(np.broadcast_shapes(above.shape, below.shape), empty)
    np.divide(above, below, out=out, where=below > 0)
    return out


def _mean_over_classes(values: DoubleArray) -> DoubleArray:
    """(B, K) to (B,), over the classes that are defined."""
    known = np.isfinite(values)
    return _divide(np.where(known, values, 0.0).sum(axis=1), known.sum(axis=1).astype(np.float64))


# --- metrics of labels: they need a decision


def _accuracy(y: Targets, p: DoubleArray, threshold: float | None) -> Statistic:
    return _mean_of(predicted_classes(p, threshold) == y)


def _balanced_accuracy(y: Targets, p: DoubleArray, threshold: float | None) -> Statistic:
    counts = _class_counts(y, predicted_classes(p, threshold), np.unique(y).astype(np.int64))

    def statistic(w: DoubleArray) -> DoubleArray:
        hit, actual, _ = counts(w)
        return _mean_over_classes(_divide(hit, actual))

    return statistic


def _from_counts(
    of: Callable[[DoubleArray, DoubleArray, DoubleArray], DoubleArray],
) -> Make:
    """A metric of (hits, actual, predicted) counts per class, averaged over the classes that
    occur: 0 where nothing was predicted, undefined where nothing was there to be found."""

    def make(y: Targets, p: DoubleArray, threshold: float | None) -> Statistic:
        counts = _class_counts(y, predicted_classes(p, threshold), _scored_classes(y, p))

        def statistic(w: DoubleArray) -> DoubleArray:
            hit, actual, predicted = counts(w)
            values = of(hit, actual, predicted)
            return _mean_over_classes(np.where(actual > 0, values, np.nan))

        return statistic

    return make


def _class_counts(
    y: Targets, predicted: IntArray, classes: IntArray
) -> Callable[[DoubleArray], tuple[DoubleArray, DoubleArray, DoubleArray]]:
    """Weights (B, n) to sums (B, K) of rows hit, actual and predicted, per class."""
    is_actual = (y[:, None] == classes).astype(np.float64)  # (n, K)
    is_predicted = (predicted[:, None] == classes).astype(np.float64)
    is_hit = is_actual * is_predicted
    return lambda w: (w @ is_hit, w @ is_actual, w @ is_predicted)


# --- metrics of order: they need scores, no decision


def _ranking(make: Callable[[BoolArray, DoubleArray], Statistic]) -> Make:
    """A metric of one class against the rest, averaged over the classes that are defined."""

    def averaged(y: Targets, p: DoubleArray, threshold: float | None) -> Statistic:
        classes = [make(y == c, p[:, c]) for c in _scored_classes(y, p)]
        if not classes:
            return lambda w: np.full(len(w), np.nan)
        return lambda w: _mean_over_classes(np.stack([of(w) for of in classes], axis=1))

    return averaged


def _roc_auc(positive: BoolArray, scores: DoubleArray) -> Statistic:
    """Share of pairs in order, by the rows above each positive row; a tie counts half."""
    order, starts, ends = _positives_by_score(positive, scores)
    rows = np.flatnonzero(positive[order])

    def statistic(w: DoubleArray) -> DoubleArray:
        ordered = np.take(w, order, axis=1)
        weights, above = ordered[:, rows], np.cumsum(ordered, axis=1)
        total, found = above[:, -1], weights.sum(axis=1)
        at_start = np.where(starts > 0, above[:, starts - 1], 0.0)
        ranks = np.einsum("bp,bp->b", weights, 0.5 * (at_start + above[:, ends]))
        # positives above positives: all pairs, half of them
        return 1 - _divide(ranks - 0.5 * np.square(found), found * (total - found))

    return statistic


def _average_precision(positive: BoolArray, scores: DoubleArray) -> Statistic:
    """Mean of the precision at each positive row's score (a step function, no interpolation)."""
    order, _, ends = _positives_by_score(positive, scores)
    rows = np.flatnonzero(positive[order])
    last = np.searchsorted(ends, ends, side="right") - 1  # last positive of each one's tie

    def statistic(w: DoubleArray) -> DoubleArray:
        ordered = np.take(w, order, axis=1)
        weights, above = ordered[:, rows], np.cumsum(ordered, axis=1)[:, ends]
        found = np.cumsum(weights, axis=1)
        precision = _divide(found[:, last], above, empty=0.0)
        return _divide(np.einsum("bp,bp->b", weights, precision), found[:, -1])

    return statistic


def _positives_by_score(
    positive: BoolArray, scores: DoubleArray
) -> tuple[IntArray, IntArray, IntArray]:
    """The order of rows (n,), highest score first; and of each positive row, in that order,
    the first and the last position of the rows that share its score."""
    order = np.argsort(-scores, kind="stable")
    new = np.append(True, np.diff(scores[order]) != 0)
    first = np.flatnonzero(new)
    last = np.append(first[1:], len(order)) - 1
    tie = (np.cumsum(new) - 1)[positive[order]]
    return order, first[tie], last[tie]


# --- metrics of probabilities


def _log_loss(y: Targets, p: DoubleArray, threshold: float | None) -> Statistic:
    of_actual = p[np.arange(len(y)), y.astype(np.int64)]
    return _mean_of(-np.log(np.clip(of_actual, EPS, 1 - EPS)))


def _brier(y: Targets, p: DoubleArray, threshold: float | None) -> Statistic:
    """Brier (1950); of two classes the square of one, as usual, so that it ends at 1."""
    actual = y.astype(np.int64)[:, None] == np.arange(p.shape[1])
    squares = np.square(p - actual).sum(axis=1)
    return _mean_of(squares / 2 if p.shape[1] == 2 else squares)


def _ece(y: Targets, p: DoubleArray, threshold: float | None) -> Statistic:
    """Expected calibration error of the most probable class, 15 bins of equal width
    (Guo et al. 2017, On Calibration of Modern Neural Networks, equation 5)."""
    confidence = p.max(axis=1)
    gap = (p.argmax(axis=1) == y) - confidence
    bins = np.clip(np.ceil(confidence * ECE_BINS).astype(np.int64) - 1, 0, ECE_BINS - 1)
    gaps = (bins[:, None] == np.arange(ECE_BINS)) * gap[:, None]  # (n, bins)
    return lambda w: _divide(np.abs(w @ gaps).sum(axis=1), w.sum(axis=1))


# --- metrics of values


def _errors(of: Callable[[DoubleArray, DoubleArray], DoubleArray], *, root: bool = False) -> Make:
    """The weighted mean of a loss of (actual, predicted), over rows where it is a number."""

    def make(y: Targets, p: DoubleArray, threshold: float | None) -> Statistic:
        losses = of(y.astype(np.float64), p[:, 0])
        known = np.isfinite(losses)
        losses = np.where(known, losses, 0.0)

        def statistic(w: DoubleArray) -> DoubleArray:
            mean = _divide(w @ losses, w @ known.astype(np.float64))
            return np.sqrt(mean) if root else mean

        return statistic

    return make


def _absolute(y: DoubleArray, p: DoubleArray) -> DoubleArray:
    return np.abs(y - p)


def _squared(y: DoubleArray, p: DoubleArray) -> DoubleArray:
    return np.square(y - p)


def _relative(y: DoubleArray, p: DoubleArray) -> DoubleArray:
    """Share of the actual value; rows whose actual value is 0 have none and are left out."""
    return _divide(np.abs(y - p), np.abs(y))


def _r2(y: Targets, p: DoubleArray, threshold: float | None) -> Statistic:
    values = y.astype(np.float64)
    squares = _squared(values, p[:, 0])
    centred = values - values.mean()  # keeps the variance of large values exact

    def statistic(w: DoubleArray) -> DoubleArray:
        total = w.sum(axis=1)
        spread = w @ np.square(centred) - _divide(np.square(w @ centred), total)
        constant = spread <= EPS * (w @ np.square(values))
        return 1 - _divide(w @ squares, np.where(constant, 0.0, spread))

    return statistic


def _hit_share(hit: DoubleArray, actual: DoubleArray, predicted: DoubleArray) -> DoubleArray:
    return _divide(hit, predicted, empty=0.0)


def _found_share(hit: DoubleArray, actual: DoubleArray, predicted: DoubleArray) -> DoubleArray:
    return _divide(hit, actual)


def _f1(hit: DoubleArray, actual: DoubleArray, predicted: DoubleArray) -> DoubleArray:
    return _divide(2 * hit, actual + predicted)


def _label(make: Make) -> Metric:
    return Metric(statistic=make, greater_is_better=True, by_label=True)


def _loss(make: Make, *, classification: bool = True, biased: bool = False) -> Metric:
    return Metric(
        statistic=make, greater_is_better=False, classification=classification, biased=biased
    )


METRICS: dict[str, Metric] = {
    "accuracy": _label(_accuracy),
    "balanced_accuracy": _label(_balanced_accuracy),
    "precision": _label(_from_counts(_hit_share)),
    "recall": _label(_from_counts(_found_share)),
    "f1": _label(_from_counts(_f1)),
    "roc_auc": Metric(statistic=_ranking(_roc_auc), greater_is_better=True),
    "average_precision": Metric(statistic=_ranking(_average_precision), greater_is_better=True),
    "log_loss": _loss(_log_loss),
    "brier": _loss(_brier),
    "ece": _loss(_ece, biased=True),
    "mae": _loss(_errors(_absolute), classification=False),
    "mse": _loss(_errors(_squared), classification=False),
    "rmse": _loss(_errors(_squared, root=True), classification=False),
    "r2": Metric(statistic=_r2, greater_is_better=True, classification=False),
    "mape": _loss(_errors(_relative), classification=False),
}
