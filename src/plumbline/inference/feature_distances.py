"""How far a row's features are from those of the training rows: one entry per method.

n rows, D features, R directions, M reference rows. What a method needs is a few arrays, fitted by
`evaluation.out_of_distribution`; whatever the features are, a distance is a finite number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plumbline.kinds import DoubleArray, FloatArray

Arrays = Mapping[str, FloatArray]
NEIGHBOR = 5  # whose distance counts
MOST_DISTANCE, MOST_DEVIATIONS, MOST_FEATURE = 1e9, 1e6, 1e30


def whiten(arrays: Arrays, features: FloatArray) -> tuple[DoubleArray, DoubleArray]:
    """Features (n, D) along the main directions of the training rows (n, R), each in standard
    deviations; and the length (n,) of what is left, in its own standard deviation.

    `mean` (D,), `basis` (D, R) orthonormal, `spread` (R,), `rest` (1,).
    """
    centered = bounded(features) - arrays["mean"]
    along = centered @ arrays["basis"].astype(np.float64)
    left = np.maximum(np.square(centered).sum(axis=1) - np.square(along).sum(axis=1), 0.0)
    return along / arrays["spread"], np.sqrt(left) / arrays["rest"]


def bounded(features: FloatArray) -> DoubleArray:
    """Features (n, D) whose squares are finite."""
    values = np.nan_to_num(features.astype(np.float64), nan=MOST_FEATURE)
    clipped: DoubleArray = np.clip(values, -MOST_FEATURE, MOST_FEATURE)
    return clipped


def mahalanobis(arrays: Arrays, features: FloatArray) -> DoubleArray:
    """(n,): to the mean of the nearest class, or of all training rows, by the covariance within
    (Lee et al. 2018, "A Simple Unified Framework for Detecting Out-of-Distribution Samples").

    As `whiten`, and `centers` (classes, D), the classes' means less the mean; what is left of the
    main directions is taken together.
    """
    basis, spread = arrays["basis"].astype(np.float64), arrays["spread"].astype(np.float64)
    centered, centers = bounded(features) - arrays["mean"], arrays["centers"].astype(np.float64)
    along, own = centered @ basis, centers @ basis
    left = np.maximum(_squares(centered, centers) - _squares(along, own), 0.0)
    squares = _squares(along / spread, own / spread) + left / np.square(arrays["rest"])
    nearest: DoubleArray = np.sqrt(np.maximum(squares.min(axis=1), 0.0))
    return np.minimum(nearest, MOST_DISTANCE)


def neighbors(arrays: Arrays, features: FloatArray) -> DoubleArray:
    """(n,): to the fifth nearest of some training rows (Sun et al. 2022, "Out-of-Distribution
    Detection with Deep Nearest Neighbors"), on whitened features.

    `reference` (M, R + 1): those rows, what is left of them last. In float32, which is three times
    as fast: this is most of what a score takes.
    """
    rows = np.column_stack(whiten(arrays, features))
    rows = np.clip(rows, -MOST_DEVIATIONS, MOST_DEVIATIONS).astype(np.float32)
    squares = _squares(rows, arrays["reference"])
    place = min(NEIGHBOR, squares.shape[1]) - 1
    nearest = np.partition(squares, place, axis=1)[:, place].astype(np.float64)
    return np.minimum(np.sqrt(np.maximum(nearest, 0.0)), MOST_DISTANCE)


def _squares(rows: NDArray[Any], points: NDArray[Any]) -> NDArray[Any]:
    """Squared distances (n, M) of rows (n, d) from points (M, d), up to rounding."""
    squares: NDArray[Any] = rows @ (-2 * points.T)
    squares += np.square(rows).sum(axis=1)[:, None]
    squares += np.square(points).sum(axis=1)
    return squares


def none(arrays: Arrays, features: FloatArray) -> DoubleArray:
    """(n,) zeros: the columns' ranges alone count."""
    return np.zeros(len(features))


# by `evaluate.out_of_distribution.method`
DISTANCES: dict[str, Callable[[Arrays, FloatArray], DoubleArray]] = {
    "mahalanobis": mahalanobis,
    "neighbors": neighbors,
    "ranges": none,
}
