"""Images as the baselines see them: standardized pixels, and few directions of them for trees.

n rows, P pixels.
"""

from __future__ import annotations

import numpy as np
from sklearn.decomposition import PCA

from plumbline.kinds import DoubleArray, FloatArray

COMPONENTS = 32  # for trees
LEAST_SPREAD = 1.0  # of a pixel's bytes: what varies less is taken as constant


class StandardPixels:
    """Pixels of mean 0 and deviation 1 over the training rows; those of a missing image are 0."""

    def __init__(self, pixels: FloatArray) -> None:
        there = ~np.isnan(pixels).any(axis=1)
        known = pixels[there] if there.any() else np.zeros((1, pixels.shape[1]), np.float32)
        self._mean = known.mean(axis=0, dtype=np.float64).astype(np.float32)
        spread = known.std(axis=0, dtype=np.float64).astype(np.float32)
        self._scale = np.where(spread < LEAST_SPREAD, np.inf, spread).astype(np.float32)

    def __call__(self, pixels: FloatArray) -> FloatArray:
        """(n, P)."""
        standard: FloatArray = np.nan_to_num((pixels - self._mean) / self._scale, copy=False)
        return standard


class PixelComponents:
    """The directions in which the pixels of training rows differ most (Turk and Pentland 1991,
    "Eigenfaces for Recognition"): few numbers, which trees can split."""

    def __init__(self, pixels: FloatArray, seed: int) -> None:
        self._standard = StandardPixels(pixels)
        self._pca: PCA | None = None
        count = min(COMPONENTS, len(pixels) - 1, pixels.shape[1])
        if count >= 1:
            known = self._standard(pixels)
            self._pca = PCA(count, svd_solver="randomized", random_state=seed).fit(known)

    def __call__(self, pixels: FloatArray) -> DoubleArray:
        """(n, components); none where there are no images."""
        if self._pca is None:
            return np.empty((len(pixels), 0))
        return np.asarray(self._pca.transform(self._standard(pixels)), dtype=np.float64)
