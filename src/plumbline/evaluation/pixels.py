"""Images as the baselines see them: scaled pixels, and few directions of them for trees.

n rows, P pixels.
"""

from __future__ import annotations

import numpy as np
from sklearn.decomposition import PCA

from plumbline.kinds import DoubleArray, FloatArray

COMPONENTS = 32  # for trees
LEAST_SPREAD = 1.0  # of a pixel's bytes: what varies less is taken as constant


class ScaledPixels:
    """Pixels of mean 0, equal deviations and a mean squared norm of 1 over the training rows.

    So an image counts as much as one standardized number or one text of TF-IDF, whatever its size:
    thousands of pixels of deviation 1 under the penalty of all other columns fit the noise, and the
    penalty that they need takes those columns away. Pixels of a missing image are 0.
    """

    def __init__(self, pixels: FloatArray) -> None:
        there = ~np.isnan(pixels).any(axis=1)
        known = pixels[there] if there.any() else np.zeros((1, pixels.shape[1]), np.float32)
        self._mean = known.mean(axis=0, dtype=np.float64).astype(np.float32)
        spread = known.std(axis=0, dtype=np.float64).astype(np.float32)
        varied = spread >= LEAST_SPREAD
        spread *= np.sqrt(varied.sum(), dtype=np.float32)
        self._scale = np.where(varied, spread, np.inf).astype(np.float32)

    def __call__(self, pixels: FloatArray) -> FloatArray:
        """(n, P)."""
        scaled: FloatArray = np.nan_to_num((pixels - self._mean) / self._scale, copy=False)
        return scaled


class PixelComponents:
    """The directions in which the pixels of training rows differ most (Turk and Pentland 1991,
    "Eigenfaces for Recognition"): few numbers, which trees can split."""

    def __init__(self, pixels: FloatArray, seed: int) -> None:
        self._scaled = ScaledPixels(pixels)
        self._pca: PCA | None = None
        count = min(COMPONENTS, len(pixels) - 1, pixels.shape[1])
        if count >= 1:
            known = self._scaled(pixels)
            self._pca = PCA(count, svd_solver="randomized", random_state=seed).fit(known)

    def __call__(self, pixels: FloatArray) -> DoubleArray:
        """(n, components); none where there are no images."""
        if self._pca is None:
            return np.empty((len(pixels), 0))
        return np.asarray(self._pca.transform(self._scaled(pixels)), dtype=np.float64)
