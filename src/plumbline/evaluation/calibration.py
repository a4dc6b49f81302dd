"""Probabilities that mean what they say: temperature, and the reliability table.

n rows, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from plumbline.evaluation.metrics import score
from plumbline.evaluation.metrics.weighted import EPS
from plumbline.inference.decision import apply_temperature
from plumbline.kinds import BoolArray, DoubleArray, IntArray, Task

RANGE = (0.05, 20.0)  # temperatures that are tried
PRIOR = 0.5  # standard deviation of log T around 0: what a handful of rows can move it by
STEPS = 40  # of the golden section: ends within 1e-7 of the best log T
BINS = 10
BIN_ROWS = 10  # rows per bin of the table, at least


def fit_temperature(y: IntArray, probabilities: DoubleArray) -> float:
    """The temperature of the least log loss on rows the model was not fitted on.

    Guo et al. 2017, On Calibration of Modern Neural Networks, section 4.2; with a weak normal
    prior on log T, without which a few rows that are all right would drive T to 0.

    Args:
        y: (n,) class numbers.
        probabilities: (n, C).

    Returns:
        A temperature within `RANGE`; 1 where none gives a lower log loss than that.
    """
    if len(y) == 0:
        return 1.0
    logs = np.log(np.clip(probabilities, EPS, 1.0))  # (n, C)
    actual = logs[np.arange(len(y)), y]

    def cost(log_t: float) -> float:
        beta = math.exp(-log_t)
        z = logs * beta
        top = z.max(axis=1)
        norm = np.log(np.exp(z - top[:, None]).sum(axis=1)) + top
        return float((norm - beta * actual).sum() + 0.5 * (log_t / PRIOR) ** 2)

    best = round(math.exp(_golden_section(cost, math.log(RANGE[0]), math.log(RANGE[1]))), 6)
    losses = [
        score("log_loss", y, apply_temperature(probabilities, t), Task.MULTICLASS)
        for t in (best, 1.0)
    ]
    return best if losses[0] < losses[1] else 1.0


def _golden_section(cost: Callable[[float], float], low: float, high: float) -> float:
    """The least of a function with one valley."""
    ratio = (math.sqrt(5) - 1) / 2
    a, b = high - ratio * (high - low), low + ratio * (high - low)
    cost_a, cost_b = cost(a), cost(b)
    for _ in range(STEPS):
        if cost_a <= cost_b:
            high, b, cost_b = b, a, cost_a
            a = high - ratio * (high - low)
            cost_a = cost(a)
        else:
            low, a, cost_a = a, b, cost_b
            b = low + ratio * (high - low)
            cost_b = cost(b)
    return (low + high) / 2


@dataclass(frozen=True, kw_only=True)
class ReliabilityBin:
    """Rows of about the same probability: what was said, what came, and its 95% interval."""

    predicted: float
    observed: float
    low: float
    high: float
    rows: int


def reliability(y: IntArray, probabilities: DoubleArray) -> list[ReliabilityBin]:
    """Said against seen, in at most 10 bins of equally many rows, lowest probability first.

    Of two classes the positive one's probability, of more the most probable one's. The
    interval is Wilson's (1927) for the observed share.
    """
    if probabilities.shape[1] == 2:
        probability, outcome = probabilities[:, 1], y == 1
    else:
        probability, outcome = probabilities.max(axis=1), probabilities.argmax(axis=1) == y
    if len(y) == 0:
        return []
    bins = int(np.clip(len(y) // BIN_ROWS, 1, BINS))
    inner = np.unique(np.quantile(probability, np.arange(1, bins) / bins))
    which = np.searchsorted(inner, probability, side="left")  # equal probabilities share a bin
    return [
        _reliability_bin(probability[which == k], outcome[which == k])
        for k in range(len(inner) + 1)
        if (which == k).any()
    ]


def _reliability_bin(probability: DoubleArray, outcome: BoolArray) -> ReliabilityBin:
    n, share, z = len(probability), float(outcome.mean()), 1.959964
    center = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return ReliabilityBin(
        predicted=float(probability.mean()),
        observed=share,
        low=max(0.0, center - half),
        high=min(1.0, center + half),
        rows=n,
    )
