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
Distances = Callable[[FloatArray], DoubleArray]  # features (n, D) -> (n,)
Whiten = Callable[[FloatArray], tuple[DoubleArray, DoubleArray]]
NEIGHBOR = 5  # whose distance counts
MOST_DISTANCE, MOST_DEVIATIONS, MOST_FEATURE = 1e9, 1e6, 1e30


def whitening(arrays: Arrays) -> Whiten:
    """What gives features (n, D) along the main directions of the training rows (n, R), each in
    standard deviations; and the length (n,) of what is left, in its own standard deviation.

    `mean` (D,), `basis` (D, R) orthonormal, `spread` (R,), `rest` (1,).
    """
    mean, basis = arrays["mean"], arrays["basis"].astype(np.float64)
    spread, rest = arrays["spread"], arrays["rest"]

    def whiten(features: FloatArray) -> tuple[DoubleArray, DoubleArray]:
        centered = bounded(features) - mean
        along = centered @ basis
        left = np.maximum(np.square(centered).sum(axis=1) - np.square(along).sum(axis=1), 0.0)
        return along / spread, np.sqrt(left) / rest

    return whiten


def bounded(features: FloatArray) -> DoubleArray:
    """Features (n, D) whose squares are finite."""
    values = features.astype(np.float64)
    values[np.isnan(values)] = MOST_FEATURE
    return np.clip(values, -MOST_FEATURE, MOST_FEATURE, out=values)


def mahalanobis(arrays: Arrays) -> Distances:
    """To the mean of the nearest class, or of all training rows, by the covariance within
    (Lee et al. 2018, "A Simple Unified Framework for Detecting Out-of-Distribution Samples").

    As `whitening`, and `centers` (classes, D), the classes' means less the mean; what is left of
    the main directions is taken together.
    """
    basis, spread = arrays["basis"].astype(np.float64), arrays["spread"].astype(np.float64)
    mean, rest, centers = arrays["mean"], arrays["rest"], arrays["centers"].astype(np.float64)
    own = centers @ basis
    from_centers, from_own, scaled = _Points(centers), _Points(own), _Points(own / spread)

    def distances(features: FloatArray) -> DoubleArray:
        centered = bounded(features) - mean
        along = centered @ basis
        left = np.maximum(from_centers(centered) - from_own(along), 0.0)
        squares = scaled(along / spread) + left / np.square(rest)
        nearest: DoubleArray = np.sqrt(np.maximum(squares.min(axis=1), 0.0))
        return np.minimum(nearest, MOST_DISTANCE)

    return distances


def neighbors(arrays: Arrays) -> Distances:
    """To the fifth nearest of some training rows (Sun et al. 2022, "Out-of-Distribution
    Detection with Deep Nearest Neighbors"), on whitened features.

    `reference` (M, R + 1): those rows, what is left of them last. In float32, which is three times
    as fast: this is most of what a score takes.
    """
    whiten, reference = whitening(arrays), _Points(arrays["reference"])
    place = min(NEIGHBOR, len(arrays["reference"])) - 1

    def distances(features: FloatArray) -> DoubleArray:
        rows = np.column_stack(whiten(features))
        rows = np.clip(rows, -MOST_DEVIATIONS, MOST_DEVIATIONS).astype(np.float32)
        nearest = np.partition(reference(rows), place, axis=1)[:, place].astype(np.float64)
        return np.minimum(np.sqrt(np.maximum(nearest, 0.0)), MOST_DISTANCE)

    return distances


class _Points:
    """Squared distances (n, M) of rows (n, d) from points (M, d), up to rounding."""

    def __init__(self, points: NDArray[Any]) -> None:
        self._turned, self._squares = -2 * points.T, np.square(points).sum(axis=1)

    def __call__(self, rows: NDArray[Any]) -> NDArray[Any]:
        squares: NDArray[Any] = rows @ self._turned
        squares += np.square(rows).sum(axis=1)[:, None]
        squares += self._squares
        return squares


def none(arrays: Arrays) -> Distances:
    """Zeros: the columns' ranges alone count."""
    return lambda features: np.zeros(len(features))


# by `evaluate.out_of_distribution.method`; what depends on the arrays alone is done once
DISTANCES: dict[str, Callable[[Arrays], Distances]] = {
    "mahalanobis": mahalanobis,
    "neighbors": neighbors,
    "ranges": none,
}
