"""Metrics of classification: of decisions, of order, of probabilities.

n rows, C classes, B sets of weights, K classes that are scored.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from plumbline.evaluation.metrics.weighted import (
    EPS,
    Statistic,
    Sums,
    Targets,
    divide,
    group_sums,
    mean_of,
    mean_over_classes,
    run_sums,
    take,
)
from plumbline.inference.decided import predicted_classes
from plumbline.kinds import BoolArray, DoubleArray

ECE_BINS = 15


# --- of decisions


def counts(y: Targets, p: DoubleArray, threshold: float | None) -> Sums:
    """Weights to sums (B, K) of rows hit, actual and predicted of each class that occurs in y;
    then whether it is scored (K,): of two classes the positive one alone."""
    present, actual = np.unique(y.astype(np.int64), return_inverse=True)
    many = len(present)
    place = np.full(p.shape[1], many)  # classes that do not occur count as one
    place[present] = np.arange(many)
    cells = actual * (many + 1) + place[predicted_classes(p, threshold)]
    unique, cell = np.unique(cells, return_inverse=True)
    row, column = unique // (many + 1), unique % (many + 1)
    of_cells = group_sums(cell, len(unique))
    of_hits = group_sums(np.where(row == column, row, many), many + 1)
    of_actual, of_predicted = group_sums(row, many), group_sums(column, many + 1)
    scored = present == 1 if p.shape[1] == 2 else np.ones(many, dtype=bool)

    def sums(w: DoubleArray) -> tuple[DoubleArray, ...]:
        held = of_cells(w)
        hit, predicted = of_hits(held)[:, :many], of_predicted(held)[:, :many]
        return hit, of_actual(held), predicted, scored.astype(np.float64)

    return sums


def accuracy(hit: DoubleArray, actual: DoubleArray, *others: DoubleArray) -> DoubleArray:
    """Share of rows whose class is the predicted one."""
    return divide(hit.sum(axis=1), actual.sum(axis=1))


def balanced_accuracy(hit: DoubleArray, actual: DoubleArray, *others: DoubleArray) -> DoubleArray:
    """Mean over the classes that occur of the share found of each."""
    return mean_over_classes(divide(hit, actual))


def from_counts(
    of: Callable[[DoubleArray, DoubleArray, DoubleArray], DoubleArray],
) -> Callable[..., DoubleArray]:
    """A metric of (hits, actual, predicted) counts per class, averaged over the scored classes
    that occur: 0 where nothing was predicted, undefined where nothing was there to be found."""

    def formula(
        hit: DoubleArray, actual: DoubleArray, predicted: DoubleArray, scored: DoubleArray
    ) -> DoubleArray:
        defined = (actual > 0) & (scored > 0)
        return mean_over_classes(np.where(defined, of(hit, actual, predicted), np.nan))

    return formula


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


def order(y: Targets, p: DoubleArray, threshold: float | None) -> Sums:
    """Weights to the ROC-AUC and the average precision (B, K) of each class that occurs in y
    against the rest; of two classes the positive one alone."""
    present = np.unique(y)
    scored = present[present == 1] if p.shape[1] == 2 else present
    classes = [_order_of_class(y == c, p[:, int(c)]) for c in scored]

    def sums(w: DoubleArray) -> tuple[DoubleArray, ...]:
        values = np.empty((2, len(w), len(classes)))
        for k, of in enumerate(classes):
            values[..., k] = of(w)
        return values[0], values[1]

    return sums


def roc_auc(areas: DoubleArray, precisions: DoubleArray) -> DoubleArray:
    """Share of pairs in order, by the rows above each positive row; a tie counts half. The mean
    over the classes that are defined."""
    return mean_over_classes(areas)


def average_precision(areas: DoubleArray, precisions: DoubleArray) -> DoubleArray:
    """Mean of the precision at each positive row's score (a step function, no interpolation);
    then over the classes that are defined."""
    return mean_over_classes(precisions)


def _order_of_class(positive: BoolArray, scores: DoubleArray) -> Statistic:
    """Weights (B, n) to the ROC-AUC and the average precision (2, B) of one class."""
    order = np.argsort(-scores, kind="stable")
    new = np.append(True, np.diff(scores[order]) != 0)
    rows = np.flatnonzero(positive[order])
    # the ties that hold a positive row, and the first of the positive rows in each
    ties, starts = np.unique((np.cumsum(new) - 1)[rows], return_index=True)
    of_ties = run_sums(order, np.flatnonzero(new))
    of_positives = run_sums(order[rows], starts)

    def statistic(w: DoubleArray) -> DoubleArray:
        tied, own = of_ties(w), of_positives(w)
        through = np.cumsum(tied, axis=1)
        everything, weight = through[:, -1], own.sum(axis=1)
        at_or_above = take(through, ties)
        ranks = np.einsum("bt,bt->b", own, at_or_above - 0.5 * take(tied, ties))
        # positives above positives: all pairs, half of them
        area = 1 - divide(ranks - 0.5 * np.square(weight), weight * (everything - weight))
        # a tie of weight 0 has no hits either
        precision = np.cumsum(own, axis=1) / np.maximum(at_or_above, EPS)
        return np.stack([area, divide(np.einsum("bt,bt->b", own, precision), weight)])

    return statistic


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
    of_bins = group_sums(bins, ECE_BINS)
    return lambda w: divide(np.abs(of_bins(w * gap)).sum(axis=1), w.sum(axis=1))
