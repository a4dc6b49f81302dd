"""Linear interpolation of few rows of many columns at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from plumbline.kinds import DoubleArray


class Interpolation:
    """What `numpy.interp` gives, of k columns at once: for few rows, of which a call per column
    takes longer than the work.

    Args:
        points: of each column the ascending values, and what is there.
    """

    def __init__(self, points: Sequence[tuple[DoubleArray, DoubleArray]]) -> None:
        self._x = np.concatenate([x for x, _ in points])
        self._y = np.concatenate([y for _, y in points])
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            slope = np.append(np.diff(self._y) / np.diff(self._x), 0.0)
        # values next to each other, between which there is nothing to interpolate
        self._slope = np.where(np.isfinite(slope), slope, 0.0)
        sizes = np.array([len(x) for x, _ in points])
        self._slope[np.cumsum(sizes) - 1] = 0.0  # on from the last value of a column
        self._first = np.array([x[0] for x, _ in points])
        # numpy orders complex numbers by their real part, then by the other: one search does all
        self._keys = np.empty(len(self._x), dtype=np.complex128)
        self._column = np.arange(len(points), dtype=np.float64)
        self._keys.real, self._keys.imag = np.repeat(self._column, sizes), self._x

    def __call__(self, x: DoubleArray) -> DoubleArray:
        """(n, k) finite values -> (n, k)."""
        x = np.maximum(x, self._first)
        keys = np.empty(x.shape, dtype=np.complex128)
        keys.real, keys.imag = self._column, x
        place = self._keys.searchsorted(keys, side="right") - 1
        values: DoubleArray = self._slope[place] * (x - self._x[place]) + self._y[place]
        return values
