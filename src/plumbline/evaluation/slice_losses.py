"""Whether a model is worse than another on parts of the rows: the same rows, loss against loss.

A ranking metric inside a slice compares the slice's rows with each other only, and most metrics
depend on what is in the slice. The losses of two models on the same rows do not: what makes a
slice hard is common to both.

n rows, S slices.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr

from plumbline.evaluation.metrics import METRICS, ROW_LOSSES
from plumbline.evaluation.metrics.weighted import Targets
from plumbline.kinds import DoubleArray, IntArray


@dataclass(frozen=True, kw_only=True)
class SliceLoss:
    """The mean losses of a model and of its reference on one slice.

    `rise`: the difference as a share of the reference's loss, there or on all rows, whichever is
    larger. `p_value`: of the one-sided test that the model loses no more, corrected for the
    number of slices. `worse`: significant, and a rise of more than the least that counts.
    """

    loss: float
    reference: float
    rise: float
    p_value: float
    worse: bool


def compare_slices(
    metric: str,
    y: Targets,
    prediction: DoubleArray,
    reference: DoubleArray,
    slices: Sequence[IntArray],
    *,
    level: float,
    least: float,
) -> list[SliceLoss]:
    """A model's losses against a reference's on the same rows, slice by slice.

    Each slice has a paired t-test of the row losses; the p-values are corrected by Holm's method
    (1979), whatever the slices share: among slices that are all alike, some slice is called worse
    in at most `level` of runs. One false alarm among many slices would hold a version back, so
    the share of false alarms among the alarms (Benjamini-Hochberg) is not enough.

    Args:
        metric: of all rows; its `row_loss` is what is compared.
        y: (n,); prediction, reference: (n, C) or (n, 1).
        slices: of each, the positions of its rows.
        least: the least rise that counts, as a share (`SliceLoss.rise`).

    Returns:
        One per slice, in their order; nothing where the metric has no row loss.
    """
    name = METRICS[metric].row_loss
    if name is None or not slices:
        return []
    loss_of = ROW_LOSSES[name]
    new, old = (loss_of(y, np.asarray(p, dtype=np.float64)) for p in (prediction, reference))
    everywhere = float(old.mean())
    adjusted = holm([_p_value(new[rows] - old[rows]) for rows in slices])
    compared = []
    for rows, p_value in zip(slices, adjusted, strict=True):
        loss, base = float(new[rows].mean()), float(old[rows].mean())
        scale = max(base, everywhere)
        change = loss - base
        rise = change / scale if scale > 0 else math.copysign(math.inf, change) if change else 0.0
        worse = p_value < level and rise > least
        compared.append(
            SliceLoss(loss=loss, reference=base, rise=rise, p_value=p_value, worse=worse)
        )
    return compared


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values corrected for their number: the smallest times S, the next times S - 1, …, none
    below the one before it (Holm 1979, A simple sequentially rejective multiple test procedure)."""
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * (len(p) - np.arange(len(p))))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return [float(one) for one in adjusted]


def _p_value(differences: DoubleArray) -> float:
    """One-sided: how often so large a mean comes by chance where there is no difference."""
    n, mean = len(differences), float(differences.mean())
    if n < 2:
        return 1.0
    error = float(differences.std(ddof=1)) / np.sqrt(n)
    if error == 0:
        return 0.0 if mean > 0 else 1.0
    return float(stdtr(n - 1, -mean / error))
