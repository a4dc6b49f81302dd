"""Metrics of regression."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from plumbline.evaluation.metrics.weighted import EPS, Make, Statistic, Targets, divide, total
from plumbline.kinds import DoubleArray


def errors(of: Callable[[DoubleArray, DoubleArray], DoubleArray], *, root: bool = False) -> Make:
    """The weighted mean of a loss of (actual, predicted), over rows where it is a number."""

    def make(y: Targets, p: DoubleArray, threshold: float | None) -> Statistic:
        losses = of(y.astype(np.float64), p[:, 0])
        known = np.isfinite(losses)
        losses = np.where(known, losses, 0.0)

        def statistic(w: DoubleArray) -> DoubleArray:
            mean = divide(total(w, losses), total(w, known.astype(np.float64)))
            return np.sqrt(mean) if root else mean

        return statistic

    return make


def row_losses(
    of: Callable[[DoubleArray, DoubleArray], DoubleArray],
) -> Callable[[Targets, DoubleArray], DoubleArray]:
    """The loss of each row, of (actual, predicted)."""
    return lambda y, p: of(y.astype(np.float64), p[:, 0])


def absolute(y: DoubleArray, p: DoubleArray) -> DoubleArray:
    """Distance, in the target's units."""
    return np.abs(y - p)


def squared(y: DoubleArray, p: DoubleArray) -> DoubleArray:
    """Squared distance."""
    return np.square(y - p)


def relative(y: DoubleArray, p: DoubleArray) -> DoubleArray:
    """Share of the actual value; rows whose actual value is 0 have none and are left out."""
    return divide(np.abs(y - p), np.abs(y))


def r2(y: Targets, p: DoubleArray, threshold: float | None) -> Statistic:
    """Share of the variance explained; undefined where the target does not vary."""
    values = y.astype(np.float64)
    squares = squared(values, p[:, 0])
    centered = values - values.mean()  # keeps the variance of large values exact

    def statistic(w: DoubleArray) -> DoubleArray:
        mean = divide(np.square(total(w, centered)), w.sum(axis=1))
        spread = total(w, np.square(centered)) - mean
        constant = spread <= EPS * total(w, np.square(values))
        return 1 - divide(total(w, squares), np.where(constant, 0.0, spread))

    return statistic
