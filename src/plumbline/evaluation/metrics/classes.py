"""Metrics of classification: of decisions, of order, of probabilities.

n rows, C classes, B sets of weights, K classes that are scored.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from plumbline.evaluation.metrics.weighted import (
    EPS,
    Make,
    Statistic,
    Targets,
    divide,
    mean_of,
    mean_over_classes,
)
from plumbline.inference.decided import predicted_classes
from plumbline.kinds import BoolArray, DoubleArray, IntArray

ECE_BINS = 15


def scored_classes(y: Targets, prediction: DoubleArray) -> IntArray:
    """The positive class of two; of more, those that occur in y. (K,), K = 0 if undefined."""
    present: IntArray = np.unique(y).astype(np.int64)
    if prediction.shape[1] > 2:
        return present
    positive: IntArray = present[present == 1]
    return positive


# --- of decisions


def accuracy(y: Targets, p: DoubleArray, threshold: float | None) -> Statistic:
    """Share of rows whose class is the predicted one."""
    return mean_of(predicted_classes(p, threshold) == y)


def balanced_accuracy(y: Targets, p: DoubleArray, threshold: float | None) -> Statistic:
    """Mean over the classes that occur of the share found of each."""
    counts = class_counts(y, predicted_classes(p, threshold), np.unique(y).astype(np.int64))

    def statistic(w: DoubleArray) -> DoubleArray:
        hit, actual, _ = counts(w)
        return mean_over_classes(divide(hit, actual))

    return statistic


def from_counts(
    of: Callable[[DoubleArray, DoubleArray, DoubleArray], DoubleArray],
) -> Make:
    """A metric of (hits, actual, predicted) counts per class, averaged over the classes that
    occur: 0 where nothing was predicted, undefined where nothing was there to be found."""

    def make(y: Targets, p: DoubleArray, threshold: float | None) -> Statistic:
        counts = class_counts(y, predicted_classes(p, threshold), scored_classes(y, p))

        def statistic(w: DoubleArray) -> DoubleArray:
            hit, actual, predicted = counts(w)
            values = of(hit, actual, predicted)
            return mean_over_classes(np.where(actual > 0, values, np.nan))

        return statistic

    return make


def class_counts(
    y: Targets, predicted: IntArray, classes: IntArray
) -> Callable[[DoubleArray], tuple[DoubleArray, DoubleArray, DoubleArray]]:
    """Weights (B, n) to sums (B, K) of rows hit, actual and predicted, per class."""
    is_actual = (y[:, None] == classes).astype(np.float64)  # (n, K)
    is_predicted = (predicted[:, None] == classes).astype(np.float64)
    is_hit = is_actual * is_predicted
    return lambda w: (w @ is_hit, w @ is_actual, w @ is_predicted)


def hit_share(hit: DoubleArray, actual: DoubleArray, predicted: DoubleArray) -> DoubleArray:
    """Precision: of the rows predicted as a class, the share that is of it."""
    return divide(hit, predicted, empty=0.0)


def true_positive_share(
    hit: DoubleArray, actual: DoubleArray, predicted: DoubleArray
) -> DoubleArray:
    """Recall: of the rows of a class, the share predicted as it."""
    return divide(hit, actual)


def f1(hit: DoubleArray, actual: DoubleArray, predicted: DoubleArray) -> DoubleArray:
    """Harmonic mean of precision and recall."""
    return divide(2 * hit, actual + predicted)


# --- of order: they need scores, no decision


def ranking(make: Callable[[BoolArray, DoubleArray], Statistic]) -> Make:
    """A metric of one class against the rest, averaged over the classes that are defined."""

    def averaged(y: Targets, p: DoubleArray, threshold: float | None) -> Statistic:
        classes = [make(y == c, p[:, c]) for c in scored_classes(y, p)]
        if not classes:
            return lambda w: np.full(len(w), np.nan)
        return lambda w: mean_over_classes(np.stack([of(w) for of in classes], axis=1))

    return averaged


def roc_auc(positive: BoolArray, scores: DoubleArray) -> Statistic:
    """Share of pairs in order, by the rows above each positive row; a tie counts half."""
    order, starts, ends = _positives_by_score(positive, scores)
    rows = np.flatnonzero(positive[order])

    def statistic(w: DoubleArray) -> DoubleArray:
        ordered = np.take(w, order, axis=1)
        weights, above = ordered[:, rows], np.cumsum(ordered, axis=1)
        total, weight = above[:, -1], weights.sum(axis=1)
        at_start = np.where(starts > 0, above[:, starts - 1], 0.0)
        ranks = np.einsum("bp,bp->b", weights, 0.5 * (at_start + above[:, ends]))
        # positives above positives: all pairs, half of them
        return 1 - divide(ranks - 0.5 * np.square(weight), weight * (total - weight))

    return statistic


def average_precision(positive: BoolArray, scores: DoubleArray) -> Statistic:
    """Mean of the precision at each positive row's score (a step function, no interpolation)."""
    order, _, ends = _positives_by_score(positive, scores)
    rows = np.flatnonzero(positive[order])
    last = np.searchsorted(ends, ends, side="right") - 1  # last positive of each one's tie

    def statistic(w: DoubleArray) -> DoubleArray:
        ordered = np.take(w, order, axis=1)
        weights, above = ordered[:, rows], np.cumsum(ordered, axis=1)[:, ends]
        hits = np.cumsum(weights, axis=1)
        precision = divide(hits[:, last], above, empty=0.0)
        return divide(np.einsum("bp,bp->b", weights, precision), hits[:, -1])

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


# --- of probabilities


def log_loss(y: Targets, p: DoubleArray, threshold: float | None) -> Statistic:
    """Mean over rows of `log_losses`."""
    return mean_of(log_losses(y, p))


def log_losses(y: Targets, p: DoubleArray) -> DoubleArray:
    """(n,) negative logs of the actual class's probability; clipped, so that they stay finite."""
    of_actual = p[np.arange(len(y)), y.astype(np.int64)]
    return np.asarray(-np.log(np.clip(of_actual, EPS, 1 - EPS)))


def brier(y: Targets, p: DoubleArray, threshold: float | None) -> Statistic:
    """Brier (1950); of two classes the square of one, as usual, so that it ends at 1."""
    actual = y.astype(np.int64)[:, None] == np.arange(p.shape[1])
    squares = np.square(p - actual).sum(axis=1)
    return mean_of(squares / 2 if p.shape[1] == 2 else squares)


def ece(y: Targets, p: DoubleArray, threshold: float | None) -> Statistic:
    """Expected calibration error of the most probable class, 15 bins of equal width
    (Guo et al. 2017, On Calibration of Modern Neural Networks, equation 5)."""
    confidence = p.max(axis=1)
    gap = (p.argmax(axis=1) == y) - confidence
    bins = np.clip(np.ceil(confidence * ECE_BINS).astype(np.int64) - 1, 0, ECE_BINS - 1)
    gaps = (bins[:, None] == np.arange(ECE_BINS)) * gap[:, None]  # (n, bins)
    return lambda w: divide(np.abs(w @ gaps).sum(axis=1), w.sum(axis=1))
