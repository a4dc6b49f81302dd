"""How sure a metric is: 95% bootstrap intervals, and paired differences between predictions.

The rows that were drawn become row weights (how often each was), so that a metric sorts once and
is then evaluated for a block of resamples at a time.

n rows, B resamples.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from plumbline.evaluation.metrics import METRICS, all_scores, together
from plumbline.evaluation.metrics.weighted import Targets
from plumbline.kinds import DoubleArray, Task

LEVEL = 0.95
BLOCK = 1 << 18  # weights held at a time: 2 MB, what a core's cache takes
MOST_THREADS = 4  # more wait for the draws, which one thread makes at a time
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


def block_size(n: int) -> int:
    """How many resamples of n rows are held at a time."""
    return max(1, BLOCK // max(n, 1))


def weights(n: int, resamples: int, seed: int) -> Iterator[DoubleArray]:
    """Blocks (b, n) of how often each row was drawn, b summing to `resamples`.

    The draws do not depend on how they are cut into blocks.
    """
    rng = np.random.default_rng(seed)
    block = block_size(n)
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        drawn = rng.integers(0, n, (size, n)) + n * np.arange(size)[:, None]
        yield np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n).astype(np.float64)


def resample(
    values_of: Callable[[DoubleArray], Mapping[str, DoubleArray]],
    n: int,
    resamples: int,
    seed: int,
) -> dict[str, DoubleArray]:
    """Values (B,) by name over resamples of n rows, from a function of row weights (b, n).

    Threads take turns at drawing a block; their number changes no value.
    """
    count = math.ceil(resamples / block_size(n))
    blocks, lock = enumerate(weights(n, resamples, seed)), Lock()
    made: list[Mapping[str, DoubleArray]] = [{}] * count

    def work() -> None:
        while True:
            with lock:
                i, block = next(blocks, (count, None))
            if block is None:
                return
            made[i] = values_of(block)

    threads = min(len(os.sched_getaffinity(0)), MOST_THREADS, count)
    with ThreadPoolExecutor(max(1, threads)) as pool:
        for done in [pool.submit(work) for _ in range(threads)]:
            done.result()
    return {name: np.concatenate([each[name] for each in made]) for name in made[0]}


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
    values = resample(together(points, y, p, threshold), len(y), resamples, seed)
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
    values = resample(lambda w: {"gap": of_a(w) - of_b(w)}, len(y), resamples, seed)["gap"]
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
