"""Imputers: a number column's training values -> what stands where a value is missing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from plumbline.preprocessing.summary import NumberSummary


def mean(summary: NumberSummary, constant: float) -> float:
    """The mean of the training values."""
    return summary.mean


def median(summary: NumberSummary, constant: float) -> float:
    """The median of the training values."""
    return summary.median


def mode(summary: NumberSummary, constant: float) -> float:
    """The most frequent training value; the least of several."""
    values, counts = summary.value_counts()
    return float(values[np.argmax(counts)])


def constant(summary: NumberSummary, constant: float) -> float:
    """The configured constant."""
    return constant


IMPUTERS: dict[str, Callable[[NumberSummary, float], float]] = {
    "mean": mean,
    "median": median,
    "mode": mode,
    "constant": constant,
}
ORDERED = ("median", "mode")  # learn from the sorted values
