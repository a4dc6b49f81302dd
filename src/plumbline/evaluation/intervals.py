"""How sure a metric is: 95% bootstrap intervals, and paired differences between predictions.

The rows that were drawn become row weights (how often each was), so that a metric sorts once and
is then evaluated for a block of resamples at a time.

n rows, B resamples.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from plumbline.evaluation.metrics import METRICS, all_scores
from plumbline.evaluation.metrics.weighted import Statistic, Targets
from plumbline.kinds import DoubleArray, Task

LEVEL = 0.95
BLOCK = 1 << 18  # weights held at a time: 2 MB, what a core's cache takes
MIN_DEFINED = 0.5  # share of resamples in which a metric must be defined to have an interval

Verdict = Literal["better", "within noise", "worse"]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Score of a minus score of b on the same rows, its 95% interval, two-sided p-value.

    In the metric's own direction: where less is better, a gain is negative.
    """

    difference: float
    low: float
    high: float
    p_value: float
    greater_is_better: bool

    @property
    def verdict(self) -> Verdict:
        """Whether a is better than b, by whether the interval leaves 0 out."""
        if self.low <= 0 <= self.high:
            return "within noise"
        return "better" if (self.difference > 0) == self.greater_is_better else "worse"


def weights(n: int, resamples: int, seed: int) -> Iterator[DoubleArray]:
    """Blocks (b, n) of how often each row was drawn, b summing to `resamples`.

    The draws do not depend on how they are cut into blocks.
    """
    rng = np.random.default_rng(seed)
    block = max(1, BLOCK // max(n, 1))
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        drawn = rng.integers(0, n, (size, n)) + n * np.arange(size)[:, None]
        yield np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n).astype(np.float64)


def resample(
    statistics: Mapping[str, Statistic], n: int, resamples: int, seed: int
) -> dict[str, DoubleArray]:
    """Values (B,) of each statistic over the same resamples of n rows."""
    resampled: dict[str, list[DoubleArray]] = {name: [] for name in statistics}
    for block in weights(n, resamples, seed):
        for name, statistic in statistics.items():
            resampled[name].append(statistic(block))
    return {name: np.concatenate(values) for name, values in resampled.items()}


def intervals(
    y: Targets,
    prediction: NDArray[np.floating],
    task: Task,
    *,
    threshold: float | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """95% percentile intervals of every metric (Efron 1979), over draws of whole rows.

    Args:
        y: (n,) class numbers or values.
        prediction: (n, C) probabilities or (n, 1) values.

    Returns:
        (low, high) per metric that is defined here and in at least half of the resamples;
        the metric itself is always inside. Nothing for fewer than two rows.
    """
    if len(y) < 2:
        return {}
    p = np.asarray(prediction, dtype=np.float64)
    points = all_scores(y, p, task, threshold)
    statistics = {name: METRICS[name].statistic(y, p, threshold) for name in points}
    values = resample(statistics, len(y), resamples, seed)
    result = {
        name: interval(values[name], point, biased=METRICS[name].biased)
        for name, point in points.items()
    }
    return {name: ends for name, ends in result.items() if ends is not None}


def interval(
    values: DoubleArray, point: float, *, biased: bool = False
) -> tuple[float, float] | None:
    """The middle 95% of resampled values (B,), widened to hold the point.

    A biased metric (ECE: rows drawn twice look like miscalibration) is moved back by the mean
    shift between resamples and point, and stays at or above 0.
    """
    known = values[np.isfinite(values)]
    if len(known) < MIN_DEFINED * len(values) or len(known) == 0:
        return None
    if biased:
        known = np.maximum(known - (known.mean() - point), 0.0)
    tail = 50 * (1 - LEVEL)
    low, high = np.percentile(known, [tail, 100 - tail])
    return min(float(low), point), max(float(high), point)


def paired_difference(
    metric: str,
    y: Targets,
    a: NDArray[np.floating],
    b: NDArray[np.floating],
    *,
    thresholds: tuple[float | None, float | None] = (None, None),
    resamples: int = 1000,
    seed: int = 0,
) -> Difference | None:
    """Two predictions on the same rows: both are scored on the same resamples.

    Args:
        metric: a name of `METRICS`.
        y: (n,); a, b: (n, C) or (n, 1).
        thresholds: of a and of b.

    Returns:
        None where the metric is undefined here or in more than half of the resamples. The
        p-value is twice the smaller share of resamples on either side of 0, those at 0 split
        evenly, at least 2 / (resamples + 1); predictions that score alike everywhere have 1.
    """
    if len(y) < 2:
        return None
    make, better = METRICS[metric].statistic, METRICS[metric].greater_is_better
    of_a = make(y, np.asarray(a, dtype=np.float64), thresholds[0])
    of_b = make(y, np.asarray(b, dtype=np.float64), thresholds[1])
    ones = np.ones((1, len(y)))
    point = float(of_a(ones)[0] - of_b(ones)[0])
    if not math.isfinite(point):
        return None
    values = resample({"gap": lambda w: of_a(w) - of_b(w)}, len(y), resamples, seed)["gap"]
    ends = interval(values, point)
    if ends is None:
        return None
    known = values[np.isfinite(values)]
    side = min(int((known < 0).sum()), int((known > 0).sum())) + 0.5 * int((known == 0).sum())
    return Difference(
        difference=point,
        low=ends[0],
        high=ends[1],
        p_value=min(1.0, 2 * (side + 1) / (len(known) + 1)),
        greater_is_better=better,
    )
