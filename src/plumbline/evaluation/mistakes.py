"""The worst mistakes, to be looked at.

n rows, C classes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from plumbline.evaluation.decision import PartPredictions
from plumbline.kinds import DoubleArray, IntArray, TargetKind


def worst_mistakes(predictions: PartPredictions, count: int) -> tuple[IntArray, int]:
    """Positions of the `count` worst mistakes, the worst first, and how many there are: rows of
    another class than the predicted one, by the probability of their own class; of values, all
    that are not exact, by their distance."""
    badness = BADNESS[predictions.task.spec.target](predictions)
    wrong = np.flatnonzero(badness > 0)
    order = np.argsort(-badness[wrong], kind="stable")
    return wrong[order][:count], len(wrong)


def describe_mistake(
    predictions: PartPredictions, position: int, classes: tuple[str, ...]
) -> dict[str, Any]:
    """Row number, what is true and what was predicted; of classes, the probabilities of both."""
    actual, predicted = predictions.y[position], predictions.predicted[position]
    row = {"row": int(predictions.rows[position])}
    if not classes:
        return {**row, "actual": float(actual), "predicted": float(predicted)}
    probability = predictions.prediction[position]
    return {
        **row,
        "actual": classes[int(actual)],
        "predicted": classes[int(predicted)],
        "probability": float(probability[int(predicted)]),
        "probability_of_actual": float(probability[int(actual)]),
    }


def _of_classes(predictions: PartPredictions) -> DoubleArray:
    """(n,) what the actual class lacks to certainty; 0 where it was predicted."""
    y = np.asarray(predictions.y, dtype=np.int64)
    lacking = 1.0 - predictions.prediction[np.arange(len(y)), y]
    # of a class that is all but certain and still not predicted (a threshold), more than nothing
    return np.where(predictions.predicted == y, 0.0, np.maximum(lacking, 1e-12))


def _of_values(predictions: PartPredictions) -> DoubleArray:
    """(n,) distances."""
    y = np.asarray(predictions.y, dtype=np.float64)
    return np.abs(y - np.asarray(predictions.predicted, dtype=np.float64))


BADNESS = {TargetKind.CLASSES: _of_classes, TargetKind.NUMBERS: _of_values}
