"""What metrics are made of: functions of row weights.

n rows, B sets of weights, K classes, G groups.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plumbline.kinds import BoolArray, DoubleArray, IntArray

Targets = NDArray[np.generic]  # (n,) class numbers or values
Statistic = Callable[[DoubleArray], DoubleArray]  # row weights (B, n) to (B,)
Make = Callable[[Targets, DoubleArray, float | None], Statistic]
Sums = Callable[[DoubleArray], tuple[DoubleArray, ...]]  # row weights (B, n) to arrays (B, …)
EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class OfSums:
    """A `Make` whose statistic is a formula of sums that other metrics are made of, too, so that
    metrics that are computed together compute the sums once (`metrics.together`)."""

    sums: Callable[[Targets, DoubleArray, float | None], Sums]
    formula: Callable[..., DoubleArray]

    def __call__(self, y: Targets, p: DoubleArray, threshold: float | None) -> Statistic:
        sums = self.sums(y, p, threshold)
        return lambda w: self.formula(*sums(w))


def mean_of(values: DoubleArray | BoolArray) -> Statistic:
    """The weighted mean of values (n,)."""
    rows = values.astype(np.float64)
    return lambda w: divide(total(w, rows), w.sum(axis=1))


def total(w: DoubleArray, values: DoubleArray) -> DoubleArray:
    """Weighted sums (B,) of values (n,), in the same bytes whatever the number of threads."""
    return np.asarray(np.einsum("bn,n->b", w, values))


def group_sums(groups: IntArray, count: int) -> Statistic:
    """Weights (B, n) to sums (B, count) of each group's; `groups` (n,) says which group of
    0 … count - 1 a row belongs to."""
    order = np.argsort(groups, kind="stable")
    present, starts = np.unique(groups[order], return_index=True)
    of_runs = run_sums(order, starts)

    def sums(w: DoubleArray) -> DoubleArray:
        out = np.zeros((len(w), count))
        out[:, present] = of_runs(w)
        return out

    return sums


def run_sums(order: IntArray, starts: IntArray) -> Statistic:
    """Weights (B, n) to sums (B, G) of runs of rows: from each start to the next, in `order`."""
    if len(starts) == len(order):
        return lambda w: take(w, order)
    return lambda w: np.add.reduceat(take(w, order), starts, axis=1)


def take(w: DoubleArray, columns: IntArray) -> DoubleArray:
    """w[:, columns], several times as fast."""
    return np.take(w, columns, axis=1, mode="clip")


def divide(above: DoubleArray, below: DoubleArray, empty: float = np.nan) -> DoubleArray:
    """Quotient; `empty` where there is nothing to divide by."""
    out: DoubleArray = np.full(np.broadcast_shapes(above.shape, below.shape), empty)
    np.divide(above, below, out=out, where=below > 0)
    return out


def mean_over_classes(values: DoubleArray) -> DoubleArray:
    """(B, K) to (B,), over the classes that are defined."""
    known = np.isfinite(values)
    return divide(np.where(known, values, 0.0).sum(axis=1), known.sum(axis=1).astype(np.float64))
