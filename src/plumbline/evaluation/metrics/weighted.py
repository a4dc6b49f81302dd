"""What metrics are made of: functions of row weights.

n rows, B sets of weights, K classes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from plumbline.kinds import BoolArray, DoubleArray

Targets = NDArray[np.generic]  # (n,) class numbers or values
Statistic = Callable[[DoubleArray], DoubleArray]  # row weights (B, n) to (B,)
Make = Callable[[Targets, DoubleArray, float | None], Statistic]
EPS = float(np.finfo(np.float64).eps)


def mean_of(values: DoubleArray | BoolArray) -> Statistic:
    """The weighted mean of values (n,)."""
    rows = values.astype(np.float64)
    return lambda w: divide(w @ rows, w.sum(axis=1))


def divide(above: DoubleArray, below: DoubleArray, empty: float = np.nan) -> DoubleArray:
    """Quotient; `empty` where there is nothing to divide by."""
    out: DoubleArray = np.full(np.broadcast_shapes(above.shape, below.shape), empty)
    np.divide(above, below, out=out, where=below > 0)
    return out


def mean_over_classes(values: DoubleArray) -> DoubleArray:
    """(B, K) to (B,), over the classes that are defined."""
    known = np.isfinite(values)
    return divide(np.where(known, values, 0.0).sum(axis=1), known.sum(axis=1).astype(np.float64))
